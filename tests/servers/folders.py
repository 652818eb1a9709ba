"""Where a server's data goes that nobody wants to keep."""

import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM = 2 * 1024**3


def temporary_folder(*, in_memory: bool) -> Path:
    """A new folder that every user may enter; in memory only where there is room for several servers.

    A busy disk makes a copied database ten times slower, even where nothing waits for the disk.
    """
    roomy = in_memory and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM
    folder = Path(tempfile.mkdtemp(prefix="headrace-postgres-", dir=MEMORY if roomy else None))
    folder.chmod(0o755)
    return folder

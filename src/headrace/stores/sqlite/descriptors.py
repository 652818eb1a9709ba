"""Which of this process's file descriptors on a database belong to our SQLite library.

POSIX locks belong to the process. When another SQLite library in it (the module ``sqlite3``, say)
closes the same file, all our locks on it are gone, and a commit that another process was told of
can be overwritten. So every descriptor on the file must be one that apsw opened.
"""

import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

import apsw

from headrace.errors import SecondSQLiteLibrary

FileId = tuple[int, int]
"""Device and inode: one file, whatever it is called."""

_FOLDER: Final = Path("/proc/self/fd")


class Descriptors:
    """Notes the descriptors of every apsw connection of the process as it is opened."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._ours: dict[FileId, set[int]] = {}
        self._watching = False

    def watch(self) -> None:
        """Begins to note. Connections opened before are taken for granted."""
        with self._lock:
            if not self._watching:
                self._watching = True
                apsw.connection_hooks.append(self.note)
                for db in apsw.connections():
                    self.note(db)

    def note(self, db: apsw.Connection) -> None:
        """Notes the descriptor that a connection opened, if it opened one."""
        with self._lock:
            file = file_id(db.filename)
            if file is None:
                return
            present = _descriptors_on(file)
            ours = self._ours.setdefault(file, set())
            ours &= present
            if new := present - ours:
                ours.add(max(new))

    def refuse_strangers(self, path: str) -> None:
        """Raises SecondSQLiteLibrary if a descriptor on the file is not one of apsw's."""
        with self._lock:
            file = file_id(path)
            if file is None:
                return
            present = _descriptors_on(file)
            ours = self._ours.setdefault(file, set())
            ours &= present
            if present != ours:
                msg = (
                    f"another SQLite library (the module sqlite3?) has {path} open in this process, which "
                    "destroys the file's locks: use a file of its own for it, or an apsw connection"
                )
                raise SecondSQLiteLibrary(msg)


DESCRIPTORS: Final = Descriptors()
"""The one of this process."""


def file_id(path: str) -> FileId | None:
    """Which file a path names; None if there is none."""
    try:
        found = Path(path).stat() if path else None
    except OSError:
        return None
    return None if found is None else (found.st_dev, found.st_ino)


def _descriptors_on(file: FileId) -> set[int]:
    found: set[int] = set()
    try:
        opened = list(_FOLDER.iterdir())
    except OSError:
        return found
    for descriptor in opened:
        with suppress(OSError):  # closed meanwhile
            behind = descriptor.stat()
            if (behind.st_dev, behind.st_ino) == file:
                found.add(int(descriptor.name))
    return found

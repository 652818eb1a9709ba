"""Which of this process's file descriptors on a database belong to our SQLite library.

POSIX locks belong to the process. When another SQLite library in it (the module ``sqlite3``, say)
closes the same file, all our locks on it are gone, and a commit that another process was told of
can be overwritten. So every descriptor on the file must be one that apsw opened.
"""

import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import apsw

from headrace.errors import SecondSQLiteLibrary

FileId = tuple[int, int]
"""Device and inode: one file, whatever it is called."""

_FOLDER: Final = Path("/proc/self/fd")
_LOOKS: Final = 3
_BETWEEN_LOOKS_S: Final = 0.03


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

    def forget_closed(self, path: str) -> None:
        """After connections were closed: a stranger may get their numbers next."""
        with self._lock:
            file = file_id(path)
            if file is not None:
                self._ours.get(file, set[int]()).intersection_update(_descriptors_on(file))

    @contextmanager
    def opening(self) -> Generator[None]:
        """Held while we open a connection, so that nobody looks before it is noted."""
        with self._lock:
            yield

    def refuse_strangers(self, path: str) -> None:
        """Raises SecondSQLiteLibrary if a descriptor on the file is not one of apsw's."""
        for _ in range(_LOOKS):
            if not self._has_stranger(path):
                return
            # Another thread may be opening an apsw connection that it has not noted yet.
            time.sleep(_BETWEEN_LOOKS_S)
        msg = (
            f"another SQLite library (the module sqlite3?) has {path} open in this process, which "
            "destroys the file's locks: use a file of its own for it, or an apsw connection"
        )
        raise SecondSQLiteLibrary(msg)

    def _has_stranger(self, path: str) -> bool:
        with self._lock:
            file = file_id(path)
            if file is None:
                return False
            present = _descriptors_on(file)
            ours = self._ours.setdefault(file, set())
            ours &= present
            return present != ours


DESCRIPTORS: Final = Descriptors()
"""The one of this process."""


def file_id(path: str) -> FileId | None:
    """Which file a path names; None if there is none."""
    try:
        found = os.stat(path) if path else None  # noqa: PTH116 - in every commit; a Path doubles its cost
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

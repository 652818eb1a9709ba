"""What the -shm file of a WAL tells: whether our locks are really there, and whether anybody committed.

The locks are asked of the kernel, not of SQLite.

A second SQLite library in this process may open and close the file between two looks at the
descriptors. What it leaves behind can be seen: our locks are gone, and if no other process has the
file open, it takes itself for the last user and deletes the -wal and -shm files under our hands.
"""

import fcntl
import os
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

import apsw

from headrace.stores.sqlite.descriptors import FileId, file_id

# Where SQLite keeps the lock of the writer of a WAL in the -shm file, and the one that every user
# of the file holds shared. They are part of the format that all versions have in common.
_WRITE_BYTE: Final = 120
_USER_BYTE: Final = 128

_HEADER_BYTES: Final = 48

_FLOCK: Final = struct.Struct("@hhqqi4x")
_OFD_GETLK: Final[int | None] = getattr(fcntl, "F_OFD_GETLK", None)

_probes: dict[FileId, int] = {}
_guard: Final = threading.Lock()


class ShmProbe:
    """Looks at one database's -shm file.

    It needs a descriptor on the -shm file, which must stay open as long as any connection of the
    process is: closing it would destroy the very locks it looks at.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = {f"{path}{end}": file_id(f"{path}{end}") for end in ("-shm", "", "-wal")}
        self._fd = _open(f"{path}-shm")
        self._fine = {os.getpid(), None}

    def lost_in_transaction(self) -> bool:
        """Whether SQLite believes to hold the writer's lock and does not, or writes to files nobody sees.

        Part of every commit, so it looks only at what a second library cannot help to leave behind.
        """
        shm = f"{self._path}-shm"
        return self._holder(_WRITE_BYTE) not in self._fine or file_id(shm) != self._files[shm]

    def lost(self) -> bool:
        """Whether a file, or the lock that every open connection holds, has gone."""
        if any(file_id(path) != file for path, file in self._files.items()):
            return True
        # The kernel names one holder; beside other processes it may name one of them.
        return not self._is_shared() and self._holder(_USER_BYTE) not in self._fine

    def header(self) -> bytes | None:
        """What every commit of anybody changes; None if it cannot be read. Costs a microsecond."""
        return None if self._fd is None else os.pread(self._fd, _HEADER_BYTES, 0)

    def close(self) -> None:
        """After the connections: gives the descriptor up if nobody in the process uses the file."""
        if self._fd is None or any(db.filename == str(self._path) for db in apsw.connections()):
            return
        with _guard, suppress(KeyError, OSError):
            found = os.fstat(self._fd)
            os.close(_probes.pop((found.st_dev, found.st_ino)))

    def _holder(self, byte: int) -> int | None:
        """The process that locks a byte, ourselves included; 0: nobody; None: it cannot be told."""
        if self._fd is None or _OFD_GETLK is None:
            return None
        return _locker(self._fd, _OFD_GETLK, byte)

    def _is_shared(self) -> bool:
        """Whether another process has the file open. This form of the question leaves ourselves out."""
        return self._fd is None or _locker(self._fd, fcntl.F_GETLK, _USER_BYTE) != 0


def _locker(fd: int, command: int, byte: int) -> int:
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(fd, command, asked))
    return 0 if kind == fcntl.F_UNLCK else pid


def _open(path: str) -> int | None:
    with _guard:
        file = file_id(path)
        if file is None:
            return None
        if file not in _probes:
            _probes[file] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return _probes[file]

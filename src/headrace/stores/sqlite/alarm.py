"""Rings when anybody writes to the WAL, where the system can tell (Linux: inotify)."""

import ctypes
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_MODIFIED: Final = 0x2
# The kernel tells once and then forgets: a busy writer pays for one message, not for one a page.
_ONCE: Final = 0x8000_0000
_READ_AT_ONCE: Final = 4_096


class Alarm:
    """One message about the next write to a file. ``descriptor`` can be read when it has come."""

    def __init__(self, descriptor: int, path: bytes) -> None:
        self.descriptor: Final = descriptor
        self._path = path
        self._set = False

    def set(self) -> bool:
        """Asks for the message; whether that was possible. What was written before is not told."""
        if not self._set:
            watched = _libc.inotify_add_watch(self.descriptor, self._path, _MODIFIED | _ONCE)
            self._set = watched >= 0
        return self._set

    def clear(self) -> None:
        """Takes the message; ``set`` asks for the next one."""
        self._set = False
        with suppress(OSError):
            os.read(self.descriptor, _READ_AT_ONCE)

    def close(self) -> None:
        """Gives the descriptor back."""
        os.close(self.descriptor)


def alarm_on(path: Path) -> Alarm | None:
    """An alarm on a file; None where the system has none to give."""
    try:
        descriptor: int = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    except AttributeError:
        return None
    return Alarm(descriptor, os.fsencode(path)) if descriptor >= 0 else None


_libc: Final = ctypes.CDLL(None)

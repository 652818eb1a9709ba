"""What a measured handler calls: counts and instants in a small memory-mapped file per process.

Only the standard library is used, because a peer's environment imports this module too. Instants are
CLOCK_MONOTONIC, which all processes of a machine share. The file is an array of doubles:

    0 count   1 first start   2 last end   3 number of delays
    4 …       the end of every 500th call
    1004 …    delays in seconds (`delay`), newest overwrites oldest
"""

import mmap
import os
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path

FOLDER = "HEADRACE_BENCH_PROBE"
MARK_EVERY = 500
_MARKS = 1000
_DELAYS = 20_000
_FIRST_MARK = 4
_FIRST_DELAY = _FIRST_MARK + _MARKS
_SIZE = 8 * (_FIRST_DELAY + _DELAYS)
_put = struct.Struct("d").pack_into
_get = struct.Struct("d").unpack_from


class Probe:
    """This process's file, opened at the first call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._memory: mmap.mmap | None = None
        self._count = 0
        self._delays = 0

    def hit(self) -> None:
        """Counts one call of a handler that does nothing else: its start and its end are now."""
        now = time.monotonic()
        with self._lock:
            memory = self._memory or self._open(now)
            self._count += 1
            _put(memory, 0, float(self._count))
            _put(memory, 16, now)
            if self._count % MARK_EVERY == 0 and self._count // MARK_EVERY <= _MARKS:
                _put(memory, 8 * (_FIRST_MARK + self._count // MARK_EVERY - 1), now)

    def delay(self, since: float) -> None:
        """Notes how long ago ``since`` was, and counts the call."""
        late = time.monotonic() - since
        self.hit()
        memory = self._memory
        assert memory is not None
        _put(memory, 8 * (_FIRST_DELAY + self._delays % _DELAYS), late)
        self._delays += 1
        _put(memory, 24, float(self._delays))

    def _open(self, now: float) -> mmap.mmap:
        path = Path(os.environ[FOLDER]) / f"{os.getpid()}.probe"
        with path.open("wb+") as file:
            file.truncate(_SIZE)
            self._memory = mmap.mmap(file.fileno(), _SIZE)
        _put(self._memory, 8, now)
        return self._memory


_probe = Probe()
hit = _probe.hit
delay = _probe.delay


@dataclass(frozen=True)
class Reading:
    """What one process wrote."""

    count: int
    first: float
    last: float
    marks: tuple[float, ...]
    delays: tuple[float, ...]


def count(folder: Path) -> int:
    """How many calls all processes counted so far."""
    total = 0
    for path in folder.glob("*.probe"):
        with path.open("rb") as file:
            head = file.read(8)
        total += int(_get(head)[0]) if len(head) == 8 else 0
    return total


def read(folder: Path) -> list[Reading]:
    """What all processes wrote so far."""
    return [_reading(path.read_bytes()) for path in sorted(folder.glob("*.probe"))]


def _reading(raw: bytes) -> Reading:
    head = struct.unpack_from("4d", raw)
    calls, delays = int(head[0]), min(int(head[3]), _DELAYS)
    marks = min(calls // MARK_EVERY, _MARKS)
    return Reading(
        count=calls,
        first=head[1],
        last=head[2],
        marks=struct.unpack_from(f"{marks}d", raw, 8 * _FIRST_MARK),
        delays=struct.unpack_from(f"{delays}d", raw, 8 * _FIRST_DELAY),
    )

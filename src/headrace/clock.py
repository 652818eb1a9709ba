"""Store time: the one clock that decides.

``now()`` is milliseconds since the epoch. Only faces turn it into dates.
"""

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Tells store time in integer milliseconds since the epoch; never runs backwards."""

    def now(self) -> int:
        """The current instant."""
        ...


class StoreClock:
    """The store's time, carried between samples by the local boot-time clock.

    Boot time goes on while a virtual machine is suspended, which the monotonic clock does not.
    Anchored at connect and by every reply that brings the store's time.
    """

    def __init__(self, sample: int) -> None:
        self._lock = threading.Lock()
        self._anchored = (sample - _boot_ms(), sample)

    def anchor(self, sample: int) -> None:
        """Takes a fresh sample of the store's time."""
        with self._lock:
            # the millisecond is for those who have read the clock but not yet what it is anchored to
            self._anchored = (sample - _boot_ms(), self.now() + 1)

    def now(self) -> int:
        """Last sample plus the boot time since; never less than an earlier answer."""
        passed = _clock_gettime_ns(_BOOT_CLOCK) // 1_000_000
        # read together, and after the clock: so no lock is needed, which would cost more than all the rest
        offset, least = self._anchored
        now = offset + passed
        return max(least, now)


class ManualClock:
    """A clock for tests: it moves only when told to."""

    def __init__(self, start: int = 1_767_225_600_000) -> None:
        self._now = start

    def now(self) -> int:
        """The instant it was set to."""
        return self._now

    def advance(self, seconds: float) -> int:
        """Moves the clock forward and returns the new instant."""
        if seconds < 0:
            msg = "store time never runs backwards"
            raise ValueError(msg)
        self._now += round(seconds * 1000)
        return self._now


def host_now() -> int:
    """The host's wall clock, which is store time for SQLite."""
    return time.time_ns() // 1_000_000


_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_clock_gettime_ns = time.clock_gettime_ns  # asked twice for every job


def _boot_ms() -> int:
    return time.clock_gettime_ns(_BOOT_CLOCK) // 1_000_000

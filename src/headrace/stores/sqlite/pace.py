"""Fairness between processes on one file: when the writer leaves the lock alone for a moment."""

import random
import time
from collections.abc import Callable
from typing import Final

GAP_S: Final = 0.0005
BURST_S: Final = 0.005
CONTENDED_S: Final = 1.0
WAIT_LOW_S: Final = 0.0005
WAIT_HIGH_S: Final = 0.0015
GIVE_UP_S: Final = 10.0


class Pace:
    """Says how long to wait before the next transaction.

    SQLite's lock has no queue: a process that commits without a pause keeps the others out. After
    each commit while others were seen waiting, else after 5 ms without a pause, the lock is left
    alone for 0.5 ms, as long as the others wait between two tries.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._free_since = clock()
        self._contended_until = 0.0

    def idle(self) -> None:
        """The lock has been free for at least a gap."""
        self._free_since = self._clock()

    def contended(self) -> None:
        """Another process held the lock when we wanted it, or has committed."""
        self._contended_until = self._clock() + CONTENDED_S

    def gap(self) -> float:
        """Seconds to wait before the next transaction."""
        now = self._clock()
        if now < self._contended_until or now - self._free_since >= BURST_S:
            return GAP_S
        return 0.0


def busy_wait() -> float:
    """Seconds to wait for another process's transaction before the next try."""
    return random.uniform(WAIT_LOW_S, WAIT_HIGH_S)

"""In which order a process has inserted jobs into different partitions."""

import threading
from collections.abc import Sequence
from typing import Final

from headrace.core.value import value
from headrace.stores.values import NewJob

_TICKS_A_MS: Final = 32
"""As in lua/parts/seqs.lua."""
_LATEST: Final = 4_300_000_000_000


@value
class Ticked(NewJob):
    """A new job whose seq is made of this tick, or of a later one."""

    tick: int


class Ticks:
    """Increasing numbers, near the time. Usable from all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def on(self, jobs: Sequence[NewJob], now: int) -> list[NewJob]:
        """The jobs, each with a tick."""
        with self._lock:
            first = max(self._last, now * _TICKS_A_MS if now < _LATEST else 0) + 1
            self._last = first + len(jobs)
        return [
            Ticked(
                facts=new.facts,
                placement=new.placement,
                on_conflict=new.on_conflict,
                receipt=new.receipt,
                tick=first + index,
            )
            for index, new in enumerate(jobs)
        ]

"""When lanes open by the clock on which jobs wait that this process has met.

A claim that meets the instant brings these jobs back first, and whoever waits for work is woken for it. What
this process has not met, or has forgotten, is found by the sweep.
"""

import asyncio
import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

from headrace.stores.gating import Opening

HORIZON_MS: Final = 60_000
"""What opens later is left to the sweep."""

_KEPT: Final = 10_000


@dataclass(slots=True)
class _Awaited:
    at: int
    queues: frozenset[str]


class Openings:
    """For one process. Usable from all threads; ``arm`` in any event loop."""

    def __init__(self, wake: Callable[[str, frozenset[str]], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._awaited: dict[tuple[str, str], _Awaited] = {}
        self._unarmed: set[tuple[str, str]] = set()
        self._closed = False

    def remember(self, namespace: str, openings: Iterable[Opening], now: int) -> None:
        """Notes openings; of a lane the latest one that was told counts."""
        with self._lock:
            for one in openings:
                if one.at - now > HORIZON_MS or len(self._awaited) >= _KEPT:
                    continue
                key = (namespace, one.lane)
                before = self._awaited.get(key)
                queues = one.queues if before is None else one.queues | before.queues
                self._awaited[key] = _Awaited(one.at, queues)
                self._unarmed.add(key)

    def due(self, namespace: str, queues: Collection[str], now: int) -> list[str]:
        """The lanes that have opened on which jobs of these queues wait; they are forgotten by that."""
        if not self._awaited:
            return []
        with self._lock:
            found = [
                (of, lane)
                for (of, lane), one in self._awaited.items()
                if of == namespace and one.at <= now and not one.queues.isdisjoint(queues)
            ]
            for key in found:
                del self._awaited[key]
            self._unarmed.difference_update(found)
        return sorted(lane for _, lane in found)

    def arm(self, now: int) -> None:
        """Has those who wait for work woken at what was noted since the last call. Needs a running loop."""
        if not self._unarmed:
            return
        with self._lock:
            armed = {key: self._awaited[key] for key in self._unarmed if key in self._awaited}
            self._unarmed.clear()
        loop = asyncio.get_running_loop()
        for (namespace, _), one in armed.items():
            loop.call_later(max(0, one.at - now) / 1000, self._open, namespace, one.queues)

    def close(self) -> None:
        """Wakes nobody any more."""
        self._closed = True

    def _open(self, namespace: str, queues: frozenset[str]) -> None:
        if not self._closed:
            self._wake(namespace, queues)

"""Which wake-ups are sent when: the first at once, then no more than one per queue in a while."""

from collections.abc import Iterable
from typing import Final

Place = tuple[str, str]
"""A namespace and one of its queues."""

GAP: Final = 0.005
"""Seconds. Short enough for an idle worker to be quick, long enough for the server not to notice."""


class Coalescer:
    """Gathers places that have work. Knows no clock: every instant is an argument, in seconds."""

    def __init__(self, gap: float = GAP) -> None:
        self._gap = gap
        self._waiting: set[Place] = set()
        self._sent: dict[Place, float] = {}

    def add(self, places: Iterable[Place]) -> None:
        """Notes that there is work at these places."""
        self._waiting.update(places)

    def take(self, now: float) -> frozenset[Place]:
        """The places whose turn it is. They count as sent at this instant."""
        self._sent = {place: at for place, at in self._sent.items() if at + self._gap > now}
        due = frozenset(self._waiting - self._sent.keys())
        self._waiting -= due
        self._sent.update(dict.fromkeys(due, now))
        return due

    def take_all(self) -> frozenset[Place]:
        """All places that wait, whether it is their turn or not."""
        rest = frozenset(self._waiting)
        self._waiting.clear()
        return rest

    def next_at(self) -> float | None:
        """When the next place has its turn; None if none waits."""
        return min((self._sent.get(place, 0.0) + self._gap for place in self._waiting), default=None)

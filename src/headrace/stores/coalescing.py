"""Which wake-ups are sent when: the first at once, then the less often the more there are.

An idle worker should start a job at once, also when one comes every few milliseconds. A flood of jobs needs
few hints: workers that are busy find the next jobs by asking.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

Place = tuple[str, str]
"""A namespace and one of its queues."""

SHORTEST: Final = 0.005
LONGEST: Final = 0.05
QUIET: Final = 2 * LONGEST


@dataclass(frozen=True, slots=True)
class _Pace:
    """When a place was sent last, and how long it now waits for its next turn."""

    sent: float
    gap: float


class Coalescer:
    """Gathers places that have work. Knows no clock: every instant is an argument, in seconds.

    The gap of a place doubles whenever it had to wait for its turn, and halves when it had not. One that was
    quiet for a while is new again.
    """

    def __init__(self) -> None:
        self._waiting: dict[Place, bool] = {}
        self._paces: dict[Place, _Pace] = {}

    def add(self, places: Iterable[Place], now: float) -> None:
        """Notes that there is work at these places."""
        for place in places:
            held_back = self._waiting.get(place, False) or now < self._turn(place)
            self._waiting[place] = held_back

    def take(self, now: float) -> frozenset[Place]:
        """The places whose turn it is. They count as sent at this instant."""
        due = [place for place in self._waiting if self._turn(place) <= now]
        self._paces = {place: pace for place, pace in self._paces.items() if pace.sent + QUIET > now}
        for place in due:
            self._paces[place] = _Pace(now, self._next_gap(place, held_back=self._waiting.pop(place)))
        return frozenset(due)

    def take_all(self) -> frozenset[Place]:
        """All places that wait, whether it is their turn or not."""
        rest = frozenset(self._waiting)
        self._waiting.clear()
        return rest

    def next_at(self) -> float | None:
        """When the next place has its turn; None if none waits."""
        return min((self._turn(place) for place in self._waiting), default=None)

    def _turn(self, place: Place) -> float:
        pace = self._paces.get(place)
        return 0.0 if pace is None else pace.sent + pace.gap

    def _next_gap(self, place: Place, *, held_back: bool) -> float:
        pace = self._paces.get(place)
        if pace is None:
            return SHORTEST
        return min(LONGEST, pace.gap * 2) if held_back else max(SHORTEST, pace.gap / 2)

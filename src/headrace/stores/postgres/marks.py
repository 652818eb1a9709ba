"""Where a claim may begin to look, so that it does not walk over the dead rows of earlier claims.

While another session keeps an old snapshot open, the rows of claimed jobs cannot be removed, and a
claim that begins at the head of the queue walks over all of them. A mark says up to where the last
claims left nothing behind. What this process writes behind a mark takes the mark away. What others
write there, a retry or a slow transaction, is found by the next claim that looks from the beginning:
that is any claim as long as it is cheap, and one in twenty of the time, at least one a second, when it
is not (C39).
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from headrace.core.job import Facts, Job, Placement
from headrace.stores.gating import Returned

AT_LEAST_EVERY: Final = 1.0
SHARE: Final = 20
BURST: Final = 10
_KEPT: Final = 16
_LAST: Final = 2**63 - 1

Mark = tuple[str, int, int, int]
"""Queue, priority, rank, seq."""


@dataclass(slots=True)
class _Place:
    """One queue: the marks by priority, how many full looks may be taken, and how long the last one was."""

    marks: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])
    looks: float = BURST
    counted_at: float = 0.0
    took: float = 0.0

    def count(self, now: float) -> None:
        period = min(AT_LEAST_EVERY, self.took * SHARE)
        since, self.counted_at = now - self.counted_at, now
        self.looks = BURST if period <= 0 else min(BURST, self.looks + since / period)


class Marks:
    """The marks of one process, for all its claims."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._places: dict[tuple[str, str], _Place] = {}

    def full_look_due(self, namespace: str, queues: Sequence[str]) -> bool:
        """Whether a claim of these queues should look from the beginning."""
        now = self._clock()
        with self._lock:
            for queue in queues:
                place = self._places.get((namespace, queue))
                if place is None:
                    return True
                place.count(now)
                if place.looks >= 1:
                    return True
            return False

    def of(self, namespace: str, queues: Sequence[str]) -> Sequence[Mark]:
        """The marks of these queues."""
        with self._lock:
            return [
                (queue, priority, rank, seq)
                for queue in queues
                if (place := self._places.get((namespace, queue))) is not None
                for priority, (rank, seq) in place.marks.items()
            ]

    def looked(self, namespace: str, queues: Sequence[str], took: float) -> None:
        """A claim looked at these queues from the beginning: earlier marks are void."""
        now = self._clock()
        with self._lock:
            for queue in queues:
                place = self._places.setdefault((namespace, queue), _Place(counted_at=now))
                place.count(now)
                place.marks.clear()
                place.looks -= 1
                place.took = took

    def learn(self, namespace: str, jobs: Sequence[Job]) -> None:
        """Jobs were claimed, in order: what is before the last of a priority is claimed."""
        with self._lock:
            last = {(job.facts.queue, job.placement.priority): job for job in jobs}
            for (queue, priority), job in last.items():
                place = self._places.get((namespace, queue))
                if place is None or (priority not in place.marks and len(place.marks) >= _KEPT):
                    continue
                place.marks[priority] = (job.placement.rank, job.seq)

    def written(self, facts: Facts, placement: Placement, seq: int = _LAST) -> None:
        """A job was written that waits; one behind the mark of its priority takes the mark away.

        A new job has no ``seq`` yet; it comes behind all others of its rank.
        """
        if placement.due_at is None:
            return
        place = self._places.get((facts.namespace, facts.queue))
        if place is None or not place.marks:
            return
        self._remove_mark(place, placement.priority, (placement.rank, seq))

    def came_back(self, jobs: Sequence[Returned]) -> None:
        """Parked jobs are due again where they were; one behind a mark takes the mark away."""
        for job in jobs:
            place = self._places.get((job.namespace, job.queue))
            if place is not None and place.marks:
                self._remove_mark(place, job.priority, (job.rank, job.seq))

    def forget(self) -> None:
        """Many jobs may have come back: no mark holds."""
        with self._lock:
            for place in self._places.values():
                place.marks.clear()

    def _remove_mark(self, place: _Place, priority: int, before: tuple[int, int]) -> None:
        with self._lock:
            mark = place.marks.get(priority)
            if mark is not None and before <= mark:
                del place.marks[priority]

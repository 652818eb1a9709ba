"""Queues in a store: the lines of fair ones, and the room of bounded ones.

A fair job that is due is put in line by the op that inserts it; all others by whoever looks for them. Of a
bounded queue the waiting jobs are counted by the op that inserts more, while it holds the queue's register.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from headrace.core.fairness import TAGS_BELOW, FairQueue, Line, Place
from headrace.core.job import Job, Transition
from headrace.core.limit_names import ALL, OF_QUEUE, lane_of_limit, name_of_type
from headrace.core.queue_rules import Overflow, QueueBound
from headrace.core.states import State
from headrace.core.wishes import Wishes
from headrace.errors import QueueFull
from headrace.stores.values import NewJob

COUNTED_BEYOND: Final = 10_000
"""Waiting jobs are counted up to so many beyond a queue's bound."""

Level = tuple[str, int]
"""A queue and one of its priorities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """The bounds of the queues that an insert adds to, and the jobs that are dropped where there is no room.

    ``drops`` are decided cancellations of waiting jobs, the oldest first. As many are written as are needed.
    """

    bounds: tuple[QueueBound, ...]
    drops: tuple[Transition, ...] = ()


class QueueStore(Protocol):
    """Looks at the waiting jobs of a queue. Each is one snapshot."""

    async def heads(
        self, namespace: str, levels: Sequence[Level], lanes: Sequence[str]
    ) -> Mapping[Level, int]:
        """The lowest tag that waits in each of these, due or parked on one of these lanes, where one is."""
        ...

    async def out_of_line(self, namespace: str, queue: str, *, now: int, limit: int) -> Sequence[Job]:
        """Due jobs that are ranked by their due time and not by a tag, in the order of priority and rank."""
        ...

    async def parked_out_of_line(self, namespace: str, queue: str, *, now: int, limit: int) -> Sequence[Job]:
        """As ``out_of_line``, some of the jobs that are parked. Costs a look at the index of all of these."""
        ...

    async def oldest_waiting(self, namespace: str, queue: str, *, limit: int) -> Sequence[Job]:
        """The jobs that wait in a queue, due or not, parked or not, the first inserted first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LineUp:
    """Which of an insertion's jobs are put in line, by their place in it."""

    places: Mapping[int, Place]
    lanes: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """The registers of the tenants' finish tags, in order."""
        return sorted({place.line for place in self.places.values()})

    @property
    def levels(self) -> list[Level]:
        """Where the heads are needed."""
        return sorted({(place.queue, place.priority) for place in self.places.values()})

    @property
    def queues(self) -> list[str]:
        """The queues, in order."""
        return sorted({place.queue for place in self.places.values()})


@dataclass(frozen=True, slots=True, kw_only=True)
class InLine:
    """Jobs with their tags, and what the registers hold after it."""

    jobs: Sequence[NewJob]
    finished: Mapping[str, int]
    queues: Mapping[str, FairQueue]


def tenant_of(lane: str | None) -> str | None:
    """By whom a job is shared out, of what stands in ``Facts.lane``; None if by nobody."""
    return None if lane is None else Wishes.loads(lane).fair


def line_up(jobs: Sequence[NewJob], now: int) -> LineUp | None:
    """The jobs of an insertion that are put in line: fair ones that are due. None if there are none."""
    places: dict[int, Place] = {}
    lanes: set[str] = set()
    known: dict[str, Wishes] = {}
    for index, new in enumerate(jobs):
        facts, due_at = new.facts, new.placement.due_at
        if facts.lane is None or due_at is None or due_at > now:
            continue
        wishes = known.get(facts.lane)
        if wishes is None:
            wishes = known[facts.lane] = Wishes.loads(facts.lane)
        if wishes.fair is not None:
            places[index] = Place(queue=facts.queue, priority=new.placement.priority, tenant=wishes.fair)
            lanes.update((*wishes.lanes, *shared_lanes(facts.queue, facts.type)))
    return LineUp(places=places, lanes=tuple(sorted(lanes))) if places else None


def shared_lanes(queue: str, job_type: str) -> tuple[str, str, str]:
    """The lanes on which the jobs of all tenants of a queue may be parked."""
    return lane_of_limit(ALL), lane_of_limit(OF_QUEUE + queue), lane_of_limit(name_of_type(job_type))


def put_in_line(
    jobs: Sequence[NewJob],
    line_up: LineUp,
    *,
    queues: Mapping[str, FairQueue],
    heads: Mapping[Level, int],
    finished: Mapping[str, int],
) -> InLine:
    """Gives the tags, in the order of the jobs."""
    lines = {
        name: Line(
            queues[name],
            heads={priority: head for (queue, priority), head in heads.items() if queue == name},
            finished={
                place.line: finished[place.line]
                for place in line_up.places.values()
                if place.queue == name and place.line in finished
            },
        )
        for name in line_up.queues
    }
    ranked = list(jobs)
    for index, place in line_up.places.items():
        new = jobs[index]
        tag = lines[place.queue].tag(place)
        ranked[index] = replace(new, placement=replace(new.placement, rank=tag))
    return InLine(
        jobs=ranked,
        finished={key: one for line in lines.values() for key, one in line.finished.items()},
        queues={name: line.queue for name, line in lines.items() if line.queue is not queues[name]},
    )


def heads_of(found: Mapping[Level, int | None]) -> Mapping[Level, int]:
    """The heads that are tags; any other is the due time of a job that is out of line."""
    return {level: rank for level, rank in found.items() if rank is not None and rank < TAGS_BELOW}


def coming(jobs: Sequence[NewJob], room: Room) -> Mapping[QueueBound, int]:
    """How many jobs come to each bounded queue, in the order of the queues' names."""
    counts = Counter(new.facts.queue for new in jobs if new.placement.state is State.PENDING)
    bounds = sorted(room.bounds, key=lambda bound: bound.queue)
    return {bound: counts[bound.queue] for bound in bounds if counts[bound.queue]}


def excess(bound: QueueBound, room: Room, *, waiting: int, coming: int) -> int:
    """How many waiting jobs must give way. Raises QueueFull where none does."""
    beyond = max(0, waiting + coming - bound.max_length)
    if beyond and (bound.overflow is Overflow.REJECT or beyond > len(drops_of(bound, room))):
        raise QueueFull(bound.queue, bound.max_length, waiting=waiting, coming=coming)
    return beyond


def drops_of(bound: QueueBound, room: Room) -> Sequence[Transition]:
    """The decided drops of one queue, the oldest first."""
    return [one for one in room.drops if one.job.facts.queue == bound.queue]

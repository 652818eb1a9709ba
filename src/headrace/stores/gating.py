"""The gate of a claim, as far as it is the same on every store.

A store finds candidates, locks their lanes, counts, and writes; between these steps it asks here what to
look for and what to write. Who may start is decided by ``core.admission``.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from headrace.core.admission import Admission, Candidate, OrderLane, admit
from headrace.core.holding import Freed, freed_by, slot_key
from headrace.core.job import Transition
from headrace.core.lanes import PARK_AT_ONCE
from headrace.core.limit_names import LIMIT_LANE, ORDER_LANE
from headrace.core.limits import Lane, LaneState, Limits, Standing, next_opening
from headrace.core.value import value
from headrace.core.wishes import Wishes

ROUNDS: Final = 16
"""So many times a claim looks again for jobs where the gate has put aside those that it found."""

AHEAD: Final = 2 * PARK_AT_ONCE
"""So far ahead in a queue it is looked for jobs that a closed lane refuses as well."""

_ALIKE: Final = 8

_lane_and_slot: Final[Callable[[Transition], tuple[str | None, str | None]]] = attrgetter(
    "job.facts.lane", "job.placement.slot_key"
)
_NEITHER: Final[frozenset[tuple[str | None, str | None]]] = frozenset({(None, None)})

wishes_of: Final[Callable[[str | None], Wishes]] = lru_cache(maxsize=4_096)(Wishes.loads)
"""The wishes of a text."""


def gate_of(wished: str | None) -> tuple[str | None, str | None]:
    """The wishes if they are the gate's business, and the lane of the ordering key among them."""
    if wished is None:
        return None, None
    wishes = wishes_of(wished)
    return (wished if wishes.lanes or wishes.order is not None else None), wishes.order


def some_may_free(transitions: Iterable[Transition]) -> bool:
    """Whether any may be of a job that holds a slot or keeps others of its ordering key waiting.

    Asked of every batch that is settled, so without a call for each job.
    """
    return not _NEITHER.issuperset(map(_lane_and_slot, transitions))


def freed_in(written: Iterable[Transition]) -> dict[str, dict[int, Freed]]:
    """What transitions free, by namespace and by seq of the job."""
    found: dict[str, dict[int, Freed]] = {}
    for one in written:
        if (freed := freed_by(one)) is not None:
            found.setdefault(one.job.facts.namespace, {})[one.job.seq] = freed
    return found


def ended_by(written: Iterable[Transition]) -> int:
    """When the last of these jobs ended."""
    return max((one.placement.ended_at or 0 for one in written), default=0)


@value
class Pick:
    """A candidate as a claim found it."""

    seq: int
    queue: str
    type: str
    priority: int
    rank: int
    wished: str | None

    @property
    def order(self) -> tuple[int, int, int]:
        """Sorts the first to start first."""
        return -self.priority, self.rank, self.seq


@value
class Returned:
    """A job that was brought back from a lane: where it stands again."""

    namespace: str
    queue: str
    priority: int
    rank: int
    seq: int


@value
class Alike:
    """Jobs of a queue and type that wish the same as one that a lane refused, which so refuses them too."""

    queue: str
    type: str
    wished: str | None
    lane: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """When a lane opens by the clock, on which jobs of these queues wait."""

    lane: str
    queues: frozenset[str]
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is written: which candidates start, with the column of their slots; what becomes of the others.

    ``alike`` are parked unseen, but none of ``spared``. Of each lane in ``room`` so many of the best parked
    jobs of each queue come back, and those of ``turns`` if they wait on the lane beside them.
    """

    admission: Admission
    slot_keys: Mapping[int, str]
    alike: tuple[Alike, ...]
    spared: tuple[int, ...]
    room: Mapping[str, int]
    turns: Mapping[str, int]
    openings: tuple[Opening, ...]

    @property
    def moved(self) -> bool:
        """Whether another look may find what this one did not."""
        return bool(self.admission.parked or self.room or self.turns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What one look of a claim brings to the gate: its candidates in claim order, by their picks."""

    picks: Sequence[Pick]
    candidates: Sequence[Candidate]
    limits: Limits
    now: int
    lanes: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()

    @property
    def keys(self) -> list[str]:
        """All lanes, in the order in which they are locked."""
        return sorted((*self.lanes, *self.orders))

    def missing(self, found: Iterable[str]) -> list[str]:
        """The lanes that must be made before they can be locked, in order.

        One that no definition governs refuses nothing as long as nobody has written it.
        """
        made = {key for key in self.keys if key.startswith((LIMIT_LANE, ORDER_LANE))}
        return sorted(made.difference(found))

    def counted(self, states: Mapping[str, LaneState]) -> list[bool]:
        """Of which of the lanes it matters how many jobs hold a slot."""
        return [self._lane(key, states).cap is not None for key in self.lanes]

    def decide(
        self,
        states: Mapping[str, LaneState],
        looks: Iterable[Sequence[Any]],
        orders: Mapping[str, OrderLane],
        *,
        prompt: int,
    ) -> Verdict:
        """What becomes of the candidates.

        ``looks`` has rows of a lane, how many hold a slot of it, and the queue, priority, rank and seq of the
        best that waits there; several of a lane on which jobs of several queues wait.
        """
        lanes = self._lanes(states, looks)
        admission = admit(self.candidates, lanes, orders, self.now, prompt=prompt)
        return _Verdicts(self, lanes, admission).verdict()

    def _lanes(self, states: Mapping[str, LaneState], looks: Iterable[Sequence[Any]]) -> dict[str, Lane]:
        holders: dict[str, int] = {}
        waiting: dict[str, dict[str, Standing]] = {}
        for key, held, queue, priority, rank, seq in looks:
            holders[key] = held
            if queue is not None:
                standing = Standing(priority=priority, rank=rank, seq=seq)
                waiting.setdefault(key, {})[queue] = standing
        return {
            key: replace(self._lane(key, states), holders=holders.get(key, 0), waiting=waiting.get(key, {}))
            for key in self.lanes
        }

    def _lane(self, key: str, states: Mapping[str, LaneState]) -> Lane:
        return Lane(state=states.get(key) or LaneState(key=key), limit=self.limits.of_lane(key))


def gate(picks: Sequence[Pick], limits: Limits, now: int) -> Gate:
    """The gate for these picks, which come in claim order."""
    candidates = [_candidate(pick, limits) for pick in picks]
    lanes = {key for one in candidates for key in one.lanes}
    orders = {one.order for one in candidates if one.order is not None}
    return Gate(
        picks=picks,
        candidates=candidates,
        limits=limits,
        now=now,
        lanes=tuple(sorted(lanes)),
        orders=tuple(sorted(orders)),
    )


def left_of(prompt: int | None, limit: int, taken: int) -> int:
    """How many jobs can still start at once, after so many that come before them."""
    return max(0, (limit if prompt is None else prompt) - taken)


def states_of(rows: Iterable[Sequence[Any]]) -> dict[str, LaneState]:
    """Lanes by key, of rows of key, tat, opens_at and cap."""
    return {key: LaneState(key=key, tat=tat, opens_at=opens_at, cap=cap) for key, tat, opens_at, cap in rows}


def orders_of(rows: Iterable[Sequence[Any]]) -> dict[str, OrderLane]:
    """Ordering keys, of rows of key, whether a job of it runs, which has begun, and which is the first."""
    return {
        key: OrderLane(key=key, running=bool(running), begun=begun, first=first)
        for key, running, begun, first in rows
    }


def _candidate(pick: Pick, limits: Limits) -> Candidate:
    wishes = wishes_of(pick.wished)
    return Candidate(
        standing=Standing(priority=pick.priority, rank=pick.rank, seq=pick.seq),
        queue=pick.queue,
        lanes=limits.of_job(pick.queue, pick.type, wishes.lanes),
        order=wishes.order,
    )


@dataclass(slots=True)
class _Verdicts:
    """Puts together what an admission means for the rows."""

    gate: Gate
    lanes: Mapping[str, Lane]
    admission: Admission
    picks: dict[int, Pick] = field(init=False)

    def __post_init__(self) -> None:
        self.picks = {pick.seq: pick for pick in self.gate.picks}

    def verdict(self) -> Verdict:
        return Verdict(
            admission=self.admission,
            slot_keys=self._slot_keys(),
            alike=self._alike(),
            spared=(*self.admission.turns.values(), *self.admission.admitted),
            room=self._room(),
            turns=self.admission.turns,
            openings=self._openings(),
        )

    def _slot_keys(self) -> dict[int, str]:
        held: dict[int, list[str]] = {}
        for seq, lane in self.admission.slots:
            held.setdefault(seq, []).append(lane)
        rated = self.admission.rated
        keys = {seq: slot_key(held.get(seq, ()), rated=seq in rated) for seq in self.admission.admitted}
        return {seq: key for seq, key in keys.items() if key is not None}

    def _alike(self) -> tuple[Alike, ...]:
        """Those of which most were refused; of an ordering key all but the one whose turn it is can wait."""
        refused: Counter[Alike] = Counter()
        for seq, lane in self.admission.parked:
            if lane in self.admission.closed or lane.startswith(ORDER_LANE):
                pick = self.picks[seq]
                refused[Alike(queue=pick.queue, type=pick.type, wished=pick.wished, lane=lane)] += 1
        return tuple(one for one, _ in refused.most_common(_ALIKE))

    def _room(self) -> dict[str, int]:
        """Where candidates were left due for want of promptness, these come before the parked ones."""
        decided = {*self.admission.admitted, *(seq for seq, _ in self.admission.parked)}
        left = Counter(key for one in self.gate.candidates if one.seq not in decided for key in one.lanes)
        return {key: n - left[key] for key, n in self.admission.room.items() if n > left[key]}

    def _openings(self) -> tuple[Opening, ...]:
        waiting = {key: set(lane.waiting) for key, lane in self.lanes.items()}
        for seq, key in self.admission.parked:
            if key in waiting:
                waiting[key].add(self.picks[seq].queue)
        after = {state.key: state for state in self.admission.states}
        taken = Counter(key for _, key in self.admission.slots)
        found: list[Opening] = []
        for key, queues in waiting.items():
            lane = self.lanes[key]
            lane = replace(lane, state=after.get(key, lane.state), holders=lane.holders + taken[key])
            at = next_opening(lane, self.gate.now) if queues else None
            if at is not None and at > self.gate.now:
                found.append(Opening(lane=key, queues=frozenset(queues), at=at))
        return tuple(found)

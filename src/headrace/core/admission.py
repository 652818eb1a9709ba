"""Which of the jobs a claim has found may start, and which must wait on which lane (C40, C41, C42).

A store locks the lanes, counts in a later statement, and hands over what it found. Everything is decided
here, in the order of the candidates, for one instant.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from headrace.core.limits import Lane, LaneState, Standing, free_now


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLane:
    """An ordering key as a claim finds it under its lock.

    ``running``: a job of the key runs. ``begun`` is the seq of the first job that has started before and
    waits, due or not, without letting others pass. ``first`` is the lowest seq of the key's other jobs that
    are due or parked, on whichever lane and in whichever queue; a delayed job that is not due is passed over.
    """

    key: str
    running: bool = False
    begun: int | None = None
    first: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A due job that a claim has found, with the keys of its lanes and of its ordering key, if it has any."""

    standing: Standing
    queue: str
    lanes: tuple[str, ...] = ()
    order: str | None = None

    @property
    def seq(self) -> int:
        """The job's number."""
        return self.standing.seq


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What a claim does with its candidates. Those in neither list stay as they are, due.

    - ``admitted`` are marked as claimed, in this order; each takes a slot of the lanes that ``slots`` names.
      Those in ``rated`` have a lane with a rate, and must start at once.
    - ``parked`` go on the lane beside them, uncharged.
    - ``states`` are the lanes that changed.
    - ``closed`` are the lanes that let nobody start now: whoever waits for them may be parked unseen.
    - ``room`` says how many jobs parked on a lane could start, and are to be brought back, the best first;
      ``turns`` which job of an ordering key, if it is parked on that key's lane.
    """

    admitted: tuple[int, ...] = ()
    slots: tuple[tuple[int, str], ...] = ()
    rated: frozenset[int] = frozenset()
    parked: tuple[tuple[int, str], ...] = ()
    states: tuple[LaneState, ...] = ()
    closed: frozenset[str] = frozenset()
    room: Mapping[str, int] = field(default_factory=dict[str, int])
    turns: Mapping[str, int] = field(default_factory=dict[str, int])


def admit(
    candidates: Sequence[Candidate],
    lanes: Mapping[str, Lane],
    orders: Mapping[str, OrderLane],
    now: int,
    *,
    prompt: int,
) -> Admission:
    """Decides about the candidates, which come in claim order, by all their lanes at the instant ``now``.

    ``lanes`` and ``orders`` hold every lane that a candidate names. At most ``prompt`` jobs of lanes with a
    rate are admitted, as many as can start at once; those beyond stay due. A candidate is parked on the
    first lane, in key order, that refuses it; nothing is taken from any lane unless all admit it. A
    candidate that ranks behind a job parked on the same lane in the same queue is parked too.
    """
    gate = _Gate(lanes, orders, now)
    gate.see(candidates)
    for candidate in candidates:
        rated = gate.rated(candidate)
        if rated and not prompt:
            continue
        if gate.decide(candidate) and rated:
            prompt -= 1
    return gate.admission()


def next_in_turn(order: OrderLane) -> int | None:
    """The seq of the job of an ordering key that may start next; None while one runs or none is there."""
    if order.running:
        return None
    return order.first if order.begun is None else order.begun


class _Gate:
    """The lanes as they become while the candidates are decided about, one by one."""

    def __init__(self, lanes: Mapping[str, Lane], orders: Mapping[str, OrderLane], now: int) -> None:
        self._found = lanes
        self._lanes = dict(lanes)
        self._orders = dict(orders)
        self._now = now
        self._admitted: list[int] = []
        self._slots: list[tuple[int, str]] = []
        self._rated: set[int] = set()
        self._parked: list[tuple[int, str]] = []

    def see(self, candidates: Sequence[Candidate]) -> None:
        """Takes the candidates into account for the turns of their ordering keys."""
        for candidate in candidates:
            if candidate.order is None:
                continue
            order = self._orders[candidate.order]
            if candidate.seq == order.begun:
                continue
            first = candidate.seq if order.first is None else min(order.first, candidate.seq)
            self._orders[candidate.order] = replace(order, first=first)

    def rated(self, candidate: Candidate) -> bool:
        """Whether one of its lanes has a rate."""
        return any(self._lanes[key].rate is not None for key in candidate.lanes)

    def decide(self, candidate: Candidate) -> bool:
        """Admits the candidate or parks it; True if admitted."""
        refusing = next((key for key in _keys(candidate) if self._refuses(key, candidate)), None)
        if refusing is None:
            self._start(candidate)
            return True
        self._parked.append((candidate.seq, refusing))
        return False

    def admission(self) -> Admission:
        free = {key: free_now(lane, self._now) for key, lane in self._lanes.items()}
        turns = {key: next_in_turn(order) for key, order in self._orders.items()}
        decided = {*self._admitted, *(seq for seq, _ in self._parked)}
        changed = (lane.state for key, lane in self._lanes.items() if lane.state != self._found[key].state)
        shut = {key for key, n in free.items() if not n} | {key for key, one in turns.items() if one is None}
        return Admission(
            admitted=tuple(self._admitted),
            slots=tuple(self._slots),
            rated=frozenset(self._rated),
            parked=tuple(self._parked),
            states=tuple(changed),
            closed=frozenset(shut),
            room={key: n for key, n in free.items() if n and self._lanes[key].waiting},
            turns={key: seq for key, seq in turns.items() if seq is not None and seq not in decided},
        )

    def _refuses(self, key: str, candidate: Candidate) -> bool:
        if key == candidate.order:
            return next_in_turn(self._orders[key]) != candidate.seq
        lane = self._lanes[key]
        return not free_now(lane, self._now) or self._behind(lane, candidate)

    def _behind(self, lane: Lane, candidate: Candidate) -> bool:
        best = lane.waiting.get(candidate.queue)
        return best is not None and best.order < candidate.standing.order

    def _start(self, candidate: Candidate) -> None:
        self._admitted.append(candidate.seq)
        if self.rated(candidate):
            self._rated.add(candidate.seq)
        for key in candidate.lanes:
            lane = self._lanes[key]
            if lane.cap is not None:
                self._slots.append((candidate.seq, key))
            self._lanes[key] = lane.started(self._now)
        if candidate.order is not None:
            self._orders[candidate.order] = replace(self._orders[candidate.order], running=True)


def _keys(candidate: Candidate) -> list[str]:
    keys = candidate.lanes if candidate.order is None else (*candidate.lanes, candidate.order)
    return sorted(keys)

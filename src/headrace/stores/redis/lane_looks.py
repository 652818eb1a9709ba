"""Lanes as one look finds them, for whoever decides who may start."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.core.admission import OrderLane
from headrace.core.batch import PREFIX as BATCHES
from headrace.core.limits import Lane, LaneState, Limits
from headrace.stores.redis.rows import priority_rank, seq_of
from headrace.stores.redis.session import Look


@dataclass(frozen=True, slots=True)
class Waiting:
    """The jobs of a queue that wait on a lane: the member of the best of them, and how many they are."""

    queue: str
    best: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Lanes and ordering keys at one moment, and the revision of the definitions.

    ``versions`` are those of all that were looked at: None for what nothing is kept of. ``queues`` are those
    in which jobs wait on a lane, ``awaited`` the ordering keys on which any do.
    """

    revision: int
    versions: Mapping[str, str | None]
    states: Mapping[str, LaneState]
    holders: Mapping[str, int]
    queues: Mapping[str, Sequence[Waiting]]
    orders: Mapping[str, OrderLane]
    awaited: frozenset[str]

    def rows(self, queues: Collection[str]) -> Iterator[tuple[Any, ...]]:
        """What ``stores.gating`` decides by of each lane, of jobs that wait in some queues."""
        for key, holders in self.holders.items():
            waiting = [one for one in self.queues[key] if one.queue in queues]
            for one in waiting:
                yield key, holders, one.queue, *priority_rank(one.best), seq_of(one.best)
            if not waiting:
                yield key, holders, None, None, None, None

    def lane(self, key: str, limits: Limits) -> Lane:
        """A lane under the definitions."""
        state = self.states.get(key) or LaneState(key=key)
        return Lane(state=state, limit=limits.of_lane(key), holders=self.holders[key])


def nothing(revision: int) -> Seen:
    """No lane at all, and the definitions of that revision."""
    return Seen(
        revision=revision, versions={}, states={}, holders={}, queues={}, orders={}, awaited=frozenset()
    )


async def look(at: Look, lanes: Sequence[str], orders: Sequence[str], now: int) -> Seen:
    """Looks at lanes and ordering keys.

    The first one of a key may be looked for later than the rest. Whoever decides by it names the version,
    which is as old as the rest.
    """
    revision, of_lanes, of_orders = await at.look("look_at_lanes", list(lanes), list(orders), now, BATCHES)
    found = dict(zip(lanes, of_lanes, strict=True))
    turns = dict(zip(orders, of_orders, strict=True))
    versions = {key: row[0] for key, row in (*found.items(), *turns.items())}
    states = {key: state_of(key, row[1:4]) for key, row in found.items() if row[0] is not None}
    return Seen(
        revision=int(revision),
        versions=versions,
        states=states | {key: LaneState(key=key) for key, row in turns.items() if row[0] is not None},
        holders={key: row[4] for key, row in found.items()},
        queues={key: [Waiting(*one) for one in row[5]] for key, row in found.items()},
        orders={key: await _order(at, key, row, now) for key, row in turns.items()},
        awaited=frozenset(key for key, row in turns.items() if row[5]),
    )


def state_of(key: str, row: Sequence[str | None]) -> LaneState:
    """What is kept of a lane: its tat, when it opens, and its cap."""
    tat, opens_at, cap = (int(text) if text else None for text in row)
    return LaneState(key=key, tat=tat, opens_at=opens_at, cap=cap)


async def _order(at: Look, key: str, row: Sequence[Any], now: int) -> OrderLane:
    _, running, begun, first, after, _ = row
    while after is not None:
        first, after = await at.look("look_at_order", key, after, now, BATCHES)
    return OrderLane(key=key, running=bool(running), begun=begun, first=first)

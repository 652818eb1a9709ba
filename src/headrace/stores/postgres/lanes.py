"""Lanes: what is kept of them, who holds them, and how those that wait on them come back.

Whoever decides by who holds a lane locks its row first and counts by a later statement: one statement that
does both counts in a snapshot from before the lock (C41). Lanes are locked in the order of their keys, after
all jobs that an op waits for; what is locked after them is never waited for.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from headrace.core.admission import OrderLane, next_in_turn
from headrace.core.batch import PREFIX as BATCHES
from headrace.core.holding import Freed
from headrace.core.limit_names import ORDER_LANE
from headrace.core.limits import Lane, LaneState, Limits, free_now, next_opening
from headrace.core.place import CLAIMED
from headrace.core.wishes import OnRetry
from headrace.stores.gating import Opening, Returned, orders_of, states_of
from headrace.stores.known_limits import Known, KnownLimits
from headrace.stores.lanes import HOLDERS_NAMED, LaneFigures
from headrace.stores.postgres.session import Row, Session
from headrace.stores.sweeping import START
from headrace.stores.texts import possible

_OF_BATCHES: Final = BATCHES + "%"
_RUNNING: Final = CLAIMED.value
_PASS: Final = OnRetry.PASS.value


async def read_limits(session: Session, namespace: str, kept: KnownLimits) -> Known:
    """The definitions as they are in the register now."""
    value, revision = await session.row("limits", namespace) or (None, 0)
    return kept.learn(namespace, value, revision)


async def lane_states(session: Session, namespace: str, keys: Sequence[str]) -> dict[str, LaneState]:
    """What is kept of lanes."""
    return states_of(await session.rows("lanes", namespace, possible(keys)))


async def set_lane(session: Session, namespace: str, state: LaneState) -> None:
    """Writes until when a lane is closed, and its cap."""
    await session.run("set_lane", namespace, state.key, state.opens_at, state.cap)


async def order_lanes(
    session: Session, namespace: str, keys: Sequence[str], now: int
) -> Mapping[str, OrderLane]:
    """Ordering keys as they stand; their lanes must be locked."""
    if not keys:
        return {}
    given = (namespace, list(keys), _RUNNING, _PASS, now, _OF_BATCHES)
    return orders_of(tuple(row) for row in await session.rows("look_at_orders", *given))


async def free(
    session: Session, namespace: str, freed: Mapping[int, Freed], now: int, kept: KnownLimits
) -> None:
    """Takes the slots away from jobs, by seq, that run no more, and brings back who waits for them."""
    slots = [(lane, seq) for seq, one in freed.items() for lane in one.slots]
    keys = {lane for lane, _ in slots}
    keys.update(one.order for one in freed.values() if one.order is not None)
    of_slots = [lane for lane, _ in slots], [seq for _, seq in slots]
    states = states_of(await session.rows("give_slots", namespace, *of_slots, sorted(keys)))
    await _fill(session, namespace, states, now, kept)


async def open_lanes(
    session: Session, namespace: str, keys: Sequence[str], now: int, kept: KnownLimits
) -> list[Opening]:
    """Brings back who may start now of those that wait on these lanes; and when they open for the rest."""
    states = states_of(await session.rows("lock_lanes", namespace, possible(keys)))
    return await _fill(session, namespace, states, now, kept)


async def bring_back(session: Session, namespace: str, room: Mapping[str, int], now: int) -> None:
    """Of each lane and each queue so many of the best that wait."""
    if room:
        given = (namespace, now, list(room), list(room.values()))
        _note(session, namespace, await session.rows("bring_back", *given))


async def bring_back_turns(session: Session, namespace: str, turns: Mapping[str, int], now: int) -> None:
    """The job whose turn it is, by ordering key, where it waits on the lane of that key."""
    if turns:
        given = (namespace, now, list(turns.values()), list(turns))
        _note(session, namespace, await session.rows("bring_back_turns", *given))


async def lanes_waited_for(session: Session, after: tuple[str, str], limit: int) -> list[tuple[str, str]]:
    """The next lanes, with their namespaces, on which jobs wait and of which something is kept."""
    return [(row[0], row[1]) for row in await session.rows("lanes_waited_for", *after, limit)]


async def figures(session: Session, namespace: str, keys: Sequence[str]) -> Mapping[str, LaneFigures]:
    """Lanes in numbers; two statements of one snapshot."""
    wanted = possible(keys)
    orders = [key for key in wanted if key.startswith(ORDER_LANE)]
    turns = [key in orders for key in wanted]
    found = await session.rows("lane_figures", namespace, wanted, _RUNNING, turns, HOLDERS_NAMED)
    holders: dict[str, str] = {}
    if orders:
        given = (namespace, orders, _RUNNING, _PASS)
        holders = {row[0]: row[1] for row in await session.rows("holders_of_keys", *given)}
    return {
        key: LaneFigures(
            holders=held or len(_named(holders, key)),
            parked=parked,
            held_by=tuple(ids) or _named(holders, key),
            first_parked=first,
        )
        for key, held, parked, ids, first in found
    }


async def forget(
    session: Session, after: tuple[str, str], now: int, limit: int
) -> tuple[int, tuple[str, str]]:
    """Forgets those of the next lanes that are idle; how many, and where to go on."""
    looked = await session.rows("lanes_after", *after, limit)
    locked = await session.rows("lock_idle_lanes", *_columns(looked), now * 1_000)
    await session.run("drop_slots", *_columns(locked), _RUNNING)
    count = await session.run("forget_lanes", *_columns([row for row in locked if row[2]]))
    return count, ((looked[-1][0], looked[-1][1]) if len(looked) == limit else START)


@dataclass(frozen=True, slots=True)
class _Found:
    """Lanes under their locks, and how many jobs hold a slot of those on which jobs wait."""

    states: Mapping[str, LaneState]
    holders: Mapping[str, int]
    limits: Limits

    def lanes(self) -> list[Lane]:
        return [
            Lane(state=self.states[key], limit=self.limits.of_lane(key), holders=count)
            for key, count in self.holders.items()
            if not key.startswith(ORDER_LANE)
        ]

    def orders(self) -> list[str]:
        return [key for key in self.holders if key.startswith(ORDER_LANE)]


async def _fill(
    session: Session, namespace: str, states: Mapping[str, LaneState], now: int, kept: KnownLimits
) -> list[Opening]:
    """Brings back who may start on lanes that are locked."""
    if not states:
        return []
    found = await _look(session, namespace, states, kept)
    orders = await order_lanes(session, namespace, found.orders(), now)
    turns = {key: seq for key, order in orders.items() if (seq := next_in_turn(order)) is not None}
    await bring_back_turns(session, namespace, turns, now)
    lanes = found.lanes()
    openings = await _openings(session, namespace, lanes, now)
    room = {lane.key: free_now(lane, now) for lane in lanes}
    await bring_back(session, namespace, {key: count for key, count in room.items() if count}, now)
    return openings


async def _look(
    session: Session, namespace: str, states: Mapping[str, LaneState], kept: KnownLimits
) -> _Found:
    known = kept.of(namespace)
    given = (namespace, list(states), _RUNNING, known.limits.revision)
    rows = await session.rows("look_for_room", *given)
    if rows and rows[0][2] != known.limits.revision:
        known = kept.learn(namespace, rows[0][3], rows[0][2])
    return _Found(states, {row[0]: row[1] for row in rows}, known.limits)


async def _openings(session: Session, namespace: str, lanes: Sequence[Lane], now: int) -> list[Opening]:
    """When lanes open by the clock on which jobs wait, and in which queues these are."""
    instants = {lane.key: at for lane in lanes if (at := next_opening(lane, now)) is not None and at > now}
    if not instants:
        return []
    queues: dict[str, set[str]] = {}
    for lane, queue in await session.rows("queues_of_lanes", namespace, list(instants)):
        queues.setdefault(lane, set()).add(queue)
    return [Opening(lane=lane, queues=frozenset(names), at=instants[lane]) for lane, names in queues.items()]


def _columns(lanes: Sequence[Row]) -> tuple[list[str], list[str]]:
    return [row[0] for row in lanes], [row[1] for row in lanes]


def _named(holders: Mapping[str, str], key: str) -> tuple[str, ...]:
    return (holders[key],) if key in holders else ()


def _note(session: Session, namespace: str, rows: Iterable[Sequence[Any]]) -> None:
    session.brought_back += (
        Returned(namespace=namespace, queue=queue, priority=priority, rank=rank, seq=seq)
        for queue, priority, rank, seq in rows
    )

"""Lanes: what is kept of them, who holds them, and how those that wait on them come back."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import apsw

from headrace.core.admission import OrderLane, next_in_turn
from headrace.core.batch import PREFIX as BATCHES
from headrace.core.holding import Freed
from headrace.core.limit_names import ORDER_LANE
from headrace.core.limit_register import KEY
from headrace.core.limits import Lane, LaneState, Limits, free_now, next_opening
from headrace.core.wishes import OnRetry
from headrace.stores.gating import Opening, Returned, orders_of, states_of
from headrace.stores.known_limits import Known, KnownLimits
from headrace.stores.lanes import HOLDERS_NAMED, LaneFigures
from headrace.stores.sqlite.registers import read_registers
from headrace.stores.sqlite.statements import first, queries, rows, texts, write, write_rows
from headrace.stores.sqlite.transaction import Write
from headrace.stores.sweeping import START
from headrace.stores.texts import possible

_SQL = queries("lanes")
_PLUMBING = queries("plumbing")
_OF_BATCHES: Final = BATCHES + "%"


def known_limits(db: apsw.Connection, namespace: str, kept: KnownLimits) -> Known:
    """The definitions as they are in the register now; read only if the process knows others."""
    known = kept.of(namespace)
    (revision,) = first(db, _PLUMBING["revision_of"], {"namespace": namespace, "key": KEY}) or (0,)
    if revision == known.limits.revision:
        return known
    register = read_registers(db, namespace, [KEY]).get(KEY)
    return kept.learn(namespace, None if register is None else register.value, revision)


def lane_states(db: apsw.Connection, namespace: str, keys: Sequence[str]) -> dict[str, LaneState]:
    """What is kept of lanes."""
    wanted = possible(keys)
    if not wanted:
        return {}
    return states_of(rows(db, _SQL["lanes"], {"namespace": namespace, "keys": texts(wanted)}))


def set_lane(at: Write, namespace: str, state: LaneState) -> None:
    """Writes until when a lane is closed, and its cap."""
    given = {"namespace": namespace, "key": state.key, "opens_at": state.opens_at, "cap": state.cap}
    write(at.db, _SQL["set_lane"], given)


def count_holders(db: apsw.Connection, namespace: str, lane: str) -> int:
    """How many running jobs hold a slot of a lane."""
    (count,) = first(db, _SQL["count_holders"], {"namespace": namespace, "lane": lane}) or (0,)
    return count


def order_lanes(
    db: apsw.Connection, namespace: str, keys: Iterable[str], now: int
) -> Mapping[str, OrderLane]:
    """Ordering keys as they stand."""
    here = {"namespace": namespace, "now": now, "of_batches": _OF_BATCHES, "passing": OnRetry.PASS}
    return orders_of((key, *_order(db, here | {"lane": key})) for key in keys)


def free(
    db: apsw.Connection, namespace: str, freed: Mapping[int, Freed], now: int, kept: KnownLimits
) -> list[Returned]:
    """Takes the slots away from jobs, by seq, that run no more, and brings back who waits for them."""
    slots = [(namespace, lane, seq) for seq, one in freed.items() for lane in one.slots]
    write_rows(db, _SQL["give_slot"], slots)
    lanes = {lane for _, lane, _ in slots}
    lanes.update(one.order for one in freed.values() if one.order is not None)
    waited_for = [lane for lane in sorted(lanes) if _is_waited_for(db, namespace, lane)]
    if not waited_for:
        return []
    limits = known_limits(db, namespace, kept).limits
    return open_lanes(db, namespace, waited_for, limits, now)[0]


def open_lanes(
    db: apsw.Connection, namespace: str, keys: Sequence[str], limits: Limits, now: int
) -> tuple[list[Returned], list[Opening]]:
    """Brings back who may start now of those that wait on lanes; and when the lanes open for the rest."""
    back: list[Returned] = []
    openings: list[Opening] = []
    orders = order_lanes(db, namespace, [key for key in keys if key.startswith(ORDER_LANE)], now)
    turns = {key: seq for key, order in orders.items() if (seq := next_in_turn(order)) is not None}
    back += bring_back_turns(db, namespace, turns, now)
    others = [key for key in keys if key not in orders]
    states = lane_states(db, namespace, others)
    for key in others:
        state, limit = states.get(key) or LaneState(key=key), limits.of_lane(key)
        lane = Lane(state=state, limit=limit)
        if lane.cap is not None:
            lane = Lane(state=state, limit=limit, holders=count_holders(db, namespace, key))
        queues = _queues(db, namespace, key)
        back += bring_back(db, namespace, {key: free_now(lane, now)}, now)
        at = next_opening(lane, now) if queues else None
        if at is not None and at > now:
            openings.append(Opening(lane=key, queues=frozenset(queues), at=at))
    return back, openings


def bring_back(db: apsw.Connection, namespace: str, room: Mapping[str, int], now: int) -> list[Returned]:
    """Of each lane and each queue so many of the best that wait."""
    found: list[Returned] = []
    for lane, count in room.items():
        for queue in _queues(db, namespace, lane) if count else ():
            given = {"namespace": namespace, "lane": lane, "queue": queue, "now": now, "limit": count}
            found += _returned(namespace, rows(db, _SQL["bring_back"], given))
    return found


def bring_back_turns(
    db: apsw.Connection, namespace: str, turns: Mapping[str, int], now: int
) -> list[Returned]:
    """The job whose turn it is, by ordering key, where it waits on the lane of that key."""
    found: list[Returned] = []
    for lane, seq in turns.items():
        given = {"namespace": namespace, "lane": lane, "seq": seq, "now": now}
        found += _returned(namespace, rows(db, _SQL["bring_back_turn"], given))
    return found


def lanes_waited_for(db: apsw.Connection, after: tuple[str, str], limit: int) -> list[tuple[str, str]]:
    """The next lanes, with their namespaces, on which jobs wait and of which something is kept."""
    found: list[tuple[str, str]] = []
    place: Any = after
    while len(found) < limit:
        place = first(db, _SQL["next_lane"], {"namespace": place[0], "lane": place[1]})
        if place is None:
            break
        if lane_states(db, place[0], [place[1]]):
            found.append(place)
    return found


def figures(db: apsw.Connection, namespace: str, keys: Sequence[str]) -> Mapping[str, LaneFigures]:
    """Lanes in numbers."""
    return {key: _figures(db, namespace, key) for key in possible(keys)}


def forget(at: Write, after: tuple[str, str], now: int, limit: int) -> tuple[int, tuple[str, str]]:
    """Forgets those of the next lanes that are idle; how many, and where to go on."""
    given = {"namespace": after[0], "key": after[1], "limit": limit}
    looked: list[Any] = rows(at.db, _SQL["lanes_after"], given)
    count = 0
    for namespace, lane in looked:
        here = {"namespace": namespace, "lane": lane}
        write(at.db, _SQL["drop_slots"], here)
        count += write(at.db, _SQL["forget_lane"], here | {"tat": now * 1_000})
    return count, (looked[-1] if len(looked) == limit else START)


def _figures(db: apsw.Connection, namespace: str, lane: str) -> LaneFigures:
    here = {"namespace": namespace, "lane": lane}
    (parked,) = _one(db, "count_parked", here)
    if lane.startswith(ORDER_LANE):
        held_by = rows(db, _SQL["holder_of_key"], here | {"passing": OnRetry.PASS})
        holders, line = len(held_by), "first_parked_in_turn"
    else:
        held_by = rows(db, _SQL["first_holders"], here | {"limit": HOLDERS_NAMED})
        holders, line = count_holders(db, namespace, lane), "first_parked"
    waiting = first(db, _SQL[line], here)
    return LaneFigures(
        holders=holders,
        parked=parked,
        held_by=tuple(job_id for (job_id,) in held_by),
        first_parked=None if waiting is None else waiting[0],
    )


def _queues(db: apsw.Connection, namespace: str, lane: str) -> list[str]:
    found = rows(db, _SQL["queues_of_lane"], {"namespace": namespace, "lane": lane})
    return [queue for (queue,) in found]


def _order(db: apsw.Connection, given: Mapping[str, object]) -> tuple[Any, ...]:
    running, begun, fresh, again = _one(db, "look_at_order", given)
    return running, begun, min((seq for seq in (fresh, again) if seq is not None), default=None)


def _is_waited_for(db: apsw.Connection, namespace: str, lane: str) -> bool:
    return first(db, _SQL["is_waited_for"], {"namespace": namespace, "lane": lane}) is not None


def _returned(namespace: str, found: Iterable[Sequence[Any]]) -> list[Returned]:
    return [
        Returned(namespace=namespace, queue=queue, priority=priority, rank=rank, seq=seq)
        for queue, priority, rank, seq in found
    ]


def _one(db: apsw.Connection, query: str, values: Mapping[str, object]) -> tuple[Any, ...]:
    row = first(db, _SQL[query], values)
    assert row is not None  # noqa: S101 - the query always has one
    return row

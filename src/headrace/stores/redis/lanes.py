"""Lanes: how those that wait on them come back, what is kept of them, and what is forgotten.

A gate that decides by what it saw of a lane names the version that it saw. Whatever takes or ends a turn, or
changes what is kept, gives the lane another version in the same script, and the gate decides anew. Slots have
no version: the script that admits and parks counts them (C41).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from headrace.core.admission import next_in_turn
from headrace.core.batch import PREFIX as BATCHES
from headrace.core.holding import Freed
from headrace.core.lanes import TYPE_LANE
from headrace.core.limit_names import ORDER_LANE
from headrace.core.limit_register import KEY
from headrace.core.limits import LaneState, free_now, next_opening
from headrace.stores.gating import Opening, Returned
from headrace.stores.known_limits import Known, KnownLimits
from headrace.stores.lanes import HOLDERS_NAMED, LaneFigures
from headrace.stores.redis.database import Database
from headrace.stores.redis.lane_looks import Seen, look, state_of
from headrace.stores.redis.rows import priority_rank, seq_of
from headrace.stores.redis.session import Write
from headrace.stores.sweeping import START
from headrace.stores.texts import possible

BACK_AT_ONCE: Final = 500
"""So many jobs come back in one script."""

_LOOKED_AT_ONCE: Final = 50
_FORGOTTEN_AT_ONCE: Final = 200


async def read_limits(database: Database, namespace: str, kept: KnownLimits) -> Known:
    """The definitions as they are in the register now."""
    value, revision = await database.call("HMGET", database.keys(namespace).register(KEY), "v", "n")
    return kept.learn(namespace, value, int(revision or 0))


async def lane_states(database: Database, namespace: str, keys: Sequence[str]) -> dict[str, LaneState]:
    """What is kept of lanes."""
    wanted, of = possible(keys), database.keys(namespace)
    rows = await database.pipe([("HMGET", of.lane(key), "v", "tat", "opens_at", "cap") for key in wanted])
    return {key: state_of(key, row[1:]) for key, row in zip(wanted, rows, strict=True) if row[0] is not None}


async def set_lane(database: Database, namespace: str, state: LaneState) -> None:
    """Writes until when a lane is closed, and its cap."""
    given = ("" if value is None else str(value) for value in (state.opens_at, state.cap))
    await database.write(database.keys(namespace), [("set_lane", state.key, *given)])


async def free(
    database: Database, namespace: str, freed: Mapping[int, Freed], now: int, kept: KnownLimits
) -> None:
    """Brings back who waits for what jobs, by seq, gave back; their moves themselves took it from them.

    For each slot one comes back: others see to the slots that they free at the same moment.
    """
    slots = Counter(lane for one in freed.values() for lane in one.slots)
    orders = {one.order for one in freed.values() if one.order is not None}
    await opened(database, namespace, sorted({*slots, *orders}), now, kept, at_most=slots)


async def open_lanes(
    database: Database, namespace: str, keys: Sequence[str], now: int, kept: KnownLimits
) -> list[Opening]:
    """Brings back who may start now of those that wait on lanes; and when the lanes open for the rest."""
    return (await opened(database, namespace, keys, now, kept))[1]


async def opened(  # noqa: PLR0913 - which lanes, by what definitions, and how many
    database: Database,
    namespace: str,
    keys: Sequence[str],
    now: int,
    kept: KnownLimits,
    *,
    at_most: Mapping[str, int] | None = None,
) -> tuple[list[Returned], list[Opening]]:
    """As ``open_lanes``, and who came back besides; ``at_most`` so many of each lane.

    Others may change a lane between the look and the write. Then too many come back, and are parked again;
    too few never do: whoever gives more room looks after it himself, and nobody parks where there is room.
    """
    back: list[Returned] = []
    openings: list[Opening] = []
    wanted = possible(keys)
    for start in range(0, len(wanted), _LOOKED_AT_ONCE):
        page = wanted[start : start + _LOOKED_AT_ONCE]
        some = await _opened(database, namespace, page, now, kept, at_most=at_most)
        back += some[0]
        openings += some[1]
    if back:
        database.on_return(back)
    return back, openings


def bring_back(seen: Seen, room: Mapping[str, int], now: int) -> list[list[Write]]:
    """Of each lane and each queue so many of the best that wait, in writes for one script after another."""
    scripts: list[list[Write]] = []
    left = 0
    for lane, count in room.items():
        for waiting in seen.queues[lane]:
            wanted = min(count, waiting.count)
            while wanted:
                if not left:
                    scripts.append([])
                    left = BACK_AT_ONCE
                some = min(wanted, left)
                scripts[-1].append(("bring_back", lane, waiting.queue, some, now))
                wanted, left = wanted - some, left - some
    return scripts


def bring_back_turns(turns: Mapping[str, int], now: int) -> list[Write]:
    """The job whose turn it is, by ordering key, where it waits on the lane of that key."""
    return [("bring_back_turn", lane, seq, now) for lane, seq in turns.items()]


def returned(namespace: str, answers: Sequence[Sequence[Any]]) -> list[Returned]:
    """Who came back, of answers to ``bring_back`` and ``bring_back_turn``."""
    return [_returned(namespace, queue, member) for queue, *members in answers for member in members]


async def lanes_waited_for(database: Database, after: tuple[str, str], limit: int) -> list[tuple[str, str]]:
    """The next lanes, with their namespaces, on which jobs wait and of which something is kept."""
    found: list[tuple[str, str]] = []
    for namespace, lane in await _later(database, after):
        of = database.keys(namespace)
        begin: str | None = lane
        while begin is not None and len(found) < limit:
            given = (begin, limit - len(found), [TYPE_LANE, BATCHES])
            lanes, begin = await database.look(of, "lanes_waited_for", *given)
            found += ((namespace, key) for key in lanes)
        if len(found) >= limit:
            break
    return found


async def figures(database: Database, namespace: str, keys: Sequence[str]) -> Mapping[str, LaneFigures]:
    """Lanes in numbers."""
    wanted = possible(keys)
    in_turn = [int(key.startswith(ORDER_LANE)) for key in wanted]
    rows = await database.look(database.keys(namespace), "lane_figures", wanted, in_turn, HOLDERS_NAMED)
    return {
        key: LaneFigures(holders=holders, parked=parked, held_by=tuple(ids), first_parked=first)
        for key, (holders, parked, ids, first) in zip(wanted, rows, strict=True)
    }


async def forget(
    database: Database, after: tuple[str, str], now: int, limit: int
) -> tuple[int, tuple[str, str]]:
    """Forgets those of the next lanes that are idle; how many, and where to go on."""
    count, looked = 0, 0
    for namespace, lane in await _later(database, after):
        of, begin = database.keys(namespace), lane
        while looked < limit:
            most = min(limit - looked, _FORGOTTEN_AT_ONCE)
            start = f"({begin}" if begin else "-"
            some = await database.call("ZRANGEBYLEX", of.lanes, start, "+", "LIMIT", 0, most)
            if not some:
                break
            (forgotten,) = await database.write(of, [("forget", some, str(now * 1_000))])
            count, looked, begin = count + forgotten, looked + len(some), some[-1]
        if looked >= limit:
            return count, (namespace, begin)
    return count, START


async def _later(database: Database, after: tuple[str, str]) -> list[tuple[str, str]]:
    """The namespaces from that place on, each with the lane after which it goes on."""
    return [
        (namespace, after[1] if namespace == after[0] else "")
        for namespace in await database.namespaces()
        if namespace >= after[0]
    ]


async def _opened(  # noqa: PLR0913 - as ``opened``
    database: Database,
    namespace: str,
    keys: Sequence[str],
    now: int,
    kept: KnownLimits,
    *,
    at_most: Mapping[str, int] | None,
) -> tuple[list[Returned], list[Opening]]:
    of = database.keys(namespace)
    orders = [key for key in keys if key.startswith(ORDER_LANE)]
    others = [key for key in keys if not key.startswith(ORDER_LANE)]
    seen = await look(database.at(of), others, orders, now)
    known = kept.of(namespace)
    if seen.revision != known.limits.revision:
        known = await read_limits(database, namespace, kept)
    waited_for = {key: seen.lane(key, known.limits) for key in others if seen.queues[key]}
    turns = {key: seq for key in seen.awaited if (seq := next_in_turn(seen.orders[key])) is not None}
    room = {key: free_now(lane, now) for key, lane in waited_for.items()}
    if at_most is not None:
        room = {key: min(count, at_most[key]) for key, count in room.items()}
    scripts = [bring_back_turns(turns, now), *bring_back(seen, room, now)]
    answers = [answer for writes in scripts if writes for answer in await database.write(of, writes)]
    openings = [
        Opening(lane=key, queues=frozenset(one.queue for one in seen.queues[key]), at=at)
        for key, lane in waited_for.items()
        if (at := next_opening(lane, now)) is not None and at > now
    ]
    return returned(namespace, answers), openings


def _returned(namespace: str, queue: str, member: str) -> Returned:
    priority, rank = priority_rank(member)
    return Returned(namespace=namespace, queue=queue, priority=priority, rank=rank, seq=seq_of(member))

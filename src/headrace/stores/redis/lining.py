"""The lines of fair queues, and the room of bounded ones."""

import heapq
from collections.abc import Mapping, Sequence
from typing import Final

from headrace.core.fairness import LINE_KEPT_MS, TAGS_BELOW, FairQueue, queue_key
from headrace.core.job import Job, Transition
from headrace.core.queue_rules import counted_drops, drops
from headrace.core.states import State
from headrace.errors import QueueFull
from headrace.stores.gating import ended_by
from headrace.stores.lining import (
    InLine,
    Level,
    LineUp,
    Room,
    coming,
    drops_of,
    excess,
    heads_of,
    line_up,
    put_in_line,
)
from headrace.stores.redis.applying import add_moves
from headrace.stores.redis.database import Database
from headrace.stores.redis.keys import SEPARATOR, Keys
from headrace.stores.redis.reading import jobs_by_id
from headrace.stores.redis.registers import add_swaps, read_registers
from headrace.stores.redis.rows import place_text
from headrace.stores.redis.session import Look, Session
from headrace.stores.redis.turns import Insistence
from headrace.stores.values import NewJob, Register, Swap

_LEVELS: Final = 64
"""Of so many priorities of a queue a look tells, the highest."""

_PAGE: Final = 5_000
_LANES: Final = 100
_PRIORITY: Final = slice(0, 7)
_RANK: Final = slice(7, 23)
_SEQ: Final = slice(23, 39)
_ID: Final = slice(-36, None)


async def in_line(
    session: Session, jobs: Sequence[NewJob], now: int, insistence: Insistence
) -> Sequence[NewJob]:
    """The jobs with the tags of those that are fair and due; adds what was given out to the commit.

    The tenants' registers are watched, so that two who insert for one tenant do it one after the other.
    """
    if all(new.facts.lane is None for new in jobs) or (wanted := line_up(jobs, now)) is None:
        return jobs
    await insistence.begin(session)
    await session.watch(*map(session.keys.register, wanted.lines))
    kept = await read_registers(session, [*wanted.lines, *map(queue_key, wanted.queues)])
    done = put_in_line(
        jobs,
        wanted,
        queues={
            name: FairQueue.loads(kept[key].value if (key := queue_key(name)) in kept else None)
            for name in wanted.queues
        },
        heads=await heads(session, wanted.levels, wanted.lanes),
        finished={key: int(kept[key].value) for key in wanted.lines if key in kept},
    )
    add_swaps(session, [_line(key, finish, kept, now) for key, finish in done.finished.items()])
    _add_marks(session, wanted, done, kept, now)
    return done.jobs


def watched_by(keys: Keys, jobs: Sequence[NewJob], now: int, room: Room | None) -> Sequence[str]:
    """The keys that inserts of such jobs watch: the lines of fair jobs, and the drops of full queues."""
    wanted = line_up(jobs, now)
    lines = () if wanted is None else wanted.lines
    bounds = () if room is None or not room.drops else room.bounds
    return [keys.register(key) for key in (*lines, *(bound.key for bound in bounds))]


async def make_room(session: Session, jobs: Sequence[NewJob], room: Room) -> None:
    """Adds to the commit that waiting jobs of bounded queues give way where need be. Raises QueueFull."""
    for bound, count in coming(jobs, room).items():
        waiting = await session.look("waiting", bound.queue)
        needed = excess(bound, room, waiting=waiting, coming=count)
        session.add(("room", bound.queue, bound.max_length - count + needed))
        if not needed:
            continue
        dropped = await _unchanged(session, drops_of(bound, room), needed)
        if len(dropped) < needed:
            raise QueueFull(bound.queue, bound.max_length, waiting=waiting, coming=count)
        session.add(*(("unchanged", one.job.id, one.job.revision) for one in dropped))
        await add_moves(session, dropped, ended_by(dropped))
        await _count_drops(session, bound.key, needed)


async def refuse_full(look: Look, jobs: Sequence[NewJob], room: Room) -> None:
    """Raises QueueFull where the jobs that are there by now leave no room. Holds nothing."""
    for bound, count in coming(jobs, room).items():
        excess(bound, room, waiting=await look.look("waiting", bound.queue), coming=count)


async def heads(look: Look, levels: Sequence[Level], lanes: Sequence[str]) -> Mapping[Level, int]:
    """The lowest tag that waits in each of these, due or parked on one of these lanes."""
    asked = [[queue, place_text(priority, 0)[_PRIORITY]] for queue, priority in levels]
    found = await look.look("heads", asked, list(lanes))
    return heads_of({level: rank and int(rank) for level, rank in zip(levels, found, strict=True)})


async def out_of_line(look: Look, queue: str, now: int, limit: int) -> Sequence[Job]:
    """Due jobs that are ranked by their due time, of at most as many priorities as are looked at."""
    low, high = _ranks(now)
    found: list[str] = await look.look("ranked", look.keys.ready(queue), low, high, limit, _LEVELS)
    due = await look.call("ZRANGEBYSCORE", look.keys.later(queue), "-inf", now, "LIMIT", 0, limit)
    found += [member for member in due if low <= member[_RANK] < high]
    return await _jobs(look, sorted(found)[:limit])


async def parked_out_of_line(look: Look, queue: str, now: int, limit: int) -> Sequence[Job]:
    """Some of the parked jobs of a queue that are ranked by their due time."""
    found: list[str] = []
    parked = await _parked_on(look, queue)
    for start in range(0, len(parked), _LANES):
        asked = [(key, *_ranks(now), limit, limit) for key in parked[start : start + _LANES]]
        found += [member for some in await look.looks("ranked", asked) for member in some]
        if len(found) >= limit:
            break
    return await _jobs(look, sorted(found)[:limit])


async def oldest_waiting(look: Look, queue: str, limit: int) -> Sequence[Job]:
    """The jobs that wait in a queue, the first inserted first."""
    oldest: list[str] = []
    for key in (look.keys.ready(queue), look.keys.later(queue), *await _parked_on(look, queue)):
        start = 0
        while some := await look.call("ZRANGE", key, start, start + _PAGE - 1):
            oldest = heapq.nsmallest(limit, {*oldest, *some}, key=lambda member: member[_SEQ])
            start += _PAGE
            if len(some) < _PAGE:
                break
    # they were found one after the other, and some may have been claimed or dropped since
    return [job for job in await _jobs(look, oldest) if job.state is State.PENDING]


async def _parked_on(look: Look, queue: str) -> list[str]:
    """The keys of the lanes on which jobs of a queue are parked."""
    places = [place.split(SEPARATOR) for place in await look.call("ZRANGE", look.keys.parkings, 0, -1)]
    return [look.keys.parked(lane, queue) for lane, name in places if name == queue]


async def _jobs(look: Look, members: Sequence[str]) -> Sequence[Job]:
    ids = [member[_ID] for member in members]
    found = await jobs_by_id(look, look.keys.namespace, ids)
    return [found[job_id] for job_id in ids if job_id in found]


def _ranks(now: int) -> tuple[str, str]:
    """The lowest rank of a job that is out of line, and the first that is not due, as members have them."""
    return place_text(0, TAGS_BELOW)[_RANK], place_text(0, now + 1)[_RANK]


def _line(key: str, finish: int, kept: Mapping[str, Register], now: int) -> Swap:
    revision = kept[key].revision if key in kept else 0
    return Swap(key=key, revision=revision, value=str(finish), due_at=now + LINE_KEPT_MS)


def _add_marks(
    session: Session, wanted: LineUp, done: InLine, kept: Mapping[str, Register], now: int
) -> None:
    """Adds the marks of queues that have moved on, unless another insert writes them just now."""
    for name in wanted.queues:
        key = queue_key(name)
        if key not in kept or name in done.queues:
            value = done.queues.get(name, FairQueue()).dumps()
            session.add(("mark", key, kept[key].revision if key in kept else 0, value, now))


async def _unchanged(session: Session, given: Sequence[Transition], needed: int) -> Sequence[Transition]:
    """So many of the drops, passing over those whose jobs have changed."""
    kept: list[Transition] = []
    start = 0
    while len(kept) < needed and start < len(given):
        some = given[start : start + needed - len(kept)]
        found = await jobs_by_id(session, session.namespace, [one.job.id for one in some])
        kept += [one for one in some if _is_as_decided(found.get(one.job.id), one.job)]
        start += len(some)
    return kept


def _is_as_decided(current: Job | None, decided: Job) -> bool:
    return current is not None and (current.fence, current.revision) == (decided.fence, decided.revision)


async def _count_drops(session: Session, key: str, needed: int) -> None:
    await session.watch(session.keys.register(key))
    kept = (await read_registers(session, [key])).get(key)
    value = counted_drops(drops(None if kept is None else kept.value) + needed)
    add_swaps(session, [Swap(key=key, revision=0 if kept is None else kept.revision, value=value)])


class LooksAtQueues:
    """Keeps ``headrace.stores.lining.QueueStore``, as part of the store."""

    _database: Database

    async def heads(
        self, namespace: str, levels: Sequence[Level], lanes: Sequence[str]
    ) -> Mapping[Level, int]:
        return await heads(self._at(namespace), levels, lanes)

    async def out_of_line(self, namespace: str, queue: str, *, now: int, limit: int) -> Sequence[Job]:
        return await out_of_line(self._at(namespace), queue, now, limit)

    async def parked_out_of_line(self, namespace: str, queue: str, *, now: int, limit: int) -> Sequence[Job]:
        return await parked_out_of_line(self._at(namespace), queue, now, limit)

    async def oldest_waiting(self, namespace: str, queue: str, *, limit: int) -> Sequence[Job]:
        return await oldest_waiting(self._at(namespace), queue, limit)

    def _at(self, namespace: str) -> Look:
        return self._database.at(self._database.keys(namespace))

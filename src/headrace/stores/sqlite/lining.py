"""The lines of fair queues, and the room of bounded ones."""

from collections.abc import Mapping, Sequence
from typing import Final

import apsw

from headrace.core.fairness import LINE_KEPT_MS, TAGS_BELOW, FairQueue, queue_key
from headrace.core.job import MAX_PRIORITY, Job, Transition
from headrace.core.queue_rules import QueueBound, counted_drops, drops
from headrace.errors import QueueFull
from headrace.stores.lining import (
    COUNTED_BEYOND,
    Level,
    Room,
    coming,
    drops_of,
    excess,
    heads_of,
    line_up,
    put_in_line,
)
from headrace.stores.sqlite.applying import Application
from headrace.stores.sqlite.claiming import LEVELS
from headrace.stores.sqlite.database import Database
from headrace.stores.sqlite.reading import jobs_by_seq
from headrace.stores.sqlite.registers import make_swaps, read_registers
from headrace.stores.sqlite.statements import first, queries, rows, texts
from headrace.stores.sqlite.transaction import Write
from headrace.stores.values import Applied, NewJob, Swap

_SQL = queries("lines")
_CLAIM = queries("claim")
_NO_LANE: Final = ("",)


def in_line(at: Write, namespace: str, jobs: Sequence[NewJob], now: int) -> Sequence[NewJob]:
    """The jobs with the tags of those that are fair and due; writes what was given out."""
    if all(new.facts.lane is None for new in jobs) or (wanted := line_up(jobs, now)) is None:
        return jobs
    kept = read_registers(at.db, namespace, [*wanted.lines, *map(queue_key, wanted.queues)])
    done = put_in_line(
        jobs,
        wanted,
        queues={
            name: FairQueue.loads(kept[key].value if (key := queue_key(name)) in kept else None)
            for name in wanted.queues
        },
        heads=heads(at.db, namespace, wanted.levels, wanted.lanes),
        finished={key: int(kept[key].value) for key in wanted.lines if key in kept},
    )
    written = {key: str(finish) for key, finish in done.finished.items()}
    written |= {queue_key(name): queue.dumps() for name, queue in done.queues.items()}
    written |= {
        key: FairQueue().dumps() for key in map(queue_key, wanted.queues) if key not in {*kept, *written}
    }
    swaps = [
        Swap(
            key=key,
            revision=kept[key].revision if key in kept else 0,
            value=value,
            due_at=now + LINE_KEPT_MS if key in done.finished else now,
        )
        for key, value in written.items()
    ]
    make_swaps(at.db, namespace, swaps)
    return done.jobs


def make_room(at: Write, namespace: str, jobs: Sequence[NewJob], room: Room) -> None:
    """Drops waiting jobs of bounded queues where need be. Raises QueueFull, and then nothing may be kept."""
    for bound, count in coming(jobs, room).items():
        waiting = _count_waiting(at.db, namespace, bound)
        needed = excess(bound, room, waiting=waiting, coming=count)
        if not needed:
            continue
        if _dropped(at, drops_of(bound, room), needed) < needed:
            raise QueueFull(bound.queue, bound.max_length, waiting=waiting, coming=count)
        kept = read_registers(at.db, namespace, [bound.key]).get(bound.key)
        value = counted_drops(drops(None if kept is None else kept.value) + needed)
        revision = 0 if kept is None else kept.revision
        make_swaps(at.db, namespace, [Swap(key=bound.key, revision=revision, value=value)])


def _dropped(at: Write, given: Sequence[Transition], needed: int) -> int:
    """Writes so many of the drops, passing over those whose jobs have changed; returns how many it wrote."""
    done = start = 0
    while done < needed and start < len(given):
        some = given[start : start + needed - done]
        done += sum(isinstance(answer, Applied) for answer in Application(some)(at))
        start += len(some)
    return done


def heads(
    db: apsw.Connection, namespace: str, levels: Sequence[Level], lanes: Sequence[str]
) -> Mapping[Level, int]:
    """The lowest tag that waits in each of these, due or parked on one of these lanes."""
    given = {"namespace": namespace, "lanes": texts(lanes or _NO_LANE)}
    found: dict[Level, int | None] = {}
    for queue, priority in levels:
        (rank,) = first(db, _SQL["head"], {**given, "queue": queue, "priority": priority}) or (None,)
        found[queue, priority] = rank
    return heads_of(found)


def out_of_line(db: apsw.Connection, namespace: str, queue: str, now: int, limit: int) -> Sequence[Job]:
    """Due jobs that are ranked by their due time, of at most as many priorities as a claim looks at."""
    here = {"namespace": namespace, "queue": queue}
    given = {**here, "tags_below": TAGS_BELOW, "now": now}
    above = MAX_PRIORITY + 1
    seqs: list[int] = []
    for _ in range(LEVELS):
        level = first(db, _CLAIM["next_level"], here | {"above": above})
        if level is None or len(seqs) == limit:
            break
        (above,) = level
        asked = {**given, "priority": above, "limit": limit - len(seqs)}
        seqs += [seq for (seq,) in rows(db, _SQL["out_of_line_in_level"], asked)]
    return _jobs(db, seqs)


def parked_out_of_line(
    db: apsw.Connection, namespace: str, queue: str, now: int, limit: int
) -> Sequence[Job]:
    """Parked jobs that are ranked by their due time."""
    given = {"namespace": namespace, "queue": queue, "tags_below": TAGS_BELOW, "now": now, "limit": limit}
    return _jobs(db, [seq for (seq,) in rows(db, _SQL["parked_out_of_line"], given)])


def oldest_waiting(db: apsw.Connection, namespace: str, queue: str, limit: int) -> Sequence[Job]:
    """The jobs that wait in a queue, the first inserted first."""
    given = {"namespace": namespace, "queue": queue, "limit": limit}
    return _jobs(db, [seq for (seq,) in rows(db, _SQL["oldest_waiting"], given)])


def _jobs(db: apsw.Connection, seqs: Sequence[int]) -> Sequence[Job]:
    found = jobs_by_seq(db, seqs)
    return [found[seq] for seq in seqs]


def _count_waiting(db: apsw.Connection, namespace: str, bound: QueueBound) -> int:
    limit = bound.max_length + COUNTED_BEYOND
    given = {"namespace": namespace, "queue": bound.queue, "limit": limit}
    (count,) = first(db, _SQL["count_waiting"], given) or (0,)
    return count


class LooksAtQueues:
    """Keeps ``headrace.stores.lining.QueueStore``, as part of the store."""

    _database: Database

    async def heads(
        self, namespace: str, levels: Sequence[Level], lanes: Sequence[str]
    ) -> Mapping[Level, int]:
        return await self._database.read(lambda db: heads(db, namespace, levels, lanes))

    async def out_of_line(self, namespace: str, queue: str, *, now: int, limit: int) -> Sequence[Job]:
        return await self._database.read(lambda db: out_of_line(db, namespace, queue, now, limit))

    async def parked_out_of_line(self, namespace: str, queue: str, *, now: int, limit: int) -> Sequence[Job]:
        return await self._database.read(lambda db: parked_out_of_line(db, namespace, queue, now, limit))

    async def oldest_waiting(self, namespace: str, queue: str, *, limit: int) -> Sequence[Job]:
        return await self._database.read(lambda db: oldest_waiting(db, namespace, queue, limit))

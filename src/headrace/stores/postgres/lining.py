"""The lines of fair queues, and the room of bounded ones."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from headrace.core.fairness import LINE_KEPT_MS, TAGS_BELOW, FairQueue, queue_key
from headrace.core.job import Job, Placement, Transition
from headrace.core.queue_rules import QueueBound, counted_drops, drops
from headrace.errors import QueueFull
from headrace.stores.lining import (
    COUNTED_BEYOND,
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
    tenant_of,
)
from headrace.stores.postgres.applying import Application
from headrace.stores.postgres.database import Again, Database
from headrace.stores.postgres.queueing import LEVELS
from headrace.stores.postgres.reading import jobs_by_seq
from headrace.stores.postgres.registers import make_swaps, read_registers
from headrace.stores.postgres.session import Session
from headrace.stores.values import Applied, NewJob, Register, Swap


async def in_line(session: Session, namespace: str, jobs: Sequence[NewJob], now: int) -> Sequence[NewJob]:
    """The jobs with the tags of those that are fair and due; writes what was given out.

    The tenants' registers are held until the transaction ends, so that two who insert for one tenant do it
    one after the other. Raises Again where another transaction was in the way.
    """
    if all(new.facts.lane is None for new in jobs) or (wanted := line_up(jobs, now)) is None:
        return jobs
    lines = await _locked(session, namespace, wanted.lines)
    found = await read_registers(session, namespace, [queue_key(name) for name in wanted.queues])
    done = await _tagged(session, namespace, jobs, wanted, {**lines, **found})
    if (await make_swaps(session, namespace, _line_swaps(done, lines, now))) is not None:
        raise Again
    await _mark(session, namespace, wanted, done, found, now)
    return done.jobs


async def make_room(session: Session, namespace: str, jobs: Sequence[NewJob], room: Room) -> None:
    """Drops waiting jobs of bounded queues where need be; holds the queues until the transaction ends.

    Raises QueueFull, or Again, and then nothing may be kept.
    """
    counts = coming(jobs, room)
    kept = await _held(session, namespace, [bound.key for bound in counts])
    for bound, count in counts.items():
        waiting = await _count_waiting(session, namespace, bound)
        needed = excess(bound, room, waiting=waiting, coming=count)
        if not needed:
            continue
        if await _dropped(session, drops_of(bound, room), needed) < needed:
            raise QueueFull(bound.queue, bound.max_length, waiting=waiting, coming=count)
        register = kept[bound.key]
        value = counted_drops(drops(register.value) + needed)
        change = Swap(key=bound.key, revision=register.revision, value=value)
        if (await make_swaps(session, namespace, (change,))) is not None:
            raise Again


async def _dropped(session: Session, given: Sequence[Transition], needed: int) -> int:
    """Writes so many of the drops, passing over those whose jobs have changed; returns how many it wrote."""
    done = start = 0
    while done < needed and start < len(given):
        some = given[start : start + needed - done]
        done += sum(isinstance(answer, Applied) for answer in await Application(some).within(session))
        start += len(some)
    return done


async def refuse_full(session: Session, namespace: str, jobs: Sequence[NewJob], room: Room) -> None:
    """Raises QueueFull where the jobs that are committed by now leave no room. Holds nothing."""
    for bound, count in coming(jobs, room).items():
        excess(bound, room, waiting=await _count_waiting(session, namespace, bound), coming=count)


async def heads(
    session: Session, namespace: str, levels: Sequence[Level], lanes: Sequence[str]
) -> Mapping[Level, int]:
    """The lowest tag that waits in each of these, due or parked on one of these lanes."""
    queues, priorities = zip(*levels, strict=True) if levels else ((), ())
    found = await session.rows("heads", namespace, list(queues), list(priorities), list(lanes))
    return heads_of({(queue, priority): rank for queue, priority, rank in found})


async def out_of_line(session: Session, namespace: str, queue: str, now: int, limit: int) -> Sequence[Job]:
    """Due jobs that are ranked by their due time, of at most as many priorities as a claim looks at."""
    found = await session.rows("out_of_line", namespace, queue, now, TAGS_BELOW, limit, LEVELS)
    return await _jobs(session, [seq for (seq,) in found])


async def parked_out_of_line(
    session: Session, namespace: str, queue: str, now: int, limit: int
) -> Sequence[Job]:
    """Parked jobs that are ranked by their due time."""
    found = await session.rows("parked_out_of_line", namespace, queue, now, TAGS_BELOW, limit)
    return await _jobs(session, [seq for (seq,) in found])


async def oldest_waiting(session: Session, namespace: str, queue: str, limit: int) -> Sequence[Job]:
    """The jobs that wait in a queue, the first inserted first."""
    return await _jobs(
        session, [seq for (seq,) in await session.rows("oldest_waiting", namespace, queue, limit)]
    )


def first_ranked(new: NewJob) -> Placement:
    """The job's placement as a claim may meet it first: a fair one has a tag, which is not known here."""
    if new.facts.lane is None or tenant_of(new.facts.lane) is None:
        return new.placement
    return replace(new.placement, rank=0)


async def _tagged(
    session: Session, namespace: str, jobs: Sequence[NewJob], wanted: LineUp, kept: Mapping[str, Register]
) -> InLine:
    return put_in_line(
        jobs,
        wanted,
        queues={
            name: FairQueue.loads(kept[key].value if (key := queue_key(name)) in kept else None)
            for name in wanted.queues
        },
        heads=await heads(session, namespace, wanted.levels, wanted.lanes),
        finished={key: int(kept[key].value) for key in wanted.lines if key in kept},
    )


def _line_swaps(done: InLine, lines: Mapping[str, Register], now: int) -> Sequence[Swap]:
    return [
        Swap(
            key=key,
            revision=lines[key].revision if key in lines else 0,
            value=str(finish),
            due_at=_look_at(lines.get(key), now),
        )
        for key, finish in sorted(done.finished.items())
    ]


def _look_at(register: Register | None, now: int) -> int:
    """When to see whether a tenant's line is still used. It is indexed, so it moves twice a day at most."""
    half_way = now + LINE_KEPT_MS // 2
    if register is None or register.due_at is None or register.due_at < half_way:
        return now + LINE_KEPT_MS
    return register.due_at


async def _mark(  # noqa: PLR0913, PLR0917 - what was read, what came of it, and when
    session: Session,
    namespace: str,
    wanted: LineUp,
    done: InLine,
    found: Mapping[str, Register],
    now: int,
) -> None:
    """Writes the marks of queues that have moved on. Nobody waits for them: another insert may do it."""
    for name in wanted.queues:
        key = queue_key(name)
        if key not in found:
            value = done.queues.get(name, FairQueue()).dumps()
            await make_swaps(session, namespace, (Swap(key=key, revision=0, value=value, due_at=now),))
        elif name in done.queues and await session.row("lock_unchanged", namespace, key, found[key].revision):
            swap = Swap(key=key, revision=found[key].revision, value=done.queues[name].dumps(), due_at=now)
            await make_swaps(session, namespace, (swap,))


async def _locked(session: Session, namespace: str, keys: Collection[str]) -> Mapping[str, Register]:
    """The registers that exist, which nobody else writes until this transaction ends."""
    found = await session.rows("lock_kept", namespace, sorted(keys))
    return {key: Register(key=key, value=value, revision=r, due_at=due) for key, value, r, due in found}


async def _held(session: Session, namespace: str, keys: Collection[str]) -> Mapping[str, Register]:
    """As ``_locked``, after making those that did not exist."""
    kept = await _locked(session, namespace, keys)
    missing = sorted(set(keys) - set(kept))
    if not missing:
        return kept
    empty = counted_drops(0)
    if await make_swaps(session, namespace, [Swap(key=key, revision=0, value=empty) for key in missing]):
        raise Again
    return await _locked(session, namespace, keys)


async def _count_waiting(session: Session, namespace: str, bound: QueueBound) -> int:
    limit = bound.max_length + COUNTED_BEYOND
    (count,) = await session.row("count_waiting", namespace, bound.queue, limit) or (0,)
    return count


async def _jobs(session: Session, seqs: Sequence[int]) -> Sequence[Job]:
    found = await jobs_by_seq(session, seqs)
    return [found[seq] for seq in seqs]


class LooksAtQueues:
    """Keeps ``headrace.stores.lining.QueueStore``, as part of the store."""

    _database: Database

    async def heads(
        self, namespace: str, levels: Sequence[Level], lanes: Sequence[str]
    ) -> Mapping[Level, int]:
        return await self._database.read(lambda session: heads(session, namespace, levels, lanes))

    async def out_of_line(self, namespace: str, queue: str, *, now: int, limit: int) -> Sequence[Job]:
        return await self._database.snapshot(
            lambda session: out_of_line(session, namespace, queue, now, limit)
        )

    async def parked_out_of_line(self, namespace: str, queue: str, *, now: int, limit: int) -> Sequence[Job]:
        return await self._database.snapshot(
            lambda session: parked_out_of_line(session, namespace, queue, now, limit)
        )

    async def oldest_waiting(self, namespace: str, queue: str, *, limit: int) -> Sequence[Job]:
        return await self._database.snapshot(lambda session: oldest_waiting(session, namespace, queue, limit))

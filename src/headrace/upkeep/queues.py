"""Puts jobs of fair queues in line whose time has come, and forgets the lines of tenants that rest."""

from dataclasses import replace
from typing import Final

from headrace.clock import Clock
from headrace.core.fairness import (
    COMMON,
    LINE_KEPT_MS,
    LINES,
    QUEUES,
    FairQueue,
    Line,
    Place,
    Turn,
    is_rested,
    look_of,
    queue_key,
)
from headrace.core.job import Job, Transition
from headrace.core.wire import MAX_INSTANT_MS
from headrace.errors import StaleRegister
from headrace.stores.lining import shared_lanes, tenant_of
from headrace.stores.protocol import Applied, Register, Store, Swap
from headrace.upkeep.chore import ChoreResult

AT_ONCE: Final = 500
FAIR_QUEUES: Final = 1_000
NONE_MS: Final = 5_000
PARKED_EVERY_MS: Final = 5_000


class PutInLine:
    """Gives tags to due jobs of fair queues that have none: they were delayed, or wait for a retry.

    Such a job comes behind the earlier ones of its tenant that were put in line so, and so neither behind
    all that the tenant has brought meanwhile nor before everybody else.
    """

    name = "put_in_line"

    def __init__(self, store: Store, clock: Clock, *, every_ms: int = 1_000) -> None:
        self.every_ms = every_ms
        self._store = store
        self._clock = clock
        self._parked_at = 0

    async def run_once(self) -> ChoreResult:
        now = self._clock.now()
        queues = await self._store.due(QUEUES, now=MAX_INSTANT_MS, limit=FAIR_QUEUES)
        if not queues:
            return ChoreResult(again_in_ms=NONE_MS)
        look_at_parked = now - self._parked_at >= PARKED_EVERY_MS
        if look_at_parked:
            self._parked_at = now
        done = 0
        more = False
        for namespace, register in queues:
            queue = register.key.removeprefix(f"{QUEUES}:")
            jobs = list(await self._store.out_of_line(namespace, queue, now=now, limit=AT_ONCE))
            more = more or len(jobs) == AT_ONCE
            if look_at_parked:
                jobs += await self._store.parked_out_of_line(namespace, queue, now=now, limit=AT_ONCE)
            if jobs:
                done += await self._ranked(namespace, queue, jobs, now)
        return ChoreResult(done=done, more=more)

    async def _ranked(self, namespace: str, queue: str, jobs: list[Job], now: int) -> int:
        """Writes their tags; those that changed meanwhile are met again if they still wait."""
        places = [_place(queue, job) for job in jobs]
        lines = sorted({place.line for place in places})
        kept = await self._store.read(namespace, [queue_key(queue), *lines])
        own = kept.get(queue_key(queue))
        levels = sorted({(queue, place.priority) for place in places})
        lanes = sorted({lane for job in jobs for lane in shared_lanes(queue, job.facts.type)})
        heads = await self._store.heads(namespace, levels, lanes)
        line = Line(
            FairQueue.loads(None if own is None else own.value),
            heads={priority: head for (_, priority), head in heads.items()},
            finished={key: int(kept[key].value) for key in lines if key in kept},
        )
        transitions = [
            Transition(job=job, placement=replace(job.placement, rank=line.tag(place)))
            for job, place in zip(jobs, places, strict=True)
        ]
        swaps = [_swap(kept.get(key), key, str(line.finished[key]), now + LINE_KEPT_MS) for key in lines]
        try:
            answers = await self._store.apply(transitions, now=now, swaps=swaps)
        except StaleRegister:
            return 0  # another process does the same
        if own is not None and line.queue.levels != FairQueue.loads(own.value).levels:
            await self._store.swap(namespace, (_swap(own, own.key, line.queue.dumps(), now),))
        return sum(isinstance(answer, Applied) for answer in answers)


class ForgetLines:
    """Forgets what tenants were given long ago: once the others have passed it, it makes no difference."""

    name = "forget_lines"

    def __init__(self, store: Store, clock: Clock, *, every_ms: int = 600_000) -> None:
        self.every_ms = every_ms
        self._store = store
        self._clock = clock

    async def run_once(self) -> ChoreResult:
        now = self._clock.now()
        found = await self._store.due(LINES, now=now, limit=AT_ONCE)
        forgotten = 0
        for namespace, register in found:
            rested = await self._is_rested(namespace, register)
            swap = Swap(
                key=register.key,
                revision=register.revision,
                value=None if rested else register.value,
                due_at=now + LINE_KEPT_MS,
            )
            forgotten += await self._store.swap(namespace, (swap,)) and rested
        return ChoreResult(done=forgotten, more=len(found) == AT_ONCE)

    async def _is_rested(self, namespace: str, register: Register) -> bool:
        look = look_of(register.key)
        key = queue_key(look.queue)
        own = (await self._store.read(namespace, (key,))).get(key)
        level = (look.queue, look.priority)
        heads = await self._store.heads(namespace, (level,), ())
        queue = FairQueue.loads(None if own is None else own.value)
        return is_rested(queue, look, heads.get(level), int(register.value))


def _place(queue: str, job: Job) -> Place:
    tenant = tenant_of(job.facts.lane)
    return Place(
        queue=queue,
        priority=job.placement.priority,
        tenant=COMMON if tenant is None else tenant,
        turn=Turn.AGAIN,
    )


def _swap(kept: Register | None, key: str, value: str, due_at: int) -> Swap:
    return Swap(key=key, revision=0 if kept is None else kept.revision, value=value, due_at=due_at)

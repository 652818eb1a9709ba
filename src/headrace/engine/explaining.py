"""Gathers what is known of a job, so that ``core.explain`` can say why it has not run."""

from dataclasses import dataclass
from typing import Final

from headrace.clock import Clock
from headrace.core import batch_wire
from headrace.core.batch import PREFIX, BatchState, is_batch_id
from headrace.core.breaker import LANE, BreakerState
from headrace.core.chunk import ChunkRule
from headrace.core.explain import explain
from headrace.core.findings import Explanation
from headrace.core.flow import Parent
from headrace.core.job import Attempt, Job
from headrace.core.limit_names import LIMIT_LANE, ORDER_LANE, limit_of_lane
from headrace.core.limit_register import KEY, Definitions
from headrace.core.limits import Lane, LaneState, Limit, Standing
from headrace.core.situation import AHEAD_COUNTED, LaneSeen, Situation, WorkerSeen
from headrace.core.states import State
from headrace.core.steps import Kept
from headrace.engine.published import PublishedTypes
from headrace.engine.registry import Registry
from headrace.errors import JobNotFound
from headrace.stores.protocol import Store, WorkerHello

PARENTS_READ: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Explaining:
    """Explains the jobs of one namespace."""

    store: Store
    clock: Clock
    namespace: str
    published: PublishedTypes
    registry: Registry

    async def explain(self, job_id: str) -> Explanation:
        """Why a job has not run. Raises JobNotFound."""
        found = await self.store.get(self.namespace, (job_id,))
        if job_id not in found:
            raise JobNotFound(job_id)
        job, now = found[job_id], self.clock.now()
        if job.state is State.PENDING or job.state is State.BLOCKED:
            return explain(await self._situation(job, now))
        return explain(Situation(job=job, now=now))

    async def _situation(self, job: Job, now: int) -> Situation:
        queues = await self.store.queues(self.namespace)
        due = job.placement.due_at
        later = due is not None and due > now
        started = job.placement.starts > 0
        return Situation(
            job=job,
            now=now,
            paused=any(one.paused for one in queues if one.name == job.facts.queue),
            workers=tuple(_seen(one) for one in await self.store.workers(self.namespace)),
            last=await self._last(job) if started else None,
            kept=await self._kept(job, now) if started and later else None,
            lane=await self._lane(job),
            parents=await self._parents(job),
            batch=await self._batch(job),
            chunk=await self._chunk(job),
            ahead=await self._ahead(job, now) if due is not None and not later else None,
        )

    async def _last(self, job: Job) -> Attempt | None:
        attempts = (await self.store.history(self.namespace, job.id)).attempts
        return attempts[-1] if attempts else None

    async def _kept(self, job: Job, now: int) -> Kept:
        return await self.store.kept(self.namespace, job.id, now=now)

    async def _lane(self, job: Job) -> LaneSeen | None:
        """The lane of a limit, an ordering key or a breaker on which the job waits."""
        key = job.placement.parked_on
        if key is None or not key.startswith((LIMIT_LANE, ORDER_LANE, LANE)):
            return None
        states = await self.store.lane_states(self.namespace, (key,))
        figures = (await self.store.lane_figures(self.namespace, (key,))).get(key)
        registers = await self.store.read(self.namespace, (KEY, key))
        limits, breaker = registers.get(KEY), registers.get(key) if key.startswith(LANE) else None
        state = states.get(key, LaneState(key=key))
        limit = _limit(None if limits is None else limits.value, key)
        known = None if breaker is None else BreakerState.loads(breaker.value)
        if figures is None:
            return LaneSeen(lane=Lane(state=state, limit=limit), breaker=known)
        return LaneSeen(
            lane=Lane(state=state, limit=limit, holders=figures.holders),
            parked=figures.parked,
            held_by=figures.held_by,
            first_parked=figures.first_parked,
            breaker=known,
        )

    async def _parents(self, job: Job) -> tuple[Parent, ...]:
        if job.state is not State.BLOCKED:
            return ()
        return tuple(await self.store.parents(self.namespace, job.id, after=-1, limit=PARENTS_READ))

    async def _batch(self, job: Job) -> BatchState | None:
        """The batch of a member that waits for its turn, blocked or parked."""
        batch = job.facts.batch_id
        if not is_batch_id(batch) or (job.state is State.PENDING and job.placement.parked_on is None):
            return None
        found = (await self.store.read(self.namespace, (PREFIX + batch,))).get(PREFIX + batch)
        return None if found is None else batch_wire.load(found.value)

    async def _chunk(self, job: Job) -> ChunkRule | None:
        known = self.registry.find(job.facts.type)
        info = await self.published.latest(job.facts.type) if known is None else known.info
        return None if info is None else info.chunk

    async def _ahead(self, job: Job, now: int) -> int:
        placement = job.placement
        standing = Standing(priority=placement.priority, rank=placement.rank, seq=job.seq)
        return await self.store.ahead(self.namespace, job.facts.queue, standing, now=now, limit=AHEAD_COUNTED)


class LocalExplaining:
    """The part of ``LocalOperations`` that explains."""

    explaining: Explaining

    async def explain(self, job_id: str) -> Explanation:
        return await self.explaining.explain(job_id)


def _seen(hello: WorkerHello) -> WorkerSeen:
    return WorkerSeen(name=hello.worker, queues=hello.queues, types=hello.types, seen_at=hello.seen_at)


def _limit(text: str | None, lane: str) -> Limit | None:
    if not lane.startswith(LIMIT_LANE):
        return None
    return Definitions.loads(text).in_force.get(limit_of_lane(lane))

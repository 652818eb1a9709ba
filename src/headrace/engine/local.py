"""Operations directly over a store."""

import asyncio
import json
import random
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

from headrace.clock import Clock
from headrace.core import wire
from headrace.core.batch import is_batch_id
from headrace.core.decide import decide
from headrace.core.filters import JobFilter, Page
from headrace.core.flow_request import refuse_parents
from headrace.core.ids import checked_name
from headrace.core.job import History, Job
from headrace.core.outcomes import CancelAsked, DealtWith, RedriveAsked, RetryAsked
from headrace.core.request import MAX_BULK, EnqueueRequest
from headrace.core.steps import Kept, carried
from headrace.core.wire import Json
from headrace.engine.aftermath import Aftermath
from headrace.engine.alerting import Alerts
from headrace.engine.audit import AuditLog
from headrace.engine.audit_operations import LocalAudit
from headrace.engine.batches import Batches, has_members, refuse_members
from headrace.engine.breakers import Breakers
from headrace.engine.codec import coded
from headrace.engine.dead_letters import DeadLetters
from headrace.engine.dead_queues import DeadLetterQueues
from headrace.engine.enqueue import IDEMPOTENCY_PREFIX, new_job, refused_at
from headrace.engine.event_log import EventLog
from headrace.engine.event_operations import LocalEvents
from headrace.engine.explaining import Explaining, LocalExplaining
from headrace.engine.flows import NOT_WITHIN, Flows, linked
from headrace.engine.hints import ENDED_HINT
from headrace.engine.keys import lane_of
from headrace.engine.limits import DefinedLimits
from headrace.engine.local_alerts import LocalAlerts
from headrace.engine.local_dead import LocalDeadLetters
from headrace.engine.local_flows import LocalFlows
from headrace.engine.local_limits import LocalLimits
from headrace.engine.local_parts import LocalParts
from headrace.engine.local_queues import LocalQueues
from headrace.engine.loop_store import LoopStore
from headrace.engine.loops import Loops
from headrace.engine.operations import CancelAnswer, Stats, TypeInfo
from headrace.engine.published import PublishedTypes
from headrace.engine.queue_shares import shared_out
from headrace.engine.queues import Queues
from headrace.engine.registry import EMPTY, Registry
from headrace.engine.replaying import forget_steps, replayed
from headrace.engine.schedules import Schedules
from headrace.engine.signalling import Signals
from headrace.errors import (
    DuplicateJob,
    IdempotencyMismatch,
    InvalidInput,
    JobNotFound,
    StoreUnavailable,
    TooLarge,
    UnknownJobType,
    WaitTimeout,
)
from headrace.mint import IdMint
from headrace.stores.protocol import (
    Already,
    Applied,
    Caller,
    Conflict,
    Health,
    Holder,
    Inserted,
    InsertKind,
    JobPage,
    LogLine,
    Lost,
    NewJob,
    ParkedCount,
    QueueState,
    Stale,
    Store,
    WorkerHello,
)

_DECIDE_AGAIN: Final = 20
_WAIT_SLICE_MS: Final = 500


class LocalOperations(
    LocalExplaining,
    LocalQueues,
    LocalAudit,
    LocalEvents,
    LocalAlerts,
    LocalDeadLetters,
    LocalLimits,
    LocalFlows,
    LocalParts,
):
    """``Operations`` over a store, in one namespace, with the job types of a registry."""

    def __init__(
        self, store: Store, clock: Clock, *, namespace: str = "default", registry: Registry = EMPTY
    ) -> None:
        self._store = store
        self._clock = clock
        self._namespace = checked_name(namespace, "namespace")
        self._registry = registry
        self._rng = random.Random()
        self._ids = IdMint(self._rng)
        self.aftermath = Aftermath(self._namespace)
        self.audit_log = AuditLog(store, clock, namespace=self._namespace)
        self.event_log = EventLog(store, self._namespace)
        self._published = PublishedTypes(store, namespace, clock)
        self.queue_engine = Queues(
            store, clock, self.gave_way, namespace=namespace, registry=registry, published=self._published
        )
        self.breaker_engine = Breakers(
            store, clock, namespace=namespace, published=self._published, registry=registry
        )
        self.batch_engine = Batches(
            store,
            clock,
            self.prepared,
            published=self._published,
            queues=self.queue_engine,
            aftermath=self.aftermath,
        )
        self.flow_engine = Flows(
            store,
            clock,
            published=self._published,
            aftermath=self.aftermath,
            batches=self.batch_engine.checks,
        )
        self.limit_engine = DefinedLimits(
            store, clock, namespace=namespace, published=self._published, registry=registry
        )
        self._signals = Signals(store, clock, self._published, namespace)
        self.explaining = Explaining(
            store=store, clock=clock, namespace=namespace, published=self._published, registry=registry
        )
        self.dead_engine = DeadLetters(self, store, self._published, self._change)
        self.dead_queues = DeadLetterQueues(store, clock, self._published, namespace)
        self.alert_engine = Alerts(self, store, self._published, registry)
        self.schedule_engine = Schedules(self, store, self._published, registry)
        self.loop_engine = Loops(
            LoopStore(store, clock, namespace=namespace, mint=self._ids.mint), self.cancel
        )

    @property
    def namespace(self) -> str:
        """The namespace all operations work in."""
        return self._namespace

    def now(self) -> int:
        """Store time in epoch milliseconds."""
        return self._clock.now()

    async def enqueue(
        self, requests: Sequence[EnqueueRequest], *, parent: Holder | None = None
    ) -> Sequence[Inserted]:
        """Enqueues all requests or none; with ``parent`` only while that fence holds."""
        if not requests:
            return ()
        await self.queue_engine.refresh()
        now = self._clock.now()
        jobs, edges = linked(requests, await self.prepared(requests, now))
        with _told(jobs):
            if has_members(requests):
                answers = await self.batch_engine.insert(jobs, now=now, parent=parent, edges=edges)
            else:
                insert = partial(
                    self._store.insert, self._namespace, jobs, now=now, parent=parent, edges=edges
                )
                answers = await self.queue_engine.insert(jobs, insert)
        self._store.wake(self._namespace, frozenset(job.facts.queue for job in jobs))
        if edges:
            await self.flow_engine.look_after_insert(edges, jobs, answers)
        if self.aftermath.inserted.heard:
            self.aftermath.inserted(_new(jobs, answers))
        return answers

    async def enqueue_within(
        self, caller: Caller, requests: Sequence[EnqueueRequest], wake: Callable[[frozenset[str]], None]
    ) -> Sequence[Inserted]:
        """Enqueues all requests or none in the caller's transaction; ``wake`` is called after its commit."""
        if not requests:
            return ()
        refuse_members(requests)
        refuse_parents(requests, NOT_WITHIN)
        now = self._clock.now()
        jobs = await self.prepared(requests, now)
        with _told(jobs):
            room = self.queue_engine.refusing(jobs)
            answers = await caller.insert(self._namespace, jobs, now=now, room=room)
        queues = frozenset(job.facts.queue for job in jobs)
        caller.after_commit(lambda: wake(queues))
        return answers

    async def prepared(self, requests: Sequence[EnqueueRequest], now: int) -> Sequence[NewJob]:
        """The jobs that are asked for, checked. Waits for nothing if this program knows their types."""
        if len(requests) > MAX_BULK:
            msg = f"{len(requests)} jobs in one call, the limit is {MAX_BULK}"
            raise TooLarge(msg, field="jobs")
        return [await self._checked(index, request, now) for index, request in enumerate(requests)]

    async def job(self, job_id: str) -> Job:
        """The job. Raises JobNotFound."""
        found = await self._store.get(self._namespace, (job_id,))
        if job_id not in found:
            raise JobNotFound(job_id)
        return found[job_id]

    async def jobs(self, wanted: JobFilter, page: Page) -> JobPage:
        """A page of jobs, newest first."""
        return await self._store.find(self._namespace, wanted, page)

    async def history(self, job_id: str) -> History:
        """All attempts. Raises JobNotFound."""
        return await self._store.history(self._namespace, job_id)

    async def log_lines(self, job_id: str) -> Sequence[LogLine]:
        """What the job's handlers logged. Raises JobNotFound."""
        return await self._store.log_lines(self._namespace, job_id)

    async def cancel(self, job_id: str) -> CancelAnswer:
        """Cancels a waiting job, asks a running one to stop. Raises JobNotFound, IllegalMove."""
        job = await self._change(job_id, CancelAsked())
        self._store.wake(self._namespace, frozenset({ENDED_HINT, job.facts.queue}))
        if job.placement.terminal and is_batch_id(job.facts.batch_id):
            self.batch_engine.checks.ask((job.facts.batch_id,))
        return CancelAnswer.ENDED if job.placement.terminal else CancelAnswer.REQUESTED

    async def retry(self, job_id: str) -> Job:
        """Runs a failed or cancelled job again. Raises JobNotFound, IllegalMove, DuplicateJob."""
        job = await self._change(job_id, RetryAsked())
        self._store.wake(self._namespace, frozenset({job.facts.queue}))
        return job

    async def steps(self, job_id: str) -> Kept:
        """What the job has kept of its steps, and the signals sent to it. Raises JobNotFound."""
        return await self._store.kept(self._namespace, job_id, now=self._clock.now())

    async def forget_steps(self, job_id: str) -> int:
        """Forgets the steps of a failed or cancelled job, so that a retry does all again."""
        return await forget_steps(self._store, self._namespace, job_id)

    async def signal(self, job_id: str, name: str, payload: Json = None, *, key: str | None = None) -> None:
        """Sends a signal to a job, and wakes it if it waits for one of that name."""
        await self._signals.send(job_id, name, payload, key)

    async def replay(self, job_id: str, *, from_step: str | None = None) -> str:
        """Enqueues a new job that does again what an ended one did; returns its id."""
        job = await self.job(job_id)
        now = self._clock.now()
        new = replayed(job, job_id=self._ids.mint(now), now=now)
        steps = carried(await self.steps(job_id), from_step)
        (answer,) = await self._store.insert(self._namespace, (new,), now=now, steps=steps)
        self._store.wake(self._namespace, frozenset({new.facts.queue}))
        return answer.job_id

    async def wait(self, job_id: str, *, timeout_ms: int | None) -> Job:
        """The job once it has ended. Raises JobNotFound, WaitTimeout."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout_ms is None else loop.time() + timeout_ms / 1000
        while True:
            job = await self.job(job_id)
            if job.placement.terminal:
                return job
            left = _WAIT_SLICE_MS if deadline is None else round((deadline - loop.time()) * 1000)
            if left <= 0:
                msg = f"job {job_id} has not ended within {timeout_ms} ms; it is {job.state}"
                raise WaitTimeout(msg)
            await self._store.woken(
                self._namespace, frozenset({ENDED_HINT}), timeout_ms=min(left, _WAIT_SLICE_MS)
            )

    async def stats(self) -> Stats:
        """How many jobs there are by queue, type and state."""
        return Stats(tallies=tuple(await self._store.tallies(self._namespace)))

    async def queues(self) -> Sequence[QueueState]:
        """All queues."""
        return await self._store.queues(self._namespace)

    async def parked(self) -> Sequence[ParkedCount]:
        """What holds jobs back."""
        return await self._store.parked(self._namespace)

    async def pause(self, queue: str) -> None:
        """No job of the queue starts until ``resume``; running ones go on."""
        await self._store.set_paused(self._namespace, checked_name(queue, "queue"), paused=True)
        self._store.wake(self._namespace, frozenset({queue}))

    async def resume(self, queue: str) -> None:
        """Lets the queue's jobs start again."""
        await self._store.set_paused(self._namespace, checked_name(queue, "queue"), paused=False)
        self._store.wake(self._namespace, frozenset({queue}))

    async def workers(self) -> Sequence[WorkerHello]:
        """The workers that are there."""
        return await self._store.workers(self._namespace)

    async def job_types(self) -> Sequence[TypeInfo]:
        """Every job type that is registered here or was published by a worker, by name."""
        latest = {info.name: info for info in await self._published.all()}
        latest |= {one.info.name: one.info for one in self._registry.all()}
        return tuple(latest[name] for name in sorted(latest))

    async def health(self) -> Health:
        """The store's state. Raises StoreError if it cannot serve."""
        return await self._store.check()

    async def _checked(self, index: int, request: EnqueueRequest, now: int) -> NewJob:
        try:
            return await self._new_job(request, now)
        except InvalidInput as error:
            error.index = index
            raise

    async def _new_job(self, request: EnqueueRequest, now: int) -> NewJob:
        known = self._registry.find(request.type)
        if known is not None:
            info = known.info
            payload = str(request.payload) if request.encoded else known.payload.check(request.payload)
        else:
            info = await self._published.latest(request.type)
            if info is None:
                raise UnknownJobType(request.type, tuple(one.name for one in await self.job_types()))
            payload = wire.encode(request.payload)
            if request.encoded or not payload.startswith("{"):
                msg = "payload must be a JSON object"
                raise InvalidInput(msg, field="payload")
        lane = lane_of(request, info, payload, known)
        if self.queue_engine.shares_out:
            lane = shared_out(lane, request, info, payload, self.queue_engine.fair_by)
        job_id = self._ids.mint(now)
        job = new_job(request, info, payload, job_id=job_id, namespace=self._namespace, now=now, lane=lane)
        codec = self._registry.codec
        return job if codec is None else coded(job, codec)

    async def _change(self, job_id: str, event: CancelAsked | RetryAsked | RedriveAsked | DealtWith) -> Job:
        job = await self.job(job_id)
        if isinstance(event, RetryAsked | RedriveAsked) and is_batch_id(job.facts.batch_id):
            await self.batch_engine.retry_member(job, event)
            return await self.job(job_id)
        for _ in range(_DECIDE_AGAIN):
            now = self._clock.now()
            policy = await self._published.policy(job.facts.type, job.facts.version)
            transition = decide(job, event, policy=policy, now=now, rng=self._rng)
            (answer,) = await self._store.apply((transition,), now=now)
            match answer:
                case Applied():
                    self.aftermath.tell_of_parents((transition,))
                    self.aftermath.settled((transition,))
                    return await self.job(job_id)
                case Stale(job=fresh):
                    job = fresh
                case Conflict(existing=existing):
                    raise DuplicateJob(job.facts.unique_key or "", existing)
                case Lost() | Already():
                    job = await self.job(job_id)
        msg = f"job {job_id} changes too fast to decide on; try again"
        raise StoreUnavailable(msg)


def _new(jobs: Sequence[NewJob], answers: Sequence[Inserted]) -> Sequence[NewJob]:
    """The jobs that were not there before."""
    return [job for job, one in zip(jobs, answers, strict=True) if one.kind is InsertKind.INSERTED]


@contextmanager
def _told(jobs: Sequence[NewJob]) -> Generator[None]:
    """Says of a refusal which of the jobs it is about."""
    try:
        yield
    except DuplicateJob as error:
        error.index = refused_at(error, jobs)
        raise
    except IdempotencyMismatch as error:
        told = IdempotencyMismatch(error.key.removeprefix(IDEMPOTENCY_PREFIX), error.job_id)
        told.index = refused_at(error, jobs)
        raise told from error


def result_of(job: Job) -> object:
    """A completed job's result as a JSON value."""
    return None if job.placement.result is None else json.loads(job.placement.result)

"""Builders for tests: plain functions that give jobs, and the steps that take them through a store."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from headrace.core import place
from headrace.core.backoff import Backoff
from headrace.core.decide import decide, decide_report
from headrace.core.job import Facts, Job, Placement, Transition
from headrace.core.outcomes import ErrorInfo, Event, Failed, Outcome, Rescued, Succeeded
from headrace.core.policy import ErrorClass, Policy, Retention
from headrace.core.states import State
from headrace.core.unique import OnConflict, Unique
from headrace.mint import IdMint
from headrace.stores.protocol import (
    ApplyAnswer,
    ClaimRequest,
    Holder,
    Inserted,
    NewJob,
    Note,
    Receipt,
    Renewal,
    Stale,
    Store,
    WorkerHello,
)

NOW: Final = 1_767_225_600_000
SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
LEASE: Final = 30 * SECOND

NAMESPACE: Final = "default"
QUEUE: Final = "default"
TYPE: Final = "echo"
WORKER: Final = "worker-1"

EXACT: Final = Policy(
    backoff=Backoff.fixed(10),
    resource_backoff=Backoff.linear(30),
    crash_backoff=Backoff.fixed(5),
    retention=Retention(completed_age_ms=HOUR, cancelled_age_ms=HOUR),
)
"""A policy without chance: tests can name the exact instants it leads to."""

SUCCESS: Final = Succeeded(result='{"ok":true}')

_MINT: Final = IdMint(random.Random(7))


def a_job(
    *,
    id: str | None = None,  # noqa: A002 - reads as the field it fills
    namespace: str = NAMESPACE,
    type: str = TYPE,  # noqa: A002 - reads as the field it fills
    queue: str = QUEUE,
    payload: str = '{"n":1}',
    state: State = State.PENDING,
    created_at: int = NOW,
    due_at: int | None = None,
    rank: int | None = None,
    priority: int = 0,
    unique: Unique | None = None,
    receipt: Receipt | None = None,
    max_attempts: int = 3,
    max_crashes: int = 3,
    timeout_ms: int | None = None,
    backoff: str | None = None,
    batch_id: str | None = None,
    parent_id: str | None = None,
    tags: tuple[str, ...] = (),
) -> NewJob:
    """A new job with a fresh id, due at once unless told otherwise."""
    due = created_at if due_at is None else due_at
    facts = Facts(
        id=_MINT.mint(created_at) if id is None else id,
        namespace=namespace,
        type=type,
        queue=queue,
        payload=payload,
        created_at=created_at,
        max_attempts=max_attempts,
        max_crashes=max_crashes,
        timeout_ms=timeout_ms,
        backoff=backoff,
        unique_key=None if unique is None else unique.key,
        lock_after_claim=None if unique is None else unique.lock_after_claim,
        batch_id=batch_id,
        parent_id=parent_id,
        tags=tags,
    )
    placement = Placement(
        state=state,
        priority=priority,
        rank=due if rank is None else rank,
        due_at=due if state is State.PENDING else None,
        unique_lock=None if unique is None else unique.key,
        timeout_ms=timeout_ms,
    )
    conflict = OnConflict.EXISTING if unique is None else unique.on_conflict
    return NewJob(facts=facts, placement=placement, on_conflict=conflict, receipt=receipt)


def a_pending(new: NewJob | None = None, **columns: object) -> Job:
    """A job as a store holds it after the insert, some columns changed, for tests of core."""
    new = a_job() if new is None else new
    return Job(facts=new.facts, placement=replace(new.placement, **columns), seq=1)  # type: ignore[arg-type]


def a_running(new: NewJob | None = None, *, now: int = NOW, **columns: object) -> Job:
    """A job that ``WORKER`` has claimed at ``now``, some columns changed, for tests of core."""
    job = place.claimed(a_pending(new), worker=WORKER, now=now, lease_until=now + LEASE)
    return replace(job, placement=replace(job.placement, **columns))  # type: ignore[arg-type]


def after_transition(transition: Transition) -> Job:
    """The job once a transition is written."""
    job = transition.job
    return replace(job, placement=transition.placement, revision=job.revision + 1)


def an_error(
    message: str = "boom",
    *,
    error_class: ErrorClass = ErrorClass.TRANSIENT,
    retry_after_ms: int | None = None,
) -> ErrorInfo:
    """What is kept of an exception."""
    return ErrorInfo(
        type="ValueError", message=message, error_class=error_class, retry_after_ms=retry_after_ms
    )


def a_failure(
    message: str = "boom",
    *,
    error_class: ErrorClass = ErrorClass.TRANSIENT,
    retry_after_ms: int | None = None,
    backoff: Backoff | None = None,
) -> Failed:
    """A handler's error as its worker reports it."""
    error = an_error(message, error_class=error_class, retry_after_ms=retry_after_ms)
    return Failed(error=error, backoff=backoff)


def a_hello(
    worker: str = WORKER,
    *,
    namespace: str = NAMESPACE,
    types: frozenset[str] = frozenset({TYPE}),
    seen_at: int = NOW,
) -> WorkerHello:
    """What a worker says of itself."""
    return WorkerHello(
        namespace=namespace,
        worker=worker,
        host="host",
        pid=1,
        queues=None,
        types=types,
        started_at=NOW,
        seen_at=seen_at,
    )


def a_rng() -> random.Random:
    """Chance that is the same in every run."""
    return random.Random(42)


async def enqueue(store: Store, *jobs: NewJob, now: int = NOW) -> Sequence[Inserted]:
    """Inserts jobs of one namespace in one op."""
    return await store.insert(jobs[0].facts.namespace, jobs, now=now)


async def enqueued(store: Store, new: NewJob | None = None, *, now: int = NOW) -> Job:
    """Inserts one job and reads it back."""
    new = a_job() if new is None else new
    (inserted,) = await enqueue(store, new, now=now)
    return await read(store, inserted.job_id, namespace=new.facts.namespace)


async def read(store: Store, job_id: str, *, namespace: str = NAMESPACE) -> Job:
    """One job that must exist."""
    return (await store.get(namespace, [job_id]))[job_id]


def a_request(
    *,
    n: int = 10,
    now: int = NOW,
    worker: str = WORKER,
    namespace: str = NAMESPACE,
    queues: Mapping[str, int] | None = None,
    types: frozenset[str] = frozenset({TYPE}),
    lease: int = LEASE,
) -> ClaimRequest:
    """What a worker asks for, by default up to ``n`` jobs of the default queue and type."""
    wanted = {QUEUE: n} if queues is None else queues
    return ClaimRequest(
        namespace=namespace,
        worker=worker,
        queues=wanted,
        types=types,
        limit=n,
        now=now,
        lease_until=now + lease,
    )


async def claim(
    store: Store,
    *,
    n: int = 10,
    now: int = NOW,
    worker: str = WORKER,
    namespace: str = NAMESPACE,
    queues: Mapping[str, int] | None = None,
    types: frozenset[str] = frozenset({TYPE}),
    lease: int = LEASE,
) -> list[Job]:
    """Claims up to ``n`` jobs."""
    request = a_request(
        n=n, now=now, worker=worker, namespace=namespace, queues=queues, types=types, lease=lease
    )
    return list(await store.claim(request))


async def claimed(store: Store, new: NewJob | None = None, *, now: int = NOW, worker: str = WORKER) -> Job:
    """Inserts one job and claims it; nothing else may be due."""
    new = a_job(created_at=now) if new is None else new
    await enqueue(store, new, now=now)
    (job,) = await claim(
        store,
        now=now,
        worker=worker,
        namespace=new.facts.namespace,
        queues={new.facts.queue: 1},
        types=frozenset({new.facts.type}),
    )
    return job


def reported(job: Job, outcome: Outcome, *, now: int = NOW, policy: Policy = EXACT) -> Transition:
    """What an outcome makes of a job whose handler started at the claim."""
    return decide_report(job, outcome, job.placement.started_at, policy=policy, now=now, rng=a_rng())


def given_back_unstarted(job: Job, outcome: Outcome, *, now: int = NOW, policy: Policy = EXACT) -> Transition:
    """What an outcome makes of a job whose handler never started."""
    return decide_report(job, outcome, None, policy=policy, now=now, rng=a_rng())


def decided(job: Job, event: Event, *, now: int = NOW, policy: Policy = EXACT) -> Transition:
    """What an event makes of a job."""
    return decide(job, event, policy=policy, now=now, rng=a_rng())


async def apply(store: Store, transition: Transition, *, now: int = NOW) -> ApplyAnswer:
    """Writes one transition."""
    (answer,) = await store.apply([transition], now=now)
    return answer


async def settle(
    store: Store, job: Job, outcome: Outcome = SUCCESS, *, now: int = NOW, policy: Policy = EXACT
) -> ApplyAnswer:
    """Reports the outcome of an attempt as a worker's engine does: what is stale is decided again."""
    answer = await apply(store, reported(job, outcome, now=now, policy=policy), now=now)
    while isinstance(answer, Stale):
        answer = await apply(store, reported(answer.job, outcome, now=now, policy=policy), now=now)
    return answer


async def happen(
    store: Store, job: Job, event: Event, *, now: int = NOW, policy: Policy = EXACT
) -> ApplyAnswer:
    """Lets an event happen to a job as it was read."""
    return await apply(store, decided(job, event, now=now, policy=policy), now=now)


async def rescue(store: Store, *, now: int, limit: int = 100) -> Sequence[ApplyAnswer]:
    """Takes away all jobs whose lease has expired."""
    expired = await store.expired(now=now, limit=limit)
    return await store.apply([decided(job, Rescued(), now=now) for job in expired], now=now)


async def renew(store: Store, *jobs: Job, now: int, lease: int = LEASE) -> Renewal:
    """Renews the leases of jobs as their holders know them."""
    async with store.renewer() as renewer:
        return await renewer.renew([holder(job) for job in jobs], now=now, lease_until=now + lease)


async def note(store: Store, job: Job, *, now: int = NOW, **fields: object) -> frozenset[str]:
    """Writes one holder's note."""
    return await store.note([Note(holder=holder(job), **fields)], now=now)  # type: ignore[arg-type]


def holder(job: Job) -> Holder:
    """The holder a claimed job names."""
    return Holder(job_id=job.id, fence=job.fence)

"""What a worker needs of the engine. The worker reports outcomes; deciding happens here."""

import random
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

from headrace.clock import Clock, StoreClock
from headrace.core.batch import is_batch_id
from headrace.core.decide import decide_report
from headrace.core.flow import Parent
from headrace.core.history import outcome_in
from headrace.core.job import WAITED_ON, Job, Transition
from headrace.core.outcomes import Outcome, Report, Succeeded, Suspended
from headrace.core.policy import Policy
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.core.steps import Kept
from headrace.engine.aftermath import Progressed
from headrace.engine.breakers import Ended
from headrace.engine.chunk_work import LocalChunkWork
from headrace.engine.hints import ENDED_HINT
from headrace.engine.local import LocalOperations
from headrace.engine.operations import TypeInfo
from headrace.engine.published import PublishedTypes
from headrace.engine.signalling import heard
from headrace.engine.transactions import Completion, Work, completed_within
from headrace.engine.work_source import Claim, Reported, WorkSource
from headrace.errors import JobNotFound, LeaseLost, StoreUnavailable
from headrace.stores.protocol import (
    Already,
    Applied,
    ApplyAnswer,
    Conflict,
    Holder,
    LogLine,
    Lost,
    Note,
    QueueState,
    Renewal,
    Renewer,
    Stale,
    Store,
    WorkerHello,
)
from headrace.stores.protocol import ClaimRequest as StoreClaim

__all__ = [
    "Claim",
    "Completion",
    "Holder",
    "LocalWork",
    "LogLine",
    "Note",
    "QueueState",
    "Renewal",
    "Renewer",
    "Reported",
    "Work",
    "WorkSource",
    "WorkerHello",
]

_DECIDE_AGAIN: Final = 20
_NONE_WOKEN: Final[Mapping[int, Outcome]] = {}


class LocalWork(LocalChunkWork):
    """A ``WorkSource`` over a store: this process decides."""

    def __init__(self, store: Store, clock: Clock, operations: LocalOperations) -> None:
        self._store = store
        self._clock = clock
        self._operations = operations
        self._namespace = operations.namespace
        self._published = PublishedTypes(store, self._namespace, clock)
        self._rng = random.Random()
        self._claimed: dict[str, Job] = {}
        self._aftermath = operations.aftermath

    @property
    def namespace(self) -> str:
        """The namespace the worker serves."""
        return self._namespace

    @property
    def clock(self) -> Clock:
        """Store time."""
        return self._clock

    async def publish(self, infos: Sequence[TypeInfo]) -> None:
        """Makes the worker's job types known."""
        await self._published.publish(infos)

    async def resample(self) -> int:
        """Takes a fresh sample of store time; returns by how many milliseconds the clock was behind it."""
        if not isinstance(self._clock, StoreClock):
            return 0
        sample = await self._store.now()
        behind = sample - self._clock.now()
        self._clock.anchor(sample)
        return behind

    async def queues(self) -> Sequence[QueueState]:
        """All queues."""
        return await self._store.queues(self._namespace)

    async def claim(self, claim: Claim) -> Sequence[Job]:
        """Claims due jobs and remembers them until they are reported."""
        now = self._clock.now()
        jobs = await self._store.claim(
            StoreClaim(
                namespace=self._namespace,
                worker=claim.worker,
                queues=claim.queues,
                types=claim.types,
                limit=claim.limit,
                now=now,
                lease_until=now + claim.lease_ms,
                prompt=claim.prompt,
            )
        )
        for job in jobs:
            self._claimed[job.facts.id] = job
        if jobs and self._aftermath.claimed.heard:
            self._aftermath.claimed(jobs)
        return jobs

    async def report(self, reports: Sequence[Report]) -> Sequence[Reported]:
        """Decides each outcome and writes all in one op; what went stale is decided again."""
        answers: dict[int, Reported] = {}
        jobs = await self._jobs_of(reports)
        waiting = dict(enumerate(jobs))
        for index in [index for index, job in waiting.items() if job is None]:
            answers[index] = await self._settled_before(reports[index])
            del waiting[index]
        hints = {ENDED_HINT}
        for _ in range(_DECIDE_AGAIN):
            if not waiting:
                break
            waiting = await self._settle(reports, waiting, answers, hints)
        if waiting:
            msg = f"{len(waiting)} outcomes could not be settled: their jobs change too fast"
            raise StoreUnavailable(msg)
        claimed = self._claimed
        for job in jobs:
            if job is not None and claimed.get(job.facts.id) is job:
                del claimed[job.facts.id]
        self._store.wake(self._namespace, frozenset(hints))
        return [answers[index] for index in range(len(reports))]

    async def note(self, notes: Sequence[Note]) -> frozenset[str]:
        """Writes holders' notes; returns the ids whose lease is lost."""
        now = self._clock.now()
        lost = await self._store.note(notes, now=now)
        if self._aftermath.progressed.heard:
            self._tell_progress(notes, lost, now)
        return lost

    async def enqueue(self, parent: Holder, requests: Sequence[EnqueueRequest]) -> tuple[str, ...]:
        """Enqueues children of a running job, if its lease holds."""
        answers = await self._operations.enqueue(requests, parent=parent)
        return tuple(answer.job_id for answer in answers)

    async def parents(self, holder: Holder) -> tuple[Parent, ...]:
        """The parents of the holder's job."""
        return await self._operations.flow_engine.parents(holder.job_id)

    async def kept(self, holder: Holder) -> Kept:
        """What the holder's job has kept of its steps, and its signals."""
        try:
            return await self._store.kept(self._namespace, holder.job_id, now=self._clock.now())
        except JobNotFound as error:
            raise LeaseLost(holder.job_id, holder.fence) from error

    async def transaction(self, holder: Holder, work: Work, completion: Completion) -> object:
        """Runs ``work`` in a transaction that also completes the holder's job; returns its value."""
        job = self._claimed.get(holder.job_id)
        if job is None or job.fence != holder.fence:
            raise LeaseLost(holder.job_id, holder.fence)
        policy = await self._policy(job)
        decided: list[Transition] = []

        def decider(current: Job, report: Report) -> Transition:
            now = self._clock.now()
            decided[:] = [
                decide_report(
                    current, report.outcome, report.started_at, policy=policy, now=now, rng=self._rng
                )
            ]
            return decided[0]

        value = await completed_within(self._store, job, work, completion=completion, decider=decider)
        self._store.wake(self._namespace, frozenset({ENDED_HINT}))
        self._aftermath.tell_of_parents(decided)
        self._aftermath.settled(decided)
        if policy.breaker is not None:
            done = Ended(rule=policy.breaker, job=job, outcome=Succeeded())
            await self._operations.breaker_engine.ended((done,))
        self._member_ended(job)
        return value

    def renewer(self) -> AbstractAsyncContextManager[Renewer]:
        """A renewer for the event loop of the calling thread."""
        return self._store.renewer()

    async def hello(self, hello: WorkerHello) -> None:
        """Says that the worker is alive."""
        await self._store.hello(hello)

    async def goodbye(self, worker: str) -> None:
        """Says that the worker has stopped."""
        await self._store.goodbye(self._namespace, worker)

    async def woken(self, queues: frozenset[str] | None, *, timeout_ms: int) -> bool:
        """Waits for a hint of work, or for the time-out."""
        return await self._store.woken(self._namespace, queues, timeout_ms=timeout_ms)

    async def _jobs_of(self, reports: Sequence[Report]) -> list[Job | None]:
        """The jobs as this worker claimed them; those it does not remember are read.

        Only a job that is still held under the reported fence can be decided on. An attempt that
        was settled before shows the same fence on a job that moved on, which the store answers.
        """
        jobs = [self._remembered(report) for report in reports]
        if missing := [report.job_id for report, job in zip(reports, jobs, strict=True) if job is None]:
            found = await self._store.get(self._namespace, missing)
            for index, report in enumerate(reports):
                if jobs[index] is None:
                    fresh = found.get(report.job_id)
                    jobs[index] = fresh if fresh is not None and _holds(fresh, report) else None
        return jobs

    async def _settled_before(self, report: Report) -> Reported:
        """The answer for an attempt that is not open: it was reported before, or its lease was lost."""
        try:
            history = await self._store.history(self._namespace, report.job_id)
        except JobNotFound:
            return Reported(job_id=report.job_id, lost=True)
        return Reported(job_id=report.job_id, lost=outcome_in(history, report.fence) is None)

    def _remembered(self, report: Report) -> Job | None:
        job = self._claimed.get(report.job_id)
        return job if job is not None and job.fence == report.fence else None

    async def _settle(
        self,
        reports: Sequence[Report],
        waiting: Mapping[int, Job | None],
        answers: dict[int, Reported],
        hints: set[str],
    ) -> dict[int, Job | None]:
        """One round: decides and applies all that wait; returns what must be decided again."""
        now = self._clock.now()
        policies: dict[tuple[str, int], Policy] = {}
        transitions = await self._decided(reports, waiting, policies, now)
        again: dict[int, Job | None] = {}
        results = await self._store.apply(transitions, now=now)
        for index, transition, result in zip(waiting, transitions, results, strict=True):
            report = reports[index]
            match result:
                case Applied():
                    after = transition.placement
                    answers[index] = Reported(
                        job_id=report.job_id, lost=False, state=after.state, due_at=after.due_at
                    )
                    if after.due_at is not None and after.due_at <= now:
                        hints.add(transition.job.facts.queue)
                    elif transition.job.facts.batch_id is not None and after.terminal:
                        self._member_ended(transition.job)
                case Already():
                    answers[index] = Reported(job_id=report.job_id, lost=False)
                case Stale(job=fresh) if _holds(fresh, report):
                    again[index] = fresh
                case Stale() | Lost() | Conflict():
                    answers[index] = Reported(job_id=report.job_id, lost=True)
        self._tell_parents(transitions, results)
        if any(policy.breaker is not None for policy in policies.values()):
            await self._tell_breakers(reports, waiting, results, policies)
        self._tell_settled(transitions, results)
        return again

    async def _decided(
        self,
        reports: Sequence[Report],
        waiting: Mapping[int, Job | None],
        policies: dict[tuple[str, int], Policy],
        now: int,
    ) -> list[Transition]:
        """What becomes of all that wait; the policies by which it was decided are noted."""
        transitions: list[Transition] = []
        rng = self._rng
        woken = await self._woken(reports, waiting, now)
        for index, job in waiting.items():
            assert job is not None  # noqa: S101 - unknown jobs were answered before
            report, facts = reports[index], job.facts
            policy = policies.get((facts.type, facts.version))
            if policy is None:
                policy = policies[facts.type, facts.version] = await self._policy(job)
            outcome = woken.get(index, report.outcome) if woken else report.outcome
            transitions.append(
                decide_report(job, outcome, report.started_at, policy=policy, now=now, rng=rng)
            )
        return transitions

    def _tell_parents(self, transitions: Sequence[Transition], results: Sequence[ApplyAnswer]) -> None:
        """Tells of those that ended and that others wait for. To any other job it costs a comparison."""
        marked = [place for place, one in enumerate(transitions) if one.job.revision >= WAITED_ON]
        if marked:
            applied = [transitions[place] for place in marked if isinstance(results[place], Applied)]
            self._aftermath.tell_of_parents(applied)

    async def _tell_breakers(
        self,
        reports: Sequence[Report],
        waiting: Mapping[int, Job | None],
        results: Sequence[ApplyAnswer],
        policies: Mapping[tuple[str, int], Policy],
    ) -> None:
        ended: list[Ended] = []
        for (index, job), result in zip(waiting.items(), results, strict=True):
            if job is None or not isinstance(result, Applied):
                continue
            rule = policies[job.facts.type, job.facts.version].breaker
            if rule is not None:
                ended.append(Ended(rule=rule, job=job, outcome=reports[index].outcome))
        await self._operations.breaker_engine.ended(ended)

    def _tell_settled(self, transitions: Sequence[Transition], results: Sequence[ApplyAnswer]) -> None:
        if self._aftermath.settled.heard:
            pairs = zip(transitions, results, strict=True)
            self._aftermath.settled([one for one, result in pairs if isinstance(result, Applied)])

    def _tell_progress(self, notes: Sequence[Note], lost: frozenset[str], now: int) -> None:
        news = [
            Progressed(job=job, progress=note.progress, at=now)
            for note in notes
            if note.progress is not None
            and note.holder.job_id not in lost
            and (job := self._claimed.get(note.holder.job_id)) is not None
        ]
        if news:
            self._aftermath.progressed(news)

    def _member_ended(self, job: Job) -> None:
        if is_batch_id(job.facts.batch_id):
            self._operations.batch_engine.checks.ask((job.facts.batch_id,))

    async def _woken(
        self, reports: Sequence[Report], waiting: Mapping[int, Job | None], now: int
    ) -> Mapping[int, Outcome]:
        """What is written instead for jobs whose signal has come while they ended to wait for it."""
        if any(type(reports[index].outcome) is Suspended for index in waiting):
            return await heard(self._store, self._namespace, reports, waiting, now)
        return _NONE_WOKEN

    async def _policy(self, job: Job) -> Policy:
        cached = self._published.cached_policy(job.facts.type, job.facts.version)
        return cached or await self._published.policy(job.facts.type, job.facts.version)


def _holds(job: Job, report: Report) -> bool:
    return job.fence == report.fence and job.state is State.PROCESSING

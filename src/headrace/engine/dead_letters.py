"""Dead letters over a store: found, run again, discarded."""

import json
import math
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from headrace.core.batch import is_batch_id
from headrace.core.dead import (
    DEAD_LETTER_TAG,
    REDRIVE_TAG,
    Bulk,
    DeadFilter,
    DeadLetterView,
    DeathCount,
    Discarded,
    checked_reason,
    is_dead_letter,
)
from headrace.core.decide import decide
from headrace.core.filters import JobFilter, Page, dump_cursor, load_cursor
from headrace.core.job import Job, Transition
from headrace.core.outcomes import DealtWith, RedriveAsked
from headrace.core.policy import MAX_DURATION_MS
from headrace.core.request import MAX_TAGS, EnqueueRequest
from headrace.core.states import State
from headrace.core.wire import MAX_INSTANT_MS, Json
from headrace.engine.aftermath import Aftermath
from headrace.engine.published import PublishedTypes
from headrace.engine.replaying import REPLAY_TAG, replayed
from headrace.errors import InvalidInput, NotADeadLetter, NotFound, Refused, StoreUnavailable
from headrace.stores.protocol import Applied, Conflict, JobPage, NewJob, Record, Stale, Store

DISCARDS: Final = "discard"
"""The kind of the records that tell why dead letters were discarded."""

MAX_PER_SECOND: Final = 100_000.0
_TRIES: Final = 20
_LOOKS: Final = 10
_CHANGED: Final = "somebody changed it meanwhile"

Change = Callable[[str, RedriveAsked | DealtWith], Awaitable[Job]]


class Preparing(Protocol):
    """What dead letters need of the operations they are part of."""

    @property
    def aftermath(self) -> Aftermath:
        """Where changes of jobs are told."""
        ...

    def now(self) -> int:
        """Store time."""
        ...

    async def job(self, job_id: str) -> Job:
        """One job. Raises JobNotFound."""
        ...

    async def prepared(self, requests: Sequence[EnqueueRequest], now: int) -> Sequence[NewJob]:
        """The jobs that are asked for, checked."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    """One stretch of a bulk: its jobs, how many came before them, and where it goes on."""

    jobs: Sequence[Job]
    number: int
    died_before: int
    following: str | None

    def answer(self, refused: Mapping[str, str]) -> Bulk:
        """What is told of the stretch, but for the jobs that were refused."""
        number = self.number + len(self.jobs)
        following = self.following
        cursor = None if following is None else dump_cursor(following, number, self.died_before)
        return Bulk(done=len(self.jobs) - len(refused), refused=refused, cursor=cursor)


class DeadLetters:
    """The dead letters of one namespace. ``change`` lets an event happen to one job."""

    def __init__(self, engine: Preparing, store: Store, published: PublishedTypes, change: Change) -> None:
        self._engine = engine
        self._store = store
        self._published = published
        self._change = change
        self._namespace = engine.aftermath.namespace
        self._rng = random.Random()

    async def page(self, wanted: DeadFilter, page: Page) -> JobPage:
        """A page of dead letters, the latest death first. It may be short, or empty, and have a cursor."""
        found: list[Job] = []
        cursor = page.before
        for _ in range(_LOOKS):
            rest = Page(limit=page.limit - len(found), before=cursor)
            part = await self._store.dead(self._namespace, wanted, rest)
            found += [job for job in part.jobs if wanted.fits(job)]
            cursor = part.cursor
            if cursor is None or len(found) == page.limit:
                break
        return JobPage(jobs=tuple(found), cursor=cursor)

    async def counts(self) -> tuple[DeathCount, ...]:
        """How many there are of each type and queue."""
        return tuple(await self._store.dead_counts(self._namespace))

    async def view(self, job_id: str) -> DeadLetterView:
        """One failed job with what became of it. Raises JobNotFound."""
        job = await self._engine.job(job_id)
        kept = (await self._store.records(self._namespace, DISCARDS, (job_id,))).get(job_id)
        # a job that was retried after it was discarded is none that somebody gave up
        given_up = kept is not None and job.state is State.FAILED and not is_dead_letter(job)
        discarded = None
        if kept is not None and given_up:
            discarded = Discarded(at=kept.at, reason=json.loads(kept.body)["reason"])
        return DeadLetterView(
            job=job,
            discarded=discarded,
            replaced_by=(
                *await self._tagged(REDRIVE_TAG + job_id),
                *await self._tagged(DEAD_LETTER_TAG + job_id),
            ),
        )

    async def redrive(
        self, job_id: str, *, payload: Json = None, priority: int | None = None, delay_ms: int = 0
    ) -> Job:
        """Runs a failed job again, by itself or by a new job with another payload."""
        if not 0 <= delay_ms <= MAX_DURATION_MS:
            raise InvalidInput("delay must lie between 0 and 1,000 years", field="delay")
        job = await self._engine.job(job_id)
        asked = EnqueueRequest(type=job.facts.type, payload=payload, queue=job.facts.queue, priority=priority)
        if payload is not None:
            return await self._edited(job, asked, delay_ms)
        if job.state is not State.FAILED:
            raise NotADeadLetter(job_id, job.state)
        again = await self._change(job_id, RedriveAsked(priority=priority, delay_ms=delay_ms))
        self._wake(job)
        return again

    async def redrive_many(
        self, wanted: DeadFilter, *, per_second: float | None, limit: int, cursor: str | None
    ) -> Bulk:
        """Runs the next dead letters of the filter again."""
        gap = _gap_ms(per_second)
        walk = await self._walk(wanted, limit, cursor)
        asked = {
            job.id: RedriveAsked(delay_ms=min(round((walk.number + n) * gap), MAX_DURATION_MS))
            for n, job in enumerate(walk.jobs)
        }
        # a member of a batch takes its batch along, which is one op for each
        members = [job for job in walk.jobs if is_batch_id(job.facts.batch_id)]
        others = [job for job in walk.jobs if not is_batch_id(job.facts.batch_id)]
        refused = await self._applied(others, asked)
        for job in members:
            try:
                await self._change(job.id, asked[job.id])
            except (Refused, NotFound) as error:
                refused[job.id] = str(error)
        self._wake(*walk.jobs)
        return walk.answer(refused)

    async def discard(self, job_id: str, *, reason: str) -> Job:
        """Has a dead letter erased after a while. Raises JobNotFound, NotADeadLetter, InvalidInput."""
        checked_reason(reason)
        job = await self._change(job_id, DealtWith())
        await self._note_discards((job,), reason)
        return job

    async def discard_many(self, wanted: DeadFilter, *, reason: str, limit: int, cursor: str | None) -> Bulk:
        """Discards the next dead letters of the filter."""
        checked_reason(reason)
        walk = await self._walk(wanted, limit, cursor)
        refused = await self._applied(walk.jobs, dict.fromkeys((job.id for job in walk.jobs), DealtWith()))
        await self._note_discards([job for job in walk.jobs if job.id not in refused], reason)
        return walk.answer(refused)

    async def _walk(self, wanted: DeadFilter, limit: int, cursor: str | None) -> _Walk:
        """The next stretch. What dies after the first one began is left alone, or it might never end."""
        before, number, end = None, 0, self._engine.now() + 1
        if cursor is not None:
            before, number, end = load_cursor(cursor, (str, int, int))
        page = Page(limit=limit, before=None if before is None else str(before))
        found = await self.page(wanted.before(int(end)), page)
        return _Walk(jobs=found.jobs, number=int(number), died_before=int(end), following=found.cursor)

    async def _applied(
        self, jobs: Sequence[Job], events: Mapping[str, RedriveAsked | DealtWith]
    ) -> dict[str, str]:
        """Lets an event happen to each job in one op; returns which were refused, and why."""
        now = self._engine.now()
        decided: list[Transition] = []
        for job in jobs:
            policy = await self._published.policy(job.facts.type, job.facts.version)
            decided.append(decide(job, events[job.id], policy=policy, now=now, rng=self._rng))
        answers = await self._store.apply(decided, now=now)
        refused: dict[str, str] = {}
        applied: list[Transition] = []
        for one, answer in zip(decided, answers, strict=True):
            match answer:
                case Applied():
                    applied.append(one)
                case Conflict(existing=existing):
                    refused[one.job.id] = f"its unique key is held by job {existing}"
                case _:
                    refused[one.job.id] = _CHANGED
        self._engine.aftermath.tell_of_parents(applied)
        self._engine.aftermath.settled(applied)
        return refused

    async def _edited(self, job: Job, asked: EnqueueRequest, delay_ms: int) -> Job:
        """A new job with another payload in the place of a dead letter."""
        for _ in range(_TRIES):
            now = self._engine.now()
            policy = await self._published.policy(job.facts.type, job.facts.version)
            transition = decide(job, DealtWith(), policy=policy, now=now, rng=self._rng)
            (checked,) = await self._engine.prepared((asked,), now)
            new = _instead(job, checked, asked.priority, now, min(now + delay_ms, MAX_INSTANT_MS))
            match await self._store.stand_in(self._namespace, new, transition, now=now):
                case Applied():
                    self._engine.aftermath.inserted((new,))
                    self._engine.aftermath.tell_of_parents((transition,))
                    self._engine.aftermath.settled((transition,))
                    self._wake(job)
                    return await self._engine.job(new.facts.id)
                case Stale(job=fresh):
                    job = fresh
                case _:
                    job = await self._engine.job(job.id)
        msg = f"job {job.id} changes too fast to decide on; try again"
        raise StoreUnavailable(msg)

    async def _note_discards(self, jobs: Sequence[Job], reason: str) -> None:
        if not jobs:
            return
        now = self._engine.now()
        body = json.dumps({"reason": reason}, ensure_ascii=False)
        kept: list[Record] = []
        for job in jobs:
            policy = await self._published.policy(job.facts.type, job.facts.version)
            until = now + policy.retention.discarded_age_ms
            kept.append(Record(key=job.id, at=now, body=body, until=until))
        await self._store.append(self._namespace, DISCARDS, kept)

    async def _tagged(self, tag: str) -> Sequence[str]:
        found = await self._store.find(self._namespace, JobFilter(tag=tag), Page())
        return [job.id for job in found.jobs]

    def _wake(self, *jobs: Job) -> None:
        self._store.wake(self._namespace, frozenset(job.facts.queue for job in jobs))


def _instead(job: Job, checked: NewJob, priority: int | None, now: int, due_at: int) -> NewJob:
    """The new job: as the old one was made, but for its payload. It belongs to no batch."""
    new = replayed(job, job_id=checked.facts.id, now=now)
    tags = [tag for tag in job.facts.tags if not tag.startswith((REPLAY_TAG, REDRIVE_TAG))]
    facts = replace(
        new.facts,
        payload=checked.facts.payload,
        version=checked.facts.version,
        tags=(*tags[: MAX_TAGS - 1], REDRIVE_TAG + job.id),
    )
    placement = replace(
        new.placement,
        priority=new.placement.priority if priority is None else priority,
        due_at=due_at,
        rank=due_at,
    )
    return replace(new, facts=facts, placement=placement)


def _gap_ms(per_second: float | None) -> float:
    if per_second is None:
        return 0.0
    if not (math.isfinite(per_second) and 0 < per_second <= MAX_PER_SECOND):
        msg = f"the rate must be more than 0 and at most {MAX_PER_SECOND:.0f} a second"
        raise InvalidInput(msg, field="perSecond")
    return 1000 / per_second

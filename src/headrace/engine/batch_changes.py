"""Cancelling and retrying members of batches."""

import random
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Final

from headrace.clock import Clock
from headrace.core.batch import Phase, back_in_line
from headrace.core.decide import decide
from headrace.core.filters import JobFilter, Page
from headrace.core.job import Job, Transition
from headrace.core.outcomes import CancelAsked, RedriveAsked, RetryAsked
from headrace.core.states import LIVE, State
from headrace.engine.aftermath import Aftermath
from headrace.engine.batch_closing import TRIES, Closing, swap_of, too_busy
from headrace.engine.published import PublishedTypes
from headrace.errors import DuplicateJob, IllegalMove, JobNotFound, NotADeadLetter, StaleRegister
from headrace.stores.protocol import Applied, ApplyAnswer, Conflict, Stale, Store

AT_ONCE: Final = 500


class Changes:
    """Changes the members of one namespace's batches, so many at once."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        closing: Closing,
        *,
        published: PublishedTypes,
        aftermath: Aftermath,
    ) -> None:
        self._store = store
        self._clock = clock
        self._closing = closing
        self._namespace = aftermath.namespace
        self._published = published
        self._aftermath = aftermath
        self._rng = random.Random()

    async def cancel_all(self, name: str) -> int:
        """Cancels members that wait and asks those that run to stop; returns how many there were."""
        count = 0
        async for jobs in self._pages(name, LIVE):
            count += await self._cancel(name, [job for job in jobs if job.placement.cancel_asked_at is None])
        return count

    async def retry_failed(self, name: str) -> int:
        """Runs failed members again, but for those whose unique key is taken by now; returns how many."""
        count = 0
        async for jobs in self._pages(name, frozenset({State.FAILED})):
            answers = await self._reopen(name, jobs, RetryAsked())
            count += sum(isinstance(answer, Applied) for answer in answers.values())
        return count

    async def retry(self, name: str, job: Job, asked: RetryAsked | RedriveAsked) -> None:
        """Runs one failed or cancelled member again. Raises JobNotFound, IllegalMove, DuplicateJob."""
        answers = await self._reopen(name, (job,), asked)
        match answers.get(job.id):
            case Applied():
                return
            case Conflict(existing=existing):
                raise DuplicateJob(job.facts.unique_key or "", existing)
            case _:
                found = await self._store.get(self._namespace, (job.id,))
                if job.id not in found:
                    raise JobNotFound(job.id)
                raise IllegalMove(job.id, found[job.id].state, "retry")

    async def _reopen(
        self, name: str, jobs: Sequence[Job], asked: RetryAsked | RedriveAsked
    ) -> Mapping[str, ApplyAnswer]:
        """Retries members and writes the batch in the same op; an answer for each where it was legal."""
        answers: dict[str, ApplyAnswer] = {}
        waiting = jobs
        for attempt in range(TRIES):
            register, batch = await self._closing.one(name)
            if batch.phase is Phase.CLOSING:
                await self._closing.finish(register, batch)  # it owes the callbacks of this generation
                continue
            now = self._clock.now()
            decided = await self._decided(waiting, asked, now)
            if not decided:
                return answers
            if batch.sequential:
                decided = [back_in_line(one, batch) for one in decided]
            swap = swap_of(register, batch.reopened(now), now)
            try:
                told = await self._store.apply(decided, now=now, swaps=(swap,))
            except StaleRegister:
                await self._closing.pause(attempt)
                continue
            self._store.wake(self._namespace, frozenset(one.job.facts.queue for one in decided))
            self._tell(decided, told)
            answers |= {one.job.id: answer for one, answer in zip(decided, told, strict=True)}
            waiting = [answer.job for answer in told if isinstance(answer, Stale)]
        raise too_busy((name,))

    async def _cancel(self, name: str, jobs: Sequence[Job]) -> int:
        waiting = jobs
        count = 0
        for _ in range(TRIES):
            now = self._clock.now()
            decided = await self._decided(waiting, CancelAsked(), now)
            if not decided:
                return count
            told = await self._store.apply(decided, now=now)
            self._tell(decided, told)
            count += sum(isinstance(answer, Applied) for answer in told)
            waiting = [answer.job for answer in told if isinstance(answer, Stale)]
        raise too_busy((name,))

    def _tell(self, decided: Sequence[Transition], answers: Sequence[ApplyAnswer]) -> None:
        pairs = zip(decided, answers, strict=True)
        applied = [one for one, answer in pairs if isinstance(answer, Applied)]
        self._aftermath.tell_of_parents(applied)
        if self._aftermath.settled.heard:
            self._aftermath.settled(applied)

    async def _decided(
        self, jobs: Collection[Job], event: CancelAsked | RetryAsked | RedriveAsked, now: int
    ) -> list[Transition]:
        """What the event makes of the jobs for which it is legal."""
        decided: list[Transition] = []
        for job in jobs:
            policy = await self._published.policy(job.facts.type, job.facts.version)
            with suppress(IllegalMove, NotADeadLetter):  # it ended, or runs again, meanwhile
                decided.append(decide(job, event, policy=policy, now=now, rng=self._rng))
        return decided

    async def _pages(self, name: str, states: frozenset[State]) -> AsyncGenerator[Sequence[Job]]:
        wanted = JobFilter(batch_id=name, states=states)
        cursor = None
        while True:
            page = await self._store.find(self._namespace, wanted, Page(limit=AT_ONCE, before=cursor))
            if page.jobs:
                yield page.jobs
            cursor = page.cursor
            if cursor is None:
                return

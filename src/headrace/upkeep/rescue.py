"""Takes jobs away from holders that stopped renewing.

A lease that ran out does not prove that its worker died: the store may have been away or be another
server by now, the clock may have jumped, this very process may have slept. After any of these every worker
gets one lease to renew before anything is taken away (C21). A renewal that comes between reading and
writing wins, because the write itself asks whether the lease is still expired (C14).
"""

import random
from collections.abc import Sequence
from typing import Final

from headrace.clock import Clock, StoreClock
from headrace.core.batch import is_batch_id
from headrace.core.decide import decide
from headrace.core.job import Job, Transition
from headrace.core.outcomes import Rescued
from headrace.engine.aftermath import Aftermath
from headrace.engine.batch_closing import Closing
from headrace.engine.published import PublishedTypes
from headrace.errors import StoreError
from headrace.stores.protocol import Applied, Store
from headrace.upkeep.chore import ChoreResult

LIMIT: Final = 200
CLOCK_STEP_MS: Final = 1_000


class Rescue:
    """The chore. ``hold_off_ms`` is how long workers have to renew after an outage: one lease.

    ``aftermath`` is told of the jobs of its namespace.
    """

    name = "rescue"

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        every_ms: int = 5_000,
        hold_off_ms: int = 30_000,
        aftermath: Aftermath | None = None,
    ) -> None:
        self.every_ms = every_ms
        self._store = store
        self._clock = clock
        self._hold_off_ms = hold_off_ms
        self._aftermath = aftermath
        self._not_before = 0
        self._last_now: int | None = None
        self._incarnation: str | None = None
        self._published: dict[str, PublishedTypes] = {}
        self._rng = random.Random()

    async def run_once(self) -> ChoreResult:
        try:
            if await self._clock_stepped() or self._slept() or await self._store_came_back():
                self._hold_off()
            now = self._clock.now()
            if now < self._not_before:
                return ChoreResult(details={"held_off_ms": self._not_before - now})
            return await self._rescue(now)
        except StoreError:
            self._hold_off()
            raise

    async def _rescue(self, now: int) -> ChoreResult:
        expired = await self._store.expired(now=now, limit=LIMIT)
        if not expired:
            return ChoreResult()
        transitions = [await self._decide(job, now) for job in expired]
        answers = await self._store.apply(transitions, now=now)
        rescued = [
            transition
            for transition, answer in zip(transitions, answers, strict=True)
            if isinstance(answer, Applied)
        ]
        self._wake(rescued, now)
        self._tell(rescued)
        await self._look_at_batches(rescued)
        return ChoreResult(done=len(rescued), more=len(expired) == LIMIT and bool(rescued))

    async def _decide(self, job: Job, now: int) -> Transition:
        namespace = job.facts.namespace
        published = self._published.get(namespace)
        if published is None:
            published = self._published[namespace] = PublishedTypes(self._store, namespace, self._clock)
        policy = await published.policy(job.facts.type, job.facts.version)
        return decide(job, Rescued(), policy=policy, now=now, rng=self._rng)

    async def _clock_stepped(self) -> bool:
        """Takes a sample of store time, so that no decision rests on an old one; whether it jumped."""
        expected, sample = self._clock.now(), await self._store.now()
        if not isinstance(self._clock, StoreClock):
            return False
        self._clock.anchor(sample)
        return abs(sample - expected) > CLOCK_STEP_MS

    async def _store_came_back(self) -> bool:
        """Whether another server answers than before: the workers' connections to the old one are gone."""
        last, self._incarnation = self._incarnation, await self._store.incarnation()
        return last not in {None, self._incarnation}

    def _slept(self) -> bool:
        """Whether this process, or its machine, did not run for so long that others may have slept too."""
        last, self._last_now = self._last_now, self._clock.now()
        return (
            isinstance(self._clock, StoreClock)
            and last is not None
            and self._last_now - last > self.every_ms + self._hold_off_ms
        )

    def _hold_off(self) -> None:
        self._not_before = self._clock.now() + self._hold_off_ms

    async def _look_at_batches(self, rescued: Sequence[Transition]) -> None:
        """Closes the batches whose last member a rescue has ended."""
        ended: dict[str, set[str]] = {}
        for transition in rescued:
            facts = transition.job.facts
            if transition.placement.terminal and is_batch_id(facts.batch_id):
                ended.setdefault(facts.namespace, set()).add(facts.batch_id)
        for namespace, batches in ended.items():
            await Closing(self._store, self._clock, namespace=namespace).check(batches)

    def _tell(self, rescued: Sequence[Transition]) -> None:
        told = self._aftermath
        if told is None:
            return
        here = [one for one in rescued if one.job.facts.namespace == told.namespace]
        told.tell_of_parents(here)
        if told.settled.heard:
            told.settled(here)

    def _wake(self, rescued: Sequence[Transition], now: int) -> None:
        woken: dict[str, set[str]] = {}
        for transition in rescued:
            due = transition.placement.due_at
            if due is not None and due <= now:
                woken.setdefault(transition.job.facts.namespace, set()).add(transition.job.facts.queue)
        for namespace, queues in woken.items():
            self._store.wake(namespace, frozenset(queues))

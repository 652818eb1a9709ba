"""Dead-letter queues: for each job that failed for good, a job that tells of it.

The failed job is dealt with in the op that inserts the other one, so that there is exactly one for each
time it failed, whoever finds it and however often somebody dies on the way.
"""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Final

from headrace.clock import Clock
from headrace.core.dead import (
    DEAD_LETTER_TAG,
    DEAD_LETTER_TYPE,
    DeadFilter,
    DeadQueue,
    letter_id,
    letter_payload,
)
from headrace.core.decide import decide
from headrace.core.filters import Page
from headrace.core.ids import checked_name
from headrace.core.job import Job
from headrace.core.outcomes import DealtWith
from headrace.core.policy import Policy
from headrace.core.request import EnqueueRequest
from headrace.engine.enqueue import new_job
from headrace.engine.keys import lane_if_known
from headrace.engine.operations import Runs, TypeInfo
from headrace.engine.published import PublishedTypes
from headrace.errors import StoreUnavailable
from headrace.stores.protocol import Applied, NewJob, Store, Swap

PREFIX: Final = "dead-queue:"
_TRIES: Final = 20


class DeadLetterQueues:
    """The dead-letter queues of one namespace."""

    def __init__(self, store: Store, clock: Clock, published: PublishedTypes, namespace: str) -> None:
        self._store = store
        self._clock = clock
        self._published = published
        self._namespace = namespace
        self._rng = random.Random()

    async def of_queues(self) -> Mapping[str, DeadQueue]:
        """The queues that have one, by name."""
        found = await self._store.scan(self._namespace, PREFIX)
        return {one.key.removeprefix(PREFIX): DeadQueue(**json.loads(one.value)) for one in found}

    async def set(self, queue: str, target: DeadQueue | None) -> None:
        """Gives a queue a dead-letter queue, or takes it away."""
        key = PREFIX + checked_name(queue, "queue")
        value = None if target is None else json.dumps(asdict(target))
        for _ in range(_TRIES):
            known = (await self._store.read(self._namespace, (key,))).get(key)
            if (None if known is None else known.value) == value:
                return
            swap = Swap(key=key, revision=0 if known is None else known.revision, value=value)
            if await self._store.swap(self._namespace, (swap,)):
                return
        msg = f"the dead-letter queue of {queue!r} changes too fast; try again"
        raise StoreUnavailable(msg)

    async def sweep(self, since: int, cursor: str | None, limit: int) -> tuple[int, str | None]:
        """Puts the jobs of one stretch of dead letters where they belong; returns how many, and what follows.

        The stretch holds at most so many of those that died at ``since`` or later.
        """
        types = await self._types()
        queues = await self.of_queues()
        if not types and not queues:
            return 0, None
        # all, where both are asked for: a job of such a type may be on any queue
        wanted = DeadFilter(
            types=frozenset() if queues else types,
            queues=frozenset() if types else frozenset(queues),
            died_after=since,
        )
        found = await self._store.dead(self._namespace, wanted, Page(limit=limit, before=cursor))
        put = 0
        woken: set[str] = set()
        for job in found.jobs:
            policy = await self._published.policy(job.facts.type, job.facts.version)
            target = target_of(job, policy, queues.get)
            if target is not None and await self._put(job, policy, target):
                put += 1
                woken.add(target.queue)
        if woken:
            self._store.wake(self._namespace, frozenset(woken))
        return put, found.cursor

    async def _types(self) -> frozenset[str]:
        found = await self._published.all()
        return frozenset(info.name for info in found if info.policy.dead_letter_queue is not None)

    async def _put(self, job: Job, policy: Policy, target: DeadQueue) -> bool:
        """Puts the job for one dead letter; False if somebody has dealt with it meanwhile."""
        now = self._clock.now()
        transition = decide(job, DealtWith(), policy=policy, now=now, rng=self._rng)
        letter = await self._letter(job, target, now)
        answer = await self._store.stand_in(self._namespace, letter, transition, now=now)
        return isinstance(answer, Applied)

    async def _letter(self, job: Job, target: DeadQueue, now: int) -> NewJob:
        info = await self._published.latest(target.type) or _unknown(target)
        request = EnqueueRequest(type=info.name, queue=target.queue, tags=(DEAD_LETTER_TAG + job.id,))
        payload = letter_payload(job)
        return new_job(
            request,
            info,
            payload,
            job_id=letter_id(job),
            namespace=self._namespace,
            now=now,
            lane=lane_if_known(request, info, payload),
        )


def target_of(job: Job, policy: Policy, of_queue: Callable[[str], DeadQueue | None]) -> DeadQueue | None:
    """Where a failed job goes: as its type says, else its queue. What came from there goes nowhere else."""
    if any(tag.startswith(DEAD_LETTER_TAG) for tag in job.facts.tags):
        return None
    if policy.dead_letter_queue is not None:
        job_type = policy.dead_letter_type or DEAD_LETTER_TYPE
        return DeadQueue(queue=policy.dead_letter_queue, type=job_type)
    return of_queue(job.facts.queue)


def _unknown(target: DeadQueue) -> TypeInfo:
    """A type that no worker has published: its jobs wait until one has."""
    return TypeInfo(
        name=target.type,
        version=1,
        queue=target.queue,
        priority=0,
        runs=Runs.ASYNC,
        policy=Policy(),
        schema={},
    )

"""Makes the jobs of schedules when their instants come.

Any number of processes may do this at once. A fire and the step to the next instant are one op, which the
register's revision lets only one of them do (C32); who comes second finds the register changed and lets go.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from headrace.clock import Clock
from headrace.core import scheduled
from headrace.core.firing import Firing
from headrace.core.scheduled import KIND, Schedule, dumps, loads
from headrace.core.wire import MAX_INSTANT_MS
from headrace.engine.local import LocalOperations
from headrace.engine.published import PublishedTypes
from headrace.engine.queues import Queues
from headrace.engine.schedules import fired_job
from headrace.errors import StaleRegister, StoreError, UnknownJobType
from headrace.mint import IdMint
from headrace.stores.protocol import NewJob, Register, Store, Swap
from headrace.upkeep.chore import ChoreResult

LIMIT: Final = 20
NONE_MS: Final = 5_000
SPREAD_MS: Final = 20
PUT_OFF_MS: Final = 5_000
ERROR_CHARS: Final = 500


class FireSchedules:
    """Looks once a second while there is any schedule to come, and exactly when the next one is due."""

    name = "fire_schedules"

    def __init__(self, store: Store, clock: Clock, *, every_ms: int = 1_000) -> None:
        self.every_ms = every_ms
        self._store = store
        self._clock = clock
        self._rng = random.Random()
        self._ids = IdMint(self._rng)
        self._published: dict[str, PublishedTypes] = {}
        self._queues: dict[str, Queues] = {}

    async def run_once(self) -> ChoreResult:
        now = self._clock.now()
        # One look gives what is due and, behind it, when the next one will be.
        ahead = await self._store.due(KIND, now=MAX_INSTANT_MS, limit=LIMIT)
        due = [(namespace, one) for namespace, one in ahead if one.due_at is not None and one.due_at <= now]
        if not due:
            return ChoreResult(again_in_ms=self._pause(ahead[0][1].due_at if ahead else None, now))
        # together, so that one commit can serve them all
        made = await asyncio.gather(*(self._fired(namespace, one, now) for namespace, one in due))
        self._wake([job for jobs in made for job in jobs])
        return ChoreResult(done=sum(map(len, made)), more=True)

    def _pause(self, next_due: int | None, now: int) -> int:
        """Until the next one is due, and never long: another process may put one that is due earlier."""
        if next_due is None:
            return NONE_MS
        # not all schedulers at the same moment: one of them is enough
        return min(next_due - now + self._rng.randrange(SPREAD_MS), self.every_ms)

    def _wake(self, jobs: Sequence[NewJob]) -> None:
        woken: defaultdict[str, set[str]] = defaultdict(set)
        for job in jobs:
            woken[job.facts.namespace].add(job.facts.queue)
        for namespace, queues in woken.items():
            self._store.wake(namespace, frozenset(queues))

    async def _fired(self, namespace: str, register: Register, now: int) -> list[NewJob]:
        """Makes the jobs of one schedule; none if another scheduler was first."""
        try:
            schedule = loads(register.value)
            done = schedule.firing(now)
            jobs = await self._jobs(namespace, schedule, done, now)
            after = scheduled.fired(schedule, done, now=now)
            swap = Swap(key=register.key, revision=register.revision, value=dumps(after), due_at=after.due_at)
            insert = partial(self._store.insert, namespace, jobs, now=now, swaps=(swap,))
            await self._queues_of(namespace).insert(jobs, insert)
        except StaleRegister:
            return []
        except StoreError:
            raise
        except Exception as error:  # boundary: one schedule that cannot fire must not hold up the others
            await self._put_off(namespace, register, error, now)
            return []
        return jobs

    async def _jobs(self, namespace: str, schedule: Schedule, done: Firing, now: int) -> list[NewJob]:
        if not done.fires:
            return []
        published = self._published.get(namespace)
        if published is None:
            published = self._published[namespace] = PublishedTypes(self._store, namespace, self._clock)
        info = await published.latest(schedule.request.type)
        if info is None:
            raise UnknownJobType(schedule.request.type)
        return [
            fired_job(schedule, info, at, job_id=self._ids.mint(now), namespace=namespace, now=now)
            for at in done.fires
        ]

    def _queues_of(self, namespace: str) -> Queues:
        """The rules of the namespace's queues: a fire finds no more room in a full one than an enqueue."""
        known = self._queues.get(namespace)
        if known is None:
            known = self._queues[namespace] = LocalOperations(
                self._store, self._clock, namespace=namespace
            ).queue_engine
        return known

    async def _put_off(self, namespace: str, register: Register, error: Exception, now: int) -> None:
        """Tries again later. The next instant stays, so nothing is lost but time."""
        value = register.value
        try:
            told = f"{type(error).__name__}: {error}"[:ERROR_CHARS]
            value = dumps(replace(loads(value), error=told))
        except Exception:  # boundary: what another version wrote stays as it is
            value = register.value
        swap = Swap(key=register.key, revision=register.revision, value=value, due_at=now + PUT_OFF_MS)
        await self._store.swap(namespace, (swap,))

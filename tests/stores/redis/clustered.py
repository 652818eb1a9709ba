"""A program's life against servers that fail over: what was acknowledged, and what became of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from headrace.core.filters import JobFilter, Page
from headrace.core.job import Job
from headrace.core.outcomes import Rescued
from headrace.core.states import State
from headrace.errors import OutcomeUnknown, StoreError, StoreUnavailable
from headrace.stores.protocol import Store
from tests.builders import NAMESPACE, SUCCESS, a_job, a_request, decided, reported, settle

T = TypeVar("T")

LEASE_MS = 1_500


def clock() -> int:
    return time.time_ns() // 1_000_000


async def insisted(call: Callable[[], Awaitable[T]]) -> T:
    """The answer of a call that is repeated until it has one, as a careful client does."""
    while True:
        try:
            return await call()
        except (StoreUnavailable, OutcomeUnknown):
            await asyncio.sleep(0.02)


@dataclass
class Load:
    """Enqueues and runs jobs until it is stopped. ``acknowledged`` says of each id when that was."""

    store: Store
    acknowledged: dict[str, float] = field(default_factory=dict[str, float])
    refused: int = 0
    _stopped: bool = False

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(4):
                tasks.create_task(self._produce())
                tasks.create_task(self._work())

    def stop(self) -> None:
        self._stopped = True

    async def _produce(self) -> None:
        while not self._stopped:
            job = a_job(created_at=clock())
            try:
                await self.store.insert(NAMESPACE, [job], now=clock())
            except StoreError:
                self.refused += 1
                await asyncio.sleep(0.02)
            else:
                self.acknowledged[job.facts.id] = time.monotonic()

    async def _work(self) -> None:
        while not self._stopped:
            try:
                jobs = await self.store.claim(a_request(n=10, now=clock(), lease=LEASE_MS))
                await self.store.apply([reported(job, SUCCESS, now=clock()) for job in jobs], now=clock())
            except StoreError:
                jobs = ()
            if not jobs:
                await asyncio.sleep(0.02)


async def drained(store: Store) -> None:
    """Runs all that is there to its end; what nobody holds any more is rescued."""
    while True:
        expired = await store.expired(now=clock(), limit=1_000)
        await store.apply([decided(job, Rescued(), now=clock()) for job in expired], now=clock())
        jobs = await store.claim(a_request(n=100, now=clock(), lease=60_000))
        for job in jobs:
            await settle(store, job, now=clock())
        live = JobFilter(states=frozenset({State.PENDING, State.PROCESSING}))
        if not jobs and not (await store.find(NAMESPACE, live, Page(limit=1))).jobs:
            return
        if not jobs:
            await asyncio.sleep(0.05)  # for a lease, or a back-off, to end


async def there(store: Store, ids: list[str]) -> dict[str, Job]:
    found: dict[str, Job] = {}
    for start in range(0, len(ids), 500):
        found.update(await store.get(NAMESPACE, ids[start : start + 500]))
    return found

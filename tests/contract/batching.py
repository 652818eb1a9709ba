"""An engine on a store, with a clock that stands, for the tests of batches."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from headrace.clock import ManualClock
from headrace.core.batch import PREFIX, RECHECK_MS, BatchState, On, callback_id
from headrace.core.batch_request import NewBatch
from headrace.core.batch_wire import load
from headrace.core.filters import JobFilter
from headrace.core.job import Job
from headrace.core.outcomes import Outcome
from headrace.core.request import EnqueueRequest
from headrace.engine.batch_closing import Closing
from headrace.engine.local import LocalOperations
from headrace.engine.operations import Runs, TypeInfo
from headrace.engine.published import PublishedTypes
from headrace.stores.protocol import Applied, Store
from headrace.upkeep.close_batches import CloseBatches
from tests.builders import (
    EXACT,
    HOUR,
    NAMESPACE,
    NOW,
    QUEUE,
    SUCCESS,
    TYPE,
    claim,
    settle,
)
from tests.contract.reads import everything

DAY = 24 * HOUR
ONE_ATTEMPT = 1
CALLBACK = "report"
ALL_CALLBACKS = NewBatch(
    on_complete=EnqueueRequest(type=CALLBACK, payload={"on": "complete"}, queue="callbacks"),
    on_success=EnqueueRequest(type=CALLBACK, payload={"on": "success"}, queue="callbacks"),
    on_failure=EnqueueRequest(type=CALLBACK, payload={"on": "failure"}, queue="callbacks"),
)
IN_TURN = replace(ALL_CALLBACKS, sequential=True)
NOT_THERE = f"batch_{NOW}_0123456789abcdef"


class Desk:
    """An engine on a store, with a clock that stands, and what is asked of batches."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self.engine = LocalOperations(store, clock, namespace=NAMESPACE)
        self.closing = Closing(store, clock, namespace=NAMESPACE)

    async def made(self, members: int = 0, *, new: NewBatch = ALL_CALLBACKS, seal: bool = True) -> str:
        name = (await self.engine.create_batch(new)).state.id
        if members:
            await self.add(name, members)
        if seal:
            await self.engine.seal_batch(name)
        return name

    async def add(self, name: str, count: int = 1, **fields: object) -> Sequence[str]:
        answers = await self.engine.add_to_batch(name, [a_member(**fields) for _ in range(count)])
        return [answer.job_id for answer in answers]

    async def claimed(self, count: int = 100) -> list[Job]:
        return await claim(self.store, n=count, now=self.clock.now(), types=frozenset({TYPE}))

    async def run(self, job: Job, outcome: Outcome = SUCCESS) -> None:
        """A member ends, and nobody looks at the batch."""
        assert await settle(self.store, job, outcome, now=self.clock.now()) == Applied()

    async def run_all(self, outcome: Outcome = SUCCESS) -> None:
        for job in await self.claimed():
            await self.run(job, outcome)

    async def register(self, name: str):
        return (await self.store.read(NAMESPACE, [PREFIX + name]))[PREFIX + name]

    async def state(self, name: str) -> BatchState:
        return load((await self.register(name)).value)

    async def members(self, name: str) -> list[Job]:
        return (await everything(self.store, JobFilter(batch_id=name)))[::-1]

    async def callbacks(self, name: str) -> list[tuple[int, str]]:
        """Generation and kind of each callback that was inserted, by their ids."""
        known = {
            callback_id(NAMESPACE, name, generation, on): (generation, on.value)
            for generation in range(1, 20)
            for on in On
        }
        jobs = await everything(self.store, JobFilter(types=frozenset({CALLBACK})))
        assert all(f"callback:{name}" in job.facts.tags for job in jobs if job.id in known)
        return sorted(known[job.id] for job in jobs if job.id in known)

    async def sweep(self, *, after_ms: int = RECHECK_MS) -> int:
        self.clock.advance(after_ms / 1000)
        return (await CloseBatches(self.store, self.clock).run_once()).done


def a_member(**fields: object) -> EnqueueRequest:
    return EnqueueRequest(**({"type": TYPE, "payload": {"n": 1}, "max_attempts": ONE_ATTEMPT} | fields))


async def a_desk(store: Store) -> Desk:
    clock = ManualClock(NOW)
    infos = [
        TypeInfo(name=name, version=1, queue=QUEUE, priority=0, runs=Runs.ASYNC, policy=EXACT, schema={})
        for name in (TYPE, CALLBACK)
    ]
    await PublishedTypes(store, NAMESPACE, clock).publish(infos)
    return Desk(store, clock)


class Meanwhile:
    """A store in which something happens just before the first call of one of its methods."""

    def __init__(self, store: Store, method: str, happens: Callable[[], Awaitable[object]]) -> None:
        self._store = store
        self._method = method
        self._happens: Callable[[], Awaitable[object]] | None = happens

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)
        if name != self._method:
            return call

        async def after_that(*given: Any, **named: Any) -> Any:
            happens, self._happens = self._happens, None
            if happens is not None:
                await happens()
            return await call(*given, **named)

        return after_that

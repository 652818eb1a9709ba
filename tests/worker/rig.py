"""What worker tests share: a store in memory, job types made on the spot, workers, and their events."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from headrace.clock import Clock, ManualClock, StoreClock
from headrace.core.backoff import Backoff
from headrace.core.job import History, Job
from headrace.core.outcomes import Succeeded, Suspended
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.engine.local import LocalOperations
from headrace.engine.registry import JobOptions, Registry, Retry, registered
from headrace.engine.work import LocalWork, WorkSource
from headrace.stores.open import open_store
from headrace.stores.protocol import Store
from headrace.worker.buffer import Buffer
from headrace.worker.events import Claimed, Finished, Started, WorkerEvent
from headrace.worker.organs import Organs
from headrace.worker.settings import WorkerSettings
from headrace.worker.worker import Worker

PATIENCE = 60
E = TypeVar("E", bound=WorkerEvent)

RETRY_AFTER_10 = Retry(attempts=3, backoff=Backoff.fixed(10))


class Inside:
    """Lets a handler in a thread say that it runs, and a test wait for that."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def say(self) -> None:
        self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._event.wait()


class Watch:
    """Keeps a worker's events and lets a test wait for one."""

    def __init__(self) -> None:
        self.events: list[WorkerEvent] = []
        self._loop = asyncio.get_running_loop()
        self._bell = asyncio.Event()

    def __call__(self, event: WorkerEvent) -> None:
        self.events.append(event)
        self._loop.call_soon_threadsafe(self._bell.set)

    def all(self, kind: type[E], job_id: str | None = None) -> list[E]:
        """The events of that kind so far, of one job if it is named."""
        return [
            event
            for event in self.events
            if isinstance(event, kind) and (job_id is None or event.job.id == job_id)  # type: ignore[attr-defined]
        ]

    async def wait(self, kind: type[E], job_id: str | None = None, *, count: int = 1) -> E:
        """The ``count``-th event of that kind."""
        async with asyncio.timeout(PATIENCE):
            while len(found := self.all(kind, job_id)) < count:
                self._bell.clear()
                await self._bell.wait()
        return found[count - 1]

    async def started(self, job_id: str, *, count: int = 1) -> Started:
        return await self.wait(Started, job_id, count=count)

    async def finished(self, job_id: str, *, count: int = 1) -> Finished:
        return await self.wait(Finished, job_id, count=count)

    async def claimed(self) -> Claimed:
        return await self.wait(Claimed)


class Rig:
    """A store, job types and workers."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.registry = Registry()
        self.operations = LocalOperations(store, clock, registry=self.registry)

    @property
    def manual(self) -> ManualClock:
        assert isinstance(self.clock, ManualClock)
        return self.clock

    def job(self, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Registers the decorated handler."""

        def register(handler: Callable[..., Any]) -> Callable[..., Any]:
            options.setdefault("retry", RETRY_AFTER_10)
            self.registry.add(registered(handler, JobOptions(**options)))
            return handler

        return register

    def work(self) -> LocalWork:
        return LocalWork(self.store, self.clock, self.operations)

    @asynccontextmanager
    async def worker(
        self, *, work: WorkSource | None = None, **settings: Any
    ) -> AsyncIterator[tuple[Worker, Watch]]:
        """A running worker and its events."""
        watch = Watch()
        worker = self.a_worker(watch, work=work, **settings)
        async with worker:
            yield worker, watch

    def a_worker(self, watch: Watch, *, work: WorkSource | None = None, **settings: Any) -> Worker:
        """A worker that has not been started."""
        settings = {
            "poll_ms": 20,
            "threads": 4,
            "processes": 1,
            # nobody is told twice or given up because the machine is slow; who wants that, says so
            "grace_ms": 20_000,
            "stop_after_ms": 20_000,
        } | settings
        return Worker(work or self.work(), self.registry, WorkerSettings(**settings), on_event=watch)

    async def enqueue(self, job_type: str, payload: dict[str, Any] | None = None, **fields: Any) -> str:
        request = EnqueueRequest(type=job_type, payload=payload or {}, **fields)
        (answer,) = await self.operations.enqueue([request])
        return answer.job_id

    async def enqueue_many(self, job_type: str, count: int, **fields: Any) -> list[str]:
        requests = [EnqueueRequest(type=job_type, payload={}, **fields) for _ in range(count)]
        return [answer.job_id for answer in await self.operations.enqueue(requests)]

    async def read(self, job_id: str) -> Job:
        return await self.operations.job(job_id)

    async def history(self, job_id: str) -> History:
        return await self.operations.history(job_id)


@asynccontextmanager
async def a_rig(url: str = "sqlite://", *, clock: Clock | None = None) -> AsyncIterator[Rig]:
    store = await open_store(url)
    await store.migrate()
    try:
        yield Rig(store, clock or StoreClock(await store.now()))
    finally:
        await store.close()


async def until(holds: Callable[[], bool]) -> None:
    """Waits until it holds."""
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.005)


def organs_of(worker: Worker) -> Organs:
    """What a running worker is made of."""
    assert worker._organs is not None
    return worker._organs


def buffer_of(worker: Worker) -> Buffer:
    """The claimed jobs of a running worker that wait for a slot."""
    return organs_of(worker).buffer


def a_clock() -> ManualClock:
    return ManualClock()


async def completed(rig: Rig, watch: Watch, job_id: str) -> Any:
    """The result of a job that comes through its back-offs of up to ten seconds."""
    count = 0
    while True:
        count += 1
        finished = await watch.finished(job_id, count=count)
        if finished.state is State.COMPLETED:
            assert isinstance(finished.outcome, Succeeded)
            return json.loads(finished.outcome.result or "null")
        assert finished.state is State.PENDING, finished.outcome
        rig.manual.advance(10)


async def suspended(watch: Watch, job_id: str, *, count: int = 1) -> Suspended:
    """How the job left its worker for a sleep or a wait."""
    outcome = (await watch.finished(job_id, count=count)).outcome
    assert isinstance(outcome, Suspended), outcome
    return outcome

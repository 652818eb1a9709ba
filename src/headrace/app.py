"""The application: its job types, its store, and the ways to enqueue."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from headrace.clock import Clock, StoreClock
from headrace.core.ids import checked_name
from headrace.core.policy import Retention
from headrace.core.request import EnqueueRequest
from headrace.engine.handle import Handle
from headrace.engine.job_type import JobDecorator
from headrace.engine.local import LocalOperations
from headrace.engine.operations import Runs
from headrace.engine.portal import Portal
from headrace.engine.registry import JobOptions, Registered, Registry, Retry
from headrace.engine.work import LocalWork
from headrace.files.open import opened_files
from headrace.settings import Settings
from headrace.stores.protocol import InsertKind, Store

if TYPE_CHECKING:
    from headrace.engine.payload import PayloadSchema
    from headrace.worker.settings import WorkerSettings
    from headrace.worker.worker import Worker

Lifespan = Callable[[], AbstractAsyncContextManager[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedApp:
    """The parts of an app that exist once its store is open."""

    store: Store
    clock: Clock
    operations: LocalOperations


class App:
    """Job types, and a store to keep their jobs in.

    ``url`` names the store (default: HEADRACE_URL, else ``sqlite:///headrace.db``). It is opened at
    the first use or by ``async with app``, and may be used from any event loop and thread.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        namespace: str | None = None,
        settings: Settings | None = None,
        clock: Clock | None = None,
    ) -> None:
        given = settings or Settings.from_environment()
        self.settings = replace(
            given,
            url=url or given.url,
            namespace=checked_name(namespace or given.namespace, "namespace"),
        )
        self.registry = Registry()
        self.portal = Portal()
        self.lifespan_factory: Lifespan | None = None
        self._clock = clock
        self._lock = threading.Lock()
        self._opened: Future[OpenedApp | None] | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def job(  # noqa: PLR0913 - one argument per option
        self,
        *,
        name: str | None = None,
        version: int = 1,
        queue: str = "default",
        priority: int = 0,
        retry: Retry | None = None,
        timeout: float | None = None,
        runs: Runs | str | None = None,
        memory_limit_mb: int | None = None,
        retention: Retention | None = None,
    ) -> JobDecorator:
        """Registers the decorated handler as a job type. ``timeout`` is in seconds per attempt."""
        options = JobOptions(
            name=name,
            version=version,
            queue=queue,
            priority=priority,
            retry=retry or Retry(),
            timeout=timeout,
            runs=None if runs is None else Runs(runs),
            memory_limit_mb=memory_limit_mb,
            retention=retention or Retention(),
        )
        return JobDecorator(self, options)

    def include(self, types: Iterable[Registered]) -> None:
        """Adds job types from elsewhere, such as those of ``headrace.handlers``."""
        for one in types:
            self.registry.add(one)

    def lifespan(self, factory: Lifespan) -> Lifespan:
        """Names the async context manager that opens what handlers need; they find it as ``ctx.deps``."""
        self.lifespan_factory = factory
        return factory

    async def enqueue_many(self, requests: Sequence[EnqueueRequest]) -> Sequence[Handle[Any]]:
        """Enqueues all requests or none, in order; one handle each.

        Build them with ``job_type.request(...)``. Raises InvalidInput, DuplicateJob,
        IdempotencyMismatch, StoreError.
        """
        answers = await (await self.open()).operations.enqueue(requests)
        return [
            Handle(self, answer.job_id, answer.kind, self._payload_of(request))
            for request, answer in zip(requests, answers, strict=True)
        ]

    async def handle(self, job_id: str) -> Handle[Any]:
        """A handle on a job known by its id. Raises JobNotFound."""
        job = await (await self.operations()).job(job_id)
        known = self.registry.find(job.facts.type)
        return Handle(self, job.id, InsertKind.EXISTING, None if known is None else known.payload)

    async def operations(self) -> LocalOperations:
        """Everything that can be asked of the engine, opened if need be."""
        return (await self.open()).operations

    async def work(self) -> LocalWork:
        """A source of work for a worker of this process."""
        opened = await self.open()
        return LocalWork(opened.store, opened.clock, opened.operations)

    @asynccontextmanager
    async def running_worker(self, settings: "WorkerSettings | None" = None) -> AsyncGenerator["Worker"]:
        """Runs a worker and upkeep in this event loop for as long as the block lasts.

        Leaving the block stops the worker: what runs gets the settings' grace, what has not started
        goes back. For a process of its own use ``headrace worker``.
        """
        from headrace.upkeep.upkeep import Upkeep, usual_chores  # noqa: PLC0415 - see _open
        from headrace.worker.settings import WorkerSettings  # noqa: PLC0415
        from headrace.worker.worker import Worker  # noqa: PLC0415

        opened = await self.open()
        told = settings or WorkerSettings(lease_ms=round(self.settings.lease * 1000))
        told = replace(told, lifespan=told.lifespan or self.lifespan_factory)
        async with opened_files(self.settings, opened.store, opened.clock) as files:
            chores = usual_chores(
                opened.store,
                opened.clock,
                namespace=self.settings.namespace,
                lease_ms=told.lease_ms,
                files=files,
            )
            told = replace(told, files=told.files or files, files_at=told.files_at or self.settings)
            async with Upkeep(chores), Worker(await self.work(), self.registry, told) as worker:
                yield worker

    async def open(self) -> OpenedApp:
        """Opens the store, once. Raises StoreError, InvalidInput for a URL that cannot be used."""
        while True:
            with self._lock:
                opened = self._opened
                if opened is None:
                    mine = self._opened = Future[OpenedApp | None]()
                    mine.set_running_or_notify_cancel()  # who gives up waiting must not cancel it for all
                    break
            # every enqueue passes here: waiting for what is done would cost a turn of the loop
            found = opened.result() if opened.done() else await asyncio.wrap_future(opened)
            if found is not None:
                return found
        try:
            found = await self._open()
        except BaseException as error:
            with self._lock:
                self._opened = None
            if isinstance(error, Exception):
                mine.set_exception(error)
            else:
                mine.set_result(None)  # only this caller gives up: another one opens
            raise
        mine.set_result(found)
        return found

    async def close(self) -> None:
        """Closes the store. Idempotent; the app can be opened again."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None and (found := await asyncio.wrap_future(opened)) is not None:
            await found.store.close()

    async def _open(self) -> OpenedApp:
        from headrace.stores.open import open_store  # noqa: PLC0415 - a program may never open its store

        store = await open_store(self.settings.url)
        try:
            await store.migrate()
            clock = self._clock or StoreClock(await store.now())
        except BaseException:
            await store.close()
            raise
        operations = LocalOperations(store, clock, namespace=self.settings.namespace, registry=self.registry)
        return OpenedApp(store=store, clock=clock, operations=operations)

    def _payload_of(self, request: EnqueueRequest) -> "PayloadSchema | None":
        known = self.registry.find(request.type)
        return None if known is None else known.payload

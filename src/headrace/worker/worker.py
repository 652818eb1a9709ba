"""The worker: its organs put together, and its life.

    feed ──▶ runner ──▶ settler ──▶ store          pulse renews all leases from a thread of its own

A worker stops in two steps: ``quiet()`` claims nothing more and gives back what has not started;
``stop()`` waits for what runs, then tells it to stop. What was interrupted goes back uncharged.
"""

import asyncio
import os
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from enum import Enum, auto
from types import TracebackType
from typing import Final, Self

from headrace.engine.operations import Runs
from headrace.engine.registry import Registry
from headrace.engine.work import WorkerHello, WorkSource
from headrace.errors import StoreError, StoreUnusable
from headrace.worker.events import OnEvent
from headrace.worker.log import log, tell
from headrace.worker.organs import Organs
from headrace.worker.settings import WorkerSettings
from headrace.worker.waiting import Patience, rings

FLUSH_S: Final = 5.0


class Life(Enum):
    """Where a worker is in its life."""

    NEW = auto()
    STARTING = auto()
    RUNNING = auto()
    STOPPING = auto()
    STOPPED = auto()


class Worker:
    """Runs jobs from ``work`` with the handlers of ``registry``.

    Use it as an async context manager, or ``await worker.run()``. ``start`` and ``stop`` may be
    called in any order and any number of times; a worker that has stopped stays stopped.
    """

    def __init__(
        self,
        work: WorkSource,
        registry: Registry,
        settings: WorkerSettings | None = None,
        *,
        on_event: OnEvent | None = None,
    ) -> None:
        self.settings = settings or WorkerSettings()
        self._work = work
        self._registry = registry
        self._runnable = _runnable(registry, self.settings)
        self._on_event = on_event
        self._life = Life.NEW
        self._main: asyncio.Task[None] | None = None
        self._organs: Organs | None = None
        self._ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._grace_s = self.settings.grace_ms / 1000
        self._started_at = 0
        self._stuck: tuple[str, ...] = ()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def name(self) -> str:
        """The worker's name in the store."""
        return self.settings.name

    @property
    def life(self) -> Life:
        """Where the worker is in its life."""
        return self._life

    @property
    def running(self) -> int:
        """How many handlers run now."""
        return 0 if self._organs is None else len(self._organs.buffer.running)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many outcomes of each kind were settled (``Succeeded``, ``Failed``, …, ``lost``)."""
        return {} if self._organs is None else dict(self._organs.settler.counts)

    @property
    def last_claim_at(self) -> int | None:
        """When the store last answered a claim, in epoch milliseconds: the sign of a worker that works."""
        return None if self._organs is None else self._organs.feed.last_claim_at

    @property
    def wants_exit(self) -> bool:
        """Whether a handler is past its time limit and cannot be stopped: only a new process helps (C23)."""
        return self._organs is not None and self._organs.gave_up

    @property
    def stuck(self) -> tuple[str, ...]:
        """The job types of handlers that still ran when the worker had stopped."""
        return self._stuck

    async def start(self) -> None:
        """Starts the worker; returns when it claims. Waits for a store that does not answer yet.

        A start that is cancelled stops the worker again.
        """
        if self._life is Life.NEW:
            self._life = Life.STARTING
            self._main = asyncio.create_task(self._live(), name="headrace-worker")
        if self._main is not None and not self._ready.is_set():
            ready = asyncio.create_task(self._ready.wait())
            try:
                await asyncio.wait([self._main, ready], return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                self.interrupt()
                await asyncio.wait([self._main])
                raise
            finally:
                ready.cancel()
            if self._main.done() and not self._stopping.is_set():
                await self._main

    async def run(self) -> None:
        """Starts the worker and returns when it has stopped."""
        await self.start()
        if self._main is None:
            return
        try:
            await asyncio.shield(self._main)
        except asyncio.CancelledError:
            self.interrupt()
            await asyncio.wait([self._main])
            raise

    def quiet(self) -> None:
        """Claims nothing more, and gives back what has not started. Running jobs go on."""
        if self._organs is not None:
            self._organs.quiet()

    def request_stop(self, *, grace_ms: int | None = None) -> None:
        """Begins to stop, from a signal handler say; ``run`` returns when it is done."""
        if grace_ms is not None:
            self._grace_s = min(self._grace_s, grace_ms / 1000)
        if self._life is Life.NEW:
            self._life = Life.STOPPED
        self._stopping.set()

    def interrupt(self) -> None:
        """Stops without waiting: running handlers are told to stop now."""
        self._hurry.set()
        self.request_stop()

    async def stop(self, *, grace_ms: int | None = None) -> None:
        """Stops: quiet, wait for running jobs, tell the rest to stop, settle everything, say goodbye."""
        self.request_stop(grace_ms=grace_ms)
        if self._main is not None:
            await asyncio.shield(self._main)

    async def _live(self) -> None:
        try:
            async with AsyncExitStack() as stack:
                deps: object = None
                if self.settings.lifespan is not None:
                    deps = await stack.enter_async_context(self.settings.lifespan())
                organs = Organs(
                    self._work,
                    self._runnable,
                    self.settings,
                    hello=self._hello,
                    exit_wanted=self.request_stop,
                    on_event=self._on_event,
                )
                organs.runner.deps = deps
                if await self._introduce():
                    self._organs = organs
                    await self._work_until_stopped(organs)
        except BaseExceptionGroup as errors:
            if unusable := errors.subgroup(StoreUnusable):
                raise _first(unusable) from None
            raise
        finally:
            self._life = Life.STOPPED

    async def _introduce(self) -> bool:
        """Publishes the job types and says hello, as soon as the store answers; False if stopped before."""
        self._started_at = self._work.clock.now()
        patience = Patience()
        while not self._stopping.is_set():
            try:
                await self._work.publish([one.info for one in self._registry.all()])
                await self._work.hello(self._hello())
            except StoreUnusable:
                raise
            except StoreError as error:
                pause = patience.failed(error)
                log("store_not_there_yet", error=repr(error), retry_in=pause)
                await rings(self._stopping, pause)
            else:
                return True
        return False

    async def _work_until_stopped(self, organs: Organs) -> None:
        organs.pulse.start()
        self._life = Life.RUNNING
        tell("worker_started", worker=self.name, types=len(self._runnable.names))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = organs.spawn(group)
                self._ready.set()
                await self._stopping.wait()
                self._life = Life.STOPPING
                await organs.wind_down(self._grace_s, self._hurry)
                for task in tasks:
                    task.cancel()
        finally:
            self._stuck = organs.close()
            await organs.pulse.stop()
            await self._goodbye()
            tell("worker_stopped", worker=self.name, stuck=self._stuck)

    async def _goodbye(self) -> None:
        try:
            async with asyncio.timeout(FLUSH_S):
                await self._work.goodbye(self.name)
        except (StoreError, TimeoutError) as error:
            log("goodbye_failed", worker=self.name, error=repr(error))

    def _hello(self) -> WorkerHello:
        queues = self.settings.queues
        return WorkerHello(
            namespace=self._work.namespace,
            worker=self.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=None if queues is None else tuple(sorted(queues)),
            types=self._runnable.known,
            started_at=self._started_at,
            seen_at=self._work.clock.now(),
            running=self.running,
        )


def _runnable(registry: Registry, settings: WorkerSettings) -> Registry:
    """The job types this worker can run. What it cannot run stays pending for a worker that can (C16)."""
    if settings.app_path is not None:
        return registry
    left_out = [one.info.name for one in registry.all() if one.info.runs is Runs.PROCESS]
    if left_out:
        log("types_left_out", types=left_out, why="they run in child processes, and app_path is not set")
    return Registry(one for one in registry.all() if one.info.name not in left_out)


def _first(errors: BaseExceptionGroup[StoreUnusable]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

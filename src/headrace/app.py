"""The application: its job types, its store, and the ways to enqueue."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, overload

from headrace.clock import Clock
from headrace.core.batch_request import NewBatch
from headrace.core.flow_request import refuse_parents
from headrace.core.ids import checked_name
from headrace.core.policy import Retention
from headrace.core.request import EnqueueRequest
from headrace.core.unique import OnConflict
from headrace.core.wire import Json
from headrace.engine.alert_type import AlertRules, DefinesAlerts
from headrace.engine.arguments import results_of
from headrace.engine.audited import audited
from headrace.engine.batch import Batch
from headrace.engine.batches import refuse_members
from headrace.engine.breaker_type import Breaker
from headrace.engine.chunk_type import DefinesChunks
from headrace.engine.declared import Declarations
from headrace.engine.declared_limits import DeclaredLimits
from headrace.engine.declared_queues import DeclaredQueues
from headrace.engine.event_type import HearsEvents
from headrace.engine.flows import NOT_WITHIN
from headrace.engine.handle import Handle
from headrace.engine.job_type import JobDecorator
from headrace.engine.limiting import Key, OrderBy, Rate, Slots, order_of, several
from headrace.engine.local import LocalOperations
from headrace.engine.loop_type import DefinesLoops
from headrace.engine.operations import Runs
from headrace.engine.registry import JobOptions, Registered, Registry, Retry, Upgrade
from headrace.engine.transactions import Statement, Style, drive, styled
from headrace.engine.work import LocalWork
from headrace.errors import InvalidInput, MisuseError
from headrace.files.open import opened_files
from headrace.opening import OpenedApp, OpensItsStore
from headrace.settings import Settings
from headrace.stores.protocol import Inserted, InsertKind

if TYPE_CHECKING:
    from headrace.core.scheduled import Schedule
    from headrace.engine.codec import PayloadCodec, ReadsResults
    from headrace.engine.limit_operations import LimitView
    from headrace.worker.settings import WorkerSettings
    from headrace.worker.worker import Worker

T = TypeVar("T")
Lifespan = Callable[[], AbstractAsyncContextManager[object]]


class App(OpensItsStore, DefinesAlerts, DefinesChunks, DefinesLoops, HearsEvents):
    """Job types, and a store to keep their jobs in.

    ``url`` names the store (default: HEADRACE_URL, else ``sqlite:///headrace.db``). It is opened at
    the first use or by ``async with app``, and may be used from any event loop and thread.
    With a ``codec`` payloads are stored as it makes them (docs/guides/encryption.md).
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        namespace: str | None = None,
        settings: Settings | None = None,
        clock: Clock | None = None,
        codec: "PayloadCodec | None" = None,
    ) -> None:
        given = settings or Settings.from_environment()
        told = replace(
            given,
            url=url or given.url,
            namespace=checked_name(namespace or given.namespace, "namespace"),
        )
        super().__init__(told, Registry(codec=codec), clock)
        self.lifespan_factory: Lifespan | None = None
        self.schedule = Declarations()
        self.alert = AlertRules()
        self.limit = DeclaredLimits(self.registry)
        self.queue = DeclaredQueues(self.registry)

    def job(  # noqa: PLR0913 - one argument per option
        self,
        *,
        name: str | None = None,
        version: int = 1,
        upgrades: Mapping[int, Upgrade] | None = None,
        queue: str = "default",
        priority: int = 0,
        retry: Retry | None = None,
        timeout: float | None = None,
        runs: Runs | str | None = None,
        memory_limit_mb: int | None = None,
        retention: Retention | None = None,
        dead_letter_queue: str | None = None,
        dead_letter_type: str | None = None,
        rate: Rate | Sequence[Rate] = (),
        concurrency: Slots | Sequence[Slots] = (),
        order_by: Key | OrderBy | None = None,
        fair_by: Key | None = None,
        breaker: Breaker | None = None,
    ) -> JobDecorator:
        """Registers the decorated handler as a job type. ``timeout`` is in seconds per attempt.

        ``upgrades`` carries waiting payloads of older versions forward (docs/guides/payload-versions.md).
        ``dead_letter_queue`` gets a job of ``dead_letter_type`` for each that fails (guides/dead-letters.md).
        ``rate``, ``concurrency`` and ``order_by`` limit its jobs on all workers (docs/guides/limits.md).
        ``breaker`` keeps them from starting while what they need does not answer (docs/guides/breakers.md),
        ``fair_by`` shares its queue out (docs/guides/queues.md).
        """
        options = JobOptions(
            name=name,
            version=version,
            upgrades=upgrades or {},
            queue=queue,
            priority=priority,
            retry=retry or Retry(),
            timeout=timeout,
            runs=None if runs is None else Runs(runs),
            memory_limit_mb=memory_limit_mb,
            retention=retention or Retention(),
            dead_letter_queue=dead_letter_queue,
            dead_letter_type=dead_letter_type,
            limits=(*several(rate), *several(concurrency)),
            order_by=None if order_by is None else order_of(order_by),
            fair_by=fair_by,
            breaker=breaker,
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

    async def enqueue_many(
        self, requests: Sequence[EnqueueRequest], *, tx: object = None
    ) -> Sequence[Handle[Any]]:
        """Enqueues all requests or none, in order; one handle each.

        With ``tx``, a connection of the program's own, they exist if and when the transaction that is open
        on it commits.

        Build them with ``job_type.request(...)``. Raises InvalidInput, DuplicateJob,
        IdempotencyMismatch, MisuseError, StoreError.
        """
        opened = await self.open()
        if tx is None:
            return self._handles(requests, await opened.operations.enqueue(requests))
        caller = opened.store.caller(tx)
        return self._handles(
            requests, await opened.operations.enqueue_within(caller, requests, self._wake_soon)
        )

    def enqueue_many_sync(
        self, requests: Sequence[EnqueueRequest], *, tx: object = None
    ) -> Sequence[Handle[Any]]:
        """As ``enqueue_many``, for callers without an event loop.

        With a synchronous ``tx`` it may be called anywhere, also where an event loop runs: all that is done
        is done on that connection, in the calling thread.
        """
        if tx is None:
            return self.portal.call(lambda: self.enqueue_many(requests))
        opened = self._opened_sync()
        caller = opened.store.caller(tx)
        if caller.suspends:
            msg = "this connection is asynchronous: await enqueue(...) or app.enqueue_many(...)"
            raise MisuseError(msg)
        self._learn_types(opened, requests)
        return self._handles(
            requests, drive(opened.operations.enqueue_within(caller, requests, self._wake_soon))
        )

    @overload
    async def transaction(self, fn: Callable[[Any], Awaitable[T]]) -> T: ...
    @overload
    async def transaction(self, fn: Callable[[Any], T]) -> T: ...
    async def transaction(self, fn: Callable[[Any], Any]) -> Any:
        """Runs ``fn(connection)`` in a transaction of the store and returns its value, once committed.

        Jobs enqueued inside by ``.using(tx=connection)`` exist if and when it commits. PostgreSQL: ``fn`` is
        async and receives an asyncpg connection. SQLite: ``fn`` is a plain function, receives an apsw
        connection, enqueues with ``enqueue_sync`` and has one second. It may neither commit nor roll back.
        Redis: ``fn`` is async and receives a redis-py pipeline; it may run again.

        Raises what ``fn`` raises, after undoing everything; MisuseError, StoreError.
        """
        return await (await self.open()).store.transact(fn)

    def transaction_sync(self, fn: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - what fn returns
        """As ``transaction``, for callers without an event loop. ``fn`` is of the same kind as there."""
        return self.portal.call(lambda: self.transaction(fn))

    def insert_statement(
        self, requests: Sequence[EnqueueRequest], *, style: Style | str = Style.NUMERIC
    ) -> Statement:
        """The requests as one PostgreSQL statement with one parameter, to be run by any driver.

        ``style`` says how the driver writes parameters: ``numeric`` ($1), ``format`` (%s) or ``named``
        (:jobs). A unique key that is held makes the statement fail with a unique violation. Idempotency
        keys, periods and ``on_conflict`` need more than one statement: raises InvalidInput.
        Afterwards ``await app.wake(queue)`` starts the jobs at once; without it polling finds them.
        """
        refuse_members(requests)
        refuse_parents(requests, NOT_WITHIN)
        for index, request in enumerate(requests):
            _refuse_more_than_inserting(index, request)
        opened = self._opened_sync()
        self._learn_types(opened, requests)
        jobs = drive(opened.operations.prepared(requests, opened.operations.now()))
        if opened.operations.queue_engine.room_for(jobs) is not None:
            msg = "a queue of bounded length takes more than one statement: use .using(tx=...) or enqueue"
            raise InvalidInput(msg, field="queue")
        return styled(*opened.store.insert_statement(jobs), Style(style))

    async def wake(self, *queues: str) -> None:
        """Hints that there is work on these queues, for who has committed jobs by hand."""
        (await self.open()).store.wake(self.settings.namespace, frozenset(queues))

    async def limits(self) -> "Sequence[LimitView]":
        """All limits of the namespace, by name: those that programs declare and those that operators set."""
        return await (await self.operations()).limits()

    async def schedules(self) -> "Sequence[Schedule]":
        """All schedules of the namespace, by id: those of ``app.schedule`` and those put while running.

        One that only a newer version can read is there with the rule ``Unknown``, which says why.
        """
        return await (await self.operations()).schedules()

    def batch(
        self,
        *,
        on_complete: EnqueueRequest | None = None,
        on_success: EnqueueRequest | None = None,
        on_failure: EnqueueRequest | None = None,
        sequential: bool = False,
        seal: bool = True,
    ) -> Batch:
        """A batch to be made by `async with`, and sealed at the end of the block unless ``seal`` is false.

        The callbacks are requests of `job_type.request(...)`; docs/guides/batches.md tells when they come.
        """
        new = NewBatch(
            on_complete=on_complete, on_success=on_success, on_failure=on_failure, sequential=sequential
        )
        return Batch(self, new=new, seal=seal)

    async def open_batch(self, batch_id: str) -> Batch:
        """A batch known by its id, to add members to, to watch or to change. Raises BatchNotFound."""
        await (await self.operations()).batch(batch_id)
        return Batch(self, batch_id=batch_id, seal=False)

    async def handle(self, job_id: str) -> Handle[Any]:
        """A handle on a job known by its id. Raises JobNotFound."""
        job = await (await self.operations()).job(job_id)
        return Handle(self, job.id, InsertKind.EXISTING, self._results_of(job.facts.type))

    async def signal(self, job_id: str, name: str, payload: Json = None, *, key: str | None = None) -> None:
        """Sends a signal to a job: see ``Operations.signal``."""
        await (await self.operations()).signal(job_id, name, payload, key=key)

    def signal_sync(self, job_id: str, name: str, payload: Json = None, *, key: str | None = None) -> None:
        """As ``signal``, for callers without an event loop."""
        self.portal.call(lambda: self.signal(job_id, name, payload, key=key))

    async def operations(self, actor: str | None = None) -> LocalOperations:
        """Everything that can be asked of the engine, opened if need be.

        What operators do through it is put on record, as done by ``actor`` (default: the app's own).
        """
        return audited((await self.open()).operations, actor or self.actor)

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
                aftermath=opened.operations.aftermath,
                alert_functions=self.alert.functions,
            )
            told = replace(told, files=told.files or files, files_at=told.files_at or self.settings)
            await self.limit.put_into(opened.operations)
            await self.queue.put_into(opened.operations)
            await self.schedule.put_into(opened.operations)
            await self.alert.put_into(opened.operations)
            async with Upkeep(chores), Worker(await self.work(), self.registry, told) as worker:
                yield worker

    def _learn_types(self, opened: OpenedApp, requests: Sequence[EnqueueRequest]) -> None:
        """Reads the job types that other programs have published, if one of these is not known here."""
        if any(self.registry.find(request.type) is None for request in requests):
            self.portal.call(opened.operations.job_types)

    def _wake_soon(self, queues: frozenset[str]) -> None:
        """Hints from any thread. A notice to other processes is sent by an event loop, so it needs one."""
        found = self._found()
        if found is None:
            return  # closed meanwhile
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self.portal.post(lambda: found.store.wake(self.settings.namespace, queues))
        else:
            found.store.wake(self.settings.namespace, queues)

    def _handles(
        self, requests: Sequence[EnqueueRequest], answers: Sequence[Inserted]
    ) -> Sequence[Handle[Any]]:
        return [
            Handle(self, answer.job_id, answer.kind, self._results_of(request.type))
            for request, answer in zip(requests, answers, strict=True)
        ]

    def _results_of(self, job_type: str) -> "ReadsResults | None":
        known = self.registry.find(job_type)
        return None if known is None else results_of(known)


def _refuse_more_than_inserting(index: int, request: EnqueueRequest) -> None:
    unique = request.unique
    field = None
    if request.idempotency_key is not None:
        field = "idempotency_key"
    elif unique is not None and unique.period_ms is not None:
        field = "period"
    elif unique is not None and unique.on_conflict is OnConflict.REPLACE:
        field = "on_conflict"
    if field is not None:
        msg = f"{field} takes more than one statement: use .using(tx=...) with a connection that it knows"
        error = InvalidInput(msg, field=field)
        error.index = index
        raise error

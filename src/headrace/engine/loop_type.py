"""Loops as a program uses them: defined by two functions, pinged after its own commits."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final, Protocol, TypedDict, TypeVar, Unpack
from weakref import WeakKeyDictionary

from headrace.core.loop import (
    RETENTION,
    RETRIES,
    TYPES,
    Debounce,
    Idle,
    LoopConfig,
    LoopDefinition,
    LoopInfo,
    Work,
    checked_loop,
    duration_ms,
    unique_key,
)
from headrace.core.request import DEFAULT_QUEUE, EnqueueRequest
from headrace.engine.context import Context
from headrace.engine.job_type import Enqueuer
from headrace.engine.loop_calls import Call
from headrace.engine.loop_run import LoopFunctions, LoopRun
from headrace.engine.loops import Loops
from headrace.engine.registry import JobOptions, Registered, Retry, registered
from headrace.errors import Cancel, InvalidInput
from headrace.settings import Settings, checked_log_level
from headrace.stores.protocol import Holder

B = TypeVar("B")
Fetched = Work[B] | Idle | Awaitable[Work[B] | Idle]
Processed = Debounce | None | Awaitable[Debounce | None]
Fetch = Callable[..., Fetched[B]]
Process = (
    Callable[[B], Processed]
    | Callable[[B, str], Processed]
    | Callable[[Context, B], Processed]
    | Callable[[Context, B, str], Processed]
)

PING_WINDOW: Final = 0.02
"""Pings of one loop that come within so many seconds share one look at it, after the last of them."""


class LoopOptions(TypedDict, total=False):
    """The options of a loop; durations in seconds.

    ``debounce`` (0) is waited before the first batch after a rest. ``monitor_lag`` (60, at least 10) is
    the longest wait before a loop that died or raised runs again. ``cooldown`` (2) and ``poll_interval``
    (0.2) hold where ``Idle`` says nothing. ``log_level``: debug, info, warning or error, else
    HEADRACE_LOG_LEVEL.
    """

    debounce: float
    monitor_lag: float
    cooldown: float
    poll_interval: float
    queue: str
    log_level: str | None


class LoopEngine(Protocol):
    """The operations of an opened app, as far as loops need them."""

    @property
    def loop_engine(self) -> Loops:
        """The loops of the namespace."""
        ...


class LoopApp(Enqueuer, Protocol):
    """What loops need of their app."""

    settings: Settings

    async def operations(self) -> LoopEngine:
        """The engine, opened if need be."""
        ...


class Loop:
    """One background loop over rows of the program's own. At most one run of it goes on at any time."""

    def __init__(self, app: LoopApp, definition: LoopDefinition, name: str) -> None:
        self.name = checked_loop(name)
        self._app = app
        self._definition = definition
        self._pings = Gathered(self._ping_now, PING_WINDOW)

    def __repr__(self) -> str:
        return f"Loop({self.name!r})"

    async def ping(self, *, tx: object = None) -> None:
        """Has the loop look for rows that are committed by now. Makes it at the first ping.

        Call it after the commit; or with ``tx``, the connection on which the rows are inserted: then the
        loop is pinged if and when that transaction commits. Does nothing while the loop runs, which looks
        again before it rests, and while it is stopped. Raises StoreError, MisuseError.
        """
        if tx is None:
            await self._pings.call()
        else:
            await self._app.enqueue_many((self._request(),), tx=tx)

    def ping_sync(self, *, tx: object = None) -> None:
        """As ``ping``, for callers without an event loop, and with a synchronous ``tx`` everywhere."""
        if tx is None:
            self._app.portal.call(self.ping)
        else:
            self._app.enqueue_many_sync((self._request(),), tx=tx)

    async def stop(self) -> LoopInfo | None:
        """Stops the loop: it picks up nothing more, and pings are ignored, until ``start``.

        A batch that is being processed is told to stop as any running job that is cancelled; ``in_hand``
        in the answer says that there was one. None for a loop that was never pinged.
        """
        return await (await self._loops()).stop(self.name)

    async def start(self) -> LoopInfo | None:
        """Lets a stopped loop run again; does nothing to any other. None for one that was never pinged."""
        return await (await self._loops()).start(self.name, self._definition)

    async def status(self) -> LoopInfo | None:
        """The loop as it is now; None for one that was never pinged."""
        return await (await self._loops()).status(self.name)

    async def _ping_now(self) -> None:
        await (await self._loops()).ping(self.name, self._definition)

    async def _loops(self) -> Loops:
        return (await self._app.operations()).loop_engine

    def _request(self) -> EnqueueRequest:
        return EnqueueRequest(
            type=self._definition.type,
            payload={"name": self.name},
            queue=self._definition.queue,
        )


class LoopFamily:
    """Loops that share their functions, each with a name of its own, which is given to ``fetch``."""

    def __init__(self, app: LoopApp, definition: LoopDefinition) -> None:
        self._app = app
        self._definition = definition
        self._loops: dict[str, Loop] = {}

    def loop(self, name: str) -> Loop:
        """The loop of that name. Raises InvalidInput for a name that cannot be one."""
        known = self._loops.get(name)
        if known is None:
            known = self._loops.setdefault(name, Loop(self._app, self._definition, name))
        return known


class Gathered:
    """A call that many callers share: it begins a moment after the first of them has asked.

    Whoever asks once it has begun waits for the next one, so each caller's answer is newer than its
    question.
    """

    def __init__(self, call: Callable[[], Awaitable[None]], window: float) -> None:
        self._call = call
        self._window = window
        self._waiting: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[None]] = WeakKeyDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    async def call(self) -> None:
        """Waits for a call that begins from now on. Raises what it raises."""
        loop = asyncio.get_running_loop()
        task = self._waiting.get(loop)
        if task is None:
            task = self._waiting[loop] = loop.create_task(self._soon(loop))
            self._tasks.add(task)
            task.add_done_callback(self._forget)
        await asyncio.shield(task)

    async def _soon(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            await asyncio.sleep(self._window)
        finally:
            del self._waiting[loop]
        await self._call()

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has heard of it, or went away


class DefinesLoops:
    """The part of an app that defines loops."""

    def loop(
        self: LoopApp, name: str, *, fetch: Fetch[B], process: Process[B], **options: Unpack[LoopOptions]
    ) -> Loop:
        """Defines a background loop over rows of the program's own (docs/guides/loops.md).

        ``fetch`` returns ``Work(batch)`` or ``Idle()``, ``process`` is given the batch; either may be async
        or plain. Raises MisuseError for functions that cannot be called so, InvalidInput.
        """
        return loop_family(self, name, fetch, process, options).loop(name)

    def loop_family(
        self: LoopApp, name: str, *, fetch: Fetch[B], process: Process[B], **options: Unpack[LoopOptions]
    ) -> LoopFamily:
        """As ``loop``, for any number of loops, each with its name: ``family.loop("tenant-7").ping()``."""
        return loop_family(self, name, fetch, process, options)


def loop_family(
    app: LoopApp, name: str, fetch: Fetch[B], process: Process[B], options: LoopOptions
) -> LoopFamily:
    """Registers the job type that runs loops of a family. Raises MisuseError, InvalidInput."""
    definition = LoopDefinition(
        type=TYPES + checked_loop(name), queue=options.get("queue", DEFAULT_QUEUE), config=_config(options)
    )
    functions = LoopFunctions(
        definition=definition,
        fetch=Call(f"fetch of loop {name!r}", fetch, ("the loop's name",), least=0),
        process=Call(f"process of loop {name!r}", process, ("the batch", "the loop's name"), least=1),
        log_level=checked_log_level(options.get("log_level") or app.settings.log_level, "log_level"),
    )
    app.registry.add(_job_type(app, functions))
    return LoopFamily(app, definition)


def _config(options: LoopOptions) -> LoopConfig:
    usual = LoopConfig()
    return LoopConfig(
        debounce_ms=_or_usual(options.get("debounce"), usual.debounce_ms, "debounce"),
        monitor_lag_ms=_or_usual(options.get("monitor_lag"), usual.monitor_lag_ms, "monitor_lag"),
        poll_ms=_or_usual(options.get("poll_interval"), usual.poll_ms, "poll_interval"),
        cooldown_ms=_or_usual(options.get("cooldown"), usual.cooldown_ms, "cooldown"),
    )


def _or_usual(seconds: float | None, usual: int, name: str) -> int:
    return usual if seconds is None else duration_ms(seconds, name)


async def _pinged(loops: Loops, name: str, definition: LoopDefinition) -> None:
    try:
        await loops.ping(name, definition)
    except InvalidInput as error:
        raise Cancel(str(error)) from error


def _job_type(app: LoopApp, functions: LoopFunctions) -> Registered:
    """The job type of a loop. Whatever its functions raise is tried again: a loop does not fail."""

    async def run_loop(ctx: Context, name: str) -> None:
        """Pings a loop over rows of the program's own. The one job that holds the loop's key runs it."""
        loops = (await app.operations()).loop_engine
        if ctx.job.unique_key != unique_key(name):
            await _pinged(loops, name, functions.definition)
            return
        holder = Holder(job_id=ctx.job.id, fence=ctx.job.fence)
        await LoopRun(loops.kept, functions, name, holder, ctx).run()

    backoff = functions.definition.config.backoff
    on: dict[type[BaseException], Any] = {Exception: backoff}
    retry = Retry(attempts=RETRIES, backoff=backoff, on=on)
    options = JobOptions(
        name=functions.definition.type, queue=functions.definition.queue, retry=retry, retention=RETENTION
    )
    return replace(registered(run_loop, options), apart=False)

"""Steps of a handler: what was done once is not done again by the next attempt.

A step's value is kept under the attempt's fence before it is returned. Between the end of its function
and that write an attempt can be lost, and then the next one does the step again: at least once a step.
"""

import asyncio
import inspect
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Generator
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Final, Generic, Protocol, TypeVar

from headrace.core import wire
from headrace.core.ids import checked_name
from headrace.core.policy import MAX_DURATION_MS
from headrace.core.steps import IN_PLACE_MS, MAX_STEP_BYTES, Book, Kept, Step, StepKey, StepKind, deadline
from headrace.core.wire import Json
from headrace.errors import InvalidInput, MisuseError, SignalTimeout

T = TypeVar("T")

Asked = Future[Any] | Awaitable[Any] | float
"""What a script waits for: an answer of the worker, a step's own coroutine, or so many seconds."""

Script = Generator[Asked, Any, T]
"""What a step does, written once for handlers with an event loop and without."""

SLEEP_NAME: Final = "sleep"


class Suspend(BaseException):
    """Ends the attempt until an instant. No Exception: who catches all errors must not catch this."""

    def __init__(self, until: int, reason: str, signal: str | None = None) -> None:
        super().__init__(reason)
        self.until = until
        self.reason = reason
        self.signal = signal


class StepCall(Generic[T]):
    """A step: ``await`` it. In a thread or child process without an event loop it is done already."""

    def __init__(self, work: "Coroutine[Any, Any, T] | Future[T]") -> None:
        self._work = work

    def __await__(self) -> Generator[Any, Any, T]:
        work = self._work
        return asyncio.wrap_future(work).__await__() if isinstance(work, Future) else work.__await__()

    def wait(self) -> T:
        """The value, in a handler that is a plain function. Raises MisuseError in an async one."""
        if isinstance(self._work, Future):
            return self._work.result()
        self._work.close()
        raise MisuseError("an async handler awaits its steps: await ctx.step(...)")


class StepLink(Protocol):
    """What steps need of the worker. Both methods may be called from any thread."""

    @property
    def fence(self) -> int:
        """The attempt's fence."""
        ...

    def kept(self) -> "Future[Kept]":
        """Reads what the job has kept. Fails with LeaseLost."""
        ...

    def keep(self, step: Step) -> "Future[None]":
        """Keeps a step, or what became of one that is kept; done when durable. Fails with LeaseLost."""
        ...


class Steps:
    """The steps of one attempt. What the job has kept is read when the first of them asks for it."""

    def __init__(self, link: StepLink) -> None:
        self._link = link
        self._lock = threading.Lock()
        self._met: Counter[tuple[StepKind, str]] = Counter()
        self._book: Book | None = None
        self._seen = Kept(now=0)
        self._suspended: Suspend | None = None

    def step(self, name: str, call: Callable[[], Any]) -> StepCall[Any]:
        """The kept value of the step, or that of ``call``, kept now."""
        return begun(self._step(self._key(StepKind.STEP, name), call))

    def sleep(self, seconds: float, name: str | None) -> StepCall[None]:
        """Lets so much time pass, once for all attempts."""
        key = self._key(StepKind.SLEEP, name or SLEEP_NAME)
        return begun(self._sleep(key, milliseconds(seconds, "seconds")))

    def wait_for(self, signal: str, timeout: float | None) -> StepCall[Json]:
        """The payload of the next signal of that name."""
        key = self._key(StepKind.WAIT, signal)
        return begun(self._wait(key, None if timeout is None else milliseconds(timeout, "timeout")))

    def _key(self, kind: StepKind, name: str) -> StepKey:
        if self._suspended is not None:
            raise self._suspended  # in a `finally` on the way out: that step belongs to the last attempt
        checked_name(name, "step")
        with self._lock:
            self._met[kind, name] += 1
            return kind, name, self._met[kind, name]

    def _step(self, key: StepKey, call: Callable[[], Any]) -> Script[Json]:
        book = yield from self._opened()
        if (known := book.find(key)) is not None:
            return _value(known)
        fresh = book.begin(key, self._seen.now)
        value = call()
        if inspect.isawaitable(value):
            value = yield value
        text = wire.encode(value, limit=MAX_STEP_BYTES, what="step")
        kept = replace(fresh, ended_at=fresh.at, value=text)
        yield from self._keep(book, kept)
        return _value(kept)

    def _sleep(self, key: StepKey, lasts_ms: int) -> Script[None]:
        if lasts_ms < IN_PLACE_MS:
            yield lasts_ms / 1000
            return
        first = self._book is None
        book = yield from self._opened()
        known = book.find(key)
        if known is not None and known.until is not None and known.until <= self._seen.now:
            return
        now = self._seen.now if first else (yield from self._look())
        if known is None:
            known = replace(book.begin(key, now), until=deadline(now, lasts_ms))
            yield from self._keep(book, known)
        until = known.until or 0
        if until - now >= IN_PLACE_MS:
            raise self._leaving(Suspend(until, f"sleeps until {wire.to_iso(until)}"))
        yield max(0.0, (until - now) / 1000)

    def _wait(self, key: StepKey, timeout_ms: int | None) -> Script[Json]:
        name = key[1]
        first = self._book is None
        book = yield from self._opened()
        known = book.find(key)
        if known is None or known.ended_at is None:
            now = self._seen.now if first else (yield from self._look())
            known = known or replace(book.begin(key, now), until=deadline(now, timeout_ms))
            until = known.until or 0
            signal = book.unheard(self._seen.signals, name)
            if signal is not None:
                known = replace(known, ended_at=now, signal=signal.id, value=signal.payload)
            elif now >= until:
                known = replace(known, ended_at=now)
            yield from self._keep(book, replace(known, fence=self._link.fence))
            if known.ended_at is None:
                raise self._leaving(Suspend(until, f"waits for {name}", name))
        if known.value is None:
            raise SignalTimeout(name)
        return _value(known)

    def _leaving(self, suspend: Suspend) -> Suspend:
        self._suspended = suspend
        return suspend

    def _opened(self) -> Script[Book]:
        if self._book is None:
            yield from self._look()
        with self._lock:  # of two first steps at once the book of one must stand for both
            if self._book is None:
                self._book = Book(self._seen.steps)
            return self._book

    def _look(self) -> Script[int]:
        self._seen = yield self._link.kept()
        return self._seen.now

    def _keep(self, book: Book, step: Step) -> Script[None]:
        with self._lock:
            kept = book.keep(step)
        yield self._link.keep(kept)


def begun(script: Script[T]) -> StepCall[T]:
    """Runs a script: as a coroutine where an event loop runs, else here and now."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        done: Future[T] = Future()
        done.set_result(_run_here(script))
        return StepCall(done)
    return StepCall(_run(script))


async def _run(script: Script[T]) -> T:
    answer: Any = None
    while True:
        try:
            asked = script.send(answer)
        except StopIteration as end:
            return end.value
        if isinstance(asked, Future):
            answer = await asyncio.wrap_future(asked)
        elif isinstance(asked, int | float):
            answer = await asyncio.sleep(asked)
        else:
            answer = await asked


def _run_here(script: Script[T]) -> T:
    answer: Any = None
    while True:
        try:
            asked = script.send(answer)
        except StopIteration as end:
            return end.value
        if isinstance(asked, Future):
            answer = asked.result()
        elif isinstance(asked, int | float):
            answer = None
            time.sleep(asked)
        else:
            if inspect.iscoroutine(asked):
                asked.close()
            raise MisuseError("a plain handler has no event loop: its steps are plain functions too")


def milliseconds(seconds: float, what: str) -> int:
    """A duration in milliseconds. Raises InvalidInput unless it lies between 0 and 1,000 years."""
    if not (math.isfinite(seconds) and 0 <= seconds * 1000 <= MAX_DURATION_MS):
        msg = f"{what} must lie between 0 and 1,000 years"
        raise InvalidInput(msg, field=what)
    return round(seconds * 1000)


def _value(step: Step) -> Json:
    """The value as it was kept: the first attempt is given the same as every other."""
    return None if step.value is None else json.loads(step.value)

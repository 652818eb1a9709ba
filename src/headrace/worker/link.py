"""The worker's end of a ``Context``: what handlers tell, from whichever thread they run in."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol, TypeVar, cast

from headrace.core.request import EnqueueRequest
from headrace.engine.work import Holder

T = TypeVar("T")


class Said(Future[T]):
    """A future that knows whether anybody has looked at what it ended with."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = False
        self.set_running_or_notify_cancel()  # a handler that stops waiting does not undo the write

    def result(self, timeout: float | None = None) -> T:
        self.seen = True
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self.seen = True
        return super().exception(timeout)


class Outbox(Protocol):
    """Takes what a handler tells. All methods may be called from any thread."""

    def progress(self, holder: Holder, progress: str) -> None:
        """Takes a progress object; the newest wins."""
        ...

    def log(self, holder: Holder, level: str, message: str, data: str | None) -> None:
        """Takes a log line."""
        ...

    def checkpoint(self, holder: Holder, data: str, done: Said[None]) -> None:
        """Writes a checkpoint and resolves ``done`` when it is durable."""
        ...

    def enqueue(
        self, holder: Holder, requests: Sequence[EnqueueRequest], done: Said[tuple[str, ...]]
    ) -> None:
        """Enqueues children and resolves ``done`` with their ids."""
        ...


class Link:
    """A ``ContextLink`` for one attempt."""

    def __init__(self, holder: Holder, outbox: Outbox, renewed_at: float) -> None:
        self.cancelled = False
        self.renewed_at = renewed_at
        self._holder = holder
        self._outbox = outbox
        self._said: list[Said[None] | Said[tuple[str, ...]]] = []

    def progress(self, progress: str) -> None:
        self._outbox.progress(self._holder, progress)

    def log(self, level: str, message: str, data: str | None) -> None:
        self._outbox.log(self._holder, level, message, data)

    def checkpoint(self, data: str) -> Future[None]:
        done = Said[None]()
        self._said.append(done)
        self._outbox.checkpoint(self._holder, data, done)
        return done

    def enqueue(self, requests: Sequence[EnqueueRequest]) -> Future[tuple[str, ...]]:
        done = Said[tuple[str, ...]]()
        self._said.append(done)
        self._outbox.enqueue(self._holder, requests, done)
        return done

    @property
    def left_alone(self) -> bool:
        """Whether the handler returned without waiting for something it asked for."""
        return any(not done.seen for done in self._said)

    async def finish(self) -> None:
        """Waits for what the handler left alone; raises what went wrong there, so that it is not lost."""
        for done in self._said:
            if not done.seen:
                await asyncio.wrap_future(cast("Future[object]", done))

    def finish_blocking(self) -> None:
        """As ``finish``, for a handler in a thread."""
        for done in self._said:
            if not done.seen:
                done.result()

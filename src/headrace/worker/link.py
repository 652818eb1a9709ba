"""The worker's end of a ``Context``: what handlers tell, from whichever thread they run in."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from headrace.core.flow import Parent
from headrace.core.request import EnqueueRequest
from headrace.core.steps import Kept, Step
from headrace.engine.work import Completion, Holder, Work
from headrace.errors import MisuseError

T = TypeVar("T")


class Said(Future[T]):
    """A future that knows whether anybody has looked at what it ended with."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = False
        self.unwanted: Callable[[], object] | None = None
        self.set_running_or_notify_cancel()  # a handler that stops waiting does not undo the write

    @property
    def succeeded(self) -> bool:
        """Whether it is done, and well."""
        return self.done() and super().exception(0) is None

    def cancel(self) -> bool:
        """The handler waits no more; only what can still be undone is."""
        if self.unwanted is not None:
            self.unwanted()
        return super().cancel()

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

    def parents(self, holder: Holder, done: Said[tuple[Parent, ...]]) -> None:
        """Reads the parents of the job and resolves ``done`` with them."""
        ...

    def kept(self, holder: Holder, done: Said[Kept]) -> None:
        """Reads what the job has kept and resolves ``done`` with it."""
        ...

    def keep(self, holder: Holder, step: Step, done: Said[None]) -> None:
        """Keeps a step and resolves ``done`` when it is durable."""
        ...


class Transactor(Protocol):
    """Runs a handler's function in a transaction. May be called from any thread."""

    def transact(self, holder: Holder, work: Work, completion: Completion, done: Said[object]) -> None:
        """Resolves ``done`` when the function's writes and the job's completion are committed, or undone."""
        ...


class Link:
    """A ``ContextLink`` for one attempt. A child process has no ``transactor``."""

    def __init__(
        self,
        holder: Holder,
        outbox: Outbox,
        renewed_at: float,
        transactor: Callable[[Work, Said[object]], None] | None = None,
    ) -> None:
        self.cancelled = False
        self.renewed_at = renewed_at
        self._holder = holder
        self._outbox = outbox
        self._transactor = transactor
        self._transaction: Said[object] | None = None
        self._said: list[Said[Any]] = []

    def progress(self, progress: str) -> None:
        if not self.completed:
            self._outbox.progress(self._holder, progress)

    def log(self, level: str, message: str, data: str | None) -> None:
        if not self.completed:
            self._outbox.log(self._holder, level, message, data)

    def transaction(self, fn: Work) -> Future[Any]:
        if self._transactor is None:
            raise MisuseError(
                'a handler with runs="process" has no way to the store: leave runs= away, and do what needs '
                "a process in a job of its own, whose result another one writes"
            )
        if self._transaction is not None:
            raise MisuseError("one attempt has one ctx.transaction: put all that belongs together into it")
        done = self._transaction = Said[object]()
        self._said.append(done)
        self._transactor(fn, done)
        return done

    @property
    def completed(self) -> bool:
        """Whether the handler has completed its job in a transaction."""
        done = self._transaction
        return done is not None and done.succeeded

    def _refuse_completed(self, what: str) -> None:
        if self.completed:
            raise MisuseError(f"ctx.{what} after ctx.transaction: the job is completed, do it before")

    def checkpoint(self, data: str) -> Future[None]:
        self._refuse_completed("checkpoint")
        done = Said[None]()
        self._said.append(done)
        self._outbox.checkpoint(self._holder, data, done)
        return done

    def enqueue(self, requests: Sequence[EnqueueRequest]) -> Future[tuple[str, ...]]:
        self._refuse_completed("enqueue")
        done = Said[tuple[str, ...]]()
        self._said.append(done)
        self._outbox.enqueue(self._holder, requests, done)
        return done

    def parents(self) -> Future[tuple[Parent, ...]]:
        done = Said[tuple[Parent, ...]]()
        self._outbox.parents(self._holder, done)
        return done

    @property
    def fence(self) -> int:
        """The attempt's fence."""
        return self._holder.fence

    def kept(self) -> Future[Kept]:
        self._refuse_completed("step")
        done = Said[Kept]()
        self._outbox.kept(self._holder, done)
        return done

    def keep(self, step: Step) -> Future[None]:
        self._refuse_completed("step")
        done = Said[None]()
        self._said.append(done)
        self._outbox.keep(self._holder, step, done)
        return done

    @property
    def left_alone(self) -> bool:
        """Whether the handler returned without waiting for something it asked for."""
        return any(not done.seen for done in self._said)

    async def finish(self) -> None:
        """Waits for what the handler left alone; raises what went wrong there, so that it is not lost."""
        for done in self._said:
            if not done.seen:
                await asyncio.wrap_future(done)

    def finish_blocking(self) -> None:
        """As ``finish``, for a handler in a thread."""
        for done in self._said:
            if not done.seen:
                done.result()

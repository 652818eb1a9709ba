"""What a handler receives: its job, and the ways to tell about its progress.

The same object serves async handlers, handlers in threads and handlers in child processes.
``progress`` and ``log`` return at once and are written soon; ``checkpoint`` and ``enqueue`` return
a ``Pending`` that can be awaited, waited for, or left alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

from headrace.core import wire
from headrace.core.batch import is_batch_id
from headrace.core.flow import Parent
from headrace.core.outcomes import showable
from headrace.core.redaction import redacted, redacted_text
from headrace.core.request import EnqueueRequest
from headrace.core.wire import Json
from headrace.engine.codec import PayloadCodec
from headrace.engine.flow import Flow, requests_of, waiting_for
from headrace.engine.parents import ParentJob, Parents, results_of_parents
from headrace.engine.steps import StepCall, StepLink, Steps
from headrace.errors import InvalidInput, MisuseError
from headrace.files.protocol import FileStore
from headrace.settings import LOG_LEVELS

S = TypeVar("S")
T = TypeVar("T")
P = ParamSpec("P")
MAX_NOTE_BYTES = 64 * 1024
MAX_CHECKPOINT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInfo:
    """The job as its handler sees it. ``attempt`` counts from 1; instants are epoch milliseconds.

    ``fence`` is larger at each claim of the job: whoever keeps the largest it has seen can refuse a
    holder that was superseded.
    """

    id: str
    namespace: str
    type: str
    version: int
    queue: str
    attempt: int
    max_attempts: int
    created_at: int
    batch_id: str | None = None
    unique_key: str | None = None
    tags: tuple[str, ...] = ()
    fence: int = 0


class Pending(Generic[T]):
    """Something under way: ``await`` it in an async handler, ``wait()`` for it in a thread or process."""

    def __init__(self, future: "Future[T]") -> None:
        self._future = future

    def __await__(self) -> Generator[object, None, T]:
        return asyncio.wrap_future(self._future).__await__()

    def wait(self, timeout: float | None = None) -> T:
        """Blocks until it is done. Raises what it ended with, TimeoutError after ``timeout`` seconds."""
        return self._future.result(timeout)


class ContextLink(StepLink, Protocol):
    """What a context needs of the worker that runs its job. All methods may be called from any thread."""

    @property
    def cancelled(self) -> bool:
        """Whether the job is asked to stop, or the worker gave up its lease."""
        ...

    @property
    def renewed_at(self) -> float:
        """When the lease was last renewed, by ``time.monotonic``."""
        ...

    def progress(self, progress: str) -> None:
        """Takes a progress object (JSON text); only the newest is written."""
        ...

    def log(self, level: str, message: str, data: str | None) -> None:
        """Takes one log line."""
        ...

    def checkpoint(self, data: str) -> "Future[None]":
        """Writes a checkpoint; done when durable. Fails with LeaseLost."""
        ...

    def enqueue(self, requests: Sequence[EnqueueRequest]) -> "Future[tuple[str, ...]]":
        """Enqueues children while the lease holds; done with their ids. Fails with LeaseLost."""
        ...

    def parents(self) -> "Future[tuple[Parent, ...]]":
        """Reads the parents of the job, in the order in which it named them. Fails with TooLarge."""
        ...

    def transaction(self, fn: Callable[[Any], Any]) -> "Future[Any]":
        """Runs ``fn`` in a transaction that completes the job too; done with its value."""
        ...


class Context:
    """Handed to every handler that has a parameter annotated ``Context``."""

    def __init__(  # noqa: PLR0913 - what a handler may use
        self,
        job: JobInfo,
        link: ContextLink,
        *,
        saved: Json = None,
        files: FileStore | None = None,
        deps: object = None,
        codec: PayloadCodec | None = None,
    ) -> None:
        self.job = job
        self.saved = saved
        self.deps = deps
        self._link = link
        self._files = files
        self._codec = codec
        self._steps: Steps | None = None

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self.job.attempt

    @property
    def cancelled(self) -> bool:
        """True once the job should stop. Long synchronous handlers look at it now and then."""
        return self._link.cancelled

    @property
    def idempotency_key(self) -> str:
        """The same for all attempts of this job: send it along, so that receivers can drop a repeat."""
        return self.job.id

    @property
    def files(self) -> FileStore:
        """The stored files. Raises MisuseError where the worker was given no file store."""
        if self._files is None:
            msg = "this worker has no file store"
            raise MisuseError(msg)
        return self._files

    def progress(
        self,
        stage: str | float,
        percentage: float | None = None,
        message: str | None = None,
        **metadata: Json,
    ) -> None:
        """Tells how far the work is: ``progress("parsing", 40, "page 4", pages=10)`` or ``progress(40)``.

        ``percentage`` lies between 0 and 100. Only the newest is kept, written at most twice a second.
        """
        name, share = (stage, percentage) if isinstance(stage, str) else (None, stage)
        if share is not None and not 0 <= share <= 100:  # noqa: PLR2004 - per cent
            msg = "percentage must lie between 0 and 100"
            raise InvalidInput(msg, field="percentage")
        told: dict[str, Json] = {
            "stage": name,
            "percentage": share,
            "message": message,
            "metadata": dict(metadata) or None,
        }
        text = {key: value for key, value in told.items() if value is not None}
        self._link.progress(wire.encode(text, limit=MAX_NOTE_BYTES, what="progress"))

    def log(self, message: str, *, level: str = "info", **data: Json) -> None:
        """Adds a line to the job's own log, shown with the job: `headrace job ID --log`.

        ``level`` is debug, info, warning or error. The latest 1,000 lines are kept, of each 4,000
        characters and 64 KB of ``data``. What stands under a name such as ``password`` or ``token``, and
        passwords in URLs, are left out. Raises InvalidInput for another level, TooLarge.
        """
        if level not in LOG_LEVELS:
            raise InvalidInput(f"level must be one of {', '.join(LOG_LEVELS)}, not {level!r}", field="level")
        encoded = wire.encode(data, limit=MAX_NOTE_BYTES, what="log data") if data else None
        if (clean := redacted(data)) != data:
            encoded = wire.encode(clean, what="log data")
        self._link.log(level, redacted_text(showable(str(message))), encoded)

    def checkpoint(self, data: Json) -> Pending[None]:
        """Keeps ``data`` for the next attempt, which finds it in ``saved``."""
        return Pending(
            self._link.checkpoint(wire.encode(data, limit=MAX_CHECKPOINT_BYTES, what="checkpoint"))
        )

    def enqueue(
        self, *requests: EnqueueRequest | Flow, after: Iterable[str] = ()
    ) -> Pending[tuple[str, ...]]:
        """Enqueues further jobs, all or none, and only while this attempt still holds its job.

        Those that wait for none of the others wait for the jobs of ``after``, by their ids; that may be this
        very job (``ctx.job.id``), which then comes before them.
        A repeated attempt enqueues again: give children a ``unique_key`` or ``idempotency_key``
        built from ``ctx.idempotency_key`` where that matters.
        """
        return Pending(self._link.enqueue(waiting_for(tuple(after), requests_of(requests))))

    def parents(self) -> Pending[Parents]:
        """The jobs that this one has waited for, in the order in which it named them (docs/guides/flows.md).

        Each tells its state, and what it returned or how it failed; ``.of(job_type)`` gives the typed results
        of those of one type. Fails with TooLarge beyond 16 MiB of results.
        """
        return Pending(_then(self._link.parents(), self._seen))

    def results(self) -> Pending[list[Any]]:
        """What the parents returned, in the order in which they were named, as JSON.

        Fails with JobFailed or JobCancelled where one of them did not complete; ``parents`` tells of these.
        """
        return Pending(_then(self._link.parents(), lambda found: results_of_parents(self._seen(found))))

    def _seen(self, found: Sequence[Parent]) -> Parents:
        return Parents([ParentJob(one, self._codec) for one in found])

    @property
    def batch(self) -> "BatchOfJob":
        """The batch that this job is a member of. Raises MisuseError if it is in none."""
        if not is_batch_id(self.job.batch_id):
            msg = "this job is no member of a batch"
            raise MisuseError(msg)
        return BatchOfJob(self.job.batch_id, self._link)

    @overload
    def transaction(self, fn: Callable[[Any], Awaitable[T]]) -> Pending[T]: ...
    @overload
    def transaction(self, fn: Callable[[Any], T]) -> Pending[T]: ...
    def transaction(self, fn: Callable[[Any], Any]) -> Pending[Any]:
        """Runs ``fn(connection)`` in a transaction of the store that also completes this job.

        What ``fn`` writes and the job's completion commit together or not at all, so these writes happen
        exactly once. What ``fn`` returns is the job's result; what the handler itself returns or raises
        afterwards changes nothing any more. At most one call in an attempt, and the last word of it: ``log``
        and ``progress`` are dropped after it, ``checkpoint`` and ``enqueue`` refused.

        PostgreSQL: ``fn`` is async and receives an asyncpg connection. SQLite: ``fn`` is a plain function,
        receives an apsw connection and has one second, in which nobody else writes to the file. It may
        neither commit nor roll back; ``job_type.using(tx=connection)`` works inside it.

        Raises LeaseLost if the job has another holder by now, and what ``fn`` raises; then nothing was
        written. OutcomeUnknown: the reply of the commit was lost, and the store will tell: let it out. Raises
        MisuseError in a job type with ``runs="process"``, whose handlers have no way to the store.
        """
        return Pending(self._link.transaction(fn))

    @overload
    def step(
        self, name: str, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> StepCall[T]: ...
    @overload
    def step(self, name: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> StepCall[T]: ...
    def step(self, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> StepCall[Any]:
        """Does ``fn(*args)`` once for all attempts: ``await ctx.step("charge", charge, order_id)``.

        Its value, which must be JSON, is kept before it is returned; a repeated attempt is given the kept
        value and does not call ``fn``. What ``fn`` raises is not kept. An attempt that is lost between the
        end of ``fn`` and the keeping does it again: at least once a step. Steps of the same name are
        numbered in the order of their calls, so that order must be the same in every attempt.

        A plain function runs where the handler runs. In a thread or child process without an event loop the
        step is done when this returns, and ``.wait()`` gives its value.

        Raises InvalidInput for a name or value that cannot be kept, TooLarge, LeaseLost.
        """
        return self._stepping().step(name, lambda: fn(*args, **kwargs))

    def sleep(self, seconds: float, name: str | None = None) -> StepCall[None]:
        """Lets so much time pass, once for all attempts. From one second on the job leaves its worker.

        The attempt then ends here, at no cost to the job: no attempt, no snooze, no slot. When the time has
        come the handler begins anew, its steps are passed over, and so is this sleep. Do in steps whatever
        must not be done again, and let nothing catch BaseException around it.
        """
        return self._stepping().sleep(seconds, name)

    def wait_for(self, signal: str, *, timeout: float | None = None) -> StepCall[Json]:
        """The payload of the next signal of that name, sent by ``app.signal`` before, now or later.

        The job leaves its worker meanwhile, as in ``sleep``. Each signal is given to one wait, once for all
        attempts. Raises SignalTimeout after ``timeout`` seconds (None: waits on), in every later attempt too.
        """
        return self._stepping().wait_for(signal, timeout)

    def _stepping(self) -> Steps:
        if self._steps is None:
            self._steps = Steps(self._link)
        return self._steps


def _then(future: "Future[S]", make: Callable[[S], T]) -> "Future[T]":
    """A future of what ``make`` makes of the value of another one."""
    made: Future[T] = Future()
    made.set_running_or_notify_cancel()

    def done(ended: "Future[S]") -> None:
        try:
            made.set_result(make(ended.result()))
        except BaseException as error:  # boundary: belongs to the handler that waits for it
            made.set_exception(error)

    future.add_done_callback(done)
    return made


class BatchOfJob:
    """A batch as its running members see it."""

    def __init__(self, batch_id: str, link: ContextLink) -> None:
        self.id = batch_id
        self._link = link

    def add(self, *requests: EnqueueRequest | Flow) -> Pending[tuple[str, ...]]:
        """Adds members, all or none, also to a sealed batch, while this attempt still holds its job (C38).

        As with ``ctx.enqueue``, a repeated attempt adds them again unless they carry an ``idempotency_key``.
        """
        return Pending(self._link.enqueue([replace(one, batch_id=self.id) for one in requests_of(requests)]))


def parse_saved(checkpoint: str | None) -> Json:
    """A stored checkpoint as the value a handler saved."""
    return None if checkpoint is None else wire.decode(checkpoint, what="checkpoint")

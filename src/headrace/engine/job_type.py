"""A job type as its program uses it: typed enqueue calls, options for one call, the decorator."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from headrace.core.backoff import Backoff
from headrace.core.request import EnqueueRequest
from headrace.core.unique import OnConflict, Unique, Until
from headrace.engine.context import Context
from headrace.engine.handle import Handle
from headrace.engine.portal import Portal
from headrace.engine.registry import JobOptions, Registered, Registry, registered
from headrace.errors import MisuseError

P = ParamSpec("P")
R = TypeVar("R")


class Enqueuer(Protocol):
    """What a job type needs of its app."""

    @property
    def portal(self) -> Portal:
        """For the synchronous calls."""
        ...

    @property
    def registry(self) -> Registry:
        """Where job types are registered."""
        ...

    async def enqueue_many(
        self, requests: Sequence[EnqueueRequest], *, tx: object = None
    ) -> Sequence[Handle[Any]]:
        """Enqueues all requests or none, in order."""
        ...

    def enqueue_many_sync(
        self, requests: Sequence[EnqueueRequest], *, tx: object = None
    ) -> Sequence[Handle[Any]]:
        """As ``enqueue_many``, for callers without an event loop."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """What ``using`` sets for one enqueue; durations in seconds, ``at`` in epoch milliseconds.

    ``tx`` is a connection with an open transaction, of a library that the store accepts.
    """

    queue: str | None = None
    priority: int | None = None
    delay: float | None = None
    at: int | None = None
    max_attempts: int | None = None
    backoff: Backoff | None = None
    timeout: float | None = None
    unique: Unique | None = None
    idempotency_key: str | None = None
    batch_id: str | None = None
    tags: tuple[str, ...] = ()
    tx: object = None


@dataclass(frozen=True, slots=True)
class JobType(Generic[P, R]):
    """A job type of an app. Called directly it is the handler itself; ``enqueue`` makes it a job."""

    app: Enqueuer
    registered: Registered
    options: CallOptions = field(default_factory=CallOptions)

    @property
    def name(self) -> str:
        """The name under which it is stored."""
        return self.registered.info.name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the handler's own types
        """Calls the handler here and now, without a queue."""
        return self.registered.handler(*args, **kwargs)

    def using(  # noqa: PLR0913 - one argument per option
        self,
        *,
        queue: str | None = None,
        priority: int | None = None,
        delay: float | None = None,
        at: int | None = None,
        max_attempts: int | None = None,
        backoff: Backoff | None = None,
        timeout: float | None = None,
        unique_key: str | None = None,
        until: Until = Until.FINISHED,
        on_conflict: OnConflict = OnConflict.EXISTING,
        period: float | None = None,
        idempotency_key: str | None = None,
        batch_id: str | None = None,
        tags: tuple[str, ...] = (),
        tx: object = None,
    ) -> "JobType[P, R]":
        """The same job type with options for the next enqueue. Durations are in seconds.

        With ``tx``, the program's own connection, the job exists if and when the transaction that is open
        on it commits (docs/guides/transactions.md).
        """
        unique = None
        if unique_key is not None:
            period_ms = None if period is None else round(period * 1000)
            unique = Unique(key=unique_key, until=until, on_conflict=on_conflict, period_ms=period_ms)
        options = CallOptions(
            queue=queue,
            priority=priority,
            delay=delay,
            at=at,
            max_attempts=max_attempts,
            backoff=backoff,
            timeout=timeout,
            unique=unique,
            idempotency_key=idempotency_key,
            batch_id=batch_id,
            tags=tags,
            tx=tx,
        )
        return replace(self, options=options)

    def request(self, *args: P.args, **kwargs: P.kwargs) -> EnqueueRequest:
        """The request for a call with these arguments, for ``app.enqueue_many`` and ``ctx.enqueue``.

        Raises InvalidPayload; MisuseError for a request with ``tx``, which belongs to the call that sends it.
        """
        if self.options.tx is not None:
            msg = "a request has no transaction of its own: app.enqueue_many(requests, tx=connection)"
            raise MisuseError(msg)
        return self._request(args, kwargs)

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Enqueues a call with these arguments; when it returns, the job is safe in the store.

        With ``using(tx=...)`` it is safe when that transaction has committed.
        Raises InvalidPayload, DuplicateJob, IdempotencyMismatch, MisuseError, StoreError.
        """
        handles = await self.app.enqueue_many((self._request(args, kwargs),), tx=self.options.tx)
        return handles[0]

    def enqueue_sync(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """As ``enqueue``, for callers without an event loop, and with a synchronous ``tx`` everywhere."""
        return self.app.enqueue_many_sync((self._request(args, kwargs),), tx=self.options.tx)[0]

    def _request(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> EnqueueRequest:
        options = self.options
        return EnqueueRequest(
            type=self.name,
            payload=self.registered.payload.encode_call(args, kwargs),
            encoded=True,
            queue=options.queue,
            priority=options.priority,
            delay_ms=None if options.delay is None else round(options.delay * 1000),
            due_at=options.at,
            max_attempts=options.max_attempts,
            backoff=options.backoff,
            timeout_ms=None if options.timeout is None else round(options.timeout * 1000),
            unique=options.unique,
            idempotency_key=options.idempotency_key,
            batch_id=options.batch_id,
            tags=options.tags,
        )


class JobDecorator:
    """What ``app.job(...)`` returns: turns a handler into a job type.

    A leading ``Context`` parameter is left out of the enqueue call's type; elsewhere give it a
    default so that a type checker does not ask callers for it.
    """

    def __init__(self, app: Enqueuer, options: JobOptions) -> None:
        self._app = app
        self._options = options

    @overload
    def __call__(self, handler: Callable[Concatenate[Context, P], Awaitable[R]]) -> JobType[P, R]: ...
    @overload
    def __call__(self, handler: Callable[P, Awaitable[R]]) -> JobType[P, R]: ...
    @overload
    def __call__(self, handler: Callable[Concatenate[Context, P], R]) -> JobType[P, R]: ...
    @overload
    def __call__(self, handler: Callable[P, R]) -> JobType[P, R]: ...
    def __call__(self, handler: Callable[..., Any]) -> JobType[..., Any]:
        """Registers the handler. Raises MisuseError for a signature that cannot be a payload."""
        one = registered(handler, self._options)
        self._app.registry.add(one)
        return JobType(self._app, one)

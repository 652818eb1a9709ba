"""A job type as its program uses it: typed enqueue calls, options for one call, the decorator."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from headrace.core.backoff import Backoff
from headrace.core.flow import OnParentFailure, on_parent_failure_named
from headrace.core.request import EnqueueRequest
from headrace.core.unique import OnConflict, Unique, Until
from headrace.engine.arguments import results_of
from headrace.engine.context import Context
from headrace.engine.flow import Request
from headrace.engine.handle import Handle
from headrace.engine.keys import wishes_in_order
from headrace.engine.limiting import Key, OrderBy, order_of
from headrace.engine.portal import Portal
from headrace.engine.registry import JobOptions, Registered, Registry, registered
from headrace.errors import MisuseError

P = ParamSpec("P")
R = TypeVar("R")
Q = TypeVar("Q", bound=EnqueueRequest)


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
    order_by: OrderBy | None = None
    after: tuple[str, ...] = ()
    on_parent_failure: OnParentFailure | None = None
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
        order_by: Key | OrderBy | None = None,
        after: Iterable[Handle[Any] | str] = (),
        on_parent_failure: OnParentFailure | str | None = None,
        tx: object = None,
    ) -> "JobType[P, R]":
        """The same job type with options for the next enqueue. Durations are in seconds.

        The job waits for those of ``after``, handles or ids, to end; ``on_parent_failure`` says what it does
        where one of them fails: ``cancel`` (default), ``run`` or ``wait`` (docs/guides/flows.md).
        ``order_by`` is as in ``app.job``: a part of the payload under whose value jobs run in order.
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
            order_by=None if order_by is None else order_of(order_by),
            after=tuple(one if isinstance(one, str) else one.id for one in after),
            on_parent_failure=None
            if on_parent_failure is None
            else on_parent_failure_named(on_parent_failure),
            tx=tx,
        )
        return replace(self, options=options)

    def throttle(self, key: str, *, period: float) -> "JobType[P, R]":
        """The same job type, of which one call in ``period`` seconds makes a job: the first under this key.

        The others are answered with that job, also once it has ended or was erased: their handle has its id,
        and its kind is ``existing``. Comes after ``using``, whose options it keeps. Raises InvalidInput.
        """
        unique = Unique(key=key, until=Until.STARTED, period_ms=round(period * 1000))
        return replace(self, options=replace(self.options, unique=unique))

    def debounce(self, key: str, *, delay: float) -> "JobType[P, R]":
        """The same job type, of which one job waits under this key, with the arguments of the latest call.

        It starts ``delay`` seconds after that call. A call that finds it waiting replaces its arguments: the
        handle has its id, and its kind is ``replaced``. Comes after ``using``, whose options it keeps.
        """
        unique = Unique(key=key, on_conflict=OnConflict.REPLACE)
        return replace(self, options=replace(self.options, unique=unique, delay=delay, at=None))

    def request(self, *args: P.args, **kwargs: P.kwargs) -> Request:
        """The request for a call with these arguments, for ``app.enqueue_many``, ``ctx.enqueue`` and flows.

        Raises InvalidPayload; MisuseError for a request with ``tx``, which belongs to the call that sends it.
        """
        if self.options.tx is not None:
            msg = "a request has no transaction of its own: app.enqueue_many(requests, tx=connection)"
            raise MisuseError(msg)
        request = self._request(Request, args, kwargs)
        object.__setattr__(request, "app", self.app)  # it is frozen
        return request

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Enqueues a call with these arguments; when it returns, the job is safe in the store.

        With ``using(tx=...)`` it is safe when that transaction has committed.
        Raises InvalidPayload, DuplicateJob, IdempotencyMismatch, MisuseError, StoreError.
        """
        request = self._request(EnqueueRequest, args, kwargs)
        handles = await self.app.enqueue_many((request,), tx=self.options.tx)
        return handles[0]

    def enqueue_sync(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """As ``enqueue``, for callers without an event loop, and with a synchronous ``tx`` everywhere."""
        request = self._request(EnqueueRequest, args, kwargs)
        return self.app.enqueue_many_sync((request,), tx=self.options.tx)[0]

    def read_result(self, text: str | None) -> R:
        """What the handler returned, from the stored result of one of its jobs. Raises Undecodable."""
        known = self.app.registry.find(self.name)  # which knows the codec
        return results_of(known or self.registered).decode_result(text)

    def _request(self, kind: type[Q], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Q:
        options = self.options
        payload = self.registered.payload.encode_call(args, kwargs)
        order = options.order_by
        return kind(
            type=self.name,
            payload=payload,
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
            after=options.after,
            on_parent_failure=options.on_parent_failure,
            wishes=None if order is None else wishes_in_order(self.registered, payload, order),
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

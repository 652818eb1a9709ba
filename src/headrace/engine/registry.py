"""Job types: a handler, its payload schema, its options; and the registry that knows them by name."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from headrace.core.backoff import Backoff
from headrace.core.breaker import lane_of_breaker
from headrace.core.classify import NO_RULES, ErrorRules
from headrace.core.ids import checked_name
from headrace.core.job import Priority
from headrace.core.lanes import known_version
from headrace.core.limits import Limit
from headrace.core.policy import DEFAULT_BACKOFF, Policy, Retention
from headrace.core.queue_rules import NO_RULES as NO_QUEUE_RULES
from headrace.core.queue_rules import QueueRules
from headrace.core.request import DEFAULT_QUEUE
from headrace.engine.breaker_type import Breaker, refuse_unlike
from headrace.engine.limiting import (
    NOT_LIMITED,
    Key,
    Limiting,
    OrderBy,
    Rate,
    Slots,
    limiting_of,
    refuse_conflicts,
)
from headrace.engine.operations import Runs, TypeInfo
from headrace.errors import MisuseError, UnknownJobType

if TYPE_CHECKING:
    from headrace.engine.codec import PayloadCodec
    from headrace.engine.payload import PayloadSchema

Upgrade = Callable[[dict[str, Any]], Mapping[str, Any]]
"""Makes of a payload of one version that of the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How a job type retries.

    ``attempts`` bounds handler errors and time-outs. ``on`` gives some errors a back-off of their
    own, ``never`` lists errors that fail the job at once. ``timeout_growth`` multiplies the time
    limit after each time-out.
    """

    attempts: int = 3
    backoff: Backoff = DEFAULT_BACKOFF
    on: Mapping[type[BaseException], Backoff] = field(default_factory=dict[type[BaseException], Backoff])
    never: tuple[type[BaseException], ...] = ()
    timeout_growth: float = 1.0
    max_snoozes: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """The options of a job type. Durations are in seconds.

    ``upgrades`` carries waiting payloads of older versions forward: ``upgrades[1]`` from version 1 to 2.
    """

    name: str | None = None
    version: int = 1
    upgrades: Mapping[int, Upgrade] = field(default_factory=dict[int, Upgrade])
    queue: str = DEFAULT_QUEUE
    priority: int = Priority.NORMAL
    retry: Retry = field(default_factory=Retry)
    timeout: float | None = None
    runs: Runs | None = None
    retention: Retention = field(default_factory=Retention)
    memory_limit_mb: int | None = None
    dead_letter_queue: str | None = None
    dead_letter_type: str | None = None
    limits: tuple[Rate | Slots, ...] = ()
    order_by: OrderBy | None = None
    fair_by: Key | None = None
    breaker: Breaker | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A job type with its code. ``codec`` is that of the registry it was added to.

    ``apart`` says whether a child process can run it after a crash; else it runs alone in its worker.
    """

    info: TypeInfo
    handler: Callable[..., Any]
    payload: "PayloadSchema"
    rules: ErrorRules = NO_RULES
    memory_limit_mb: int | None = None
    upgrades: Mapping[int, Upgrade] = field(default_factory=dict[int, Upgrade])
    codec: "PayloadCodec | None" = None
    apart: bool = True
    limiting: Limiting = NOT_LIMITED


def registered(
    handler: Callable[..., Any],
    options: JobOptions,
    schema: "Callable[[str, Callable[..., Any]], PayloadSchema] | None" = None,
) -> Registered:
    """Makes a job type of a handler. Raises MisuseError or InvalidInput for what cannot work.

    ``schema`` reads the payload from the handler, where its parameters are not the payload's fields.
    """
    from headrace.engine.payload import PayloadSchema  # noqa: PLC0415 - pydantic takes 0.15 s to import

    name = checked_name(options.name or _name_of(handler), "type")
    _refuse_generator(name, handler)
    _refuse_gaps(name, options)
    _refuse_lost_letters(name, options)
    checked_name(options.queue, "queue")
    payload = (schema or PayloadSchema)(name, handler)
    breaker = None if options.breaker is None else options.breaker.rule
    limiting = limiting_of(
        name,
        payload.fields,
        options.limits,
        options.order_by,
        fair=options.fair_by,
        fixed=() if breaker is None else (lane_of_breaker(breaker.name),),
    )
    policy = Policy(
        max_attempts=options.retry.attempts,
        max_snoozes=options.retry.max_snoozes,
        backoff=options.retry.backoff,
        timeout_ms=None if options.timeout is None else round(options.timeout * 1000),
        timeout_growth=options.retry.timeout_growth,
        breaker=breaker,
        retention=options.retention,
        dead_letter_queue=options.dead_letter_queue,
        dead_letter_type=options.dead_letter_type,
    )
    info = TypeInfo(
        name=name,
        version=options.version,
        queue=options.queue,
        priority=int(options.priority),
        runs=_runs(name, handler, options.runs),
        policy=policy,
        schema=payload.json_schema(),
        description=inspect.getdoc(handler) or "",
        keys=limiting.rules,
    )
    return Registered(
        info=info,
        handler=handler,
        payload=payload,
        rules=ErrorRules(never=options.retry.never, on=dict(options.retry.on)),
        memory_limit_mb=options.memory_limit_mb,
        upgrades=dict(options.upgrades),
        limiting=limiting,
    )


class Registry:
    """The job types a program knows, by name. Only these ever run: a payload never names code.

    With a ``codec`` the payloads of all of them pass through it.
    """

    def __init__(self, types: Iterable[Registered] = (), *, codec: "PayloadCodec | None" = None) -> None:
        self._types: dict[str, Registered] = {}
        self.codec = codec
        self.queue_rules: QueueRules = NO_QUEUE_RULES
        for one in types:
            self.add(one)

    def add(self, one: Registered) -> None:
        """Adds a job type. Raises MisuseError if the name is taken, or the codec refuses it."""
        known = self._types.get(one.info.name)
        if known is not None and known.handler is not one.handler:
            msg = f"two handlers are named {one.info.name!r}; give one of them another name="
            raise MisuseError(msg)
        others = [other for other in self._types.values() if other is not known]
        refuse_conflicts(one.info.name, one.limiting.limits, _limits_of(others))
        refuse_unlike(one.info.name, one.info.policy.breaker, (other.info.policy.breaker for other in others))
        if self.codec is not None:
            self.codec.admit(one.info.name, one.payload.fields)
            one = replace(one, codec=self.codec)
        self._types[one.info.name] = one

    def get(self, name: str) -> Registered:
        """The job type of that name. Raises UnknownJobType."""
        try:
            return self._types[name]
        except KeyError:
            raise UnknownJobType(name, self.names) from None

    def find(self, name: str) -> Registered | None:
        """The job type of that name, or None."""
        return self._types.get(name)

    @property
    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self._types))

    @property
    def known(self) -> frozenset[str]:
        """What a worker says it knows: all names, and the versions later than 1 that it can run."""
        versions = (
            known_version(one.info.name, version)
            for one in self._types.values()
            for version in {one.info.version, *one.upgrades}
            if version > 1
        )
        return frozenset(self._types).union(versions)

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues the job types use by default, sorted."""
        return tuple(sorted({one.info.queue for one in self._types.values()}))

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The limits that the job types declare."""
        return tuple(_limits_of(self._types.values()))

    def all(self) -> tuple[Registered, ...]:
        """All job types by name."""
        return tuple(self._types[name] for name in self.names)


def _limits_of(types: Iterable[Registered]) -> list[Limit]:
    return [limit for one in types for limit in one.limiting.limits]


def _name_of(handler: Callable[..., Any]) -> str:
    return getattr(handler, "__name__", type(handler).__name__)


def _refuse_generator(name: str, handler: Callable[..., Any]) -> None:
    for code in (handler, getattr(handler, "__call__", None)):  # noqa: B004 - asks what a call would run
        if inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code):
            msg = (
                f"{name}: a handler must not yield: a call would only make a generator. Return one value, "
                "and tell what happens on the way with ctx.progress, ctx.log or ctx.enqueue"
            )
            raise MisuseError(msg)


def _refuse_gaps(name: str, options: JobOptions) -> None:
    if options.version < 1:
        msg = f"{name}: versions count from 1"
        raise MisuseError(msg)
    if not options.upgrades:
        return
    expected = set(range(min(options.upgrades), options.version))
    if min(options.upgrades) < 1 or expected != set(options.upgrades):
        msg = (
            f"{name}: upgrades must lead without a gap to version {options.version}: one function for each "
            f"of the versions before it that may still wait, not {sorted(options.upgrades)}"
        )
        raise MisuseError(msg)


def _refuse_lost_letters(name: str, options: JobOptions) -> None:
    queue, kept = options.dead_letter_queue, options.retention
    if queue is None:
        if options.dead_letter_type is not None:
            msg = f"{name}: dead_letter_type is the type of what goes to dead_letter_queue: name that too"
            raise MisuseError(msg)
        return
    checked_name(queue, "dead_letter_queue")
    if options.dead_letter_type is not None:
        checked_name(options.dead_letter_type, "dead_letter_type")
    if kept.failed_age_ms is not None or kept.failed_count is not None:
        msg = (
            f"{name}: a failed job stays until it is put on the dead-letter queue: leave failed_age_ms and "
            "failed_count out of its retention"
        )
        raise MisuseError(msg)


def _runs(name: str, handler: Callable[..., Any], asked: Runs | None) -> Runs:
    is_async = inspect.iscoroutinefunction(handler)
    if asked is None:
        return Runs.ASYNC if is_async else Runs.THREAD
    if asked is Runs.ASYNC and not is_async:
        msg = f'{name}: runs="async" needs an async def handler'
        raise MisuseError(msg)
    if asked is Runs.THREAD and is_async:
        msg = f'{name}: an async def handler cannot run in a thread; leave runs out or use runs="process"'
        raise MisuseError(msg)
    return asked


EMPTY: Final = Registry()

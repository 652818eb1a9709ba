"""Job types whose messages are handed to their handler in chunks: the decorator ``app.chunk(...)``."""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, overload

from headrace.core.chunk import MAX_WAIT_MS, ChunkRule
from headrace.core.policy import Retention
from headrace.core.request import DEFAULT_QUEUE
from headrace.engine.breaker_type import Breaker
from headrace.engine.chunk import Chunk
from headrace.engine.job_type import Enqueuer, JobType
from headrace.engine.limiting import Key, OrderBy, Rate, Slots, order_of, several
from headrace.engine.registry import JobOptions, Registered, Retry, Upgrade, registered
from headrace.errors import InvalidInput

M = TypeVar("M")


class ChunkDecorator:
    """What ``app.chunk(...)`` returns: turns a handler of chunks into a job type."""

    def __init__(self, app: Enqueuer, options: JobOptions, rule: ChunkRule) -> None:
        self._app = app
        self._options = options
        self._rule = rule

    @overload
    def __call__(self, handler: Callable[[Chunk[M]], Awaitable[None]]) -> JobType[[M], Any]: ...
    @overload
    def __call__(self, handler: Callable[[Chunk[M]], None]) -> JobType[[M], Any]: ...
    def __call__(self, handler: Callable[..., Any]) -> JobType[..., Any]:
        """Registers the handler. Raises MisuseError for one that does not take a ``Chunk[...]``."""
        one = chunk_registered(handler, self._options, self._rule)
        self._app.registry.add(one)
        return JobType(self._app, one)


class DefinesChunks:
    """The part of an app that defines chunks."""

    def chunk(  # noqa: PLR0913 - one argument per option
        self: Enqueuer,
        *,
        name: str | None = None,
        max_size: int = 100,
        max_wait: float = 30,
        version: int = 1,
        upgrades: Mapping[int, Upgrade] | None = None,
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        retry: Retry | None = None,
        timeout: float | None = None,
        retention: Retention | None = None,
        dead_letter_queue: str | None = None,
        dead_letter_type: str | None = None,
        rate: Rate | Sequence[Rate] = (),
        concurrency: Slots | Sequence[Slots] = (),
        order_by: Key | OrderBy | None = None,
        fair_by: Key | None = None,
        breaker: Breaker | None = None,
    ) -> ChunkDecorator:
        """Registers the decorated handler for up to ``max_size`` messages at once (docs/guides/chunks.md).

        It is called as soon as so many are due, or with fewer once the oldest has been due for ``max_wait``
        seconds. ``timeout`` is in seconds for one call. Each message is a job of this type, and the other
        options mean for it what they mean in ``app.job``.
        """
        options = JobOptions(
            name=name,
            version=version,
            upgrades=upgrades or {},
            queue=queue,
            priority=priority,
            retry=retry or Retry(),
            timeout=timeout,
            retention=retention or Retention(),
            dead_letter_queue=dead_letter_queue,
            dead_letter_type=dead_letter_type,
            limits=(*several(rate), *several(concurrency)),
            order_by=None if order_by is None else order_of(order_by),
            fair_by=fair_by,
            breaker=breaker,
        )
        return ChunkDecorator(self, options, rule_of(max_size, max_wait))


def rule_of(max_size: int, max_wait: float) -> ChunkRule:
    """The rule for a size and a wait in seconds. Raises InvalidInput."""
    if not math.isfinite(max_wait):
        msg = f"max_wait must lie between 0 and {MAX_WAIT_MS // 1000} seconds"
        raise InvalidInput(msg, field="maxWait")
    return ChunkRule(max_size=max_size, max_wait_ms=round(max_wait * 1000))


def chunk_registered(handler: Callable[..., Any], options: JobOptions, rule: ChunkRule) -> Registered:
    """Makes a job type of a handler of chunks. Raises MisuseError or InvalidInput for what cannot work.

    It never runs in a child process: a message that lost workers runs alone in its worker instead.
    """
    from headrace.engine.message_schema import MessageSchema  # noqa: PLC0415 - see registered

    one = registered(handler, options, schema=MessageSchema)
    return replace(one, info=replace(one.info, chunk=rule), apart=False)

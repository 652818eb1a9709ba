"""Runs a handler as a worker would, without a queue and without a store."""

import asyncio
import inspect
from typing import Any, TypeVar, cast

from headrace.core.wire import MAX_INSTANT_MS
from headrace.engine.job_type import JobType
from headrace.engine.registry import Registered
from headrace.engine.steps import Suspend
from headrace.errors import MisuseError
from headrace.testing.context import FakeContext

R = TypeVar("R")


async def run_job(
    job_type: JobType[..., R] | Registered, *args: object, ctx: FakeContext | None = None, **kwargs: object
) -> R:
    """What the handler returns for a call with these arguments, as ``handle.result()`` would give it.

    The arguments become a payload and arguments again, so that a handler gets what it would get from a
    worker; a plain function runs in a thread. Raises InvalidPayload, what the handler raises, and
    InvalidInput for a result that could not be kept. No payload passes through upgrades or a codec.

    A handler that sleeps durably begins anew when the made-up time of ``ctx`` has come, and its steps are not
    done again. A wait for a signal that ``ctx.signal`` has not sent is timed out; where it has no time-out,
    raises MisuseError.
    """
    kind = registered_of(job_type)
    if kind.info.chunk is not None:
        msg = f"{kind.info.name} takes chunks: enqueue its messages and use drain, which calls it with each"
        raise MisuseError(msg)
    payload = kind.payload.encode_call(args, kwargs)
    context = FakeContext() if ctx is None else ctx
    while True:
        arguments = kind.payload.decode(payload)
        if kind.payload.context_parameter is not None:
            arguments[kind.payload.context_parameter] = context
        try:
            value = await _called(kind, arguments)
        except Suspend as suspended:
            if suspended.until >= MAX_INSTANT_MS:
                signal = f"ctx.signal({suspended.signal!r}, …)"
                msg = f"the handler {suspended.reason}, and nobody sends it: {signal}"
                raise MisuseError(msg) from None
            context.wake(suspended.until)
        else:
            return cast("R", kind.payload.decode_result(kind.payload.encode_result(value)))


def run_job_sync(
    job_type: JobType[..., R] | Registered, *args: object, ctx: FakeContext | None = None, **kwargs: object
) -> R:
    """As ``run_job``, for tests without an event loop."""
    return asyncio.run(run_job(job_type, *args, ctx=ctx, **kwargs))


def registered_of(job_type: JobType[..., Any] | Registered) -> Registered:
    """The handler with its schema, of a job type of an app or of a library."""
    return job_type.registered if isinstance(job_type, JobType) else job_type


async def _called(kind: Registered, arguments: dict[str, Any]) -> object:
    if inspect.iscoroutinefunction(kind.handler):
        return await kind.handler(**arguments)
    return await asyncio.to_thread(kind.handler, **arguments)

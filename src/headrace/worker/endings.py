"""How attempts end: from what a handler returned or raised, and why it was told to stop, to an outcome."""

import asyncio
import traceback
from types import TracebackType
from typing import Any, Final

from headrace.core.classify import classify, retry_after_ms
from headrace.core.job import Job
from headrace.core.outcomes import (
    ErrorInfo,
    Failed,
    Outcome,
    Released,
    Snoozed,
    Stopped,
    Succeeded,
    Suspended,
)
from headrace.core.policy import ErrorClass
from headrace.engine.arguments import kept_result
from headrace.engine.codec import PayloadCodec
from headrace.engine.context import Context, ContextLink, JobInfo, parse_saved
from headrace.engine.registry import Registered
from headrace.engine.steps import Suspend
from headrace.errors import Cancel, Snooze
from headrace.files.protocol import FileStore
from headrace.worker.held import Held, Why

MAX_FRAMES: Final = 60
NO_VALUE: Final = Succeeded()
_FOLDER: Final = __file__.rpartition("/")[0] + "/"


class Interrupted(BaseException):
    """Raised inside a handler in a thread or child process that did not react to ``ctx.cancelled``."""


def context_of(
    job: Job,
    link: ContextLink,
    *,
    files: FileStore | None = None,
    deps: object = None,
    codec: PayloadCodec | None = None,
) -> Context:
    """What the handler of this attempt receives."""
    return Context(
        job_info(job), link, saved=parse_saved(job.checkpoint), files=files, deps=deps, codec=codec
    )


def job_info(job: Job) -> JobInfo:
    """The job as its handler sees it."""
    facts = job.facts
    return JobInfo(
        id=facts.id,
        namespace=facts.namespace,
        type=facts.type,
        version=facts.version,
        queue=facts.queue,
        attempt=job.attempt,
        max_attempts=facts.max_attempts,
        created_at=facts.created_at,
        batch_id=facts.batch_id,
        unique_key=facts.unique_key,
        tags=facts.tags,
        fence=job.fence,
    )


def succeeded(kind: Registered, value: object) -> Outcome:
    """The handler returned. Raises InvalidInput for a value that cannot be kept."""
    return NO_VALUE if value is None else Succeeded(result=kept_result(kind, value))


def raised(kind: Registered, error: BaseException, now: int) -> Outcome:
    """The handler raised, or its payload did not fit."""
    try:
        match error:
            case Snooze(delay=delay):
                return Snoozed(delay_ms=max(0, round(delay * 1000)), reason=_text(error))
            case Suspend(until=until, reason=reason, signal=signal):
                return Suspended(until=until, reason=reason, signal=signal)
            case Cancel():
                return Stopped(reason=_text(error))
            case _:
                return Failed(
                    error=_info(error, classify(error, kind.rules), retry_after_ms(error, now)),
                    backoff=kind.rules.backoff_for(error),
                )
    except Exception:  # boundary: what an error says of itself may raise too, and it is still reported
        return Failed(error=_info(error, ErrorClass.TRANSIENT, None))


def _info(error: BaseException, error_class: ErrorClass, retry_after: int | None) -> ErrorInfo:
    return ErrorInfo(
        type=type(error).__name__,
        message=_text(error),
        error_class=error_class,
        traceback=_traceback(error),
        retry_after_ms=retry_after,
    )


def settled(held: Held, outcome: Outcome | None) -> Outcome:
    """The outcome to report for a handler that ended, given why it was told to stop.

    ``outcome`` is None for a handler that ended by the interruption itself. Success wins over a
    cancel, a shutdown and a lease that could not be renewed (C26, C13), not over the time limit.
    """
    why = held.stopping
    if why is None:
        return Stopped(reason="interrupted") if outcome is None else outcome
    match why:
        case Why.TIMEOUT:
            return timed_out(held.job)
        case Why.CANCEL:
            return Stopped(reason=why.value) if outcome is None else outcome
        case Why.SHUTDOWN | Why.LAPSED | Why.LATE:
            meant = isinstance(outcome, Succeeded | Snoozed | Suspended)
            return outcome if meant else Released(reason=why.value)
        case Why.LOST:
            return Released(reason=why.value)


def timed_out(job: Job) -> Outcome:
    """The attempt passed its time limit."""
    limit = (job.placement.timeout_ms or 0) / 1000
    error = ErrorInfo(
        type="TimeLimitPassed",
        message=f"time limit of {limit:g} s passed",
        error_class=ErrorClass.TIMEOUT,
    )
    return Failed(error=error)


def interrupted(error: BaseException) -> bool:
    """Whether this is how a handler ends that was told to stop."""
    return isinstance(error, asyncio.CancelledError | Interrupted)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # boundary: an error whose text cannot be made is still reported
        return f"<{type(error).__name__} without a readable message>"


def _traceback(error: BaseException) -> str | None:
    """The traceback from the handler on; the worker's own frames say nothing about the fault."""
    try:
        frames = _beyond_worker(error.__traceback__)
        told: Any = traceback.TracebackException(type(error), error, frames, limit=-MAX_FRAMES, compact=True)
        return "".join(told.format())
    except Exception:  # boundary: an error that cannot be formatted is still reported
        return None


def _beyond_worker(frames: TracebackType | None) -> TracebackType | None:
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_FOLDER):
        frames = frames.tb_next
    return frames

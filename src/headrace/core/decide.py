"""The one decision: what becomes of a job after anything that can happen to it.

Pure: no I/O, no clock, no chance of its own. A job that raised, timed out, lost its worker, was
stopped or was touched by an operator passes here, so that the last attempt is treated the same
whichever way it ends.
"""

import json
import random
from dataclasses import replace
from typing import Final, assert_never

from headrace.core import place
from headrace.core.backoff import stored_backoff
from headrace.core.job import AttemptOutcome, Isolation, Job, Transition
from headrace.core.outcomes import (
    MAX_MESSAGE_CHARS,
    CancelAsked,
    Crashed,
    DealtWith,
    Dropped,
    ErrorInfo,
    Event,
    Failed,
    ParentFailed,
    Parked,
    RedriveAsked,
    Released,
    Rescued,
    RetryAsked,
    Signalled,
    Snoozed,
    Stopped,
    Succeeded,
    Suspended,
    Unblocked,
    showable,
)
from headrace.core.place import Ended
from headrace.core.policy import ErrorClass, Policy
from headrace.core.states import State
from headrace.core.wire import MAX_INSTANT_MS
from headrace.errors import IllegalMove

PARENT_FAILED: Final = "ParentFailed"
"""The type of the error that a child bears which was cancelled because of a parent."""


def decide(job: Job, event: Event, *, policy: Policy, now: int, rng: random.Random) -> Transition:
    """Decides what ``event`` makes of ``job``.

    The transition carries the complete placement and is valid for exactly this fence and
    revision of the job. Raises IllegalMove where the event is not legal in the job's state.
    """
    match event:
        case CancelAsked():
            return _cancel_asked(job, policy, now)
        case RetryAsked():
            return place.reopened(job, now)
        case RedriveAsked(priority=priority, delay_ms=delay_ms):
            return place.redriven(job, now, priority=priority, delay_ms=delay_ms)
        case DealtWith():
            return place.dealt_with(job, policy, now)
        case Dropped():
            return _dropped(job, policy, now)
        case Unblocked():
            return place.unblocked(job, now)
        case ParentFailed():
            return _parent_failed(job, event, policy, now)
        case Signalled():
            return place.signalled(job, now)
        case _:
            if job.state is not State.PROCESSING:
                raise IllegalMove(job.id, job.state, "end an attempt of")
            transition = _attempt_ended(job, event, policy, Ended(at=now), rng)
            return replace(transition, expired_before=now) if isinstance(event, Rescued) else transition


def decide_report(  # noqa: PLR0913 - an attempt is told by its job, its outcome and its start
    job: Job, event: Event, started_at: int | None, *, policy: Policy, now: int, rng: random.Random
) -> Transition:
    """As ``decide``, for an attempt whose handler started at ``started_at`` (None: it never started).

    Only a job that was given back, parked or stopped can be unstarted: any other outcome is charged and
    listed as an attempt, from the time of the claim where no other is told.
    """
    if job.state is not State.PROCESSING:
        raise IllegalMove(job.id, job.state, "end an attempt of")
    ended = Ended(
        at=now,
        started_at=started_at,
        reported=started_at is not None or isinstance(event, Released | Parked | Stopped),
        outcome=AttemptOutcome.SUCCEEDED if isinstance(event, Succeeded) else None,
    )
    return _attempt_ended(job, event, policy, ended, rng)


def _attempt_ended(job: Job, event: Event, policy: Policy, ended: Ended, rng: random.Random) -> Transition:
    match event:
        case Succeeded(result=result):
            return place.completed(job, result, policy, ended)
        case Failed():
            return _failed(job, event, policy, ended, rng)
        case Snoozed() | Suspended():
            return _put_off(job, event, policy, ended)
        case Released():
            return _released(job, policy, ended)
        case Parked(lane=lane):
            return _parked(job, lane, policy, ended)
        case Stopped(reason=reason):
            return place.cancelled(job, policy, ended.with_outcome(AttemptOutcome.STOPPED, _note(reason)))
        case Crashed(error=error):
            return _crashed(job, error, policy, ended, rng)
        case Rescued():
            return _rescued(job, policy, ended, rng)
        case (
            CancelAsked()
            | RetryAsked()
            | RedriveAsked()
            | DealtWith()
            | Dropped()
            | Unblocked()
            | ParentFailed()
            | Signalled()
        ):
            raise IllegalMove(job.id, job.state, "end an attempt of")
        case _:
            assert_never(event)


def _cancel_asked(job: Job, policy: Policy, now: int) -> Transition:
    match job.state:
        case State.PENDING | State.BLOCKED:
            return place.cancelled(job, policy, Ended(at=now))
        case State.PROCESSING:
            return place.marked_for_cancel(job, now)
        case State.COMPLETED | State.FAILED | State.CANCELLED:
            raise IllegalMove(job.id, job.state, "cancel")


def _parent_failed(job: Job, event: ParentFailed, policy: Policy, now: int) -> Transition:
    """The job never ran and never will: it is cancelled, and says why."""
    if job.state is not State.BLOCKED:
        raise IllegalMove(job.id, job.state, "unblock")
    message = f"its parent {event.parent_id} ({event.parent_type}) is {event.state}"
    error = ErrorInfo(type=PARENT_FAILED, message=message, error_class=ErrorClass.PERMANENT)
    cancelled = place.cancelled(job, policy, Ended(at=now))
    return replace(cancelled, placement=replace(cancelled.placement, error=error.dumps()))


def _dropped(job: Job, policy: Policy, now: int) -> Transition:
    """The job gives way to newer ones: it is cancelled, and says why."""
    if job.state is not State.PENDING:
        raise IllegalMove(job.id, job.state, "drop")
    message = f"dropped for a newer job: queue {job.facts.queue!r} was full"
    error = ErrorInfo(type="QueueFull", message=message)
    cancelled = place.cancelled(job, policy, Ended(at=now))
    return replace(cancelled, placement=replace(cancelled.placement, error=error.dumps()))


def _failed(job: Job, event: Failed, policy: Policy, ended: Ended, rng: random.Random) -> Transition:
    error = event.error
    timed_out = error.error_class is ErrorClass.TIMEOUT
    outcome = AttemptOutcome.TIMED_OUT if timed_out else AttemptOutcome.ERRORED
    ended = ended.with_outcome(ended.outcome or outcome, error.dumps())
    if job.placement.cancel_asked_at is not None:
        return place.cancelled(job, policy, ended, failures=1)
    failures = job.placement.failures + 1
    if error.error_class is ErrorClass.PERMANENT or failures >= job.facts.max_attempts:
        return place.failed(job, policy, ended, failures=1)
    due = ended.at + _retry_delay(job, event, policy, failures, rng)
    timeout = policy.next_timeout_ms(job.placement.timeout_ms) if timed_out else job.placement.timeout_ms
    return place.retrying(job, ended, due_at=due, timeout_ms=timeout, failures=1)


def _retry_delay(job: Job, event: Failed, policy: Policy, failures: int, rng: random.Random) -> int:
    if event.error.retry_after_ms is not None:
        return max(0, min(event.error.retry_after_ms, policy.retry_after_cap_ms))
    if event.backoff is not None:
        return event.backoff.delay_ms(failures, rng)
    if event.error.error_class is ErrorClass.RESOURCE:
        return policy.resource_backoff.delay_ms(failures, rng)
    own = job.facts.backoff
    backoff = policy.backoff if own is None else stored_backoff(json.loads(own), policy.backoff)
    return backoff.delay_ms(failures, rng)


def _put_off(job: Job, event: Snoozed | Suspended, policy: Policy, ended: Ended) -> Transition:
    if job.placement.cancel_asked_at is not None:
        return place.cancelled(job, policy, ended.with_outcome(AttemptOutcome.STOPPED, None))
    if isinstance(event, Snoozed):
        return _snoozed(job, event, policy, ended)
    # uses up no snooze: each sleep and wait is kept as a step, and a job keeps only so many of these
    ended = ended.with_outcome(AttemptOutcome.SNOOZED, _note(event.reason))
    return place.released(job, ended, due_at=max(event.until, ended.at))


def _snoozed(job: Job, event: Snoozed, policy: Policy, ended: Ended) -> Transition:
    if job.placement.snoozes >= policy.max_snoozes:
        message = f"snoozed more than {policy.max_snoozes} times"
        error = ErrorInfo(type="SnoozedTooOften", message=message, error_class=ErrorClass.PERMANENT)
        return place.failed(
            job, policy, ended.with_outcome(AttemptOutcome.ERRORED, error.dumps()), failures=1
        )
    ended = ended.with_outcome(AttemptOutcome.SNOOZED, _note(event.reason))
    due = min(ended.at + max(0, event.delay_ms), MAX_INSTANT_MS)
    return place.released(job, ended, due_at=due, snoozes=1)


def _released(job: Job, policy: Policy, ended: Ended) -> Transition:
    if job.placement.cancel_asked_at is not None:
        return place.cancelled(job, policy, ended.with_outcome(AttemptOutcome.STOPPED, None))
    return place.released(job, ended.with_outcome(AttemptOutcome.RELEASED, None), due_at=ended.at)


def _parked(job: Job, lane: str, policy: Policy, ended: Ended) -> Transition:
    if job.placement.cancel_asked_at is not None:
        return place.cancelled(job, policy, ended.with_outcome(AttemptOutcome.STOPPED, None))
    return place.parked(job, ended.with_outcome(AttemptOutcome.RELEASED, None), lane)


def _crashed(job: Job, error: ErrorInfo, policy: Policy, ended: Ended, rng: random.Random) -> Transition:
    """The child in which the job ran died, and with it nobody else's work: the crash is the job's own."""
    ended = ended.with_outcome(AttemptOutcome.CRASHED, error.dumps())
    return _charge_crash(job, policy, ended, rng, alone=True)


def _rescued(job: Job, policy: Policy, ended: Ended, rng: random.Random) -> Transition:
    if job.timed_out_at is not None:
        late = ErrorInfo(
            type="TimeLimitPassed",
            message="time limit passed, then the worker was lost",
            error_class=ErrorClass.TIMEOUT,
        )
        rescued = ended.with_outcome(AttemptOutcome.RESCUED, None)
        return _failed(job, Failed(error=late), policy, rescued, rng)
    error = ErrorInfo(type="WorkerLost", message=f"worker {job.placement.worker} was lost")
    ended = ended.with_outcome(AttemptOutcome.RESCUED, error.dumps())
    return _charge_crash(job, policy, ended, rng, alone=job.placement.isolation is Isolation.ALONE)


def _charge_crash(job: Job, policy: Policy, ended: Ended, rng: random.Random, *, alone: bool) -> Transition:
    """Counts a crash and isolates the job further with each one.

    Only a crash while alone may fail the job for good. A job whose worker was lost while it ran in
    a child may be a bystander: it is let off once (counted as a release) and then runs alone in
    its worker, so the number of starts stays bounded.
    """
    placement = job.placement
    if placement.cancel_asked_at is not None:
        return place.cancelled(job, policy, ended, crashes=1)
    crashes = placement.crashes + 1
    due = ended.at + policy.crash_backoff.delay_ms(crashes, rng)
    if crashes >= job.facts.max_crashes:
        if alone:
            return place.failed(job, policy, ended, crashes=1)
        return place.released(job, ended, due_at=due, isolation=Isolation.ALONE)
    isolation = Isolation.NONE if crashes < ISOLATE_FROM else max(placement.isolation, Isolation.CHILD)
    return place.retrying(
        job, ended, due_at=due, timeout_ms=placement.timeout_ms, isolation=isolation, crashes=1
    )


ISOLATE_FROM = 2


def _note(reason: str) -> str | None:
    return json.dumps({"type": "Note", "message": showable(reason[:MAX_MESSAGE_CHARS])}) if reason else None

"""What becomes of a job when somebody cancels it, retries it, or what it waited for has come."""

from dataclasses import replace

import pytest

from headrace.core import place
from headrace.core.job import AttemptOutcome, Isolation
from headrace.core.outcomes import (
    CancelAsked,
    Crashed,
    Released,
    Rescued,
    RetryAsked,
    Snoozed,
    Stopped,
    Succeeded,
    Unblocked,
)
from headrace.core.policy import ErrorClass
from headrace.core.states import LIVE, TERMINAL, State
from headrace.core.unique import Unique, Until
from headrace.errors import IllegalMove
from tests.builders import (
    HOUR,
    LEASE,
    NOW,
    SECOND,
    WORKER,
    a_failure,
    a_job,
    a_pending,
    a_running,
    after_transition,
    an_error,
    decided,
    given_back_unstarted,
    reported,
)

LATER = NOW + 7 * SECOND
ASKED = after_transition(decided(a_running(), CancelAsked(), now=NOW + SECOND))


def test_c24_pending_job_is_cancelled_at_once():
    placed = decided(a_pending(), CancelAsked(), now=LATER).placement

    assert (placed.state, placed.due_at, placed.ended_at) == (State.CANCELLED, None, LATER)
    assert placed.erase_at == LATER + HOUR


def test_c24_blocked_job_is_cancelled_at_once():
    placed = decided(a_pending(a_job(state=State.BLOCKED)), CancelAsked()).placement

    assert placed.state is State.CANCELLED


def test_c24_cancel_of_a_waiting_job_frees_its_key_and_its_park():
    job = a_pending(a_job(unique=Unique(key="k")), due_at=None, parked_on="type:echo")

    placed = decided(job, CancelAsked()).placement

    assert (placed.unique_lock, placed.parked_on) == (None, None)


def test_c24_cancel_of_a_waiting_job_lists_no_attempt():
    transition = decided(a_pending(), CancelAsked())

    assert transition.attempt is None
    assert (transition.placement.worker, transition.placement.outcome) == (None, None)


def test_cancel_of_a_retrying_job_keeps_its_last_error():
    retrying = after_transition(reported(a_running(), a_failure("boom")))

    assert "boom" in (decided(retrying, CancelAsked()).placement.error or "")


def test_c25_cancel_of_a_running_job_sets_a_flag_and_nothing_else():
    job = a_running()

    placed = decided(job, CancelAsked(), now=LATER).placement

    assert placed == replace(job.placement, cancel_asked_at=LATER)


def test_c25_second_cancel_keeps_the_time_of_the_first():
    assert decided(ASKED, CancelAsked(), now=LATER).placement.cancel_asked_at == NOW + SECOND


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_c27_cancel_of_an_ended_job_is_refused(state):
    with pytest.raises(IllegalMove) as refusal:
        decided(a_pending(state=state), CancelAsked())

    assert (refusal.value.state, refusal.value.operation) == (state, "cancel")


def test_c26_success_after_the_flag_completes():
    assert reported(ASKED, Succeeded(result="1")).placement.state is State.COMPLETED


@pytest.mark.parametrize(
    "outcome",
    [
        a_failure(),
        a_failure(error_class=ErrorClass.PERMANENT),
        a_failure(error_class=ErrorClass.TIMEOUT),
        Snoozed(delay_ms=1),
        Released(reason="shutdown"),
        Stopped(),
        Crashed(error=an_error()),
        Rescued(),
    ],
    ids=["error", "permanent", "timeout", "snooze", "release", "stop", "crash", "rescue"],
)
@pytest.mark.parametrize("started", [True, False])
def test_c26_any_other_end_after_the_flag_is_cancelled_and_never_pending(outcome, started):
    end = reported if started else given_back_unstarted

    placed = end(ASKED, outcome, now=LATER).placement

    assert (placed.state, placed.due_at, placed.ended_at) == (State.CANCELLED, None, LATER)


def test_c26_rescue_of_an_overdue_job_after_the_flag_is_cancelled():
    overdue = replace(ASKED, timed_out_at=NOW)

    assert decided(overdue, Rescued()).placement.state is State.CANCELLED


def test_c26_cancelled_attempt_keeps_what_it_was_charged():
    failed = reported(ASKED, a_failure()).placement
    rescued = decided(ASKED, Rescued()).placement

    assert (failed.failures, failed.outcome) == (1, AttemptOutcome.ERRORED)
    assert (rescued.crashes, rescued.outcome) == (1, AttemptOutcome.RESCUED)


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
def test_c2_ended_job_runs_again_when_retried(state):
    job = a_running(a_job(priority=7), failures=3, crashes=2, snoozes=4, isolation=Isolation.ALONE)
    ended = replace(job, placement=replace(job.placement, state=state, lease_until=None, generation=2))

    placed = decided(ended, RetryAsked(), now=LATER).placement

    assert (placed.state, placed.due_at, placed.rank, placed.priority) == (State.PENDING, LATER, LATER, 7)
    assert (placed.starts, placed.failures, placed.crashes, placed.releases, placed.snoozes) == (
        0,
        0,
        0,
        0,
        0,
    )
    assert (placed.generation, placed.isolation, placed.error) == (3, Isolation.NONE, None)


def test_c3_retry_moves_the_last_attempt_into_the_trail():
    ended = after_transition(reported(a_running(failures=2), a_failure("boom"), now=LATER))

    attempt = decided(ended, RetryAsked(), now=LATER + 1).attempt

    assert attempt is not None
    assert (attempt.fence, attempt.generation, attempt.started_at, attempt.ended_at) == (1, 1, NOW, LATER)
    assert "boom" in (attempt.error or "")


def test_c3_retry_of_a_job_that_never_started_adds_no_attempt():
    ended = after_transition(decided(a_pending(), CancelAsked()))

    assert decided(ended, RetryAsked()).attempt is None


def test_c29_retry_takes_the_unique_key_back():
    ended = after_transition(decided(a_pending(a_job(unique=Unique(key="k"))), CancelAsked()))

    assert decided(ended, RetryAsked()).placement.unique_lock == "k"


def test_c29_retried_key_until_started_is_freed_again_by_the_claim():
    unique = Unique(key="k", until=Until.STARTED)
    ended = after_transition(decided(a_pending(a_job(unique=unique)), CancelAsked()))
    reopened = after_transition(decided(ended, RetryAsked()))

    claimed = place.claimed(reopened, worker=WORKER, now=NOW, lease_until=NOW + LEASE)

    assert (reopened.placement.unique_lock, claimed.placement.unique_lock) == ("k", None)


def test_retry_forgets_the_asked_cancel():
    ended = after_transition(reported(ASKED, Stopped()))

    assert decided(ended, RetryAsked()).placement.cancel_asked_at is None


def test_retry_starts_again_from_the_jobs_own_time_limit():
    job = a_running(a_job(timeout_ms=30_000), failures=2, timeout_ms=120_000)
    ended = after_transition(reported(job, a_failure(error_class=ErrorClass.TIMEOUT)))

    assert decided(ended, RetryAsked()).placement.timeout_ms == 30_000


@pytest.mark.parametrize("state", [*sorted(LIVE), State.COMPLETED])
def test_c27_retry_is_refused_for_live_and_completed_jobs(state):
    with pytest.raises(IllegalMove):
        decided(a_pending(state=state), RetryAsked())


def test_unblocked_job_is_due_at_once_when_its_time_has_come():
    blocked = a_pending(a_job(state=State.BLOCKED))

    placed = decided(blocked, Unblocked(), now=LATER).placement

    assert (placed.state, placed.due_at, placed.rank) == (State.PENDING, LATER, LATER)


def test_unblocked_job_still_waits_for_its_schedule():
    blocked = a_pending(a_job(state=State.BLOCKED, due_at=NOW + HOUR))

    assert decided(blocked, Unblocked(), now=LATER).placement.due_at == NOW + HOUR


@pytest.mark.parametrize("state", [state for state in State if state is not State.BLOCKED])
def test_c2_only_a_blocked_job_can_be_unblocked(state):
    with pytest.raises(IllegalMove):
        decided(a_pending(state=state), Unblocked())


@pytest.mark.parametrize("state", [state for state in State if state is not State.PROCESSING])
@pytest.mark.parametrize("event", [Rescued(), Succeeded(), Stopped()], ids=lambda event: type(event).__name__)
def test_c2_attempt_of_a_job_that_does_not_run_cannot_end(state, event):
    with pytest.raises(IllegalMove):
        decided(a_pending(state=state), event)

"""What becomes of a job whose worker, or whose own child process, was lost."""

import json
from dataclasses import replace

import pytest

from headrace.core import place
from headrace.core.job import AttemptOutcome, Isolation, Job
from headrace.core.outcomes import Crashed, Event, Released, Rescued
from headrace.core.policy import ErrorClass, Policy
from headrace.core.states import State
from tests.builders import (
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
    reported,
)

CRASH = Crashed(error=an_error("killed by signal 9"))
LATER = NOW + 60 * SECOND


def again(job: Job, event: Event) -> Job:
    """The job after it was claimed, and then lost in this way."""
    running = place.claimed(job, worker=WORKER, now=NOW, lease_until=NOW + LEASE)
    return after_transition(decided(running, event))


def lost_times(count: int, event: Event, new: Job | None = None) -> Job:
    job = a_pending() if new is None else new
    for _ in range(count):
        job = again(job, event)
    return job


def test_c21_rescue_charges_a_crash_and_waits_for_the_crash_backoff():
    placed = decided(a_running(), Rescued(), now=LATER).placement

    assert (placed.state, placed.due_at, placed.rank) == (State.PENDING, LATER + 5_000, LATER + 5_000)
    assert (placed.starts, placed.failures, placed.crashes, placed.releases) == (1, 0, 1, 0)


def test_c18_rescue_lists_the_attempt_with_the_worker_that_was_lost():
    attempt = decided(a_running(), Rescued(), now=LATER).attempt

    assert attempt is not None
    assert (attempt.worker, attempt.started_at, attempt.ended_at) == (WORKER, NOW, LATER)
    assert attempt.outcome is AttemptOutcome.RESCUED
    assert json.loads(attempt.error or "")["message"] == f"worker {WORKER} was lost"


def test_c14_rescue_names_the_instant_before_which_the_lease_must_have_ended():
    assert decided(a_running(), Rescued(), now=LATER).expired_before == LATER


@pytest.mark.parametrize("outcome", [CRASH, a_failure(), Released(reason="shutdown")])
def test_c13_outcome_of_the_holder_asks_nothing_of_the_lease(outcome):
    assert reported(a_running(), outcome, now=LATER).expired_before is None


def test_crash_in_a_child_is_listed_as_the_jobs_own():
    attempt = reported(a_running(), CRASH, now=LATER).attempt

    assert attempt is not None
    assert attempt.outcome is AttemptOutcome.CRASHED
    assert json.loads(attempt.error or "")["message"] == "killed by signal 9"


@pytest.mark.parametrize("event", [Rescued(), CRASH], ids=["rescued", "crashed"])
def test_c22_first_crash_does_not_isolate(event):
    assert lost_times(1, event).placement.isolation is Isolation.NONE


@pytest.mark.parametrize("event", [Rescued(), CRASH], ids=["rescued", "crashed"])
def test_c22_second_crash_moves_the_job_into_a_child(event):
    assert lost_times(2, event).placement.isolation is Isolation.CHILD


def test_c21_third_crash_in_a_child_of_its_own_fails_the_job():
    job = lost_times(3, CRASH)

    assert (job.state, job.placement.crashes, job.placement.starts) == (State.FAILED, 3, 3)


def test_c22_third_rescue_lets_a_possible_bystander_off_once_and_then_runs_it_alone():
    placed = lost_times(3, Rescued()).placement

    assert (placed.state, placed.isolation) == (State.PENDING, Isolation.ALONE)
    assert (placed.crashes, placed.releases) == (2, 1)


def test_c22_rescue_while_alone_fails_the_job():
    job = lost_times(4, Rescued())

    assert (job.state, job.placement.crashes, job.placement.starts) == (State.FAILED, 3, 4)
    assert json.loads(job.placement.error or "")["type"] == "WorkerLost"


def test_c22_crash_in_the_child_after_the_let_off_fails_the_job():
    assert again(lost_times(3, Rescued()), CRASH).state is State.FAILED


def test_c22_bystander_that_succeeds_alone_completes():
    alone = place.claimed(lost_times(3, Rescued()), worker=WORKER, now=NOW, lease_until=NOW + LEASE)

    assert reported(alone, a_failure()).placement.isolation is Isolation.ALONE
    assert reported(alone, Released(reason="shutdown")).placement.isolation is Isolation.ALONE


def test_c21_more_crashes_may_be_allowed():
    job = lost_times(4, CRASH, a_pending(a_job(max_crashes=5)))

    assert (job.state, job.placement.isolation) == (State.PENDING, Isolation.CHILD)
    assert again(job, CRASH).state is State.FAILED


def test_c21_rescue_after_a_noted_time_out_counts_a_failure():
    overdue = replace(a_running(a_job(timeout_ms=30_000)), timed_out_at=NOW + 30_000)

    placed = decided(overdue, Rescued(), now=LATER, policy=Policy(timeout_growth=2)).placement

    assert (placed.failures, placed.crashes, placed.timeout_ms) == (1, 0, 60_000)
    assert json.loads(placed.error or "")["class"] == "timeout"


def test_c21_rescue_after_a_noted_time_out_may_be_the_last_attempt():
    overdue = replace(a_running(failures=2), timed_out_at=NOW)

    assert decided(overdue, Rescued()).placement.state is State.FAILED


@pytest.mark.parametrize("timed_out_at", [None, NOW])
def test_c12_rescue_is_always_listed_as_one_so_that_a_late_report_is_lost(timed_out_at):
    job = replace(a_running(), timed_out_at=timed_out_at)

    attempt = decided(job, Rescued(), now=LATER).attempt

    assert attempt is not None
    assert attempt.outcome is AttemptOutcome.RESCUED


def test_claim_forgets_a_time_out_noted_under_an_earlier_fence():
    job = replace(a_pending(), timed_out_at=NOW)

    claimed = place.claimed(job, worker=WORKER, now=NOW, lease_until=NOW + LEASE)

    assert claimed.timed_out_at is None


def test_crashes_and_failures_are_charged_apart():
    job = again(again(again(a_pending(), a_failure()), Rescued()), a_failure())

    assert (job.placement.failures, job.placement.crashes, job.placement.starts) == (2, 1, 3)


def test_crash_backoff_grows_with_crashes_not_failures():
    policy = Policy()
    job = a_running(failures=2, crashes=1)

    assert decided(job, Rescued(), policy=policy).placement.due_at == NOW + 2 * SECOND


def test_permanent_error_in_a_child_fails_as_everywhere():
    job = a_running(crashes=2, isolation=Isolation.CHILD)

    assert reported(job, a_failure(error_class=ErrorClass.PERMANENT)).placement.state is State.FAILED

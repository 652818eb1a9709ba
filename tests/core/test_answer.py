"""What a store says of a transition that no longer fits its job."""

from dataclasses import replace

import pytest

from headrace.core import history, place
from headrace.core.answer import answer_to
from headrace.core.job import AttemptOutcome
from headrace.core.outcomes import CancelAsked, Released, Rescued, RetryAsked, Succeeded
from tests.builders import (
    LEASE,
    NOW,
    WORKER,
    a_failure,
    a_job,
    a_pending,
    a_running,
    after_transition,
    decided,
    given_back_unstarted,
    reported,
)


def written(transition) -> tuple:
    """The job and its trail once a transition is written."""
    trail = None if transition.attempt is None else history.append(None, transition.attempt)
    return after_transition(transition), trail


@pytest.mark.parametrize(
    ("outcome", "kept"), [(Succeeded(), AttemptOutcome.SUCCEEDED), (a_failure(), AttemptOutcome.ERRORED)]
)
def test_c5_repeated_report_is_answered_with_its_outcome(outcome, kept):
    transition = reported(a_running(), outcome)

    assert answer_to(transition, *written(transition)) is kept


def test_c5_repeated_report_is_answered_with_its_outcome_while_another_holds_the_job():
    transition = reported(a_running(), a_failure())
    waiting, trail = written(transition)
    taken = place.claimed(waiting, worker="worker-2", now=NOW, lease_until=NOW + LEASE)

    assert answer_to(transition, taken, trail) is AttemptOutcome.ERRORED


def test_c12_late_report_after_a_rescue_is_lost():
    job = a_running()

    assert answer_to(reported(job, Succeeded()), *written(decided(job, Rescued()))) is None


def test_c12_late_report_after_a_rescue_is_lost_while_another_holds_the_job():
    job = a_running()
    waiting, trail = written(decided(job, Rescued()))
    taken = place.claimed(waiting, worker="worker-2", now=NOW, lease_until=NOW + LEASE)

    assert answer_to(reported(job, Succeeded()), taken, trail) is None


def test_c12_late_report_after_a_rescue_of_an_overdue_job_is_lost():
    job = replace(a_running(), timed_out_at=NOW)

    assert answer_to(reported(job, Succeeded()), *written(decided(job, Rescued()))) is None


def test_c12_report_of_a_job_that_is_gone_is_lost():
    assert answer_to(reported(a_running(), Succeeded()), None, None) is None


def test_report_of_a_job_whose_cancel_was_asked_meanwhile_is_decided_again():
    job = a_running()
    flagged = after_transition(decided(job, CancelAsked()))

    assert answer_to(reported(job, Succeeded()), flagged, None) == flagged


def test_rescue_of_a_job_that_its_holder_settled_is_answered_with_the_outcome():
    job = a_running()

    answer = answer_to(decided(job, Rescued()), *written(reported(job, Succeeded())))

    assert answer is AttemptOutcome.SUCCEEDED


def test_repeated_release_without_a_start_is_lost_since_it_is_not_listed():
    transition = given_back_unstarted(a_running(), Released(reason="pause"))

    assert answer_to(transition, *written(transition)) is None


def test_cancel_of_a_running_job_that_ended_meanwhile_is_decided_again():
    job = a_running()
    ended, trail = written(reported(job, Succeeded()))

    assert answer_to(decided(job, CancelAsked()), ended, trail) == ended


def test_cancel_of_a_retrying_job_that_changed_is_decided_again_and_not_taken_for_a_repeat():
    retrying, trail = written(reported(a_running(), a_failure()))
    parked = replace(retrying, revision=retrying.revision + 1)

    assert answer_to(decided(retrying, CancelAsked()), parked, trail) == parked


def test_retry_of_a_job_that_was_retried_meanwhile_is_decided_again():
    ended, _ = written(reported(a_running(a_job(max_attempts=1)), a_failure()))
    transition = decided(ended, RetryAsked())
    reopened, trail = written(transition)

    assert answer_to(transition, reopened, trail) == reopened


def test_cancel_of_a_waiting_job_that_was_claimed_meanwhile_is_decided_again():
    waiting = a_pending()
    taken = place.claimed(waiting, worker=WORKER, now=NOW, lease_until=NOW + LEASE)

    assert answer_to(decided(waiting, CancelAsked()), taken, None) == taken

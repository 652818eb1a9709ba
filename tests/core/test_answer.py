from dataclasses import replace

from headrace.core import history
from headrace.core.answer import answer_to
from headrace.core.job import AttemptOutcome
from headrace.core.outcomes import CancelAsked, Rescued, RetryAsked, Succeeded
from tests.builders import (
    NOW,
    a_failure,
    a_pending,
    a_running,
    after_transition,
    decided,
    reported,
)


def trail_after(transition):
    return None if transition.attempt is None else history.append(None, transition.attempt)


def test_outcome_sent_again_gets_what_it_got():
    job = a_running()
    success = reported(job, Succeeded())

    assert answer_to(success, after_transition(success), None) is AttemptOutcome.SUCCEEDED


def test_outcome_sent_again_after_a_retry_gets_what_it_got_even_while_another_holds_the_job():
    job = a_running()
    failure = reported(job, a_failure())
    taken = replace(a_running(), fence=job.fence + 1, revision=5)

    assert answer_to(failure, after_transition(failure), trail_after(failure)) is AttemptOutcome.ERRORED
    assert answer_to(failure, taken, trail_after(failure)) is AttemptOutcome.ERRORED


def test_outcome_of_a_rescued_holder_is_lost():
    job = a_running()
    rescue = decided(job, Rescued())

    assert answer_to(reported(job, Succeeded()), after_transition(rescue), trail_after(rescue)) is None


def test_outcome_is_stale_while_the_attempt_is_open():
    job = a_running()
    flagged = after_transition(decided(job, CancelAsked()))

    assert answer_to(reported(job, Succeeded()), flagged, None) == flagged


def test_cancel_of_a_job_that_was_claimed_meanwhile_is_stale():
    running = a_running()

    assert answer_to(decided(a_pending(), CancelAsked()), running, None) == running


def test_flag_for_a_job_that_went_on_is_stale():
    job = a_running()
    done = after_transition(reported(job, Succeeded()))

    assert answer_to(decided(job, CancelAsked()), done, None) == done


def test_retry_of_a_job_that_was_retried_is_stale():
    cancelled = after_transition(decided(a_pending(), CancelAsked()))
    retry = decided(cancelled, RetryAsked())
    again = after_transition(retry)

    assert answer_to(retry, again, None) == again


def test_job_that_is_gone_is_lost():
    job = a_running()

    assert answer_to(reported(job, Succeeded()), None, None) is None
    assert answer_to(decided(job, CancelAsked(), now=NOW), None, None) is None

"""What becomes of a job when its holder reports how the attempt ended."""

import json

import pytest

from headrace.core import place
from headrace.core.backoff import Backoff
from headrace.core.decide import decide_report
from headrace.core.job import AttemptOutcome, Job, Transition
from headrace.core.outcomes import Crashed, Failed, Outcome, Released, Snoozed, Stopped, Succeeded
from headrace.core.policy import DAY_MS, ErrorClass, Policy, Retention
from headrace.core.states import State
from headrace.core.unique import Unique, Until
from headrace.core.wire import MAX_INSTANT_MS
from headrace.errors import IllegalMove
from tests.builders import (
    EXACT,
    HOUR,
    NOW,
    SECOND,
    WORKER,
    a_failure,
    a_job,
    a_pending,
    a_rng,
    a_running,
    after_transition,
    an_error,
    given_back_unstarted,
    reported,
)

LATER = NOW + 7 * SECOND
TIMEOUT = a_failure("too slow", error_class=ErrorClass.TIMEOUT)


def error_of(transition: Transition) -> dict[str, str]:
    return json.loads(transition.placement.error or "null")


def test_success_completes_the_job_with_its_result():
    placed = reported(a_running(), Succeeded(result="[1]"), now=LATER).placement

    assert (placed.state, placed.result, placed.error) == (State.COMPLETED, "[1]", None)
    assert (placed.started_at, placed.ended_at) == (NOW, LATER)
    assert (placed.outcome, placed.worker) == (AttemptOutcome.SUCCEEDED, WORKER)


def test_success_may_be_erased_once_its_retention_is_over():
    assert reported(a_running(), Succeeded(), now=LATER).placement.erase_at == LATER + HOUR


def test_success_stays_when_retention_has_no_age():
    forever = Policy(retention=Retention(completed_age_ms=None))

    assert reported(a_running(), Succeeded(), policy=forever).placement.erase_at is None


def test_c19_error_waits_for_the_backoff_and_charges_a_failure():
    placed = reported(a_running(), a_failure(), now=LATER).placement

    assert (placed.state, placed.due_at, placed.rank) == (State.PENDING, LATER + 10_000, LATER + 10_000)
    assert (placed.starts, placed.failures, placed.crashes, placed.releases) == (1, 1, 0, 0)


def test_c18_error_adds_an_attempt_with_worker_times_outcome_and_error():
    attempt = reported(a_running(), a_failure("boom"), now=LATER).attempt

    assert attempt is not None
    assert (attempt.fence, attempt.generation, attempt.worker) == (1, 1, WORKER)
    assert (attempt.started_at, attempt.ended_at, attempt.outcome) == (NOW, LATER, AttemptOutcome.ERRORED)
    assert json.loads(attempt.error or "") == {"type": "ValueError", "message": "boom", "class": "transient"}


def test_c19_last_attempt_fails_the_job():
    transition = reported(a_running(failures=2), a_failure("boom"), now=LATER)

    assert (transition.placement.state, transition.placement.failures) == (State.FAILED, 3)
    assert error_of(transition)["message"] == "boom"
    assert transition.placement.ended_at == LATER


def test_c44_failed_job_stays_as_a_dead_letter():
    assert reported(a_running(failures=2), a_failure()).placement.erase_at is None


def test_c44_failed_job_may_be_erased_when_its_retention_says_so():
    policy = Policy(retention=Retention(failed_age_ms=HOUR))

    assert (
        reported(a_running(failures=2), a_failure(), now=LATER, policy=policy).placement.erase_at
        == LATER + HOUR
    )


def test_s2_17_permanent_error_fails_the_job_at_once():
    placed = reported(a_running(), a_failure(error_class=ErrorClass.PERMANENT)).placement

    assert (placed.state, placed.failures) == (State.FAILED, 1)


@pytest.mark.parametrize(("failures", "seconds"), [(0, 30), (1, 60)])
def test_s2_18_resource_error_waits_linearly(failures, seconds):
    placed = reported(a_running(failures=failures), a_failure(error_class=ErrorClass.RESOURCE)).placement

    assert placed.due_at == NOW + seconds * SECOND


def test_s1_11_backoff_of_the_job_wins_over_that_of_its_type():
    own = json.dumps(Backoff.exponential(5, factor=5, cap=3600).to_json())
    job = a_running(a_job(backoff=own, max_attempts=5), failures=1)

    assert reported(job, a_failure()).placement.due_at == NOW + 25 * SECOND


def test_s2_19_backoff_of_the_error_wins_over_that_of_the_job():
    own = json.dumps(Backoff.fixed(99).to_json())
    job = a_running(a_job(backoff=own))

    assert reported(job, a_failure(backoff=Backoff.fixed(3))).placement.due_at == NOW + 3 * SECOND


def test_c19_retry_after_wins_over_every_backoff():
    failure = a_failure(error_class=ErrorClass.RESOURCE, retry_after_ms=17 * SECOND, backoff=Backoff.fixed(3))

    assert reported(a_running(), failure).placement.due_at == NOW + 17 * SECOND


def test_c19_retry_after_is_capped():
    placed = reported(a_running(), a_failure(retry_after_ms=30 * DAY_MS), policy=EXACT).placement

    assert placed.due_at == NOW + EXACT.retry_after_cap_ms


def test_retry_after_in_the_past_means_now():
    assert reported(a_running(), a_failure(retry_after_ms=-5)).placement.due_at == NOW


def test_retry_after_does_not_save_the_last_attempt():
    assert reported(a_running(failures=2), a_failure(retry_after_ms=5)).placement.state is State.FAILED


def test_time_out_charges_a_failure_and_is_named_so():
    transition = reported(a_running(), TIMEOUT)

    assert transition.placement.failures == 1
    assert transition.attempt is not None
    assert transition.attempt.outcome is AttemptOutcome.TIMED_OUT


def test_s2_12_time_limit_grows_after_a_time_out():
    policy = Policy(timeout_growth=1.5)
    job = a_running(a_job(timeout_ms=30_000))

    assert reported(job, TIMEOUT, policy=policy).placement.timeout_ms == 45_000


def test_time_limit_stays_after_another_error():
    policy = Policy(timeout_growth=1.5)
    job = a_running(a_job(timeout_ms=30_000))

    assert reported(job, a_failure(), policy=policy).placement.timeout_ms == 30_000


def test_c20_snooze_comes_back_later_and_charges_nothing():
    transition = reported(a_running(), Snoozed(delay_ms=60_000, reason="not ready"), now=LATER)

    placed = transition.placement
    assert (placed.state, placed.due_at, placed.rank) == (State.PENDING, LATER + 60_000, LATER + 60_000)
    assert (placed.failures, placed.crashes, placed.releases, placed.snoozes) == (0, 0, 1, 1)


def test_snooze_is_listed_with_its_reason():
    attempt = reported(a_running(), Snoozed(delay_ms=1, reason="not ready")).attempt

    assert attempt is not None
    assert attempt.outcome is AttemptOutcome.SNOOZED
    assert json.loads(attempt.error or "")["message"] == "not ready"


def test_long_or_broken_reason_is_kept_as_far_as_it_can_be_shown():
    attempt = reported(a_running(), Snoozed(delay_ms=1, reason="\ud800" + "x" * 10_000)).attempt

    assert attempt is not None
    message = json.loads(attempt.error or "")["message"]
    assert message.encode().startswith(b"\\ud800xxx")
    assert len(message) < 5_000


def test_endless_snooze_ends_with_the_last_instant_that_can_be_shown():
    assert reported(a_running(), Snoozed(delay_ms=10**18)).placement.due_at == MAX_INSTANT_MS


def test_snooze_into_the_past_means_now():
    assert reported(a_running(), Snoozed(delay_ms=-5)).placement.due_at == NOW


def test_c20_one_snooze_too_many_fails_the_job():
    policy = Policy(max_snoozes=2)

    transition = reported(a_running(snoozes=2), Snoozed(delay_ms=1), policy=policy)

    assert transition.placement.state is State.FAILED
    assert error_of(transition) == {
        "type": "SnoozedTooOften", "message": "snoozed more than 2 times", "class": "permanent",
    }  # fmt: skip


def test_last_snooze_allowed_still_waits():
    assert reported(a_running(snoozes=1), Snoozed(delay_ms=1), policy=Policy(max_snoozes=2)).placement.live


def test_c20_release_gives_the_job_back_at_once_with_its_rank():
    job = a_running(a_job(due_at=NOW - HOUR))

    placed = reported(job, Released(reason="shutdown"), now=LATER).placement

    assert (placed.state, placed.due_at, placed.rank) == (State.PENDING, LATER, NOW - HOUR)
    assert (placed.starts, placed.failures, placed.crashes, placed.releases) == (1, 0, 0, 1)


def test_release_is_listed_when_the_handler_had_started():
    attempt = reported(a_running(), Released(reason="shutdown")).attempt

    assert attempt is not None
    assert attempt.outcome is AttemptOutcome.RELEASED


def test_c3_release_is_counted_and_not_listed_when_no_handler_started():
    transition = given_back_unstarted(a_running(), Released(reason="pause"))

    assert transition.attempt is None
    assert transition.placement.releases == 1


def test_attempt_lists_when_its_handler_started_not_the_claim():
    job = a_running()

    transition = decide_report(job, a_failure(), NOW + 3, policy=EXACT, now=LATER, rng=a_rng())

    assert transition.attempt is not None
    assert transition.attempt.started_at == NOW + 3


@pytest.mark.parametrize("outcome", [a_failure(), Snoozed(delay_ms=1), Crashed(error=an_error())])
def test_c18_charged_outcome_is_listed_even_when_no_start_was_told(outcome):
    attempt = given_back_unstarted(a_running(), outcome, now=LATER).attempt

    assert attempt is not None
    assert (attempt.started_at, attempt.ended_at) == (NOW, LATER)


def test_failed_job_keeps_its_error_even_when_no_start_was_told():
    failure = a_failure("bad payload", error_class=ErrorClass.PERMANENT)

    transition = given_back_unstarted(a_running(), failure)

    assert error_of(transition)["message"] == "bad payload"
    assert transition.placement.releases == 0


def test_stop_raised_by_the_handler_cancels_the_job():
    placed = reported(a_running(), Stopped(reason="order is gone"), now=LATER).placement

    assert (placed.state, placed.outcome) == (State.CANCELLED, AttemptOutcome.STOPPED)
    assert placed.erase_at == LATER + HOUR


def test_stop_of_a_job_that_never_started_is_not_listed():
    placed = given_back_unstarted(a_running(), Stopped()).placement

    assert (placed.state, placed.outcome, placed.worker, placed.started_at) == (
        State.CANCELLED,
        None,
        None,
        None,
    )
    assert placed.releases == 1


def test_c28_key_until_finished_is_kept_while_the_job_retries():
    job = a_running(a_job(unique=Unique(key="k")))

    assert reported(job, a_failure()).placement.unique_lock == "k"


@pytest.mark.parametrize("outcome", [a_failure(), Released(reason="shutdown"), Snoozed(delay_ms=1)])
def test_c29_key_until_started_is_not_taken_back(outcome):
    job = a_running(a_job(unique=Unique(key="k", until=Until.STARTED)))

    assert reported(job, outcome).placement.unique_lock is None


@pytest.mark.parametrize("state", [state for state in State if state is not State.PROCESSING])
@pytest.mark.parametrize(
    "outcome", [Succeeded(), a_failure(), Released(reason="")], ids=lambda o: type(o).__name__
)
def test_c2_outcome_is_refused_when_the_job_does_not_run(state, outcome):
    with pytest.raises(IllegalMove):
        reported(a_pending(state=state), outcome)


def test_transition_names_the_job_it_was_decided_for():
    job = a_running()

    assert reported(job, Succeeded()).job is job


def test_x_5_webhook_with_five_attempts_runs_five_times():
    assert runs_until_it_fails(a_running(a_job(max_attempts=5)), a_failure()) == 5


def test_s1_7_job_with_three_attempts_runs_three_times():
    assert runs_until_it_fails(a_running(), a_failure()) == 3


@pytest.mark.parametrize("outcome", [a_failure(), TIMEOUT, a_failure(error_class=ErrorClass.RESOURCE)])
def test_last_attempt_is_treated_alike_whichever_way_it_ends(outcome: Failed):
    assert runs_until_it_fails(a_running(), outcome) == 3


def runs_until_it_fails(job: Job, outcome: Outcome) -> int:
    while (job := after_transition(reported(job, outcome))).placement.live:
        job = place.claimed(job, worker=WORKER, now=NOW, lease_until=NOW + 1)
    assert job.state is State.FAILED
    return job.placement.starts

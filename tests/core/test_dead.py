"""Dead letters: which jobs they are, why they died, what is told of them."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.dead import (
    MAX_REASON_CHARS,
    PERMANENT_MARK,
    DeadFilter,
    DeadQueue,
    KeptError,
    Why,
    checked_reason,
    dead_to_json,
    is_dead_letter,
    letter_id,
    letter_payload,
    why,
)
from headrace.core.job import AttemptOutcome, Isolation, Job
from headrace.core.outcomes import (
    CancelAsked,
    DealtWith,
    ErrorInfo,
    RedriveAsked,
    Rescued,
    Succeeded,
)
from headrace.core.policy import DAY_MS, ErrorClass, Policy, Retention
from headrace.core.states import State
from headrace.core.wire import MAX_INSTANT_MS
from headrace.errors import IllegalMove, InvalidInput, NotADeadLetter, TooLarge
from tests.builders import (
    EXACT,
    HOUR,
    NOW,
    SECOND,
    a_failure,
    a_job,
    a_pending,
    a_running,
    after_transition,
    decided,
    reported,
)


def a_dead(error_class: ErrorClass = ErrorClass.TRANSIENT, message: str = "boom", policy=EXACT) -> Job:
    """A job whose only attempt ended with such an error."""
    running = a_running(a_job(max_attempts=1, tags=("a",), batch_id="label"))
    failure = a_failure(message, error_class=error_class)
    return after_transition(reported(running, failure, now=NOW + SECOND, policy=policy))


def test_failed_job_is_a_dead_letter_until_somebody_deals_with_it():
    dead = a_dead()

    dealt_with = after_transition(decided(dead, DealtWith(), now=NOW + HOUR))

    assert is_dead_letter(dead)
    assert not is_dead_letter(dealt_with)
    assert dealt_with.state is State.FAILED
    assert dealt_with.placement == replace(dead.placement, erase_at=NOW + HOUR + 7 * DAY_MS)


def test_dead_letter_stays_as_long_as_its_policy_says_once_it_is_dealt_with():
    policy = Policy(retention=Retention(discarded_age_ms=HOUR))

    dealt_with = decided(a_dead(), DealtWith(), policy=policy)

    assert dealt_with.placement.erase_at == NOW + HOUR


def test_job_whose_retention_lets_failed_jobs_go_is_no_dead_letter():
    dead = a_dead(policy=Policy(retention=Retention(failed_age_ms=HOUR)))

    assert dead.state is State.FAILED
    assert not is_dead_letter(dead)


@pytest.mark.parametrize(
    "job",
    [
        a_pending(),
        a_running(),
        after_transition(reported(a_running(), Succeeded())),
        after_transition(decided(a_pending(), CancelAsked())),
        after_transition(decided(a_dead(), DealtWith())),
    ],
    ids=["pending", "processing", "completed", "cancelled", "dealt with"],
)
@pytest.mark.parametrize("event", [DealtWith(), RedriveAsked()])
def test_what_is_no_dead_letter_can_neither_be_dealt_with_nor_redriven(job, event):
    with pytest.raises(NotADeadLetter) as refused:
        decided(job, event)

    assert (refused.value.job_id, refused.value.state) == (job.id, job.state)


@pytest.mark.parametrize("event", [DealtWith(), RedriveAsked()])
def test_neither_of_both_ends_an_attempt(event):
    with pytest.raises(IllegalMove):
        reported(a_running(), event)


def test_redrive_may_ask_for_another_priority_and_a_delay():
    again = decided(a_dead(), RedriveAsked(priority=50, delay_ms=5 * SECOND), now=NOW).placement

    assert (again.state, again.priority, again.generation) == (State.PENDING, 50, 2)
    assert again.due_at == again.rank == NOW + 5 * SECOND


def test_redrive_keeps_priority_and_is_due_at_once_unless_asked_otherwise():
    dead = a_dead()

    again = decided(dead, RedriveAsked(), now=NOW + HOUR).placement

    assert (again.priority, again.due_at) == (dead.placement.priority, NOW + HOUR)


def test_delay_of_a_redrive_ends_with_the_last_instant_there_is():
    assert decided(a_dead(), RedriveAsked(delay_ms=2**60)).placement.due_at == MAX_INSTANT_MS


@pytest.mark.parametrize(
    ("error_class", "expected"),
    [
        (ErrorClass.PERMANENT, Why.PERMANENT),
        (ErrorClass.TRANSIENT, Why.ATTEMPTS),
        (ErrorClass.RESOURCE, Why.ATTEMPTS),
        (ErrorClass.TIMEOUT, Why.TIMEOUT),
    ],
)
def test_dead_letter_tells_why_it_died(error_class, expected):
    assert why(a_dead(error_class)) is expected


def test_job_that_lost_its_workers_tells_that():
    running = a_running(crashes=2, isolation=Isolation.ALONE)

    crashed = after_transition(decided(running, Rescued(), now=NOW + HOUR))

    assert crashed.state is State.FAILED
    assert crashed.placement.outcome is AttemptOutcome.RESCUED
    assert why(crashed) is Why.CRASHED


TEXTS = st.text(max_size=60) | st.just(PERMANENT_MARK) | st.just(json.dumps(PERMANENT_MARK))


@given(type_=TEXTS, message=TEXTS, traceback=st.none() | TEXTS, error_class=st.sampled_from(ErrorClass))
def test_mark_of_permanent_errors_stands_in_these_and_in_no_other(type_, message, traceback, error_class):
    error = ErrorInfo(type=type_, message=message, traceback=traceback, error_class=error_class)

    assert (PERMANENT_MARK in error.dumps()) == (error_class is ErrorClass.PERMANENT)


def test_kept_error_of_an_older_job_without_one_is_empty():
    bare = replace(a_dead(), placement=replace(a_dead().placement, error=None))

    assert KeptError.of(bare) == KeptError(type="", message="", error_class=ErrorClass.TRANSIENT)


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (DeadFilter(), True),
        (DeadFilter(error_type="ValueError"), True),
        (DeadFilter(error_type="Value"), False),
        (DeadFilter(error_class=ErrorClass.TRANSIENT), True),
        (DeadFilter(error_class=ErrorClass.PERMANENT), False),
        (DeadFilter(text="BOOM"), True),
        (DeadFilter(text="valueerror: b"), True),
        (DeadFilter(text="bang"), False),
        (DeadFilter(error_type="ValueError", text="bang"), False),
    ],
)
def test_errors_are_looked_into_as_the_filter_says(wanted, fits):
    assert wanted.fits(a_dead()) is fits
    assert wanted.reads_errors is (wanted != DeadFilter())


def test_ages_of_a_filter_only_narrow_it():
    wanted = DeadFilter(died_after=5, died_before=9)

    assert wanted.before(7).after(6) == DeadFilter(died_after=6, died_before=7)
    assert wanted.before(11).after(3) == wanted


@pytest.mark.parametrize("text", ["", "x" * 201])
def test_text_to_look_for_is_bounded(text):
    with pytest.raises(InvalidInput):
        DeadFilter(text=text)


def test_letter_tells_all_of_the_failed_job():
    dead = a_dead(ErrorClass.PERMANENT, "no such user")

    letter = json.loads(letter_payload(dead))["letter"]

    assert letter == {
        "job_id": dead.id,
        "generation": 1,
        "type": "echo",
        "version": 1,
        "queue": "default",
        "payload": {"n": 1},
        "why": "permanent",
        "error_type": "ValueError",
        "error_class": "permanent",
        "error": "no such user",
        "attempts": 1,
        "failed_at": "2026-01-01T00:00:01Z",
        "batch_id": "label",
        "tags": ["a"],
    }


def test_letter_has_one_id_in_each_generation():
    dead = a_dead()
    later = replace(dead, placement=replace(dead.placement, generation=2))

    assert letter_id(dead) == letter_id(a_copy(dead))
    assert len({letter_id(dead), letter_id(later), letter_id(a_dead())}) == 3


def a_copy(job: Job) -> Job:
    return replace(job, revision=job.revision + 1)


def test_listing_shows_error_and_time_of_death():
    told = dead_to_json(a_dead(ErrorClass.PERMANENT, "no such user"))

    assert (told["why"], told["errorType"], told["error"]) == ("permanent", "ValueError", "no such user")
    assert told["failedAt"] == "2026-01-01T00:00:01Z"


@pytest.mark.parametrize("reason", ["two\nlines", "\x1b[31m"])
def test_reason_is_one_line(reason):
    with pytest.raises(InvalidInput):
        checked_reason(reason)


def test_reason_is_bounded():
    with pytest.raises(TooLarge):
        checked_reason("x" * (MAX_REASON_CHARS + 1))

    assert checked_reason("x" * MAX_REASON_CHARS)


@pytest.mark.parametrize("names", [{"queue": "no spaces"}, {"queue": "q", "type": ""}])
def test_dead_letter_queue_has_legal_names(names):
    with pytest.raises(InvalidInput):
        DeadQueue(**names)


def test_policy_with_a_dead_letter_queue_is_read_back():
    policy = Policy(dead_letter_queue="dead", dead_letter_type="review")

    assert Policy.loads(policy.dumps()) == policy


def test_policy_that_an_older_program_wrote_has_none():
    raw = json.loads(Policy().dumps())
    del raw["dead_letter_queue"], raw["dead_letter_type"], raw["retention"]["discarded_age_ms"]

    assert Policy.loads(json.dumps(raw)) == Policy()

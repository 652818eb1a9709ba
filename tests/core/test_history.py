import json
from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from headrace.core.history import append, current_attempt, read, reported_outcome
from headrace.core.job import Attempt, AttemptOutcome
from tests.builders import NOW, WORKER, a_failure, a_job, a_pending, a_running, after_transition, reported


def an_attempt(fence: int, outcome: AttemptOutcome = AttemptOutcome.ERRORED) -> Attempt:
    return Attempt(
        fence=fence, generation=1, worker=WORKER, started_at=NOW + fence, ended_at=NOW + fence + 1,
        outcome=outcome, error='{"type":"ValueError","message":"é"}',
    )  # fmt: skip


def a_trail(attempts: int) -> str | None:
    trail = None
    for fence in range(1, attempts + 1):
        trail = append(trail, an_attempt(fence))
    return trail


def test_c3_history_is_empty_before_the_first_start():
    history = read(a_pending(), None)

    assert (history.attempts, history.folded) == ((), ())


def test_c3_attempt_is_read_back_as_it_was_added():
    assert read(a_pending(), append(None, an_attempt(1))).attempts == (an_attempt(1),)


def test_c3_running_attempt_is_the_last_and_has_no_end():
    job = replace(a_running(), fence=3)

    last = read(job, a_trail(2)).attempts[-1]

    assert (last.fence, last.worker, last.started_at, last.ended_at, last.outcome) == (
        3,
        WORKER,
        NOW,
        None,
        None,
    )


def test_c3_last_attempt_of_an_ended_job_is_read_from_its_placement():
    job = after_transition(reported(a_running(a_job(max_attempts=1)), a_failure("gone"), now=NOW + 5))

    attempt = current_attempt(job)

    assert attempt is not None
    assert (attempt.outcome, attempt.ended_at) == (AttemptOutcome.ERRORED, NOW + 5)
    assert json.loads(attempt.error or "")["message"] == "gone"


def test_c3_first_10_and_last_40_attempts_are_whole():
    history = read(a_pending(), a_trail(75))

    assert [attempt.fence for attempt in history.attempts] == [*range(1, 11), *range(36, 76)]


def test_c3_attempts_between_are_counted():
    assert read(a_pending(), a_trail(75)).folded == ((AttemptOutcome.ERRORED, 25),)


def test_c3_fifty_attempts_are_all_whole():
    history = read(a_pending(), a_trail(50))

    assert (len(history.attempts), history.folded) == (50, ())


@given(st.lists(st.sampled_from(AttemptOutcome), max_size=120))
def test_c3_no_attempt_is_dropped_from_the_counts(outcomes):
    trail = None
    for fence, outcome in enumerate(outcomes, start=1):
        trail = append(trail, an_attempt(fence, outcome))

    history = read(a_pending(), trail)

    counted = Counter(attempt.outcome for attempt in history.attempts) + Counter(dict(history.folded))
    fences = [attempt.fence for attempt in history.attempts]
    assert counted == Counter(outcomes)
    assert fences == sorted(set(fences))
    assert len(fences) == min(50, len(outcomes))


def test_trail_stays_bounded_however_often_a_job_starts():
    assert len(a_trail(2_000) or "") < 12_000


def test_c5_outcome_of_an_earlier_fence_is_found():
    trail = append(append(None, an_attempt(1)), an_attempt(2, AttemptOutcome.SNOOZED))

    assert reported_outcome(a_pending(), trail, 1) is AttemptOutcome.ERRORED
    assert reported_outcome(a_pending(), trail, 2) is AttemptOutcome.SNOOZED


def test_c5_running_attempt_has_no_outcome_yet():
    assert reported_outcome(a_running(), None, 1) is None


def test_c5_unknown_fence_has_no_outcome():
    assert reported_outcome(a_pending(), a_trail(2), 3) is None


def test_c12_rescued_attempt_counts_as_never_reported():
    trail = append(None, an_attempt(1, AttemptOutcome.RESCUED))

    assert reported_outcome(a_pending(), trail, 1) is None

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.breaker import (
    Answer,
    BreakerState,
    BreakerStatus,
    Seen,
    after,
    answer_of,
    closed,
    lane_of_breaker,
    opened,
)
from headrace.core.breaker_rule import BreakerRule
from headrace.core.limits import LaneState
from headrace.core.outcomes import Parked, Released, Snoozed, Stopped, Succeeded, Suspended
from headrace.core.policy import ErrorClass, Policy
from headrace.errors import InvalidInput
from tests.builders import NOW, SECOND, a_failure

USUAL = ("transient", "resource", "timeout")
RULE = BreakerRule(name="stripe", on=USUAL, failures=3, window_ms=60_000, cooldown_ms=30_000, probes=2)
GOOD, FAILURE = Answer.GOOD, Answer.FAILURE


def seen(answer: Answer, claimed_at: int = NOW) -> Seen:
    return Seen(answer=answer, claimed_at=claimed_at, error="TimeoutError" if answer is FAILURE else None)


def noted(state: BreakerState, *answers: Answer, now: int = NOW, claimed_at: int | None = None):
    claimed = now if claimed_at is None else claimed_at
    return after(state, RULE, [seen(one, claimed) for one in answers], now)


CLOSED = BreakerState(name="stripe")
OPEN = noted(CLOSED, FAILURE, FAILURE, FAILURE)
LATER = NOW + 30_000


def test_breaker_opens_after_so_many_failures():
    assert noted(CLOSED, FAILURE, FAILURE).status(NOW) is BreakerStatus.CLOSED
    assert OPEN.status(NOW) is BreakerStatus.OPEN
    assert (OPEN.opened_at, OPEN.until, OPEN.openings, OPEN.error) == (NOW, LATER, 1, "TimeoutError")


def test_good_answer_between_failures_keeps_it_closed():
    state = noted(CLOSED, FAILURE, FAILURE, GOOD, FAILURE, FAILURE)

    assert state.status(NOW) is BreakerStatus.CLOSED
    assert len(state.failed_at) == 2


def test_failures_beyond_the_window_do_not_count():
    early = noted(CLOSED, FAILURE, FAILURE)

    state = noted(early, FAILURE, now=NOW + RULE.window_ms)

    assert state.status(NOW + RULE.window_ms) is BreakerStatus.CLOSED
    assert state.failed_at == (NOW + RULE.window_ms,)


def test_failures_at_the_end_of_the_window_count():
    early = noted(CLOSED, FAILURE, FAILURE)

    state = noted(early, FAILURE, now=NOW + RULE.window_ms - 1)

    assert state.until is not None


def test_it_is_half_open_once_the_cool_down_is_over():
    assert OPEN.status(LATER - 1) is BreakerStatus.OPEN
    assert OPEN.status(LATER) is BreakerStatus.HALF_OPEN


def test_its_lane_is_closed_until_then_and_lets_the_probes_pass():
    assert OPEN.lane == LaneState(key="breaker:stripe", opens_at=LATER, cap=2)
    assert CLOSED.lane == LaneState(key="breaker:stripe")
    assert lane_of_breaker("stripe") == "breaker:stripe"


@pytest.mark.parametrize("answer", Answer)
def test_answers_of_jobs_from_before_change_nothing_while_it_is_open(answer):
    assert noted(OPEN, answer, now=LATER - 1, claimed_at=NOW - 1) == OPEN


@pytest.mark.parametrize("answer", Answer)
def test_answers_of_jobs_from_before_change_nothing_while_it_is_half_open(answer):
    assert noted(OPEN, answer, now=LATER + 1, claimed_at=LATER - 1) == OPEN


def test_good_answer_of_a_probe_closes_it():
    state = noted(OPEN, GOOD, now=LATER)

    assert state.status(LATER) is BreakerStatus.CLOSED
    assert (state.failed_at, state.in_a_row, state.openings) == ((), 0, 1)
    assert not state.troubled


def test_failure_of_a_probe_opens_it_for_twice_as_long():
    state = noted(OPEN, FAILURE, now=LATER)

    assert (state.opened_at, state.until) == (LATER, LATER + 60_000)
    assert (state.in_a_row, state.openings) == (2, 2)


def test_cool_down_grows_up_to_its_cap():
    state, now, lengths = OPEN, NOW, []
    for _ in range(7):
        now = state.until
        state = noted(state, FAILURE, now=now)
        lengths.append(state.until - now)

    assert lengths == [60_000, 120_000, 240_000, 480_000, 600_000, 600_000, 600_000]


def test_cool_down_begins_anew_after_a_good_answer():
    again = noted(noted(OPEN, GOOD, now=LATER), FAILURE, FAILURE, FAILURE, now=LATER)

    assert again.until == LATER + 30_000


def test_only_the_first_probe_that_ends_decides():
    state = noted(OPEN, GOOD, FAILURE, now=LATER)

    assert state.status(LATER) is BreakerStatus.CLOSED
    assert len(state.failed_at) == 1


def test_operator_opens_it_for_a_while_or_until_it_is_closed():
    awhile = opened(CLOSED, NOW, for_ms=5 * SECOND)
    held = opened(CLOSED, NOW, for_ms=None)

    assert awhile.status(NOW + 5 * SECOND - 1) is BreakerStatus.OPEN
    assert awhile.status(NOW + 5 * SECOND) is BreakerStatus.HALF_OPEN
    assert held.status(NOW + 10**11) is BreakerStatus.OPEN
    assert closed(held).status(NOW) is BreakerStatus.CLOSED


@pytest.mark.parametrize(
    ("outcome", "answer"),
    [
        (Succeeded(), GOOD),
        (a_failure(), FAILURE),
        (a_failure(error_class=ErrorClass.RESOURCE), FAILURE),
        (a_failure(error_class=ErrorClass.TIMEOUT), FAILURE),
        (a_failure(error_class=ErrorClass.PERMANENT), GOOD),
        (Snoozed(delay_ms=1), None),
        (Suspended(until=1), None),
        (Released(reason="x"), None),
        (Parked(lane="x"), None),
        (Stopped(), None),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, Answer) else value,
)
def test_what_an_outcome_says_of_what_is_guarded(outcome, answer):
    assert answer_of(RULE, outcome) is answer


def test_exceptions_count_by_their_name():
    named = BreakerRule(name="x", on=("ValueError",))
    other = BreakerRule(name="x", on=("KeyError",))

    assert answer_of(named, a_failure()) is FAILURE
    assert answer_of(other, a_failure()) is GOOD


@pytest.mark.parametrize("state", [CLOSED, OPEN, noted(CLOSED, FAILURE), opened(CLOSED, NOW, for_ms=None)])
def test_state_is_read_back_as_it_was_kept(state):
    assert BreakerState.loads(state.dumps()) == state


def test_rule_is_kept_with_the_policy():
    policy = Policy(breaker=RULE)

    assert Policy.loads(policy.dumps()) == policy
    assert "breaker" not in Policy().dumps()


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "no spaces"},
        {"failures": 0},
        {"probes": 0},
        {"window_ms": 0},
        {"cooldown_ms": 0},
        {"cooldown_ms": 2, "max_cooldown_ms": 1},
        {"on": ()},
    ],
)
def test_rule_that_cannot_work_is_refused(wrong):
    with pytest.raises(InvalidInput):
        BreakerRule(**{"name": "x", "on": USUAL, **wrong})


@given(seed=st.integers(0, 2**32), steps=st.integers(1, 200))
def test_nothing_is_let_through_before_a_cool_down_is_over(seed, steps):
    rng = random.Random(seed)
    state, now = CLOSED, NOW
    for _ in range(steps):
        now += rng.choice((0, 1, 1_000, 29_999, 30_000, 700_000))
        before = state
        state = noted(state, rng.choice((GOOD, FAILURE)), now=now, claimed_at=now - rng.choice((0, 50_000)))

        assert state.status(now) is not BreakerStatus.HALF_OPEN or state == before
        assert before.status(now) is not BreakerStatus.OPEN or state == before
        if state.until is not None:
            assert RULE.cooldown_ms <= state.cooldown_ms <= RULE.max_cooldown_ms
            assert state.until == state.opened_at + state.cooldown_ms
        assert len(state.failed_at) < RULE.failures

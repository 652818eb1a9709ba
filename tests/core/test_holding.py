"""What a job gives back of its lanes, and when."""

from dataclasses import replace

import pytest

from headrace.core.holding import Freed, freed_by, must_start_at_once, slot_key, slots_of
from headrace.core.job import Job, Transition
from headrace.core.outcomes import CancelAsked, Released, Snoozed, Succeeded
from headrace.core.place import dealt_with
from headrace.core.policy import ErrorClass
from headrace.core.wishes import OnRetry, Wishes
from tests.builders import (
    EXACT,
    a_failure,
    a_job,
    a_pending,
    a_running,
    after_transition,
    decided,
    reported,
)

HELD = ("limit:gpu", "limit:per-user/42")
ORDER = "order:account/7"


def running(wishes: Wishes | None = None, *, held: tuple[str, ...] = HELD) -> Job:
    new = a_job()
    lane = None if wishes is None else wishes.dumps()
    return a_running(replace(new, facts=replace(new.facts, lane=lane)), slot_key=slot_key(held, rated=False))


def freed(transition: Transition) -> tuple[tuple[str, ...], str | None]:
    found = freed_by(transition)
    return ((), None) if found is None else (found.slots, found.order)


@pytest.mark.parametrize("rated", [True, False])
@pytest.mark.parametrize("lanes", [(), ("limit:gpu",), ('limit:a/"x",\\ü', "limit:b")])
def test_column_of_slots_names_its_lanes_and_whether_there_is_a_rate(lanes, rated):
    key = slot_key(lanes, rated=rated)

    assert slots_of(key) == tuple(sorted(lanes))
    assert must_start_at_once(key) is rated
    assert (key is None) == (not lanes and not rated)


@pytest.mark.parametrize(
    "outcome",
    [Succeeded(), a_failure(), Released(reason="stop"), Snoozed(delay_ms=1)],
    ids=lambda outcome: type(outcome).__name__,
)
def test_job_that_stops_gives_its_slots_back(outcome):
    assert freed(reported(running(), outcome)) == (HELD, None)


def test_job_that_is_asked_to_cancel_keeps_its_slots_until_it_stops():
    asked = decided(running(Wishes(order=ORDER)), CancelAsked())

    assert freed(asked) == ((), None)
    assert freed(reported(after_transition(asked), a_failure())) == (HELD, ORDER)


def test_plain_job_gives_nothing_back():
    assert freed_by(reported(a_running(), Succeeded())) is None
    assert freed_by(reported(running(Wishes(fair="tenant"), held=()), Succeeded())) is None


@pytest.mark.parametrize(
    ("outcome", "on_retry", "order"),
    [
        (Succeeded(), OnRetry.HOLD, ORDER),
        (a_failure(), OnRetry.HOLD, None),
        (Released(reason="stop"), OnRetry.HOLD, None),
        (a_failure(), OnRetry.PASS, ORDER),
        (Snoozed(delay_ms=1), OnRetry.PASS, ORDER),
    ],
)
def test_c40_ordering_key_is_held_until_the_end_unless_others_may_pass(outcome, on_retry, order):
    job = running(Wishes(order=ORDER, on_retry=on_retry), held=())

    assert freed(reported(job, outcome)) == ((), order)


def test_c40_job_that_is_cancelled_while_it_waits_frees_its_key():
    new = a_job()
    job = a_pending(replace(new, facts=replace(new.facts, lane=Wishes(order=ORDER).dumps())))

    assert freed_by(decided(job, CancelAsked())) == Freed(slots=(), order=ORDER)


def test_c40_job_that_has_ended_frees_nothing_a_second_time():
    failed = after_transition(
        reported(running(Wishes(order=ORDER)), a_failure(error_class=ErrorClass.PERMANENT))
    )

    assert freed_by(dealt_with(failed, EXACT, failed.placement.ended_at or 0)) is None

"""What a job keeps of its steps, and what an attempt and a signal make of it."""

from dataclasses import replace

import pytest

from headrace.core.job import AttemptOutcome
from headrace.core.outcomes import Signalled, Snoozed, Suspended
from headrace.core.policy import Policy
from headrace.core.states import State
from headrace.core.steps import (
    MAX_KEPT_BYTES,
    MAX_STEP_BYTES,
    MAX_STEPS,
    Book,
    Kept,
    Signal,
    Step,
    StepKind,
    awaited,
    carried,
    deadline,
    has_come,
)
from headrace.core.wire import MAX_INSTANT_MS
from headrace.errors import IllegalMove, InvalidInput, TooLarge
from tests.builders import (
    HOUR,
    MINUTE,
    NOW,
    SECOND,
    a_failure,
    a_pending,
    a_running,
    after_transition,
    decided,
    reported,
)


def a_step(number: int, name: str = "charge", *, occurrence: int = 1, value: str = "1") -> Step:
    return Step(
        number=number,
        kind=StepKind.STEP,
        name=name,
        occurrence=occurrence,
        at=NOW,
        ended_at=NOW,
        value=value,
    )


def a_wait(number: int = 1, *, fence: int = 1, until: int = NOW + HOUR, **fields) -> Step:
    return Step(
        number=number,
        kind=StepKind.WAIT,
        name="approved",
        occurrence=1,
        at=NOW,
        until=until,
        fence=fence,
        **fields,
    )


def a_signal(n: int = 1, name: str = "approved") -> Signal:
    return Signal(id=f"signal-{n}", name=name, at=NOW, payload=str(n))


def test_step_is_found_by_kind_name_and_occurrence():
    book = Book([a_step(1), a_step(2, occurrence=2, value="2")])

    assert book.find((StepKind.STEP, "charge", 2)) == a_step(2, occurrence=2, value="2")
    assert book.find((StepKind.STEP, "charge", 3)) is None
    assert book.find((StepKind.WAIT, "charge", 1)) is None


def test_steps_are_numbered_in_the_order_they_are_kept():
    book = Book([a_step(1), a_step(2, "ship")])
    slow = book.begin((StepKind.STEP, "slow", 1), NOW)
    quick = book.begin((StepKind.STEP, "quick", 1), NOW)

    assert [book.keep(quick).number, book.keep(slow).number] == [3, 4]


def test_step_that_is_kept_again_keeps_its_number():
    book = Book([a_wait(1), a_step(2)])

    closed = book.keep(replace(a_wait(1), ended_at=NOW, value="true"))

    assert closed.number == 1
    assert book.find(closed.key) == closed


def test_step_beyond_the_most_a_job_keeps_is_refused_before_it_is_done():
    book = Book([a_step(n, occurrence=n) for n in range(1, MAX_STEPS + 1)])

    with pytest.raises(TooLarge):
        book.begin((StepKind.STEP, "one more", 1), NOW)


def test_values_beyond_the_bytes_a_job_keeps_are_refused():
    large = '"' + "x" * (MAX_STEP_BYTES - 2) + '"'
    book = Book(())
    for n in range(1, MAX_KEPT_BYTES // MAX_STEP_BYTES + 1):
        book.keep(a_step(n, occurrence=n, value=large))

    with pytest.raises(TooLarge):
        book.keep(a_step(1, "last straw", value="1"))


def test_first_signal_that_no_wait_has_consumed_is_the_next():
    heard = a_wait(ended_at=NOW, signal="signal-1", value="1")
    book = Book([heard])
    signals = [a_signal(1), a_signal(2, "other"), a_signal(3), a_signal(4)]

    assert book.unheard(signals, "approved") == a_signal(3)
    assert book.unheard(signals[:2], "approved") is None


def test_wait_without_time_out_lasts_as_long_as_instants_go():
    assert deadline(NOW, None) == MAX_INSTANT_MS
    assert deadline(NOW, MINUTE) == NOW + MINUTE
    assert deadline(NOW, MAX_INSTANT_MS) == MAX_INSTANT_MS


def test_suspended_job_is_due_when_its_sleep_is_over_and_nothing_is_charged():
    suspended = Suspended(until=NOW + HOUR, reason="sleeps")
    transition = reported(a_running(), suspended, now=NOW + SECOND)

    placed = transition.placement
    assert (placed.state, placed.due_at, placed.rank) == (State.PENDING, NOW + HOUR, NOW + HOUR)
    assert (placed.failures, placed.crashes, placed.snoozes, placed.releases) == (0, 0, 0, 1)
    assert transition.attempt is not None
    assert transition.attempt.outcome is AttemptOutcome.SNOOZED


def test_c20_sleeps_use_up_no_snooze():
    job = a_running(snoozes=3)
    policy = Policy(max_snoozes=3)

    placed = reported(job, Suspended(until=NOW + HOUR), policy=policy).placement

    assert (placed.state, placed.snoozes) == (State.PENDING, 3)
    assert reported(job, Snoozed(delay_ms=5), policy=policy).placement.state is State.FAILED


def test_c26_job_asked_to_cancel_is_cancelled_instead_of_suspended():
    job = a_running(cancel_asked_at=NOW)

    assert reported(job, Suspended(until=NOW + HOUR)).placement.state is State.CANCELLED


def test_job_suspended_for_a_wait_awaits_its_signal():
    job = after_transition(reported(a_running(), Suspended(until=NOW + HOUR, signal="approved")))
    wait = a_wait(fence=job.fence)

    assert awaited(job, Kept(now=NOW, steps=(a_step(1), replace(wait, number=2)))) == replace(wait, number=2)


@pytest.mark.parametrize(
    "wait",
    [
        a_wait(fence=0),
        a_wait(until=NOW + MINUTE),
        a_wait(ended_at=NOW, signal="signal-1", value="1"),
        a_step(1),
    ],
    ids=["of an earlier attempt", "until another instant", "that has ended", "no wait"],
)
def test_job_that_waits_for_something_else_awaits_no_signal(wait: Step):
    job = after_transition(reported(a_running(), Suspended(until=NOW + HOUR)))

    assert awaited(job, Kept(now=NOW, steps=(wait,))) is None


def test_job_in_back_off_awaits_no_signal():
    job = after_transition(reported(a_running(), a_failure()))

    assert awaited(job, Kept(now=NOW, steps=(a_wait(fence=job.fence),))) is None


def test_running_job_awaits_no_signal():
    job = a_running()

    assert awaited(job, Kept(now=NOW, steps=(a_wait(fence=job.fence),))) is None


def test_signal_brings_a_waiting_job_forward():
    job = a_pending(due_at=NOW + HOUR, rank=NOW + HOUR)

    placed = decided(job, Signalled(), now=NOW + SECOND).placement

    assert (placed.due_at, placed.rank) == (NOW + SECOND, NOW + SECOND)
    assert replace(placed, due_at=NOW + HOUR, rank=NOW + HOUR) == job.placement


def test_signal_never_puts_a_job_off():
    job = a_pending(due_at=NOW, rank=NOW)

    assert decided(job, Signalled(), now=NOW + HOUR).placement == job.placement


def test_signal_leaves_a_running_job_where_it_is():
    job = a_running()

    assert decided(job, Signalled()).placement == job.placement


@pytest.mark.parametrize("state", [State.COMPLETED, State.FAILED, State.CANCELLED, State.BLOCKED])
def test_signal_is_refused_by_a_job_that_waits_for_none(state: State):
    with pytest.raises(IllegalMove):
        decided(a_pending(state=state, due_at=None), Signalled())


def test_signal_has_come_only_for_a_wait_of_its_name():
    assert has_come(Kept(now=NOW, steps=(a_wait(),), signals=(a_signal(),)), "approved")
    assert not has_come(Kept(now=NOW, steps=(a_wait(),), signals=(a_signal(),)), "refused")
    consumed = a_wait(ended_at=NOW, signal="signal-1", value="1")
    assert not has_come(Kept(now=NOW, steps=(consumed,), signals=(a_signal(),)), "approved")


def test_replay_carries_what_was_kept_before_the_chosen_step():
    kept = Kept(now=NOW, steps=(a_step(1, "load"), a_step(2, "charge"), a_step(3, "ship")))

    assert carried(kept, "ship") == (a_step(1, "load"), a_step(2, "charge"))
    assert carried(kept, "load") == ()
    assert carried(kept, None) == ()


def test_replay_may_begin_at_one_of_several_steps_of_a_name():
    pages = tuple(a_step(n, "page", occurrence=n) for n in range(1, 4))

    assert carried(Kept(now=NOW, steps=pages), "page#3") == pages[:2]
    assert carried(Kept(now=NOW, steps=pages), "page#1") == ()


def test_replay_carries_answered_waits_without_their_signal_and_no_open_ones():
    answered = a_wait(1, ended_at=NOW, signal="signal-1", value="true")
    still_open = replace(a_wait(2), occurrence=2)
    kept = Kept(now=NOW, steps=(answered, still_open, a_step(3)), signals=(a_signal(),))

    assert carried(kept, "charge") == (replace(answered, fence=None, signal=None),)


def test_replay_from_a_step_that_was_not_kept_names_those_that_were():
    kept = Kept(now=NOW, steps=(a_step(1, "load"), a_step(2, "load", occurrence=2)))

    with pytest.raises(InvalidInput, match="load, load#2"):
        carried(kept, "ship")

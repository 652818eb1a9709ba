import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.batch import (
    OPEN_RECHECK_MS,
    RECHECK_MS,
    BatchState,
    Callback,
    Counts,
    On,
    Phase,
    back_in_line,
    batch_id,
    callback_id,
    given_turn,
    in_line,
    is_batch_id,
    turn_is_over,
    waits_for_turn,
)
from headrace.core.batch_request import NewBatch
from headrace.core.batch_wire import BatchView, batch_to_json, dump, load, summary_to_json
from headrace.core.ids import checked_name, is_id
from headrace.core.outcomes import CancelAsked, RetryAsked
from headrace.core.request import MAX_TAGS, EnqueueRequest
from headrace.core.states import State
from headrace.core.unique import Unique
from headrace.errors import BatchClosed, BatchSealed, InvalidInput
from tests.builders import (
    MINUTE,
    NAMESPACE,
    NOW,
    SUCCESS,
    a_job,
    a_pending,
    a_running,
    after_transition,
    decided,
    reported,
)

DONE = Counts(completed=2)
MIXED = Counts(completed=2, failed=1)


def a_callback(on: On = On.COMPLETE, **fields: object) -> Callback:
    plain = {
        "type": "report", "version": 1, "queue": "default", "payload": '{"n":1}', "priority": 0,
        "max_attempts": 3, "max_crashes": 3,
    }  # fmt: skip
    return Callback(on=on, **(plain | fields))


def a_batch(phase: Phase = Phase.OPEN, **fields: object) -> BatchState:
    callbacks = tuple(a_callback(on) for on in On)
    plain = {"id": batch_id(NOW, random.Random(1)), "created_at": NOW, "phase": phase, "callbacks": callbacks}
    return BatchState(**(plain | fields))


# ------------------------------------------------------------ ids


def test_id_of_a_batch_names_its_millisecond_and_two_of_one_millisecond_differ():
    rng = random.Random(7)
    one, two = batch_id(NOW, rng), batch_id(NOW, rng)

    assert one.startswith(f"batch_{NOW}_")
    assert one != two
    assert is_batch_id(one)
    assert checked_name(one, "batchId") == one


@pytest.mark.parametrize(
    "text", [None, "", "batch", "batch_1", f"batch_{NOW}", "import-7", f"batch_{NOW}_xyz"]
)
def test_other_texts_are_labels_and_no_batches(text):
    assert not is_batch_id(text)


def test_callback_has_the_same_id_whenever_it_is_asked_for_and_another_in_each_generation():
    batch = a_batch().id
    ids = {callback_id(NAMESPACE, batch, generation, on) for generation in (1, 2) for on in On}

    assert len(ids) == 2 * len(On)
    assert all(is_id(one) for one in ids)
    assert callback_id(NAMESPACE, batch, 1, On.COMPLETE) == callback_id(NAMESPACE, batch, 1, On.COMPLETE)
    assert callback_id("other", batch, 1, On.COMPLETE) not in ids


# ------------------------------------------------------------ who may add


def test_c38_anybody_may_add_to_an_open_batch():
    a_batch().refuse_member(by_member=False)
    a_batch().refuse_member(by_member=True)


def test_c38_only_a_member_may_add_to_a_sealed_batch():
    a_batch(Phase.SEALED).refuse_member(by_member=True)

    with pytest.raises(BatchSealed, match="sealed"):
        a_batch(Phase.SEALED).refuse_member(by_member=False)


@pytest.mark.parametrize("phase", [Phase.CLOSING, Phase.CLOSED])
@pytest.mark.parametrize("by_member", [True, False])
def test_c38_nobody_may_add_to_a_batch_whose_members_have_ended(phase, by_member):
    with pytest.raises(BatchSealed, match="closed"):
        a_batch(phase).refuse_member(by_member=by_member)


@pytest.mark.parametrize("by_member", [True, False])
def test_nobody_may_add_to_a_cancelled_batch(by_member):
    with pytest.raises(BatchSealed, match="cancelled"):
        a_batch().cancelled(NOW).refuse_member(by_member=by_member)


# ------------------------------------------------------------ from open to closed


def test_sealing_twice_is_sealing_once_and_changes_no_later_phase():
    sealed = a_batch().sealed()

    assert sealed.phase is Phase.SEALED
    assert sealed.sealed() == sealed
    assert a_batch(Phase.CLOSED).sealed() == a_batch(Phase.CLOSED)


@pytest.mark.parametrize(
    ("counts", "due"),
    [
        (DONE, {On.COMPLETE, On.SUCCESS}),
        (MIXED, {On.COMPLETE, On.FAILURE}),
        (Counts(completed=1, cancelled=1), {On.COMPLETE, On.FAILURE}),
        (Counts(), {On.COMPLETE, On.SUCCESS}),
    ],
    ids=["all completed", "one failed", "one cancelled", "empty"],
)
def test_c37_callbacks_due_follow_from_how_the_members_ended(counts, due):
    closing = a_batch(Phase.SEALED).closing(counts, anything_ended=bool(counts.total))

    assert closing.phase is Phase.CLOSING
    assert set(closing.due) == due


def test_c37_later_generation_in_which_nothing_ended_closes_in_silence():
    reopened = a_batch(Phase.CLOSED).reopened(NOW)

    assert reopened.closing(DONE, anything_ended=False).due == ()
    assert set(reopened.closing(DONE, anything_ended=True).due) == {On.COMPLETE, On.SUCCESS}


def test_callbacks_that_nobody_asked_for_are_not_due():
    assert a_batch(Phase.SEALED, callbacks=()).closing(DONE, anything_ended=True).due == ()


def test_callback_jobs_are_those_that_are_due_and_carry_the_batch_as_a_tag():
    callback = a_callback(tags=("mine",), delay_ms=MINUTE, priority=7, timeout_ms=5)
    batch = a_batch(Phase.SEALED, callbacks=(callback, a_callback(On.FAILURE)))
    closing = batch.closing(DONE, anything_ended=True)

    ((facts, placement),) = closing.callback_jobs(NAMESPACE, NOW)

    assert facts.id == callback_id(NAMESPACE, batch.id, 1, On.COMPLETE)
    assert (facts.type, facts.payload, facts.batch_id) == ("report", '{"n":1}', None)
    assert facts.tags == ("mine", f"callback:{batch.id}")
    assert all(checked_name(tag, "tag") for tag in facts.tags)
    assert (placement.due_at, placement.rank, placement.priority) == (NOW + MINUTE, NOW + MINUTE, 7)
    assert (facts.timeout_ms, placement.timeout_ms) == (5, 5)


def test_callback_that_was_scheduled_does_not_start_before_that():
    batch = a_batch(Phase.SEALED, callbacks=(a_callback(due_at=NOW + MINUTE),))

    ((_, placement),) = batch.closing(DONE, anything_ended=True).callback_jobs(NAMESPACE, NOW)

    assert placement.due_at == NOW + MINUTE


def test_c37_retry_of_a_closed_batch_opens_a_new_generation():
    closed = a_batch(Phase.SEALED).closing(MIXED, anything_ended=True).closed(NOW)

    reopened = closed.reopened(NOW + 1)

    assert (reopened.phase, reopened.generation, reopened.reopened_at) == (Phase.SEALED, 2, NOW + 1)
    assert (reopened.closed_at, reopened.due) == (None, ())


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.SEALED])
def test_retry_in_a_batch_that_goes_on_stays_in_its_generation(phase):
    reopened = a_batch(phase).reopened(NOW)

    assert (reopened.phase, reopened.generation) == (phase, 1)


def test_closing_batch_is_finished_before_it_is_reopened():
    with pytest.raises(BatchClosed):
        a_batch(Phase.SEALED).closing(MIXED, anything_ended=True).reopened(NOW)


def test_cancelling_seals_and_keeps_the_first_time():
    cancelled = a_batch().cancelled(NOW).cancelled(NOW + 1)

    assert (cancelled.phase, cancelled.cancelled_at) == (Phase.SEALED, NOW)
    assert cancelled.reopened(NOW).cancelled_at is None


@pytest.mark.parametrize("phase", [Phase.CLOSING, Phase.CLOSED])
def test_batch_whose_members_have_ended_cannot_be_cancelled(phase):
    with pytest.raises(BatchClosed):
        a_batch(phase).cancelled(NOW)


@pytest.mark.parametrize(
    ("batch", "wait"),
    [
        (a_batch(), OPEN_RECHECK_MS),
        (a_batch(sequential=True), RECHECK_MS),
        (a_batch(Phase.SEALED), RECHECK_MS),
        (a_batch(Phase.CLOSING), RECHECK_MS),
    ],
)
def test_batch_that_is_not_closed_is_looked_at_again(batch, wait):
    assert batch.next_look(NOW) == NOW + wait


def test_closed_batch_is_not_looked_at():
    assert a_batch(Phase.CLOSED).next_look(NOW) is None


# ------------------------------------------------------------ one after the other


def test_new_member_of_a_sequential_batch_waits_and_starts_when_it_was_scheduled_for():
    placement = in_line(a_job(due_at=NOW + MINUTE).placement)
    job = a_pending(a_job(due_at=NOW + MINUTE), state=placement.state, due_at=placement.due_at)

    started = given_turn(job, NOW).placement

    assert (placement.state, placement.due_at) == (State.BLOCKED, None)
    assert waits_for_turn(job, a_batch())
    assert (started.state, started.due_at) == (State.PENDING, NOW + MINUTE)


def test_retried_member_of_a_sequential_batch_waits_parked_and_starts_when_it_has_the_turn():
    batch = a_batch()
    failed = after_transition(decided(a_pending(), CancelAsked()))

    waiting = after_transition(back_in_line(decided(failed, RetryAsked()), batch))
    started = after_transition(given_turn(waiting, NOW + 5))

    assert (waiting.state, waiting.placement.due_at) == (State.PENDING, None)
    assert waits_for_turn(waiting, batch)
    assert (started.placement.due_at, started.placement.parked_on) == (NOW + 5, None)
    assert not waits_for_turn(started, batch)


def test_turn_is_over_when_the_member_has_ended_or_is_gone():
    running = a_running()

    assert not turn_is_over(a_pending())
    assert not turn_is_over(running)
    assert turn_is_over(after_transition(reported(running, SUCCESS)))
    assert turn_is_over(None)


# ------------------------------------------------------------ what is kept and shown


phases = st.sampled_from(Phase)
texts = st.text(max_size=20)
callbacks = st.builds(
    Callback,
    on=st.sampled_from(On), type=texts, version=st.integers(), queue=texts, payload=texts,
    priority=st.integers(), max_attempts=st.integers(), max_crashes=st.integers(),
    timeout_ms=st.none() | st.integers(), backoff=st.none() | texts, delay_ms=st.integers(),
    due_at=st.integers(), tags=st.lists(texts, max_size=3).map(tuple),
)  # fmt: skip
instants = st.none() | st.integers(0, 2**53)
batches = st.builds(
    BatchState,
    id=texts, created_at=st.integers(), phase=phases, generation=st.integers(1), sequential=st.booleans(),
    callbacks=st.lists(callbacks, max_size=3).map(tuple), due=st.lists(st.sampled_from(On)).map(tuple),
    turn=st.none() | texts, reopened_at=instants, closed_at=instants, cancelled_at=instants,
)  # fmt: skip


@given(batches)
def test_batch_is_read_back_as_it_was_written(batch):
    assert load(dump(batch)) == batch


def test_field_of_a_newer_version_is_passed_over():
    text = dump(a_batch()).replace('{"id"', '{"newer":1,"id"', 1)

    assert load(text) == a_batch()


def test_summary_has_the_words_of_a_summary():
    counts = Counts.of({State.COMPLETED: 3, State.FAILED: 1, State.PENDING: 2, State.BLOCKED: 1})

    assert summary_to_json(counts) == {
        "total": 7, "blocked": 1, "pending": 2, "processing": 0, "completed": 3, "failed": 1, "cancelled": 0,
    }  # fmt: skip
    assert (counts.live, counts.ended) == (3, 4)


def test_batch_is_shown_with_its_numbers_and_callbacks():
    shown = batch_to_json(BatchView(state=a_batch(Phase.SEALED), counts=MIXED))

    assert (shown["phase"], shown["total"], shown["createdAt"]) == ("sealed", 3, "2026-01-01T00:00:00Z")
    assert shown["callbacks"] == dict.fromkeys(("on_complete", "on_success", "on_failure"), "report")


@pytest.mark.parametrize(
    ("phase", "counts", "progress"),
    [
        (Phase.SEALED, Counts(pending=1, failed=3), 0.75),
        (Phase.OPEN, Counts(), 0.0),
        (Phase.CLOSED, Counts(), 1.0),
    ],
)
def test_progress_is_the_share_that_has_ended(phase, counts, progress):
    assert BatchView(state=a_batch(phase), counts=counts).progress == progress


# ------------------------------------------------------------ what is refused as a callback


@pytest.mark.parametrize(
    "fields",
    [
        {"unique": Unique(key="k")},
        {"idempotency_key": "k"},
        {"batch_id": "b"},
        {"tags": tuple(f"t{n}" for n in range(MAX_TAGS))},
    ],
    ids=["unique key", "idempotency key", "batch", "too many tags"],
)
@pytest.mark.parametrize("on", On)
def test_callback_that_could_not_come_once_per_generation_is_refused(on, fields):
    with pytest.raises(InvalidInput) as caught:
        NewBatch(**{on.value: EnqueueRequest(type="report", **fields)})

    assert caught.value.field == on.value

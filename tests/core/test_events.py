import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.events import (
    NOW,
    OLDEST,
    EventFilter,
    EventKind,
    change_of,
    change_of_claim,
    change_of_new,
    change_of_progress,
    checked_start,
    dump_position,
    event_to_json,
    events_of,
    fits,
    kinds_named,
    kinds_of,
    load_position,
)
from headrace.core.outcomes import CancelAsked, Rescued, RetryAsked, Signalled, Unblocked
from headrace.core.states import State
from headrace.errors import InvalidInput
from tests.builders import (
    LEASE,
    SUCCESS,
    WORKER,
    a_failure,
    a_job,
    a_pending,
    a_running,
    after_transition,
    decided,
    reported,
)
from tests.builders import NOW as INSTANT


def test_kinds_are_named_by_their_words():
    assert kinds_named(["completed", "stalled"]) == {EventKind.COMPLETED, EventKind.STALLED}
    with pytest.raises(InvalidInput, match="enqueued, active"):
        kinds_named(["finished"])


@pytest.mark.parametrize("after", [NOW, OLDEST, dump_position(1, 2, 3)])
def test_reading_begins_at_a_word_or_a_cursor(after):
    assert checked_start(after) == after


def test_position_is_read_back():
    assert load_position(dump_position(1, 2, 3)) == (1, 2, 3)


@pytest.mark.parametrize("after", ["", "newest", "WzFd"])
def test_reading_begins_nowhere_else(after):
    with pytest.raises(InvalidInput):
        checked_start(after)


def test_new_job_is_enqueued():
    new = a_job(batch_id="b")
    (event,) = events_of(change_of_new(new.facts, new.placement))

    assert (event.kind, event.job_id, event.batch_id, event.due_at, event.attempt) == (
        EventKind.ENQUEUED,
        new.facts.id,
        "b",
        INSTANT,
        1,
    )


def test_claimed_job_is_active():
    (event,) = events_of(change_of_claim(a_running(now=INSTANT)))

    assert (event.kind, event.worker, event.at) == (EventKind.ACTIVE, WORKER, INSTANT)


def test_progress_carries_what_was_told():
    (event,) = events_of(change_of_progress(a_running(), '{"percentage":40}', INSTANT))

    assert (event.kind, event.progress) == (EventKind.PROGRESS, {"percentage": 40})


@pytest.mark.parametrize("happens", [CancelAsked(), Signalled()])
def test_what_changes_no_state_tells_nothing(happens):
    assert change_of(decided(a_running(), happens)) is None


def test_unblocking_tells_nothing():
    assert change_of(decided(a_pending(a_job(state=State.BLOCKED)), Unblocked())) is None


def test_attempt_of_an_earlier_generation_is_not_told_again():
    failed = after_transition(reported(a_running(a_job(max_attempts=1)), a_failure()))
    change = change_of(decided(failed, RetryAsked()))

    assert change is not None
    assert kinds_of(change) == (EventKind.RETRYING,)


def test_rescue_tells_that_it_stalled_and_failed_and_what_follows():
    late = INSTANT + LEASE + 1
    change = change_of(decided(a_running(), Rescued(), now=late))

    assert change is not None
    assert kinds_of(change) == (EventKind.STALLED, EventKind.ATTEMPT_FAILED, EventKind.RETRYING)


@pytest.mark.parametrize("error", ["no json", "[1]", '{"type":"x"}', "1"])
def test_error_that_cannot_be_read_is_left_out(error):
    job = a_running(a_job(max_attempts=1))
    transition = reported(job, a_failure())
    transition.placement.error = error
    change = change_of(transition)

    assert change is not None
    assert [event.error for event in events_of(change)] == [None, None]


FIELDS = {"kinds": frozenset({EventKind.COMPLETED}), "job_id": "x", "queue": "x", "type": "x"}


@pytest.mark.parametrize("field", FIELDS)
def test_filter_of_one_field_leaves_out_what_does_not_fit(field):
    (event,) = events_of(change_of_claim(a_running()))
    own = {
        "kinds": frozenset({event.kind}), "job_id": event.job_id, "queue": event.queue, "type": event.type,
    }  # fmt: skip

    assert fits(event, EventFilter(**{field: own[field]}))
    assert not fits(event, EventFilter(**{field: FIELDS[field]}))
    assert fits(event, EventFilter())


def test_event_is_shown_as_json():
    change = change_of(reported(a_running(), SUCCESS, now=INSTANT + 1))
    assert change is not None
    (event,) = events_of(change)

    shown = event_to_json(event)

    assert shown["event"] == "completed"
    assert shown["at"] == "2026-01-01T00:00:00.001Z"
    assert json.loads(json.dumps(shown)) == shown


@given(st.integers(1, 4), st.booleans())
def test_every_end_of_an_attempt_is_told_by_an_event_of_its_own(attempts, rescued):
    job = a_running(a_job(max_attempts=attempts, max_crashes=attempts))
    now = INSTANT + LEASE + 1
    transition = decided(job, Rescued(), now=now) if rescued else reported(job, a_failure(), now=now)
    change = change_of(transition)

    assert change is not None
    told = kinds_of(change)
    assert EventKind.ATTEMPT_FAILED in told
    assert (EventKind.STALLED in told) is rescued
    assert told[-1] in {EventKind.RETRYING, EventKind.FAILED}

from dataclasses import replace

import pytest

from headrace.core.job import MAX_PRIORITY, MIN_PRIORITY, Job, Priority
from headrace.core.outcomes import CancelAsked, Stopped, Succeeded
from headrace.core.states import State
from headrace.core.unique import Unique
from headrace.core.wire import MAX_INSTANT_MS, error_text, job_to_json
from tests.builders import (
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


def failed_job() -> Job:
    return after_transition(
        reported(a_running(a_job(max_attempts=1)), a_failure("disk full"), now=NOW + SECOND)
    )


def test_pending_job_shows_its_facts():
    job = a_pending(
        a_job(
            payload='{"a":[1]}', queue="mail", type="send", priority=5, due_at=NOW + HOUR,
            unique=Unique(key="k"), batch_id="b", tags=("x", "y"),
        )
    )  # fmt: skip

    assert job_to_json(job) == {
        "id": job.id,
        "type": "send",
        "status": "pending",
        "state": "pending",
        "queue": "mail",
        "priority": 5,
        "attempts": 0,
        "maxAttempts": 3,
        "payload": {"a": [1]},
        "result": None,
        "resultUrl": None,
        "error": None,
        "progress": None,
        "uniqueKey": "k",
        "batchId": "b",
        "tags": ["x", "y"],
        "scheduledFor": "2026-01-01T01:00:00Z",
        "createdAt": "2026-01-01T00:00:00Z",
        "startedAt": None,
        "completedAt": None,
        "parkedOn": None,
        "cancelRequested": False,
    }


def test_completed_job_shows_its_result_and_times():
    job = after_transition(reported(a_running(), Succeeded(result='{"n":2}'), now=NOW + SECOND))

    shown = job_to_json(job)

    assert (shown["status"], shown["result"], shown["attempts"]) == ("completed", {"n": 2}, 1)
    assert (shown["startedAt"], shown["completedAt"]) == ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z")


def test_failed_job_shows_its_last_error():
    shown = job_to_json(failed_job())

    assert (shown["status"], shown["state"], shown["error"]) == ("failed", "failed", "disk full")


def test_x_7_cancelled_job_shows_as_failed_with_that_word_as_its_error():
    job = after_transition(decided(a_pending(), CancelAsked()))

    shown = job_to_json(job)

    assert (shown["status"], shown["state"], shown["error"]) == ("failed", "cancelled", "cancelled")


def test_blocked_job_shows_as_pending():
    shown = job_to_json(a_pending(a_job(state=State.BLOCKED)))

    assert (shown["status"], shown["state"]) == ("pending", "blocked")


def test_running_job_shows_progress_and_the_asked_cancel():
    running = replace(a_running(), progress='{"percentage":45}')
    asked = after_transition(decided(running, CancelAsked()))

    shown = job_to_json(asked)

    assert (shown["progress"], shown["cancelRequested"]) == ({"percentage": 45}, True)


def test_ended_job_has_no_cancel_asked_any_more():
    asked = after_transition(decided(a_running(), CancelAsked()))
    ended = after_transition(reported(asked, Stopped()))

    assert job_to_json(ended)["cancelRequested"] is False


def test_error_text_is_the_message():
    assert error_text(failed_job()) == "disk full"


def test_error_text_is_the_type_when_there_is_no_message():
    job = after_transition(reported(a_running(a_job(max_attempts=1)), a_failure("")))

    assert error_text(job) == "ValueError"


def test_error_text_is_none_when_nothing_went_wrong():
    assert error_text(a_pending()) is None


def test_retrying_job_shows_the_error_it_waits_after():
    job = after_transition(reported(a_running(), a_failure("busy")))

    assert job_to_json(job)["error"] == "busy"


def test_s2_20_lowest_number_of_bullmq_gets_the_highest_priority():
    numbers = [1, 100, 101, 1000, 1001, 10_000, 10_001, 2_097_152]

    converted = [Priority.from_bullmq(number) for number in numbers]

    assert converted == sorted(set(converted), reverse=True)


@pytest.mark.parametrize("number", [0, 1, 2_097_151, 2_097_152])
def test_x_2_every_number_of_bullmq_is_a_legal_priority(number):
    assert MIN_PRIORITY <= Priority.from_bullmq(number) <= MAX_PRIORITY


def test_s1_47_tiers_run_critical_first_and_background_last():
    tiers = [Priority.CRITICAL, Priority.HIGH, Priority.NORMAL, Priority.LOW, Priority.BACKGROUND]

    assert tiers == sorted(Priority, reverse=True)


def test_latest_instant_can_be_shown():
    assert job_to_json(a_pending(a_job(due_at=MAX_INSTANT_MS)))["scheduledFor"] == "9999-12-31T23:59:59.999Z"

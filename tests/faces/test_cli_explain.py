"""``headrace explain``."""

import pytest

DOUBLE = ("enqueue", "double", "--app", "jobs_app:app", "--payload", '{"n": 21}')
UNKNOWN = "0199b0c4-8a00-7c3e-9f5b-0d6c5b7d2a11"


def enqueued(headrace, *more):
    return headrace(*DOUBLE, *more, "--json").json["jobId"]


def test_explanation_is_sentences_each_with_what_to_do(headrace):
    job_id = enqueued(headrace)
    headrace("queues", "--pause", "default")

    ran = headrace("explain", job_id)

    assert ran.code == 0
    assert ran.out.splitlines() == [
        "Queue default is paused.",
        "  → `headrace queues --resume default` lets its jobs start again.",
        "No worker that runs serves queue default.",
        "  → Start one: `headrace worker --app module:app`.",
    ]


def test_explanation_is_in_the_json(headrace):
    job_id = enqueued(headrace, "--delay", "60")

    shown = headrace("explain", job_id, "--json").json

    assert shown["jobId"] == job_id
    assert [one["code"] for one in shown["findings"]] == ["scheduled", "no_worker_on_queue"]
    assert shown["findings"][0]["until"].endswith("Z")


def test_job_shows_in_one_line_why_it_does_not_run(headrace):
    job_id = enqueued(headrace)

    shown = dict(row for row in headrace("job", job_id).rows if len(row) == 2)

    assert shown["why"] == "No worker that runs serves queue default."
    assert headrace("job", job_id, "--json").json["job"]["why"] == shown["why"]


def test_job_that_has_ended_shows_no_such_line(headrace):
    job_id = enqueued(headrace)
    headrace("cancel", job_id)

    assert "why" not in headrace("job", job_id, "--json").json["job"]
    assert headrace("explain", job_id).out.startswith("It was cancelled at ")


@pytest.mark.parametrize(("given", "code"), [((UNKNOWN,), 3), ((), 2)], ids=["unknown", "none"])
def test_job_that_is_not_there_is_said(headrace, given, code):
    enqueued(headrace)

    ran = headrace("explain", *given)

    assert ran.code == code
    assert ran.out == ""

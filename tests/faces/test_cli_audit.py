"""``headrace audit``: what operators do on the command line is on record."""

import asyncio
import os
import pwd
import re
import urllib.request

import pytest

from headrace import App
from tests.faces.commands import WAIT_S, running

DOUBLE = ("double", "--app", "jobs_app:app", "--payload", '{"n": 21}', "--delay", "60")
UNKNOWN = "0199b0c4-8a00-7c3e-9f5b-0d6c5b7d2a11"
ME = f"cli:{pwd.getpwuid(os.getuid()).pw_name}"


def test_what_an_operator_does_is_on_record(headrace):
    job_id = headrace.enqueued(*DOUBLE)
    headrace("queues", "--pause", "default")
    headrace("cancel", job_id)

    entries = headrace("audit", "--json").json["entries"]

    assert [(one["action"], one["entityType"], one["entityId"], one["actor"]) for one in entries] == [
        ("job.cancel", "job", job_id, ME),
        ("queue.pause", "queue", "default", ME),
    ]
    assert [one["error"] for one in entries] == [None, None]


def test_what_was_refused_is_on_record_with_the_reason(headrace):
    job_id = headrace.enqueued(*DOUBLE)
    headrace("retry", job_id)
    headrace("cancel", UNKNOWN)

    not_found, refused = headrace("audit", "--json").json["entries"]

    assert refused["action"] == "job.retry"
    assert refused["error"].startswith("IllegalMove: ")
    assert not_found["error"].startswith("JobNotFound: ")


def test_user_of_the_process_counts_and_not_the_environment(headrace, monkeypatch):
    monkeypatch.setenv("USER", "somebody-else")
    monkeypatch.setenv("LOGNAME", "somebody-else")
    headrace.enqueued(*DOUBLE)

    headrace("queues", "--pause", "default")

    assert headrace("audit", "--json").json["entries"][0]["actor"] == ME


def test_schedules_are_on_record_without_their_payload(headrace):
    headrace(
        "schedules", "add", "nightly", "double", "--cron", "0 2 * * *",
        "--payload", '{"n": 77}', "--app", "jobs_app:app",
    )  # fmt: skip
    headrace("schedules", "remove", "nightly")

    entries = headrace("audit", "--of", "schedule:nightly", "--json").json["entries"]

    assert [(one["action"], one["actor"]) for one in entries] == [
        ("schedule.remove", ME),
        ("schedule.put", ME),
    ]
    assert "0 2 * * *" in str(entries[1]["metadata"])
    assert "77" not in str([one["metadata"] for one in entries])


@pytest.fixture
def some(headrace):
    job_id = headrace.enqueued(*DOUBLE)
    headrace("queues", "--pause", "default")
    headrace("queues", "--resume", "default")
    headrace("cancel", job_id)
    return job_id


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--of", "queue"), ["queue.resume", "queue.pause"]),
        (("--of", "queue:default"), ["queue.resume", "queue.pause"]),
        (("--of", "queue:other"), []),
        (("--action", "queue.pause"), ["queue.pause"]),
        (("--actor", "nobody"), []),
        (("--actor", ME, "--limit", "1"), ["job.cancel"]),
        (("--since", "2020-01-01T00:00:00Z"), ["job.cancel", "queue.resume", "queue.pause"]),
        (("--since", "2999-01-01T00:00:00Z"), []),
    ],
)
def test_record_is_filtered(headrace, some, arguments, expected):
    entries = headrace("audit", *arguments, "--json").json["entries"]

    assert [one["action"] for one in entries] == expected


def test_record_goes_on_after_a_page(headrace, some):
    first = headrace("audit", "--limit", "2", "--json").json
    rest = headrace("audit", "--limit", "2", "--cursor", first["nextCursor"], "--json").json

    assert [one["action"] for one in (*first["entries"], *rest["entries"])] == [
        "job.cancel",
        "queue.resume",
        "queue.pause",
    ]
    assert rest["nextCursor"] is None


@pytest.mark.parametrize(
    "arguments", [("--of", ":x"), ("--of", "job:"), ("--since", "soon"), ("--limit", "0")]
)
def test_wrong_input_is_refused(headrace, some, arguments):
    assert headrace("audit", *arguments).code == 2


def test_program_puts_things_on_record_itself(headrace, some):
    async def record() -> None:
        async with App() as app:
            await app.record_audit(
                "SECURITY_ALERT", "file-processing", "f-1", {"error": "infected", "attempts": 3}
            )

    asyncio.run(record())

    (entry,) = headrace("audit", "--of", "file-processing:f-1", "--json").json["entries"]
    assert (entry["actor"], entry["action"]) == ("library", "SECURITY_ALERT")
    assert entry["metadata"] == {"error": "infected", "attempts": 3}


def test_record_is_a_table_in_a_pipe(headrace, some):
    rows = headrace("audit").rows

    assert rows[0][:3] == ["at", "actor", "action"]
    assert rows[1][1:5] == [ME, "job.cancel", "job", some]


def test_service_is_on_record_as_http_and_its_operators_see_it(headrace, folder):
    job_id = headrace.enqueued(*DOUBLE)
    with running("serve", "--port", "0", "--no-worker", "--app", "jobs_app:app", cwd=folder) as process:
        found = re.search(r"http://\S+", process.line_with("listening on"))
        assert found is not None
        request = urllib.request.Request(f"{found[0]}/jobs/{job_id}", method="DELETE")
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            assert answer.status == 200

    (entry,) = headrace("audit", "--of", f"job:{job_id}", "--json").json["entries"]
    assert (entry["actor"], entry["action"]) == ("http", "job.cancel")

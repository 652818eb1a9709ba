"""``headrace events`` and ``headrace job ID --log``."""

import asyncio
import json

import pytest

from headrace import App, Context, Retry
from headrace.core.events import EventKind

DOUBLE = ("double", "--app", "jobs_app:app", "--payload", '{"n": 21}', "--delay", "60")
UNKNOWN = "0199b0c4-8a00-7c3e-9f5b-0d6c5b7d2a11"


@pytest.fixture
def lived(headrace, folder):
    """The id of a job that failed in the end, in a store that kept a log meanwhile."""
    app = App()

    @app.job(name="fail", retry=Retry(attempts=1))
    async def fail(ctx: Context) -> None:
        ctx.progress("half", 50)
        ctx.log("\x1b[31mred", where="here", password="hunter2")
        raise ValueError("\x1b]0;title\x07boom")

    async def run() -> str:
        async with app:
            await app.keep_events()
            handle = await fail.enqueue()
            async with app.running_worker():
                await (await app.operations()).wait(handle.id, timeout_ms=60_000)
        app.portal.close()
        return handle.id

    return asyncio.run(run())


def test_log_that_is_off_says_how_to_switch_it_on(headrace):
    headrace.enqueued(*DOUBLE)

    ran = headrace("events")

    assert ran.code == 1
    assert "headrace events --keep 7d" in ran.err


def test_log_is_switched_on_and_off(headrace):
    headrace.enqueued(*DOUBLE)

    on = headrace("events", "--keep", "12h", "--count", "500", "--json").json
    job_id = headrace.enqueued(*DOUBLE)
    shown = headrace("events", "--json").json
    off = headrace("events", "--off", "--json").json

    assert on == {"on": True, "keepSeconds": 43_200, "count": 500}
    assert [(one["event"], one["jobId"]) for one in shown["events"]] == [("enqueued", job_id)]
    assert off == {"on": False, "keepSeconds": None, "count": None}
    assert headrace("events").code == 1


def test_events_are_shown_oldest_first_without_control_characters(headrace, lived):
    ran = headrace("events", "--job", lived)

    assert [row[1] for row in ran.rows[1:]] == ["enqueued", "active", "progress", "attempt_failed", "failed"]
    assert "\x1b" not in ran.out
    assert "boom" in ran.out


def test_events_are_filtered_and_resumed_by_their_cursor(headrace, lived):
    first = headrace("events", "--limit", "2", "--json").json
    rest = headrace("events", "--after", first["nextCursor"], "--json").json
    failed = headrace("events", "--kind", "failed", "--kind", "completed", "--json").json

    assert [one["event"] for one in first["events"]] == ["enqueued", "active"]
    assert [one["event"] for one in rest["events"]] == ["progress", "attempt_failed", "failed"]
    assert rest["events"][0]["progress"] == {"stage": "half", "percentage": 50}
    assert [(one["jobId"], one["state"]) for one in failed["events"]] == [(lived, EventKind.FAILED.value)]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--kind", "nonsense"),
        ("--after", "nonsense"),
        ("--keep", "soon"),
        ("--keep", "0s"),
        ("--keep", "7d", "--off"),
        ("--follow", "--off"),
    ],
)
def test_wrong_input_is_refused(headrace, lived, arguments):
    assert headrace("events", *arguments).code == 2


# ------------------------------------------------------------ a job's own log


def test_log_of_a_job_is_shown_alone_and_without_secrets(headrace, lived):
    ran = headrace("job", lived, "--log")

    assert [row[1] for row in ran.rows[1:]] == ["info"]
    assert "red" in ran.out
    assert "hunter2" not in ran.out
    assert "\x1b" not in ran.out
    shown = headrace("job", lived, "--log", "--json").json
    assert shown["log"][0]["data"] == {"where": "here", "password": "[redacted]"}


def test_following_the_log_of_an_ended_job_ends(headrace, lived):
    plain = headrace("job", lived, "--follow")
    lines = headrace("job", lived, "--follow", "--json").out.splitlines()

    assert plain.code == 0
    assert len(plain.rows) == 1
    assert [json.loads(line)["message"] for line in lines] == ["\x1b[31mred"]


def test_log_of_no_job_is_not_found(headrace, lived):
    assert headrace("job", UNKNOWN, "--log").code == 3
    assert headrace("job", UNKNOWN, "--follow").code == 3


@pytest.mark.parametrize("arguments", [("replay", "--log"), ("--log", "--follow")])
def test_log_stands_alone(headrace, lived, arguments):
    assert headrace("job", lived, *arguments).code == 2

"""``headrace alerts``."""

import asyncio

import pytest

from headrace import App, ManualClock, Retry, Settings
from headrace.clock import host_now
from headrace.testing import drain
from headrace.upkeep.alerts import WatchAlerts

URL = "sqlite:///headrace.db"


def look() -> None:
    """A job fails for good, and the rules are looked at."""

    async def run() -> None:
        async with App(URL, settings=Settings(), clock=ManualClock(host_now())) as app:

            @app.job(name="upload", retry=Retry(attempts=1))
            async def upload() -> None:
                raise ValueError("disk full")

            await upload.enqueue()
            await drain(app)
            clock = app.given_clock
            assert isinstance(clock, ManualClock)
            clock.advance(15)
            await WatchAlerts((await app.open()).store, clock, namespace="default").run_once()

    asyncio.run(run())


def test_rule_is_added_listed_and_removed(headrace, folder):
    added = headrace(
        "alerts", "add", "late", "waiting", "--longer-than", "60", "--queue", "email", "--json"
    ).json
    listed = headrace("alerts", "list")
    removed = headrace("alerts", "remove", "late")

    assert (added["name"], added["when"], added["longerThan"]) == ("late", "waiting", 60.0)
    assert (added["queues"], added["to"], added["againAfter"]) == (["email"], ["log"], 3600.0)
    assert [row[:4] for row in listed.rows] == [
        ["name", "when", "to", "active"],
        ["late", "waiting", "log", "0"],
    ]
    assert removed.rows == [["late", "removed"]]
    assert headrace("alerts", "list", "--json").json == {"count": 0, "alerts": []}


def test_what_a_rule_tells_of_is_listed(headrace, folder):
    headrace("alerts", "add", "dead", "dead", "--again-after", "0")
    look()

    (rule,) = headrace("alerts", "list", "--json").json["alerts"]
    ran = headrace("alerts", "list")

    (active,) = rule["active"]
    assert (active["subject"], active["count"]) == ("upload", 1)
    assert active["message"] == f"Job {active['jobId']} permanently failed"
    assert rule["againAfter"] is None
    assert ran.rows[-1][:2] == ["dead", "upload"]


def test_webhooks_and_mails_are_told_by_the_built_in_job_types(headrace, folder):
    added = headrace(
        "alerts", "add", "dead", "dead",
        "--to", "log", "--to", "webhook:https://hooks.example.com/T0/SECRET", "--to", "mail:ops@example.com",
        "--json",
    ).json  # fmt: skip

    assert added["to"] == ["log", "webhook:https://hooks.example.com/…", "mail:ops@example.com"]


def test_test_alert_is_logged_and_enqueued(headrace, folder):
    headrace("alerts", "add", "dead", "dead", "--to", "log", "--to", "mail:ops@example.com")

    ran = headrace("alerts", "test", "dead", "--json")

    assert ran.json == {"name": "dead", "sentTo": ["log", "mail:ops@example.com"]}
    assert "alert_test" in ran.err
    (job,) = headrace("jobs", "--json").json["jobs"]
    assert (job["type"], job["payload"]["subject"]) == (
        "send-email",
        "Alert: This is a test of alert rule dead",
    )


def test_rule_is_silenced_for_a_while(headrace, folder):
    headrace("alerts", "add", "dead", "dead")

    silent = headrace("alerts", "silence", "dead", "3600", "--json").json
    loud = headrace("alerts", "silence", "dead", "0", "--json").json

    assert silent["silencedUntil"] is not None
    assert loud["silencedUntil"] is None


@pytest.mark.parametrize(
    "options",
    [
        ("add", "x", "full-moon"),
        ("add", "a b", "dead"),
        ("add", "x", "dead", "--to", "sms:1"),
        ("add", "x", "dead", "--to", "mail:nobody"),
        ("add", "x", "dead", "--to", "job:nobody-knows"),
        ("add", "x", "waiting", "--longer-than", "1"),
        ("add", "x", "waiting", "--type", "upload"),
    ],
)
def test_rule_that_makes_no_sense_is_refused(headrace, folder, options):
    headrace("migrate")

    ran = headrace("alerts", *options)

    assert (ran.code, ran.out) == (2, "")
    assert headrace("alerts", "list", "--json").json["count"] == 0


@pytest.mark.parametrize("options", [("remove", "x"), ("silence", "x", "5"), ("test", "x")])
def test_rule_that_is_not_there_is_not_found(headrace, folder, options):
    headrace("migrate")

    ran = headrace("alerts", *options)

    assert (ran.code, ran.out) == (3, "")
    assert "no alert rule 'x'" in ran.err

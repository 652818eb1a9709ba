"""``headrace schedules``."""

import asyncio

import pytest

from headrace.core.scheduled import key_of
from headrace.stores.open import open_store
from headrace.stores.protocol import Swap

NIGHTLY = ("nightly", "double", "--app", "jobs_app:app", "--payload", '{"n": 21}')


def added(headrace, *arguments: str):
    ran = headrace("schedules", "add", *NIGHTLY, *arguments)
    assert ran.code == 0, ran.err
    return ran


def test_schedule_is_added_and_listed_with_its_next_fire_in_zone_and_utc(headrace):
    added(headrace, "--cron", "0 2 * * *", "--zone", "Asia/Tokyo")

    ran = headrace("schedules", "list")

    header, row = ran.rows
    told = dict(zip(header, row, strict=True))
    assert (told["id"], told["type"], told["schedule"], told["zone"]) == (
        "nightly", "double", "0 2 * * *", "Asia/Tokyo",
    )  # fmt: skip
    assert told["next"].endswith("T02:00:00+09:00")
    assert told["nextUtc"].endswith("T17:00:00Z")
    assert (told["paused"], told["fired"], told["skipped"]) == ("no", "0", "0")


def test_next_five_fires_are_shown_in_zone_and_utc(headrace):
    added(headrace, "--cron", "30 6 * * *", "--zone", "Asia/Kolkata")

    header, *rows = headrace("schedules", "show", "nightly").rows
    told = headrace("schedules", "show", "nightly", "--json").json

    assert header == ["Asia/Kolkata", "utc"]
    assert len(rows) == 5
    assert all(local.endswith("T06:30:00+05:30") and utc.endswith("T01:00:00Z") for local, utc in rows)
    assert [[one["local"], one["at"]] for one in told["nextFires"]] == rows
    assert (told["cron"], told["zone"], told["payload"]) == ("30 6 * * *", "Asia/Kolkata", {"n": 21})


def test_every_option_of_a_schedule_is_kept(headrace):
    told = added(
        headrace, "--every", "90", "--start", "2099-01-01T00:00:00Z", "--end", "2099-01-02T00:00:00Z",
        "--jitter", "5", "--missed", "all(7)", "--misfire-window", "30", "--queue", "q", "--json",
    ).json  # fmt: skip

    kept = headrace("schedules", "list", "--json").json

    assert kept == {"count": 1, "schedules": [told]}
    assert (told["every"], told["start"], told["end"]) == (
        90.0,
        "2099-01-01T00:00:00Z",
        "2099-01-02T00:00:00Z",
    )
    assert (told["jitter"], told["missed"], told["misfireWindow"]) == (5.0, "all(7)", 30.0)
    assert told["queue"] == "q"
    assert told["nextFires"][1] == {"at": "2099-01-01T00:01:30Z", "local": "2099-01-01T00:01:30+00:00"}


def test_one_off_is_listed_with_its_instant(headrace):
    ran = added(headrace, "--at", "2099-06-01T12:00:00Z")

    assert ran.rows[1][2] == "at 2099-06-01T12:00:00Z"


def test_paused_schedule_has_no_next_fire_until_it_is_resumed(headrace):
    added(headrace, "--every", "3600")

    paused = headrace("schedules", "pause", "nightly", "--json").json
    resumed = headrace("schedules", "resume", "nightly", "--json").json

    assert (paused["nextFires"], paused["pausedAt"] is not None) == ([], True)
    assert (len(resumed["nextFires"]), resumed["pausedAt"]) == (5, None)


def test_triggered_schedule_makes_a_job_now(headrace):
    added(headrace, "--every", "3600")

    job_id = headrace("schedules", "trigger", "nightly").out.strip()

    job = headrace("job", job_id, "--json").json["job"]
    assert (job["type"], job["payload"], job["tags"]) == (
        "double",
        {"n": 21},
        ["schedule:nightly", "triggered"],
    )
    assert headrace("jobs", "--tag", "schedule:nightly", "--json").json["count"] == 1


def test_removed_schedule_is_gone(headrace):
    added(headrace, "--every", "3600")

    removed = headrace("schedules", "remove", "nightly")
    again = headrace("schedules", "remove", "nightly")

    assert (removed.code, removed.out) == (0, "nightly\tremoved\n")
    assert (again.code, again.err) == (3, "headrace: no schedule 'nightly'\n")
    assert headrace("schedules", "list", "--json").json == {"count": 0, "schedules": []}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give one of cron, every and at"),
        (("--cron", "@daily", "--every", "5"), "give one of cron, every and at, not cron and every"),
        (("--cron", "61 * * * *"), "is no cron expression (Bad minute)"),
        (("--cron", "0 0 30 2 *"), "is no cron expression (Bad day-of-month)"),
        (("--cron", "* * */20 * 1L"), "never fires"),
        (("--cron", "@daily", "--zone", "Europe/Nowhere"), "is no time zone"),
        (("--every", "0.5"), "every must lie between 1 second"),
        (("--every", "nan"), "every must be a number of seconds"),
        (("--every", "5", "--zone", "Asia/Tokyo"), "only cron takes a zone"),
        (("--at", "2020-01-01T00:00:00Z"), "has no instant to come"),
        (("--at", "2099-01-01T00:00:00"), "names no offset"),
        (("--every", "5", "--missed", "some"), "missed must be skip, one, all or all(n)"),
    ],
)
def test_schedule_that_cannot_be_is_told_in_one_line(headrace, arguments, said):
    ran = headrace("schedules", "add", *NIGHTLY, *arguments)

    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert ran.err.count("\n") == 1


def test_payload_that_does_not_fit_the_job_type_is_told(headrace):
    ran = headrace("schedules", "add", "s", "double", "--app", "jobs_app:app", "--every", "5")

    assert (ran.code, ran.out) == (2, "")
    assert "/n: " in ran.err


@pytest.mark.parametrize("act", [("list",), ("pause", "x"), ("trigger", "x"), ("remove", "x"), ("show", "x")])
def test_looking_at_schedules_makes_no_store(headrace, folder, act):
    ran = headrace("schedules", *act)

    assert ran.code == 3
    assert "there is no store" in ran.err
    assert list(folder.glob("*.db*")) == []


async def given_another_rule(schedule_id: str) -> None:
    """As a newer program would write it."""
    store = await open_store("sqlite:///headrace.db")
    key = key_of(schedule_id)
    register = (await store.read("default", (key,)))[key]
    value = register.value.replace('"every_ms":', '"lunar":')
    swap = Swap(key=key, revision=register.revision, value=value, due_at=register.due_at)
    assert await store.swap("default", (swap,))
    await store.close()


def test_schedule_of_a_newer_version_is_listed_as_unknown_and_hides_no_other(headrace):
    added(headrace, "--every", "60")
    headrace("schedules", "add", "newer", *NIGHTLY[1:], "--every", "90")
    asyncio.run(given_another_rule("newer"))

    header, newer, known = headrace("schedules", "list").rows
    shown = headrace("schedules", "show", "newer", "--json").json
    paused = headrace("schedules", "pause", "newer")

    told = dict(zip(header, newer, strict=True))
    assert (told["id"], told["schedule"], told["type"]) == ("newer", "unknown", "double")
    assert known[0] == "nightly"
    assert shown["unknown"] == shown["error"] == told["error"]
    assert (paused.code, "stays as it is: only another version" in paused.err) == (1, True)

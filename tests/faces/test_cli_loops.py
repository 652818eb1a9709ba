"""``headrace loops``."""

import asyncio

import pytest

from headrace import App, Idle, Settings


async def fetch() -> Idle:
    return Idle()


async def process(batch: object) -> None: ...


@pytest.fixture
def pinged(folder) -> None:
    """A store with two loops that their program has pinged."""

    async def ping() -> None:
        async with App("sqlite:///headrace.db", settings=Settings()) as app:
            for name in ("events", "mails"):
                await app.loop(name, fetch=fetch, process=process, debounce=0.1).ping()

    asyncio.run(ping())


def test_loops_are_listed_with_their_status(headrace, pinged):
    ran = headrace("loops")

    assert ran.code == 0, ran.err
    assert ran.rows[0][:3] == ["name", "status", "generation"]
    assert [row[:2] for row in ran.rows[1:]] == [["events", "running"], ["mails", "running"]]


def test_loops_are_stopped_started_and_pinged(headrace, pinged):
    stopped = headrace("loops", "--stop", "events", "--json").json
    pinged_in_vain = headrace("loops", "events", "--ping", "events", "--json").json
    started = headrace("loops", "events", "--start", "events", "--json").json

    assert [(one["name"], one["status"]) for one in stopped["loops"]] == [
        ("events", "stopped"),
        ("mails", "running"),
    ]
    assert [one["status"] for one in pinged_in_vain["loops"]] == ["stopped"]
    assert [(one["status"], one["debounce"], one["monitorLag"]) for one in started["loops"]] == [
        ("running", 0.1, 60.0)
    ]
    assert started["count"] == 1
    assert started["loops"][0]["generation"] == 1


@pytest.mark.parametrize("option", [(), ("--ping",), ("--stop",), ("--start",)])
def test_loop_that_nobody_pinged_is_not_found(headrace, pinged, option):
    ran = headrace("loops", *option, "nobody")

    assert (ran.code, ran.out) == (3, "")
    assert "no loop 'nobody'" in ran.err


def test_store_without_loops_lists_none(headrace, folder):
    headrace("migrate")

    ran = headrace("loops", "--json")

    assert ran.json == {"count": 0, "loops": []}

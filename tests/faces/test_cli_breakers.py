"""``headrace breakers``."""

import asyncio

import pytest

from headrace import App, Breaker, Settings


@pytest.fixture
def named(folder) -> None:
    """A store whose program has published a job type with a breaker."""

    async def publish() -> None:
        async with App("sqlite:///headrace.db", settings=Settings()) as app:

            @app.job(breaker=Breaker("stripe"))
            async def pay() -> None: ...

            await (await app.work()).publish([pay.registered.info])

    asyncio.run(publish())


def test_breakers_are_listed_with_their_status(headrace, named):
    ran = headrace("breakers")

    assert ran.code == 0, ran.err
    assert ran.rows[0][:3] == ["name", "status", "waiting"]
    assert ran.rows[1][:3] == ["stripe", "closed", "0"]


def test_breaker_is_opened_until_it_is_closed(headrace, named):
    opened = headrace("breakers", "--open", "stripe", "--json").json
    closed = headrace("breakers", "stripe", "--close", "stripe", "--json").json

    (one,) = opened["breakers"]
    assert (opened["count"], one["status"], one["until"], one["openings"]) == (1, "open", None, 1)
    assert one["openedAt"] is not None
    assert closed["breakers"][0]["status"] == "closed"


def test_breaker_is_opened_for_a_while(headrace, named):
    (one,) = headrace("breakers", "--open", "stripe", "--for", "60", "--json").json["breakers"]

    assert one["status"] == "open"
    assert one["until"] > one["openedAt"]


@pytest.mark.parametrize("words", [("nobody",), ("--open", "nobody"), ("--close", "nobody")])
def test_breaker_that_nobody_names_is_not_found(headrace, named, words):
    ran = headrace("breakers", *words)

    assert (ran.code, ran.out) == (3, "")
    assert "no breaker 'nobody'" in ran.err


def test_time_that_cannot_be_is_wrong_input(headrace, named):
    ran = headrace("breakers", "--open", "stripe", "--for", "-1")

    assert ran.code == 2
    assert "31 days" in ran.err


def test_store_without_breakers_says_so(headrace):
    headrace("enqueue", "daily-cleanup")

    ran = headrace("breakers")

    assert [row[0] for row in ran.rows] == ["name"]
    assert headrace("breakers", "--json").json == {"count": 0, "breakers": []}

"""``headrace queues --max-length`` and ``headrace shares``."""

import asyncio

import pytest

from headrace import App, Settings


def jobs(count: int = 1) -> None:
    async def enqueue() -> None:
        async with App("sqlite:///headrace.db", settings=Settings()) as app:

            @app.job(fair_by="tenant")
            async def send(tenant: str) -> None: ...

            app.queue("default", weights={"a": 2})
            await (await app.work()).publish([send.registered.info])
            await app.queue.put_into(await app.operations())
            await app.enqueue_many([send.request("a") for _ in range(count)])

    asyncio.run(enqueue())


@pytest.fixture
def two(folder) -> None:
    jobs(2)


def test_queue_is_bounded_and_let_go_again(headrace, two):
    bounded = headrace("queues", "--max-length", "default=5", "--overflow", "drop-oldest", "--json").json
    lifted = headrace("queues", "--max-length", "default=none", "--json").json
    reset = headrace("queues", "--reset", "default", "--json").json

    assert [(one["maxLength"], one["overflow"], one["dropped"]) for one in bounded["queues"]] == [
        (5, "drop-oldest", 0)
    ]
    assert [one["maxLength"] for one in lifted["queues"]] == [None]
    assert [one["dropped"] for one in reset["queues"]] == [None]


def test_full_queue_refuses_an_enqueue_and_says_why(headrace, two):
    headrace("queues", "--max-length", "default=2")

    ran = headrace("enqueue", "send", "--payload", '{"tenant": "a"}')

    assert ran.code == 1
    assert "queue 'default' takes at most 2 waiting jobs" in ran.err


def test_bounded_queue_without_jobs_is_shown(headrace, two):
    found = headrace("queues", "--max-length", "later=7", "--json").json

    assert [(one["name"], one["maxLength"]) for one in found["queues"]] == [("default", None), ("later", 7)]


def test_bounds_stand_in_the_table(headrace, two):
    headrace("queues", "--max-length", "default=5")

    ran = headrace("queues")

    row = dict(zip(ran.rows[0], ran.rows[1], strict=True))
    assert (row["queue"], row["maxLength"]) == ("default", "5")


@pytest.mark.parametrize("text", ["default", "default=", "default=-1", "default=1.5", "=5", "default=0"])
def test_bound_that_cannot_be_is_wrong_input(headrace, two, text):
    ran = headrace("queues", "--max-length", text)

    assert ran.code == 2


def test_weights_are_shown_changed_and_reset(headrace, two):
    shown = headrace("shares", "default", "--json").json
    changed = headrace("shares", "default", "--weight", "a=5", "--weight", "b=0.5", "--json").json
    reset = headrace("shares", "default", "--reset", "a", "--json").json

    assert shown == {"queue": "default", "weights": [{"tenant": "a", "weight": 2, "origin": "code"}]}
    assert [(one["tenant"], one["weight"], one["origin"]) for one in changed["weights"]] == [
        ("a", 5, "operator"),
        ("b", 0.5, "operator"),
    ]
    assert [(one["tenant"], one["weight"]) for one in reset["weights"]] == [("a", 2), ("b", 0.5)]


def test_weights_stand_in_a_table(headrace, two):
    ran = headrace("shares", "default")

    assert ran.rows == [["tenant", "weight", "origin"], ["a", "2", "code"]]


@pytest.mark.parametrize("text", ["a", "a=", "a=much", "a=0", "a=nan"])
def test_weight_that_cannot_be_is_wrong_input(headrace, two, text):
    assert headrace("shares", "default", "--weight", text).code == 2


def test_queue_that_is_not_fair_is_not_found(headrace, two):
    ran = headrace("shares", "other")

    assert ran.code == 3
    assert "fair_by" in ran.err

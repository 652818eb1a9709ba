"""What was enqueued, and assertions about it."""

from datetime import UTC, datetime

import pytest

from headrace import App, EnqueueRequest, ManualClock, Settings
from headrace.testing import (
    assert_enqueued,
    assert_enqueued_sync,
    drain,
    enqueued,
    enqueued_sync,
)


@pytest.fixture
def send(app: App):
    @app.job(name="send", queue="email")
    async def send(order_id: int, to: dict[str, str], at: datetime | None = None) -> None: ...

    return send


async def test_enqueued_lists_all_jobs_in_order_whether_they_ran_or_not(app: App, send) -> None:
    await send.enqueue(1, {"name": "a"})
    await drain(app)
    await send.using(queue="slow").enqueue(2, {"name": "b"})

    found = await enqueued(app)

    assert [(one.type, one.payload["order_id"], one.queue) for one in found] == [
        ("send", 1, "email"),
        ("send", 2, "slow"),
    ]


async def test_job_is_found_by_a_part_of_its_payload(app: App, send) -> None:
    at = datetime(2026, 1, 31, tzinfo=UTC)
    await send.enqueue(1, {"name": "a", "mail": "a@example.com"}, at)
    await send.enqueue(2, {"name": "b"})

    (found,) = await assert_enqueued(app, send, {"order_id": 1, "to": {"name": "a"}, "at": at}, count=1)

    assert found.payload["to"]["mail"] == "a@example.com"
    assert len(await assert_enqueued(app, send)) == 2
    assert len(await assert_enqueued(app, "send", queue="email", count=2)) == 2


async def test_field_is_found_as_json_clients_spell_it(app: App, send) -> None:
    payload = {"orderId": 3, "to": {}}
    await (await app.operations()).enqueue([EnqueueRequest(type="send", payload=payload)])

    assert await assert_enqueued(app, send, {"order_id": 3}, count=1)


async def test_assertion_that_fails_shows_what_was_enqueued_instead(app: App, send) -> None:
    await send.enqueue(1, {"name": "a"})

    with pytest.raises(AssertionError) as told:
        await assert_enqueued(app, send, {"order_id": 2}, queue="email")

    assert str(told.value) == (
        'expected at least 1 send with {"order_id": 2} in queue email, found 0. Enqueued were:\n'
        '  send {"order_id": 1, "to": {"name": "a"}} in queue email, pending'
    )


@pytest.mark.parametrize(
    ("payload", "queue", "count"),
    [
        ({"order_id": "1"}, None, None),
        ({"to": {"name": "b"}}, None, None),
        ({"to": {"missing": None}}, None, None),
        ({"order_id": {"inside": 1}}, None, None),
        ({}, "other", None),
        ({}, None, 0),
        ({}, None, 2),
    ],
)
async def test_assertion_fails_for_what_is_not_there(app: App, send, payload, queue, count) -> None:
    await send.enqueue(1, {"name": "a"})

    with pytest.raises(AssertionError, match="Enqueued were"):
        await assert_enqueued(app, send, payload, queue=queue, count=count)


async def test_nothing_enqueued_is_told_and_can_be_asserted(app: App, send) -> None:
    assert await assert_enqueued(app, send, count=0) == []
    with pytest.raises(AssertionError, match=r"found 0\. Enqueued were:\n  nothing"):
        await assert_enqueued(app, send)


async def test_long_list_is_cut_in_the_message(app: App, send) -> None:
    await app.enqueue_many([send.request(n, {}) for n in range(25)])

    with pytest.raises(AssertionError, match="and 5 more"):
        await assert_enqueued(app, "other")


def test_assertions_work_in_a_test_without_an_event_loop() -> None:
    app = App("sqlite://", settings=Settings(), clock=ManualClock())

    @app.job()
    def work(n: int) -> None: ...

    work.enqueue_sync(1)

    assert len(enqueued_sync(app)) == len(assert_enqueued_sync(app, work, {"n": 1}, count=1)) == 1
    app.portal.call(app.close)
    app.portal.close()

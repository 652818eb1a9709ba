"""Handlers of events in the process that changes the jobs: ``app.on``."""

import asyncio
from pathlib import Path

import pytest

from headrace import EnqueueRequest, InvalidInput, ManualClock
from headrace.core.events import Event, EventKind
from headrace.engine import listeners as listening
from headrace.upkeep.rescue import Rescue
from tests.builders import LEASE, NOW
from tests.contract.conftest import STORES
from tests.engine.hearing import a_claim, an_app, ended, nothing, work


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.param.url(tmp_path)


async def test_s1_24_handlers_hear_completed_failed_and_progress(url):
    app = an_app(url)
    said: list[str] = []

    @app.on("completed")
    async def completed(event: Event) -> None:
        said.append(f"Job {event.job_id} completed successfully")

    @app.on("failed")
    def failed(event: Event) -> None:
        said.append(f"Job {event.job_id} failed: {event.error}")

    @app.on("progress")
    async def progress(event: Event) -> None:
        assert isinstance(event.progress, dict)
        said.append(f"Job {event.job_id} progress: {event.progress['percentage']}%")

    async with app:
        good, bad = await app.enqueue_many([work(), work(fails=True)])
        async with app.running_worker():
            await ended(app, good.id, bad.id)

    assert sorted(said) == sorted(
        [
            f"Job {good.id} progress: 50%",
            f"Job {bad.id} progress: 50%",
            f"Job {good.id} completed successfully",
            f"Job {bad.id} failed: Permanent: broken",
        ]
    )


async def test_s2_31_handlers_hear_active_and_all_else_in_order():
    app = an_app()
    heard: list[EventKind] = []

    @app.on()
    async def everything(event: Event) -> None:
        heard.append(event.kind)

    async with app:
        (handle,) = await app.enqueue_many([work(fails=True)])
        async with app.running_worker():
            await ended(app, handle.id)

    assert [kind.value for kind in heard] == ["enqueued", "active", "progress", "attempt_failed", "failed"]


async def test_s2_31_handlers_hear_of_stalled_jobs():
    clock = ManualClock(NOW)
    app = an_app(clock=clock)
    heard: list[Event] = []

    @app.on("stalled")
    async def stalled(event: Event) -> None:
        heard.append(event)

    async with app:
        (handle,) = await app.enqueue_many([work()])
        await (await app.work()).claim(a_claim(LEASE))
        opened = await app.open()
        clock.advance(LEASE / 1000 + 1)
        await Rescue(opened.store, clock, aftermath=opened.operations.aftermath).run_once()

    assert [(event.job_id, event.worker) for event in heard] == [(handle.id, "w")]


async def test_handler_hears_only_what_it_asks_for():
    app = an_app()
    app.job(name="other", queue="side")(nothing)
    heard: list[tuple[str, str]] = []

    @app.on("completed", type="work")
    async def of_type(event: Event) -> None:
        heard.append(("type", event.type))

    @app.on("completed", queue="side")
    async def of_queue(event: Event) -> None:
        heard.append(("queue", event.type))

    async with app:
        handles = await app.enqueue_many([work(), EnqueueRequest(type="other", payload={}, queue="side")])
        async with app.running_worker():
            await ended(app, *(one.id for one in handles))

    assert sorted(heard) == [("queue", "other"), ("type", "work")]


async def test_handler_that_raises_harms_neither_the_job_nor_other_handlers():
    app = an_app()
    heard: list[str] = []

    @app.on("completed")
    async def breaks(event: Event) -> None:
        raise ValueError("in the handler")

    @app.on("completed")
    def hears(event: Event) -> None:
        heard.append(event.job_id)

    async with app:
        handles = await app.enqueue_many([work(), work()])
        async with app.running_worker():
            await ended(app, *(one.id for one in handles))
        assert [await one.result() for one in handles] == ["done", "done"]

    assert sorted(heard) == sorted(one.id for one in handles)
    counts = {one.name.rpartition(".")[2]: (one.delivered, one.failed) for one in app.listener_counts}
    assert counts == {"breaks": (0, 2), "hears": (2, 0)}


async def test_oldest_events_of_a_slow_handler_are_dropped_and_counted(monkeypatch):
    monkeypatch.setattr(listening, "MAX_WAITING", 3)
    app = an_app()
    go, busy = asyncio.Event(), asyncio.Event()
    heard: list[str] = []

    @app.on("enqueued")
    async def slow(event: Event) -> None:
        busy.set()
        await go.wait()
        heard.append(event.job_id)

    async with app:
        (held,) = await app.enqueue_many([work()])
        await busy.wait()
        handles = [(await app.enqueue_many([work()]))[0] for _ in range(5)]
        (waiting,) = app.listener_counts
        go.set()

    assert (waiting.waiting, waiting.dropped) == (3, 2)
    assert heard == [held.id, *(one.id for one in handles[2:])]
    assert app.listener_counts[0].delivered == 4


async def test_burst_larger_than_the_line_keeps_its_newest(monkeypatch):
    monkeypatch.setattr(listening, "MAX_WAITING", 3)
    app = an_app()
    heard: list[str] = []

    @app.on("enqueued")
    async def hears(event: Event) -> None:
        heard.append(event.job_id)

    async with app:
        handles = await app.enqueue_many([work() for _ in range(10)])

    assert heard == [one.id for one in handles[-3:]]
    assert app.listener_counts[0].dropped == 7


async def test_closing_gives_up_a_handler_that_does_not_end(monkeypatch):
    monkeypatch.setattr(listening, "DRAIN_WITHIN_S", 0.01)
    app = an_app()

    @app.on("enqueued")
    async def hangs(event: Event) -> None:
        await asyncio.Event().wait()

    async with app:
        await app.enqueue_many([work(), work()])

    assert app.listener_counts[0].delivered == 0
    assert app.listener_counts[0].waiting == 0


async def test_handler_added_while_the_app_is_open_hears_from_then_on():
    app = an_app()
    heard: list[str] = []
    async with app:
        await app.enqueue_many([work()])
        app.on("enqueued")(lambda event: heard.append(event.job_id))
        (handle,) = await app.enqueue_many([work()])

    assert heard == [handle.id]


def test_handlers_hear_of_what_is_enqueued_without_an_event_loop():
    app = an_app()
    heard: list[str] = []
    app.on("enqueued")(lambda event: heard.append(event.job_id))

    (handle,) = app.enqueue_many_sync([work()])
    app.portal.call(app.close)
    app.portal.close()

    assert heard == [handle.id]


async def test_app_without_handlers_makes_no_events():
    app = an_app()
    async with app:
        aftermath = (await app.open()).operations.aftermath
        told = (aftermath.inserted, aftermath.claimed, aftermath.settled, aftermath.progressed)
        assert [one.heard for one in told] == [False] * 4

        app.on("completed")(lambda event: None)

        assert [one.heard for one in told] == [False, False, True, False]


def test_kind_that_there_is_not_is_refused():
    with pytest.raises(InvalidInput, match="the kinds are"):
        an_app().on("finished")

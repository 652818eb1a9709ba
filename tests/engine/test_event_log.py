"""The log of events as programs follow it, whatever process changes the jobs: ``app.events``."""

import asyncio
from pathlib import Path

import pytest

from headrace import App, Context, EnqueueRequest, InvalidInput, ManualClock
from headrace.core.events import OLDEST, Event, EventKind
from headrace.errors import CursorTooOld, EventLogOff
from headrace.upkeep.trim_events import TrimEvents
from tests.builders import NOW
from tests.contract.conftest import PERSISTENT, STORES
from tests.engine.hearing import ONCE, PATIENCE, an_app, ended, first, nothing, work


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.param.url(tmp_path)


@pytest.fixture(params=PERSISTENT, ids=lambda kind: kind.name)
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.param.url(tmp_path)


async def test_log_has_to_be_switched_on_once(url):
    async with an_app(url) as app:
        with pytest.raises(EventLogOff):
            await anext(app.events())

        await app.keep_events()

        (handle,) = await app.enqueue_many([work()])
        (event,) = await first(app.events(after=OLDEST), 1)
        assert (event.kind, event.job_id) == (EventKind.ENQUEUED, handle.id)
        await app.stop_events()
        with pytest.raises(EventLogOff):
            await anext(app.events())


async def test_events_come_as_they_happen_in_another_process(shared_url):
    async with an_app(shared_url) as mine, an_app(shared_url) as other:
        await mine.keep_events()
        following = mine.events(kinds=["active", "completed"])
        waiting = asyncio.create_task(first(following, 2))
        await asyncio.sleep(0)
        async with other.running_worker():
            handle = None
            while not waiting.done():
                (handle,) = await other.enqueue_many([work()])
                await ended(other, handle.id)
            assert handle is not None
        found = await waiting

    assert [event.kind for event in found] == [EventKind.ACTIVE, EventKind.COMPLETED]


async def test_following_goes_on_after_a_cursor(url):
    async with an_app(url) as app:
        await app.keep_events()
        handles = await app.enqueue_many([work() for _ in range(5)])
        found = await first(app.events(after=OLDEST), 3)

        rest = await first(app.events(after=found[1].cursor or ""), 3)

    assert [event.job_id for event in found] == [one.id for one in handles[:3]]
    assert [event.job_id for event in rest] == [one.id for one in handles[2:]]


async def test_who_stops_between_two_events_of_one_change_misses_none(url):
    async with an_app(url) as app:
        await app.keep_events()
        (handle,) = await app.enqueue_many([work(fails=True)])
        async with app.running_worker():
            await ended(app, handle.id)
        found = await first(app.events(after=OLDEST), 5)
        failed_attempt, failed = found[3:]

        again = await first(app.events(after=failed_attempt.cursor or ""), 2)
        (marker,) = await app.enqueue_many([work()])
        (after,) = await first(app.events(after=failed.cursor or ""), 1)

    assert [event.kind for event in again] == [EventKind.ATTEMPT_FAILED, EventKind.FAILED]
    assert after.job_id == marker.id


async def test_events_of_one_job_queue_or_type_are_followed(url):
    async with an_app(url) as app:
        app.job(name="other")(nothing)
        await app.keep_events()
        other = EnqueueRequest(type="other", payload={}, queue="side")
        mine, another = await app.enqueue_many([work(), other])

        (of_job,) = await first(app.events(job_id=another.id, after=OLDEST), 1)
        (of_type,) = await first(app.events(type="work", after=OLDEST), 1)
        (of_queue,) = await first(app.events(queue="side", after=OLDEST), 1)

    assert [one.job_id for one in (of_job, of_type, of_queue)] == [another.id, mine.id, another.id]


async def test_reader_that_fell_behind_is_told_so(url):
    clock = ManualClock(NOW)
    async with an_app(url, clock) as app:
        await app.keep_events(keep=60)
        await app.enqueue_many([work() for _ in range(3)])
        found = await first(app.events(after=OLDEST), 3)
        clock.advance(120)
        await app.enqueue_many([work()])
        trim = TrimEvents((await app.open()).store, clock)
        async with asyncio.timeout(PATIENCE):
            while (await trim.run_once()).done == 0:
                await asyncio.sleep(0.005)

        with pytest.raises(CursorTooOld):
            await anext(app.events(after=found[0].cursor or ""))
        (oldest,) = await first(app.events(after=OLDEST), 1)

    assert oldest.at == NOW + 120_000


@pytest.mark.parametrize("keep", [0, -1, float("nan"), float("inf"), 1e-9, 1e12])
async def test_senseless_retention_is_refused(keep):
    async with an_app() as app:
        with pytest.raises(InvalidInput):
            await app.keep_events(keep=keep)
        with pytest.raises(InvalidInput):
            await app.keep_events(count=0)


async def test_wrong_filters_are_refused_before_anything_is_read():
    async with an_app() as app:
        await app.keep_events()
        with pytest.raises(InvalidInput):
            await anext(app.events(kinds=["finished"]))
        with pytest.raises(InvalidInput):
            await anext(app.events(after="yesterday"))


# ------------------------------------------------------------ following a job's own log


async def test_log_of_a_job_is_followed_until_it_ends(url):
    app = App(url)
    go = asyncio.Event()

    @app.job(name="talks", retry=ONCE)
    async def talks(ctx: Context) -> None:
        ctx.log("before")
        await go.wait()
        ctx.log("after", level="warning")

    async with app:
        (handle,) = await app.enqueue_many([EnqueueRequest(type="talks", payload={})])
        seen: list[tuple[str, str]] = []
        async with app.running_worker(), asyncio.timeout(PATIENCE):
            async for line in (await app.operations()).follow_log(handle.id):
                seen.append((line.level, line.message))
                go.set()

    assert seen == [("info", "before"), ("warning", "after")]


@pytest.mark.parametrize("level", ["", "verbose", "INFO"])
async def test_level_that_there_is_not_is_refused(level):
    app = App("sqlite://")

    @app.job(name="talks", retry=ONCE)
    async def talks(ctx: Context) -> None:
        ctx.log("x", level=level)

    async with app:
        (handle,) = await app.enqueue_many([EnqueueRequest(type="talks", payload={})])
        async with app.running_worker():
            await ended(app, handle.id)
        assert "level must be one of" in ((await handle.job()).placement.error or "")


async def test_job_completed_in_its_own_transaction_is_told_by_both(url):
    app = App(url)
    heard: list[str] = []

    @app.job(name="pays", retry=ONCE)
    async def pays(ctx: Context) -> None:
        if not url.startswith("sqlite"):

            async def write(connection: object) -> None: ...

            await ctx.transaction(write)
        else:
            await ctx.transaction(lambda connection: None)

    @app.on("completed")
    async def completed(event: Event) -> None:
        heard.append(event.job_id)

    async with app:
        await app.keep_events()
        (handle,) = await app.enqueue_many([EnqueueRequest(type="pays", payload={})])
        async with app.running_worker():
            await ended(app, handle.id)
        found = await first(app.events(after=OLDEST), 3)

    assert [event.kind for event in found] == [EventKind.ENQUEUED, EventKind.ACTIVE, EventKind.COMPLETED]
    assert heard == [handle.id]


async def test_job_enqueued_in_a_transaction_is_in_the_log_if_that_commits(url):
    async with an_app(url) as app:
        await app.keep_events()
        ids: list[str] = []

        async def both(connection: object) -> None:
            (handle,) = await app.enqueue_many([work()], tx=connection)
            ids.append(handle.id)
            if len(ids) == 1:
                raise ValueError("undone")

        def both_here(connection: object) -> None:
            (handle,) = app.enqueue_many_sync([work()], tx=connection)
            ids.append(handle.id)
            if len(ids) == 1:
                raise ValueError("undone")

        function = both_here if url.startswith("sqlite") else both
        with pytest.raises(ValueError, match="undone"):
            await app.transaction(function)
        await app.transaction(function)
        (event,) = await first(app.events(after=OLDEST), 1)

    assert (event.kind, event.job_id) == (EventKind.ENQUEUED, ids[1])

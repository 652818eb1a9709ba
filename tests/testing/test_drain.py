"""Jobs that a test runs, and time that it lets pass."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from headrace import App, Backoff, Context, JobFailed, ManualClock, Permanent, Retry, Settings, Snooze, State
from headrace.core.outcomes import Failed, Succeeded
from headrace.core.policy import ErrorClass
from headrace.engine.work import Claim
from headrace.errors import MisuseError
from headrace.testing import advance, advance_sync, drain, drain_sync

TWICE = Retry(attempts=3, backoff=Backoff.fixed(10))


async def test_s2_45_due_jobs_run_in_order_and_children_after_them(app: App) -> None:
    seen: list[str] = []

    @app.job()
    async def child(name: str) -> None:
        seen.append(name)

    @app.job()
    async def parent(ctx: Context) -> None:
        await ctx.enqueue(child.request("first"), child.request("second"))
        seen.append("parent")

    await parent.enqueue()
    await child.using(priority=10).enqueue("urgent")

    ran = await drain(app)

    assert seen == ["urgent", "parent", "first", "second"]
    assert [(one.type, one.state) for one in ran] == [
        ("child", State.COMPLETED),
        ("parent", State.COMPLETED),
        ("child", State.COMPLETED),
        ("child", State.COMPLETED),
    ]


async def test_s2_45_failed_attempt_waits_for_its_backoff_until_the_clock_has_moved(app: App) -> None:
    @app.job(retry=TWICE)
    async def shaky(ctx: Context) -> int:
        if ctx.attempt < 3:
            raise ConnectionError("no answer")
        return ctx.attempt

    handle = await shaky.enqueue()

    (first,) = await drain(app)
    assert (first.state, first.error) == (State.PENDING, "ConnectionError: no answer")
    assert await advance(app, 9.999) == []
    (second,) = await advance(app, 0.001)
    assert (second.attempt, second.state) == (2, State.PENDING)
    (third,) = await advance(app, 3600)
    assert (third.attempt, third.state, third.error) == (3, State.COMPLETED, None)
    assert await handle.result(timeout=5) == 3


async def test_clock_stops_wherever_something_happens(app: App, clock: ManualClock) -> None:
    started: list[tuple[int, int]] = []
    begin = clock.now()

    @app.job(retry=TWICE)
    async def tells(number: int) -> None:
        started.append((number, (clock.now() - begin) // 1000))
        raise ValueError(number)

    await tells.using(delay=5).enqueue(1)
    await tells.using(delay=30).enqueue(2)

    await advance(app, 60)

    assert started == [(1, 5), (1, 15), (1, 25), (2, 30), (2, 40), (2, 50)]
    assert clock.now() - begin == 60_000


async def test_lease_of_a_lost_worker_ends_when_the_clock_has_moved(app: App, clock: ManualClock) -> None:
    @app.job()
    async def work() -> None: ...

    handle = await work.enqueue()
    lost = await app.work()
    claim = Claim(worker="lost", queues={"default": 1}, types=frozenset({"work"}), limit=1, lease_ms=30_000)
    assert len(await lost.claim(claim)) == 1

    assert await advance(app, 30) == []
    ran = await advance(app, 60)

    assert [(one.job_id, one.attempt, one.state) for one in ran] == [(handle.id, 2, State.COMPLETED)]


async def test_result_and_error_are_those_of_a_worker(app: App) -> None:
    @app.job()
    async def refuses() -> None:
        raise Permanent("no such order")

    handle = await refuses.enqueue()
    (ran,) = await drain(app)

    assert isinstance(ran.outcome, Failed)
    assert ran.outcome.error.error_class is ErrorClass.PERMANENT
    with pytest.raises(JobFailed, match="no such order"):
        await handle.result(timeout=5)


async def test_what_handlers_told_is_written(app: App) -> None:
    @app.job()
    def says(ctx: Context) -> None:
        ctx.log("here")
        ctx.progress(40)
        ctx.checkpoint([1]).wait()

    handle = await says.enqueue()
    await drain(app)

    job = await handle.job()
    lines = await (await app.operations()).log_lines(handle.id)
    assert ([line.message for line in lines], job.progress, job.checkpoint) == (
        ["here"],
        '{"percentage":40}',
        "[1]",
    )


async def test_plain_functions_run_in_threads_and_process_handlers_here(app: App) -> None:
    threads: dict[str, int] = {}

    @app.job()
    def in_thread() -> None:
        threads["thread"] = threading.get_ident()

    @app.job(runs="process")
    async def in_process() -> None:
        threads["process"] = threading.get_ident()

    await in_thread.enqueue()
    await in_process.enqueue()
    await drain(app)

    assert threads["process"] == threading.get_ident() != threads["thread"]


async def test_handler_past_its_time_limit_is_stopped_and_tried_again(app: App) -> None:
    @app.job(timeout=0.01, retry=TWICE)
    async def hangs(ctx: Context) -> str:
        if ctx.attempt == 1:
            await asyncio.Event().wait()
        return "done"

    handle = await hangs.enqueue()
    (ran,) = await drain(app)

    assert isinstance(ran.outcome, Failed)
    assert ran.outcome.error.error_class is ErrorClass.TIMEOUT
    await advance(app, 10)
    assert await handle.result(timeout=5) == "done"


async def test_handlers_find_what_the_lifespan_opened(app: App) -> None:
    life: list[str] = []

    @app.lifespan
    @asynccontextmanager
    async def resources() -> AsyncIterator[str]:
        life.append("open")
        yield "a pool"
        life.append("closed")

    @app.job()
    async def uses(ctx: Context) -> Any:
        return ctx.deps

    handle = await uses.enqueue()
    await drain(app)

    assert await handle.result(timeout=5) == "a pool"
    assert life == ["open", "closed"]


async def test_durable_sleep_and_steps_go_by_the_clock(app: App) -> None:
    charged: list[int] = []

    @app.job()
    async def slow(ctx: Context) -> int:
        await ctx.step("charge", lambda: charged.append(1))
        await ctx.sleep(3600)
        return ctx.attempt

    handle = await slow.enqueue()
    await drain(app)
    assert await advance(app, 3599) == []
    (ran,) = await advance(app, 1)

    assert isinstance(ran.outcome, Succeeded)
    assert (charged, await handle.result(timeout=5)) == ([1], 1)


async def test_transaction_of_a_handler_completes_its_job(app: App) -> None:
    @app.job()
    async def books(ctx: Context) -> int:
        return await ctx.transaction(lambda connection: next(connection.execute("select 7"))[0])

    handle = await books.enqueue()
    (ran,) = await drain(app)

    assert (ran.state, await handle.result(timeout=5)) == (State.COMPLETED, 7)


async def test_paused_queue_does_not_run(app: App) -> None:
    @app.job()
    async def work() -> None: ...

    await work.enqueue()
    operations = await app.operations()
    await operations.pause("default")

    assert await drain(app) == []
    await operations.resume("default")
    assert len(await drain(app)) == 1


async def test_job_that_never_ends_is_told(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.testing.driver.MAX_ATTEMPTS", 20)

    @app.job()
    async def again() -> None:
        raise Snooze(0)

    await again.enqueue()

    with pytest.raises(MisuseError, match="never comes to an end"):
        await drain(app)


async def test_only_a_manual_clock_can_be_moved() -> None:
    async with App("sqlite://", settings=Settings()) as app:
        with pytest.raises(MisuseError, match="ManualClock"):
            await advance(app, 1)


def test_jobs_run_and_time_passes_in_a_test_without_an_event_loop() -> None:
    app = App("sqlite://", settings=Settings(), clock=ManualClock())

    @app.job()
    def add(a: int, b: int) -> int:
        return a + b

    at_once, later = add.enqueue_sync(1, 2), add.using(delay=60).enqueue_sync(3, 4)

    assert [one.job_id for one in drain_sync(app)] == [at_once.id]
    assert [one.job_id for one in advance_sync(app, 60)] == [later.id]
    assert (at_once.result_sync(5), later.result_sync(5)) == (3, 7)
    app.portal.call(app.close)
    app.portal.close()


async def test_schedules_fire_at_their_instants_as_time_passes(app: App, clock: ManualClock) -> None:
    fired: list[int] = []
    begin = clock.now()

    @app.job()
    async def tick() -> None:
        fired.append((clock.now() - begin) // 1000)

    app.schedule("often", every=90, job=tick)
    await drain(app)

    ran = await advance(app, 300)

    assert fired == [90, 180, 270]
    assert [one.state for one in ran] == [State.COMPLETED] * 3


async def test_callback_of_a_batch_runs_when_its_members_have_ended(app: App) -> None:
    seen: list[str] = []

    @app.job()
    async def member(name: str) -> None:
        seen.append(name)

    @app.job()
    async def done() -> None:
        seen.append("done")

    async with app.batch(on_complete=done.request(), sequential=True) as batch:
        await batch.add(member.request("a"), member.request("b"))

    ran = await drain(app)

    assert seen == ["a", "b", "done"]
    assert [one.state for one in ran] == [State.COMPLETED] * 3

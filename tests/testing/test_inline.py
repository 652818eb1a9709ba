"""Code under test that enqueues, with jobs that run at once."""

import asyncio
from typing import Any

import pytest

from headrace import App, Backoff, Context, JobFailed, ManualClock, Retry, Settings, State
from headrace.testing import drain, inline

HOURLY = Retry(attempts=3, backoff=Backoff.fixed(3600))


async def test_enqueue_returns_when_its_job_has_ended(app: App) -> None:
    seen: list[int] = []

    @app.job()
    async def work(n: int) -> int:
        seen.append(n)
        return n * 2

    with inline(app) as ran:
        handle = await work.enqueue(21)
        assert seen == [21]
        assert await handle.result(timeout=5) == 42

    assert [(one.type, one.state) for one in ran] == [("work", State.COMPLETED)]


async def test_failed_attempts_are_repeated_without_their_backoff(app: App) -> None:
    @app.job(retry=HOURLY)
    async def shaky(ctx: Context, good_from: int) -> int:
        if ctx.attempt < good_from:
            raise ConnectionError(ctx.attempt)
        return ctx.attempt

    with inline(app) as ran:
        good = await shaky.enqueue(3)
        bad = await shaky.enqueue(4)

    assert await good.result(timeout=5) == 3
    with pytest.raises(JobFailed, match="ConnectionError: 3"):
        await bad.result(timeout=5)
    assert [(one.attempt, one.state) for one in ran] == [
        (1, State.PENDING),
        (2, State.PENDING),
        (3, State.COMPLETED),
        (1, State.PENDING),
        (2, State.PENDING),
        (3, State.FAILED),
    ]


async def test_all_jobs_of_one_call_and_their_children_have_ended(app: App) -> None:
    seen: list[str] = []

    @app.job()
    def child(name: str) -> None:
        seen.append(name)

    @app.job()
    async def parent(ctx: Context, name: str) -> None:
        await ctx.enqueue(child.request(f"{name}'s child"))

    with inline(app):
        await app.enqueue_many([parent.request("a"), parent.request("b")])

    assert sorted(seen) == ["a's child", "b's child"]


async def test_handler_that_enqueues_by_the_app_is_run_inside(app: App) -> None:
    @app.job()
    async def inner(n: int) -> int:
        return n + 1

    @app.job()
    async def outer(n: int) -> int:
        return await (await inner.enqueue(n)).result(timeout=5)

    with inline(app):
        handle = await outer.enqueue(1)

    assert await handle.result(timeout=5) == 2


async def test_delayed_job_stays_in_the_store(app: App) -> None:
    @app.job()
    async def work() -> None: ...

    with inline(app) as ran:
        handle = await work.using(delay=60).enqueue()

    assert (ran, (await handle.job()).state) == ([], State.PENDING)


async def test_enqueue_in_a_transaction_runs_after_the_commit(app: App) -> None:
    @app.job()
    async def work() -> None: ...

    def book(connection: Any) -> str:
        return work.using(tx=connection).enqueue_sync().id

    with inline(app) as ran:
        job_id = await app.transaction(book)
        assert ran == []

    assert [one.job_id for one in await drain(app)] == [job_id]


async def test_after_the_block_enqueues_only_enqueue(app: App) -> None:
    @app.job()
    async def work() -> None: ...

    with pytest.raises(ZeroDivisionError), inline(app):
        _ = 1 / 0
    handle = await work.enqueue()

    assert (await handle.job()).state is State.PENDING


async def test_concurrent_enqueues_all_end(app: App) -> None:
    @app.job()
    async def work(n: int) -> int:
        await asyncio.sleep(0)
        return n

    with inline(app):
        handles = await asyncio.gather(*(work.enqueue(n) for n in range(5)))
        results = [await handle.result(timeout=5) for handle in handles]

    assert results == [0, 1, 2, 3, 4]


def test_code_without_an_event_loop_is_served_too() -> None:
    app = App("sqlite://", settings=Settings(), clock=ManualClock())

    @app.job()
    def double(n: int) -> int:
        return n + n

    with inline(app) as ran:
        result = double.enqueue_sync(21).result_sync(5)
    app.portal.call(app.close)
    app.portal.close()

    assert (result, len(ran)) == (42, 1)

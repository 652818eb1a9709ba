"""What is claimed, and when."""

import asyncio
import threading
from contextlib import asynccontextmanager

from headrace.core.states import State
from headrace.engine.context import Context
from headrace.worker.events import Claimed, Finished, Polled, Started
from tests.worker.rig import PATIENCE, Rig, buffer_of, organs_of, until


async def test_jobs_of_a_queue_never_run_more_than_its_slots(rig: Rig):
    now = {"a": 0, "b": 0}
    most = {"a": 0, "b": 0}

    async def count(queue: str) -> None:
        now[queue] += 1
        most[queue] = max(most[queue], now[queue])
        for _ in range(3):
            await asyncio.sleep(0)
        now[queue] -= 1

    @rig.job(name="in_a", queue="a")
    async def in_a() -> None:
        await count("a")

    @rig.job(name="in_b", queue="b")
    async def in_b() -> None:
        await count("b")

    ids = await rig.enqueue_many("in_a", 100) + await rig.enqueue_many("in_b", 100)
    async with rig.worker(queues={"a": 2, "b": 5}, concurrency=6) as (_, watch):
        await watch.wait(Finished, count=len(ids))

    assert most["a"] == 2
    assert 1 <= most["b"] <= 5


async def test_total_is_never_passed(rig: Rig):
    now = most = 0

    @rig.job(name="any")
    async def any_job() -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1

    await rig.enqueue_many("any", 200)
    async with rig.worker(concurrency=7) as (_, watch):
        await watch.wait(Finished, count=200)

    assert most == 7


async def test_threads_that_are_all_taken_do_not_hold_up_async_jobs(rig: Rig):
    go = threading.Event()

    @rig.job(name="in_thread")
    def in_thread() -> None:
        go.wait(PATIENCE)

    @rig.job(name="on_loop")
    async def on_loop() -> None: ...

    slow = await rig.enqueue_many("in_thread", 20)
    quick = await rig.enqueue_many("on_loop", 20)
    async with rig.worker(threads=2) as (_, watch):
        for job_id in quick:
            await watch.finished(job_id)
        held = len({event.job.id for event in watch.all(Started)} & set(slow))
        go.set()
        for job_id in slow:
            await watch.finished(job_id)

    assert held == 2


async def test_no_more_is_claimed_than_can_start_soon(rig: Rig):
    go = asyncio.Event()

    @rig.job(name="waits")
    async def waits() -> None:
        await go.wait()

    ids = await rig.enqueue_many("waits", 50)
    async with rig.worker(concurrency=3) as (_, watch):
        await watch.wait(Started, count=3)
        claimed = sum(len(event.jobs) for event in watch.all(Claimed))
        go.set()
        await watch.wait(Finished, count=len(ids))

    assert claimed == 3


async def test_unknown_types_stay_pending_and_visible(rig: Rig):
    @rig.job(name="known")
    async def known() -> None: ...

    @rig.job(name="unknown")
    async def unknown() -> None: ...

    stranger, friend = await rig.enqueue("unknown"), await rig.enqueue("known")
    del rig.registry._types["unknown"]
    async with rig.worker() as (_, watch):
        await watch.finished(friend)

    job = await rig.read(stranger)
    assert job.state is State.PENDING
    assert job.placement.starts == 0


async def test_worker_without_queues_serves_new_ones(rig: Rig):
    @rig.job(name="any")
    async def any_job() -> None: ...

    async with rig.worker() as (_, watch):
        job_id = await rig.enqueue("any", queue="brand-new")
        await watch.finished(job_id)

    assert (await rig.read(job_id)).state is State.COMPLETED


async def test_worker_serves_only_its_queues(rig: Rig):
    @rig.job(name="any")
    async def any_job() -> None: ...

    other, mine = await rig.enqueue("any", queue="other"), await rig.enqueue("any", queue="mine")
    async with rig.worker(queues={"mine": 1}) as (_, watch):
        await watch.finished(mine)

    assert (await rig.read(other)).state is State.PENDING


async def test_pause_gives_back_what_has_not_started(rig: Rig):
    go = asyncio.Event()
    shut = False

    @rig.job(name="turns")
    async def turns() -> None:
        nonlocal shut
        shut = shut or buffer_of(worker).waiting >= 10
        if shut:
            await go.wait()

    async with rig.worker(concurrency=2) as (worker, _):
        ids = await rig.enqueue_many("turns", 2_000)
        await until(lambda: worker.running == 2 and shut)
        waiting = buffer_of(worker).waiting
        await rig.operations.pause("default")
        settler = organs_of(worker).settler
        await until(lambda: buffer_of(worker).waiting == 0 and settler.unsettled == 0)
        during = await rig.operations.stats()
        go.set()
        await until(lambda: worker.running == 0)
        await rig.operations.resume("default")
        for job_id in ids:
            await rig.operations.wait(job_id, timeout_ms=PATIENCE * 1000)

    jobs = [await rig.read(job_id) for job_id in ids]
    assert waiting > 0
    assert during.count(State.PROCESSING) == 2
    assert {job.state for job in jobs} == {State.COMPLETED}
    assert sum(job.placement.releases for job in jobs) >= waiting  # a claim may have been under way
    assert {job.placement.failures for job in jobs} == {0}


async def test_scheduled_job_starts_when_it_is_due(rig: Rig):
    @rig.job(name="any")
    async def any_job() -> None: ...

    job_id = await rig.enqueue("any", delay_ms=60_000)
    async with rig.worker() as (_, watch):
        await watch.wait(Polled)
        rig.manual.advance(60)
        await watch.finished(job_id)

    assert (await rig.read(job_id)).state is State.COMPLETED


async def test_lifespan_is_open_while_jobs_run(rig: Rig):
    opened: list[str] = []

    @asynccontextmanager
    async def lifespan():
        opened.append("open")
        yield {"pool": 1}
        opened.append("closed")

    @rig.job(name="uses")
    async def uses(ctx: Context) -> None:
        assert ctx.deps == {"pool": 1}
        opened.append("used")

    job_id = await rig.enqueue("uses")
    async with rig.worker(lifespan=lifespan) as (_, watch):
        await watch.finished(job_id)

    assert opened == ["open", "used", "closed"]

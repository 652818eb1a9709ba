"""Stopping: quiet, wait, tell to stop; nothing is charged for it, nothing is lost."""

import asyncio
import threading

from headrace.core.job import AttemptOutcome
from headrace.core.outcomes import Released, Succeeded
from headrace.core.states import State
from headrace.engine.context import Context
from headrace.worker.worker import Life, Worker
from tests.worker.rig import Inside, Rig, Watch


async def test_stop_waits_for_running_jobs(rig: Rig):
    go = asyncio.Event()

    @rig.job(name="finishes")
    async def finishes() -> str:
        await go.wait()
        return "done"

    job_id = await rig.enqueue("finishes")
    async with rig.worker() as (worker, watch):
        await watch.started(job_id)
        stopping = asyncio.create_task(worker.stop())
        await asyncio.sleep(0)
        go.set()
        await stopping

    assert (await watch.finished(job_id)).outcome == Succeeded(result='"done"')


async def test_interrupted_job_goes_back_uncharged_and_completes_later(rig: Rig):
    runs = 0

    @rig.job(name="long")
    async def long() -> str:
        nonlocal runs
        runs += 1
        if runs == 1:
            await asyncio.Event().wait()
        return "second time"

    job_id = await rig.enqueue("long")
    async with rig.worker() as (worker, watch):
        await watch.started(job_id)
        await worker.stop(grace_ms=0)
    back = await rig.read(job_id)
    async with rig.worker() as (_, watch):
        await watch.finished(job_id)

    job = await rig.read(job_id)
    assert back.state is State.PENDING
    assert (back.placement.failures, back.placement.crashes, back.placement.releases) == (0, 0, 1)
    assert job.state is State.COMPLETED
    assert [attempt.outcome for attempt in (await rig.history(job_id)).attempts] == [
        AttemptOutcome.RELEASED,
        AttemptOutcome.SUCCEEDED,
    ]


async def test_success_wins_over_the_shutdown(rig: Rig):
    @rig.job(name="tidy")
    async def tidy() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "finished in time"
        return "never"

    job_id = await rig.enqueue("tidy")
    async with rig.worker() as (worker, watch):
        await watch.started(job_id)
        await worker.stop(grace_ms=0)

    assert (await rig.read(job_id)).state is State.COMPLETED


async def test_interrupt_ends_the_grace_at_once(rig: Rig):
    @rig.job(name="long")
    async def long() -> None:
        await asyncio.Event().wait()

    job_id = await rig.enqueue("long")
    async with rig.worker(grace_ms=3_600_000) as (worker, watch):
        await watch.started(job_id)
        worker.request_stop()
        await asyncio.sleep(0)
        worker.interrupt()
        await worker.stop()

    assert isinstance((await watch.finished(job_id)).outcome, Released)


async def test_handler_that_ignores_its_cancellation_is_given_up(rig: Rig):
    over = asyncio.Event()

    @rig.job(name="deaf")
    async def deaf() -> None:
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:
                continue

    job_id = await rig.enqueue("deaf")
    async with rig.worker(stop_after_ms=20) as (worker, watch):
        await watch.started(job_id)
        await worker.stop(grace_ms=0)

    over.set()
    assert worker.stuck == ("deaf",)
    assert (await rig.read(job_id)).state is State.PENDING
    assert (await rig.read(job_id)).placement.failures == 0


async def test_thread_sees_the_shutdown(rig: Rig):
    inside = Inside()

    @rig.job(name="looks")
    def looks(ctx: Context) -> str:
        inside.say()
        while not ctx.cancelled:
            threading.Event().wait(0.002)
        return "saw it"

    job_id = await rig.enqueue("looks")
    async with rig.worker() as (worker, watch):
        await inside.wait()
        await worker.stop(grace_ms=0)

    assert (await watch.finished(job_id)).outcome == Succeeded(result='"saw it"')


async def test_thread_that_does_not_look_is_interrupted_and_released(rig: Rig):
    inside = Inside()

    @rig.job(name="busy")
    def busy() -> None:
        inside.say()
        while True:
            threading.Event().wait(0.002)

    job_id = await rig.enqueue("busy")
    async with rig.worker(stop_after_ms=100) as (worker, _):
        await inside.wait()
        await worker.stop(grace_ms=0)

    assert (await rig.read(job_id)).state is State.PENDING
    assert (await rig.read(job_id)).placement.releases == 1


async def test_quiet_gives_back_what_has_not_started(rig: Rig):
    go = asyncio.Event()

    @rig.job(name="waits")
    async def waits() -> None:
        await go.wait()

    ids = await rig.enqueue_many("waits", 5)
    async with rig.worker(concurrency=1) as (worker, watch):
        await watch.started(ids[0])
        worker.quiet()
        go.set()
        await watch.finished(ids[0])

    states = [(await rig.read(job_id)).state for job_id in ids]
    assert states == [State.COMPLETED, *[State.PENDING] * 4]


async def test_start_and_stop_come_in_any_order(rig: Rig):
    worker = rig.a_worker(Watch())

    await worker.stop()
    await worker.start()
    await worker.stop()

    assert worker.life is Life.STOPPED


async def test_start_and_stop_may_be_called_at_once(rig: Rig):
    worker = rig.a_worker(Watch())

    await asyncio.gather(worker.start(), worker.stop(), worker.start(), worker.stop(), worker.run())

    assert worker.life is Life.STOPPED


async def test_worker_says_hello_and_goodbye(rig: Rig):
    @rig.job(name="any")
    async def any_job() -> None: ...

    async with rig.worker(name="w1") as (worker, _):
        there = await rig.operations.workers()
    gone = await rig.operations.workers()

    assert isinstance(worker, Worker)
    assert [hello.worker for hello in there] == ["w1"]
    assert there[0].types == frozenset({"any"})
    assert not gone

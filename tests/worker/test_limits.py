"""Handlers past their time limit that cannot be stopped at once (C23)."""

import asyncio
import math
import threading

from headrace.core.outcomes import Failed
from headrace.core.policy import ErrorClass
from headrace.core.states import State
from headrace.engine.context import Context
from headrace.worker.events import Overdue
from tests.worker.doubles import Unreliable
from tests.worker.rig import PATIENCE, Rig, organs_of, until


async def test_thread_past_its_limit_stays_processing_until_it_ends(rig: Rig):
    go = threading.Event()

    @rig.job(name="slow", timeout=0.02)
    def slow() -> str:
        go.wait(PATIENCE)
        return "too late"

    job_id = await rig.enqueue("slow")
    async with rig.worker(stop_after_ms=20_000) as (_, watch):
        await watch.wait(Overdue, job_id)
        overdue = await _until_noted(rig, job_id)
        go.set()
        finished = await watch.finished(job_id)

    job = await rig.read(job_id)
    assert overdue.state is State.PROCESSING
    assert isinstance(finished.outcome, Failed)
    assert finished.outcome.error.error_class is ErrorClass.TIMEOUT
    assert job.placement.failures == 1
    assert job.state is State.PENDING


async def test_thread_past_its_limit_is_told_and_then_interrupted(rig: Rig):
    told: list[bool] = []

    @rig.job(name="slow", timeout=0.02)
    def slow(ctx: Context) -> None:
        try:
            while True:
                threading.Event().wait(0.002)
        finally:
            told.append(ctx.cancelled)

    job_id = await rig.enqueue("slow")
    async with rig.worker(stop_after_ms=1_000) as (_, watch):
        finished = await watch.finished(job_id)

    assert told == [True]
    assert isinstance(finished.outcome, Failed)
    assert finished.outcome.error.error_class is ErrorClass.TIMEOUT


async def test_time_limit_begins_with_the_handler_however_late_its_thread_is(rig: Rig):
    go = threading.Event()

    @rig.job(name="any", timeout=600)
    def any_job() -> None: ...

    async with rig.worker() as (worker, watch):
        crew = organs_of(worker).pools._threads
        perform = crew._perform
        crew._perform = lambda held: perform(held) if go.wait(PATIENCE) else None
        job_id = await rig.enqueue("any")
        await watch.started(job_id)
        held = organs_of(worker).holdings.get(job_id)
        assert held is not None
        before = held.deadline
        go.set()
        await watch.finished(job_id)

    assert before == math.inf
    assert held.deadline is not None
    assert held.deadline < math.inf


async def test_overdue_thread_keeps_its_slot(rig: Rig):
    go = threading.Event()

    @rig.job(name="slow", timeout=0.02)
    def slow() -> None:
        go.wait(PATIENCE)

    first, second = await rig.enqueue("slow"), await rig.enqueue("slow")
    async with rig.worker(threads=1, stop_after_ms=20_000) as (worker, watch):
        await watch.wait(Overdue, first)
        running = worker.running
        go.set()
        await watch.finished(first)
        await watch.finished(second)

    assert running == 1


async def test_worker_asks_to_be_replaced_when_a_handler_cannot_be_stopped(rig: Rig):
    go = threading.Event()

    @rig.job(name="stuck", timeout=0.02)
    def stuck() -> None:
        go.wait(PATIENCE)

    @rig.job(name="short")
    async def short() -> None: ...

    job_id = await rig.enqueue("stuck")
    async with rig.worker(grace_ms=200, stop_after_ms=20) as (worker, watch):
        await watch.started(job_id)
        async with asyncio.timeout(PATIENCE):
            await worker.run()

    go.set()
    job = await rig.read(job_id)
    assert worker.wants_exit
    assert worker.stuck == ("stuck",)
    assert job.state is State.PROCESSING
    assert job.timed_out_at is not None


async def test_that_a_handler_is_overdue_is_written_though_the_worker_stops(rig: Rig):
    go = threading.Event()

    @rig.job(name="stuck", timeout=0.02)
    def stuck() -> None:
        go.wait(PATIENCE)

    job_id = await rig.enqueue("stuck")
    work = Unreliable(rig.work())
    hold = work.hold_notes = asyncio.Event()
    async with rig.worker(work=work, stop_after_ms=20) as (worker, watch):
        await watch.wait(Overdue, job_id)
        held = organs_of(worker).holdings.get(job_id)
        stopping = asyncio.create_task(worker.stop(grace_ms=0))
        await until(lambda: held is not None and held.abandoned)
        hold.set()
        await stopping

    go.set()
    assert (await rig.read(job_id)).timed_out_at is not None


async def test_async_handler_that_swallows_its_time_limit_is_told_again(rig: Rig):
    told = 0

    @rig.job(name="deaf", timeout=0.02)
    async def deaf() -> str:
        nonlocal told
        while told < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                told += 1
        return "late"

    job_id = await rig.enqueue("deaf")
    async with rig.worker(stop_after_ms=50) as (_, watch):
        finished = await watch.finished(job_id)

    assert isinstance(finished.outcome, Failed)
    assert finished.outcome.error.error_class is ErrorClass.TIMEOUT


async def _until_noted(rig: Rig, job_id: str):
    async with asyncio.timeout(PATIENCE):
        while (job := await rig.read(job_id)).timed_out_at is None:
            await asyncio.sleep(0.005)
    return job

"""Cancel of jobs that run (C25, C26)."""

import asyncio
import threading

from headrace.core.outcomes import Failed, Stopped, Succeeded
from headrace.core.states import State
from headrace.engine.context import Context
from headrace.engine.operations import CancelAnswer
from headrace.worker.events import Started
from tests.worker.rig import Inside, Rig, buffer_of, until


async def test_running_async_handler_is_cancelled(rig: Rig):
    @rig.job(name="waits")
    async def waits() -> None:
        await asyncio.Event().wait()

    job_id = await rig.enqueue("waits")
    async with rig.worker(renew_every_ms=50) as (_, watch):
        await watch.started(job_id)
        answer = await rig.operations.cancel(job_id)
        finished = await watch.finished(job_id)

    assert answer is CancelAnswer.REQUESTED
    assert isinstance(finished.outcome, Stopped)
    assert (await rig.read(job_id)).state is State.CANCELLED


async def test_cancel_is_learned_from_a_hint_before_the_next_renewal(rig: Rig):
    @rig.job(name="waits")
    async def waits() -> None:
        await asyncio.Event().wait()

    job_id = await rig.enqueue("waits")
    async with rig.worker(lease_ms=36_000_000, renew_every_ms=3_600_000) as (_, watch):
        await watch.started(job_id)
        await rig.operations.cancel(job_id)
        await watch.finished(job_id)

    assert (await rig.read(job_id)).state is State.CANCELLED


async def test_thread_sees_the_cancel(rig: Rig):
    inside = Inside()

    @rig.job(name="looks")
    def looks(ctx: Context) -> None:
        inside.say()
        while not ctx.cancelled:
            threading.Event().wait(0.002)
        raise RuntimeError("stopped half way")

    job_id = await rig.enqueue("looks")
    async with rig.worker(renew_every_ms=50) as (_, watch):
        await inside.wait()
        await rig.operations.cancel(job_id)
        finished = await watch.finished(job_id)

    assert isinstance(finished.outcome, Failed)
    assert (await rig.read(job_id)).state is State.CANCELLED


async def test_thread_that_does_not_look_is_interrupted_once(rig: Rig):
    inside = Inside()
    cleaned: list[str] = []

    @rig.job(name="busy")
    def busy() -> None:
        try:
            inside.say()
            while True:
                threading.Event().wait(0.002)
        finally:
            cleaned.append("yes")

    job_id = await rig.enqueue("busy")
    async with rig.worker(renew_every_ms=50, stop_after_ms=50) as (_, watch):
        await inside.wait()
        await rig.operations.cancel(job_id)
        await watch.finished(job_id)

    assert cleaned == ["yes"]
    assert (await rig.read(job_id)).state is State.CANCELLED


async def test_success_wins_over_a_cancel(rig: Rig):
    @rig.job(name="tidy")
    async def tidy() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "done anyway"
        return "never"

    job_id = await rig.enqueue("tidy")
    async with rig.worker(renew_every_ms=50) as (_, watch):
        await watch.started(job_id)
        await rig.operations.cancel(job_id)
        finished = await watch.finished(job_id)

    assert finished.outcome == Succeeded(result='"done anyway"')
    assert (await rig.read(job_id)).state is State.COMPLETED


async def test_cancelled_waiting_job_never_starts(rig: Rig):
    @rig.job(name="any")
    async def any_job() -> None: ...

    cancelled, other = await rig.enqueue("any"), await rig.enqueue("any")
    await rig.operations.cancel(cancelled)
    async with rig.worker() as (_, watch):
        await watch.finished(other)

    assert not [
        event for event in watch.events if getattr(getattr(event, "job", None), "id", None) == cancelled
    ]
    assert (await rig.read(cancelled)).state is State.CANCELLED


async def test_cancel_reaches_a_job_that_waits_in_the_buffer(rig: Rig):
    go = asyncio.Event()
    shut = False

    @rig.job(name="turns")
    async def turns() -> None:
        nonlocal shut
        shut = shut or buffer_of(worker).waiting >= 10
        if shut:
            await go.wait()

    async with rig.worker(concurrency=2, renew_every_ms=50) as (worker, watch):
        await rig.enqueue_many("turns", 2_000)
        await until(lambda: worker.running == 2 and shut)
        waiting = next(line.waiting[-1] for line in buffer_of(worker)._lines.values() if line.waiting)
        job_id = waiting.job.id
        await rig.operations.cancel(job_id)
        finished = await watch.finished(job_id)
        go.set()

    assert finished.outcome == Stopped(reason="cancel asked")
    assert not watch.all(Started, job_id)
    assert (await rig.read(job_id)).state is State.CANCELLED

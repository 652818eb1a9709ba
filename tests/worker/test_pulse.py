"""Leases: kept while a handler runs, whatever it does; given up when they cannot be kept."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from headrace.core.outcomes import Released, Succeeded
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.engine.context import Context
from headrace.errors import LeaseLost
from headrace.upkeep.rescue import Rescue
from headrace.worker.events import LeaseGone, LoopBlocked, Renewed, StopAsked
from headrace.worker.pulse import Pulse
from tests.worker.doubles import Silent, Unreliable
from tests.worker.rig import PATIENCE, Rig, organs_of, until


async def test_handler_that_blocks_the_loop_keeps_its_lease(rig: Rig):
    """The clock moves on by three leases while the loop stands still; each time the lease follows."""

    @rig.job(name="blocks")
    async def blocks(ctx: Context) -> None:
        held = organs_of(worker).holdings.get(ctx.job.id)
        assert held is not None
        block_until(lambda: len(watch.all(LoopBlocked)) > 0)
        for _ in range(9):
            rig.manual.advance(10)
            block_until(lambda: held.lease_until == rig.clock.now() + 30_000)

    @rig.job(name="beside")
    async def beside() -> None: ...

    async with rig.worker(lease_ms=30_000, renew_every_ms=100) as (worker, watch):
        ids = [await rig.enqueue("blocks"), await rig.enqueue("beside")]
        for job_id in ids:
            await watch.finished(job_id)

    jobs = [await rig.read(job_id) for job_id in ids]
    told = [event for event in watch.all(LoopBlocked) if event.job is not None]
    assert [job.placement.starts for job in jobs] == [1, 1]
    assert [job.state for job in jobs] == [State.COMPLETED, State.COMPLETED]
    assert [event.job and event.job.id for event in told] == [ids[0]]
    assert "in block_until" in told[0].stack


def block_until(holds: Callable[[], bool]) -> None:
    """As a handler blocks its loop that should have awaited."""
    give_up = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.005)


async def test_leases_of_running_jobs_are_renewed(rig: Rig):
    go = asyncio.Event()

    @rig.job(name="waits")
    async def waits() -> None:
        await go.wait()

    job_id = await rig.enqueue("waits")
    work = Silent(rig.work())  # a hint would renew too
    async with rig.worker(work=work, lease_ms=30_000, renew_every_ms=10_000) as (_, watch):
        await watch.started(job_id)
        claimed = await rig.read(job_id)
        rig.manual.advance(11)
        async with asyncio.timeout(PATIENCE):
            while (renewed := await rig.read(job_id)).placement.lease_until == claimed.placement.lease_until:
                await asyncio.sleep(0.005)
        go.set()
        await watch.finished(job_id)

    assert renewed.placement.lease_until == (claimed.placement.lease_until or 0) + 11_000
    assert watch.all(Renewed)[-1].job_ids == {job_id}


async def test_holder_whose_job_was_rescued_is_stopped_and_changes_nothing(rig: Rig):
    said: list[str] = []

    @rig.job(name="child")
    async def child() -> None: ...

    @rig.job(name="zombie")
    async def zombie(ctx: Context) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            said.append("cancelled")
        try:
            await ctx.checkpoint({"late": True})
        except LeaseLost:
            said.append("checkpoint refused")
        try:
            await ctx.enqueue(EnqueueRequest(type="child", payload={}))
        except LeaseLost:
            said.append("child refused")
        return "late success"

    job_id = await rig.enqueue("zombie")
    work = Unreliable(rig.work())
    work.renewals_busy = True
    async with rig.worker(work=work, renew_every_ms=50) as (_, watch):
        await watch.started(job_id)
        rig.manual.advance(31)
        rescued = await Rescue(rig.store, rig.clock).run_once()
        before = await rig.read(job_id)
        work.renewals_busy = False
        await watch.wait(LeaseGone, job_id)

    after = await rig.read(job_id)
    assert rescued.done == 1
    assert before.placement.crashes == 1
    assert said == ["cancelled", "checkpoint refused", "child refused"]
    assert after == before
    assert watch.all(StopAsked, job_id)[0].reason == "lease lost"


async def test_late_success_of_a_holder_nobody_rescued_counts(rig: Rig):
    go = asyncio.Event()

    @rig.job(name="late")
    async def late() -> str:
        await go.wait()
        return "late"

    job_id = await rig.enqueue("late")
    work = Unreliable(rig.work())
    work.renewals_busy = True
    async with rig.worker(work=work) as (_, watch):
        await watch.started(job_id)
        rig.manual.advance(120)
        go.set()
        finished = await watch.finished(job_id)

    assert finished.outcome == Succeeded(result='"late"')
    assert (await rig.read(job_id)).state is State.COMPLETED


async def test_job_that_cannot_be_renewed_is_given_up_and_released_when_the_store_is_back(rig: Rig):
    stopped = asyncio.Event()

    @rig.job(name="waits")
    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    job_id = await rig.enqueue("waits")
    work = Unreliable(rig.work())
    async with rig.worker(work=work, lease_ms=30_000, renew_every_ms=50) as (worker, watch):
        await watch.started(job_id)
        work.down = True
        rig.manual.advance(26)
        await until(stopped.is_set)
        worker.quiet()
        work.down = False
        finished = await watch.finished(job_id)

    job = await rig.read(job_id)
    assert finished.outcome == Released(reason="lease could not be renewed")
    assert job.state is State.PENDING
    assert (job.placement.failures, job.placement.crashes) == (0, 0)


async def test_outage_shorter_than_the_lease_stops_nobody(rig: Rig):
    go = asyncio.Event()

    @rig.job(name="waits")
    async def waits() -> None:
        await go.wait()

    job_id = await rig.enqueue("waits")
    work = Unreliable(rig.work())
    async with rig.worker(work=work, renew_every_ms=20) as (_, watch):
        await watch.started(job_id)
        work.down = True
        rig.manual.advance(20)
        await until(lambda: work.refused["renew"] > 0)
        work.down = False
        count = len(watch.all(Renewed))
        await watch.wait(Renewed, count=count + 1)
        go.set()
        await watch.finished(job_id)

    assert not watch.all(StopAsked)
    assert (await rig.read(job_id)).state is State.COMPLETED


async def test_pulse_told_to_stop_before_its_thread_runs_still_stops(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    go, live = threading.Event(), Pulse._live

    async def late(self: Pulse) -> None:
        assert go.wait(PATIENCE)
        await live(self)

    monkeypatch.setattr(Pulse, "_live", late)
    async with rig.worker() as (worker, _):
        pulse = organs_of(worker).pulse
        stopping = asyncio.create_task(pulse.stop())
        await asyncio.sleep(0)
        go.set()
        await stopping
        await asyncio.to_thread(pulse._thread.join, PATIENCE)
        lives_on = pulse._thread.is_alive()

    assert not lives_on

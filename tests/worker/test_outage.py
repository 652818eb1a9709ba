"""A store that does not answer for a while: the worker waits with patience, and goes on by itself."""

import asyncio

import pytest

from headrace.core.outcomes import Succeeded
from headrace.core.states import State
from headrace.engine.context import Context
from headrace.errors import StoreFull
from headrace.worker.events import StoreLost
from headrace.worker.waiting import Patience
from headrace.worker.worker import Life
from tests.worker.doubles import Silent, Unreliable
from tests.worker.rig import PATIENCE, Rig, Watch, organs_of, until


async def test_worker_goes_on_when_the_store_is_back(rig: Rig):
    @rig.job(name="any")
    async def any_job() -> None: ...

    work = Unreliable(rig.work())
    async with rig.worker(work=work) as (_, watch):
        work.down = True
        await watch.wait(StoreLost, count=3)
        work.down = False
        job_id = await rig.enqueue("any")
        await watch.finished(job_id)

    assert (await rig.read(job_id)).state is State.COMPLETED


async def test_worker_does_not_spin_during_an_outage(rig: Rig):
    @rig.job(name="any")
    async def any_job() -> None: ...

    work = Unreliable(rig.work())
    async with rig.worker(work=work, poll_ms=1) as (_, watch):
        work.down = True
        await watch.wait(StoreLost, count=4)
        asked = work.refused["claim"]
        pauses = [event.retry_in for event in watch.all(StoreLost) if event.doing == "claim"]
        work.down = False

    assert asked <= 5
    assert all(pause >= 0.05 for pause in pauses)


async def test_outcome_waits_for_the_store(rig: Rig):
    go = asyncio.Event()

    @rig.job(name="waits")
    async def waits(ctx: Context) -> str:
        ctx.progress(99)
        await go.wait()
        return "kept"

    job_id = await rig.enqueue("waits")
    work = Unreliable(rig.work())
    async with rig.worker(work=work) as (_, watch):
        await watch.started(job_id)
        work.down = True
        go.set()
        async with asyncio.timeout(PATIENCE):
            while not any(event.doing == "report" for event in watch.all(StoreLost)):
                await asyncio.sleep(0.005)
        work.down = False
        finished = await watch.finished(job_id)

    job = await rig.read(job_id)
    assert finished.outcome == Succeeded(result='"kept"')
    assert job.state is State.COMPLETED
    assert job.progress == '{"percentage":99}'


async def test_outcome_whose_reply_was_lost_is_told_again_and_counted_once(rig: Rig):
    @rig.job(name="fails")
    async def fails() -> None:
        raise ValueError("once")

    job_id = await rig.enqueue("fails")
    work = Unreliable(rig.work())
    work.lose_replies = 2
    async with rig.worker(work=work) as (_, watch):
        await watch.finished(job_id)

    job = await rig.read(job_id)
    assert len(work.reported) == 3
    assert job.placement.failures == 1
    assert len((await rig.history(job_id)).attempts) == 1


async def test_worker_that_starts_before_its_store_waits_for_it(rig: Rig):
    @rig.job(name="any")
    async def any_job() -> None: ...

    work = Unreliable(rig.work())
    work.down = True
    watch = Watch()
    worker = rig.a_worker(watch, work=work)
    starting = asyncio.create_task(worker.start())
    while not work.refused["publish"]:
        await asyncio.sleep(0)
    work.down = False
    await starting
    job_id = await rig.enqueue("any")
    await watch.finished(job_id)
    await worker.stop()

    assert (await rig.read(job_id)).state is State.COMPLETED


async def test_worker_can_be_stopped_while_it_waits_for_its_store(rig: Rig):
    work = Unreliable(rig.work())
    work.down = True
    worker = rig.a_worker(Watch(), work=work)
    starting = asyncio.create_task(worker.start())
    while not work.refused["publish"]:
        await asyncio.sleep(0)

    await worker.stop()

    await starting


async def test_start_that_is_cancelled_leaves_nothing_running(rig: Rig):
    work = Unreliable(rig.work())
    work.down = True
    worker = rig.a_worker(Watch(), work=work)
    before = asyncio.all_tasks()

    async def use() -> None:
        async with worker:
            raise AssertionError("the store is down")

    using = asyncio.create_task(use())
    while not work.refused["publish"]:
        await asyncio.sleep(0)
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using

    assert worker.life is Life.STOPPED
    assert asyncio.all_tasks() == before


async def test_outage_that_ends_while_nothing_is_held_leaves_the_pulse_at_rest(rig: Rig):
    go = asyncio.Event()

    @rig.job(name="waits")
    async def waits() -> None:
        await go.wait()

    job_id = await rig.enqueue("waits")
    work = Unreliable(rig.work())
    async with rig.worker(work=work, renew_every_ms=20) as (worker, watch):
        await watch.started(job_id)
        work.renewals_down = True
        rig.manual.advance(1)
        await until(lambda: work.refused["renew"] > 0)
        go.set()
        await watch.finished(job_id)
        pulse = organs_of(worker).pulse
        await until(lambda: not pulse._failing)
    await asyncio.to_thread(pulse._thread.join, PATIENCE)

    assert not pulse._thread.is_alive()


async def test_lost_hints_cost_one_poll(rig: Rig):
    @rig.job(name="any")
    async def any_job() -> None: ...

    async with rig.worker(work=Silent(rig.work()), poll_ms=10) as (_, watch):
        job_id = await rig.enqueue("any")
        await watch.finished(job_id)

    assert (await rig.read(job_id)).state is State.COMPLETED


def test_patience_grows_and_is_longer_for_a_full_disk():
    patience = Patience()
    pauses = [patience.failed(ConnectionError()) for _ in range(12)]

    assert all(0.05 <= pause <= 5 for pause in pauses)
    assert pauses[-1] >= 2.5
    assert Patience().failed(StoreFull()) >= 15

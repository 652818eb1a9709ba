"""Jobs that took their worker down before run where they can harm nobody (C22)."""

import asyncio

from headrace.core.job import Isolation
from headrace.core.states import State
from headrace.engine.context import Context
from headrace.upkeep.rescue import Rescue
from headrace.worker.events import Claimed
from tests import builders
from tests.worker.rig import Rig, Watch


async def test_job_runs_by_itself_where_no_child_can_run_it(rig: Rig):
    running = 0
    beside: list[int] = []

    @rig.job(name="suspect")
    async def suspect(ctx: Context) -> int:
        nonlocal running
        running += 1
        for _ in range(20):
            await asyncio.sleep(0)
            beside.append(running)
        running -= 1
        return ctx.attempt

    @rig.job(name="other")
    async def other() -> None:
        nonlocal running
        running += 1
        await asyncio.sleep(0)
        running -= 1

    suspects = await rig.enqueue_many("suspect", 2)
    await _isolate(rig, suspects, crashes=2)
    others = await rig.enqueue_many("other", 50)
    async with rig.worker() as (_, watch):
        for job_id in [*suspects, *others]:
            await _completed(watch, job_id)

    assert {(await rig.read(job_id)).placement.result for job_id in suspects} == {"3"}
    assert set(beside) == {1}


async def test_nothing_else_is_held_while_a_suspect_runs_alone(rig: Rig):
    go = asyncio.Event()

    @rig.job(name="suspect")
    async def suspect() -> None:
        await go.wait()

    @rig.job(name="other")
    async def other() -> None: ...

    suspects = await rig.enqueue_many("suspect", 2)
    await _isolate(rig, suspects, crashes=2)
    async with rig.worker() as (_, watch):
        started = (await watch.wait(Claimed)).jobs[0].id
        await watch.started(started)
        others = await rig.enqueue_many("other", 5)
        waiting = [job_id for job_id in suspects if job_id != started] + others
        states = [(await rig.read(job_id)).state for job_id in waiting]
        go.set()
        for job_id in [*suspects, *others]:
            await _completed(watch, job_id)

    assert set(states) == {State.PENDING}
    assert [(await rig.read(job_id)).placement.crashes for job_id in suspects] == [2, 2]


async def test_crash_while_alone_fails_the_job_for_good_and_nobody_else(rig: Rig):
    @rig.job(name="suspect")
    async def suspect() -> None: ...

    (job_id,) = await rig.enqueue_many("suspect", 1)
    await _isolate(rig, [job_id], crashes=4)

    job = await rig.read(job_id)
    assert job.state is State.FAILED
    assert job.placement.starts <= 3 + 3 + job.placement.releases


async def _isolate(rig: Rig, ids: list[str], *, crashes: int) -> None:
    """Claims the jobs as workers that die, so often."""
    for _ in range(crashes):
        jobs = await builders.claim(
            rig.store, n=len(ids), now=rig.clock.now(), types=frozenset(rig.registry.names), worker="doomed"
        )
        assert {job.id for job in jobs} == set(ids)
        rig.manual.advance(60)
        await Rescue(rig.store, rig.clock).run_once()
        rig.manual.advance(120)
    jobs = [await rig.read(job_id) for job_id in ids]
    assert all(job.placement.isolation is not Isolation.NONE for job in jobs)


async def _completed(watch: Watch, job_id: str) -> None:
    count = 1
    while (await watch.finished(job_id, count=count)).state is not State.COMPLETED:
        count += 1

"""Loops under interleavings: no ping is lost, no two runs go on, nothing a superseded run does counts."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from headrace.clock import ManualClock
from headrace.core.loop import Debounce, Idle, LoopStatus
from headrace.core.states import State
from headrace.engine.local import LocalOperations
from headrace.errors import LeaseLost
from headrace.stores.protocol import Holder, Store
from tests.contract.conftest import STORES, opened_store
from tests.engine.looping import LEASE_MS, NAME, Scene


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def scene(request: pytest.FixtureRequest, tmp_path) -> AsyncIterator[Scene]:
    store: Store = await opened_store(request.param.url(tmp_path))
    yield Scene(store, ManualClock())
    await store.close()


# ------------------------------------------------------------ no ping is lost


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("timeout", [None, 3_600])
async def test_row_committed_and_pinged_after_any_look_of_the_loop_is_found(scene, place, timeout):
    """The look sees nothing, then the row is there and pinged, then the loop goes on from what it saw."""
    scene.table.idle = Idle(cooldown=0, timeout=timeout)
    await scene.insert(1)

    async def insert() -> None:
        await scene.insert(2)

    scene.table.before_answer = [*[None] * place, insert]
    await scene.turn()
    for job in await scene.claim():
        await scene.finish(scene.worker(), job)

    assert [row for batch in scene.table.batches for row in batch] == [1, 2]
    assert await scene.status() is LoopStatus.IDLE


@pytest.mark.parametrize("timeout", [None, 3_600])
async def test_ping_between_the_last_look_and_the_end_makes_the_end_stale(scene, monkeypatch, timeout):
    scene.table.idle = Idle(cooldown=0, timeout=timeout)
    await scene.insert(1)
    kept = scene.loops.kept
    apply = kept.apply
    insertions = [2]

    async def pinged_before(transition):
        if insertions and transition.placement.state is not State.PROCESSING:
            await scene.insert(insertions.pop())
        return await apply(transition)

    monkeypatch.setattr(kept, "apply", pinged_before)
    await scene.turn()

    assert scene.table.batches == [[1], [2]]
    assert insertions == []
    assert (await scene.operations.stats()).count() == 1


async def test_ping_that_read_running_before_the_loop_went_idle_loses_nothing(scene, monkeypatch):
    """The ping decides by what it read, and the loop goes idle meanwhile: its second look finds the row."""
    await scene.insert(1)
    (job,) = await scene.claim()
    other = LocalOperations(scene.store, scene.clock).loop_engine
    read, gone_on, may_go_on = other.kept.read, asyncio.Event(), asyncio.Event()

    async def slow_read(name):
        found = await read(name)
        gone_on.set()
        await may_go_on.wait()
        return found

    monkeypatch.setattr(other.kept, "read", slow_read)
    pings = []

    async def begin_ping() -> None:
        scene.table.rows.append(2)
        pings.append(asyncio.create_task(other.ping(NAME, scene.definition)))
        await gone_on.wait()

    scene.table.before_answer = [None, begin_ping]
    await scene.finish(scene.worker(), job)
    may_go_on.set()
    await asyncio.gather(*pings)

    assert scene.table.batches == [[1], [2]]


# ------------------------------------------------------------ exactly one


async def test_many_pings_of_two_programs_make_one_job_and_one_run(scene):
    programs = [LocalOperations(scene.store, scene.clock).loop_engine for _ in range(2)]
    scene.table.rows = [1, 2, 3]

    await asyncio.gather(*(one.ping(NAME, scene.definition) for one in programs for _ in range(20)))
    claimed = [job for _ in range(3) for job in await scene.claim()]

    assert len(claimed) == 1
    assert (await scene.operations.stats()).count() == 1
    await scene.run_of(claimed[0]).run()
    assert scene.table.batches == [[1, 2, 3]]


async def wind_down(scene: Scene) -> None:
    await scene.loops.start(NAME)
    for _ in range(5):
        await scene.ping()
        await scene.loops.sweep()
        for job in await scene.claim():
            await scene.finish(scene.worker(), job)


async def test_pings_starts_stops_and_runs_at_random_never_make_two_runs_at_once(scene):
    running, most = [], []

    async def alone() -> None:
        running.append(1)
        most.append(len(running))
        await asyncio.sleep(0)
        running.pop()

    scene.table.in_process = alone

    async def pinger(first: int) -> None:
        for row in range(first, first + 10):
            await scene.insert(row)

    async def stopper() -> None:
        for _ in range(5):
            await scene.loops.stop(NAME)
            await scene.loops.start(NAME)

    async def worker() -> None:
        work = scene.worker()
        for _ in range(25):
            for job in await scene.claim(work, n=2):
                await scene.finish(work, job)
            await scene.loops.sweep()

    await asyncio.gather(pinger(0), pinger(100), stopper(), worker(), worker())
    await wind_down(scene)

    assert max(most) == 1
    assert sorted({row for batch in scene.table.batches for row in batch}) == [*range(10), *range(100, 110)]
    assert scene.table.rows == []


# ------------------------------------------------------------ superseded


async def test_c12_write_of_the_state_without_the_lease_is_refused(scene):
    await scene.insert(1)
    (job,) = await scene.claim()
    kept = await scene.loops.kept.read(NAME)
    scene.clock.advance(LEASE_MS / 1000 + 1)
    await scene.rescue()
    with pytest.raises(LeaseLost):
        await scene.loops.kept.write_held(kept, kept.state, Holder(job_id=job.id, fence=job.fence))
    assert (await scene.loops.kept.read(NAME)).revision == kept.revision


async def test_c46_loops_of_one_name_in_two_namespaces_know_nothing_of_each_other(scene):
    other = LocalOperations(scene.store, scene.clock, namespace="other")
    await scene.insert(1)
    await other.loop_engine.ping(NAME, scene.definition)
    await other.stop_loop(NAME)

    await scene.turn()

    assert scene.table.batches == [[1]]
    assert [one.status for one in await scene.operations.loops()] == [LoopStatus.IDLE]
    assert [one.status for one in await other.loops()] == [LoopStatus.STOPPED]


async def test_superseded_run_does_not_put_its_successors_job_to_sleep(scene):
    await scene.insert(1)
    (old,) = await scene.claim()

    async def taken_over() -> None:
        scene.clock.advance(LEASE_MS / 1000 + 1)
        await scene.rescue()
        scene.clock.advance(60)
        successors.extend(await scene.claim())

    successors = []
    scene.table.says = Debounce(30)
    scene.table.in_process = taken_over
    await scene.run_of(old).run()

    job = await scene.job()
    assert (job.state, job.fence) == (State.PROCESSING, successors[0].fence)
    assert job.revision == successors[0].revision


async def test_job_is_not_made_where_the_state_has_changed_since_it_was_read(scene):
    await scene.insert(1)
    await scene.turn()
    kept = await scene.loops.kept.read(NAME)
    await scene.loops.stop(NAME)

    made = await scene.loops.kept.create(kept, kept.state, scene.clock.now())

    assert made is None
    assert await scene.claim() == []
    assert (await scene.operations.stats()).count() == 1

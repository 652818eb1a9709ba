"""Loops in trouble: functions that raise, jobs that fail or are gone, and stops at every moment."""

from collections.abc import AsyncIterator

import pytest

from headrace.clock import ManualClock
from headrace.core.loop import LoopStatus, register_key
from headrace.core.states import State
from headrace.errors import StoreUnavailable
from headrace.stores.protocol import Store, Swap
from tests.contract.conftest import STORES, opened_store
from tests.engine.looping import LEASE_MS, NAME, Scene, recorded


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def scene(request: pytest.FixtureRequest, tmp_path) -> AsyncIterator[Scene]:
    store: Store = await opened_store(request.param.url(tmp_path))
    yield Scene(store, ManualClock())
    await store.close()


# ------------------------------------------------------------ faults


async def test_function_that_raises_is_tried_again_within_the_monitors_lag_whatever_it_raises(scene):
    scene.configure(monitor_lag_ms=15_000)
    scene.table.raises = PermissionError("no")
    await scene.insert(1)
    waits = []
    for _ in range(7):
        await scene.turn()
        job, now = await scene.job(), scene.clock.now()
        waits.append(job.placement.due_at - now)
        scene.clock.advance(waits[-1] / 1000)
    info = await scene.info()
    scene.table.raises = None
    await scene.turn()

    assert waits == [1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]
    assert (info.status, info.last_error.type, info.last_error.message) == (
        LoopStatus.RUNNING,
        "PermissionError",
        "no",
    )
    assert info.restarts == 6
    assert scene.table.batches == [[1]]
    assert (await scene.job()).placement.failures == 0


async def test_pings_do_not_shorten_the_wait_after_an_error(scene):
    scene.table.raises = ValueError("boom")
    await scene.insert(1)
    await scene.turn()
    before = await scene.job()

    await scene.insert(2)

    assert await scene.job() == before


async def test_fetch_that_raises_when_the_loop_was_about_to_rest_leaves_it_running(scene):
    await scene.insert(1)

    async def fail() -> None:
        raise ConnectionError("gone")

    scene.table.before_answer = [None, None, fail]
    await scene.turn()
    info = await scene.info()
    scene.clock.advance(1)
    await scene.turn()

    assert (info.status, info.last_error.type) == (LoopStatus.RUNNING, "ConnectionError")
    assert await scene.status() is LoopStatus.IDLE


async def test_answer_that_is_no_answer_is_told(scene):
    scene.table.says = {"debounce": 3}
    await scene.insert(1)
    await scene.turn()

    error = (await scene.info()).last_error
    assert error.message == "process of loop 'events' returned a dict: return nothing or Debounce(seconds)"


async def test_job_that_failed_for_good_is_replaced_by_the_sweep_and_the_failure_is_told(scene, monkeypatch):
    said = recorded(monkeypatch)
    await scene.insert(1)
    while (await scene.job()).placement.live:
        scene.clock.advance(120)
        await scene.claim()
        scene.clock.advance(LEASE_MS / 1000 + 1)
        await scene.rescue()
    dead = await scene.job()

    healed = await scene.loops.sweep()
    early = await scene.claim()
    scene.clock.advance(60)
    await scene.turn()

    assert (dead.state, healed, early) == (State.FAILED, 1, [])
    assert [(level, event) for level, event, _ in said] == [("warning", "restart")]
    assert (await scene.job()).id != dead.id
    assert scene.table.batches == [[1]]


async def test_loop_whose_job_an_operator_cancelled_goes_on_at_the_next_ping_or_sweep(scene):
    await scene.insert(1)
    await scene.operations.cancel((await scene.job()).id)

    assert await scene.loops.sweep() == 1
    await scene.turn()

    assert scene.table.batches == [[1]]
    assert (await scene.info()).restarts == 1


async def test_ended_job_that_an_operator_runs_again_becomes_the_loops_job(scene):
    await scene.insert(1)
    first = await scene.job()
    await scene.loops.stop(NAME)
    await scene.loops.start(NAME)
    await scene.turn()
    scene.table.rows = [2]
    await scene.operations.retry(first.id)

    info = await scene.ping()
    claimed = await scene.claim()

    assert info.job_id == first.id
    assert [job.id for job in claimed] == [first.id]


async def test_state_that_is_gone_is_made_anew_by_the_run(scene):
    await scene.insert(1)
    key = register_key(NAME)
    register = (await scene.store.read("default", [key]))[key]
    await scene.store.swap("default", [Swap(key=key, revision=register.revision, value=None)])
    assert await scene.loops.status(NAME) is None

    job = await scene.turn()

    info = await scene.info()
    assert (info.status, info.job_id) == (LoopStatus.IDLE, job.id)
    assert scene.table.batches == [[1]]


# ------------------------------------------------------------ stop while it runs


async def test_c25_stop_while_a_batch_is_processed_asks_the_job_to_cancel_and_says_so(scene):
    answers = []

    async def stop() -> None:
        answers.append(await scene.loops.stop(NAME))

    scene.table.in_process = stop
    await scene.insert(1)
    await scene.turn()

    assert [(one.status, one.in_hand) for one in answers] == [(LoopStatus.STOPPED, True)]
    job = await scene.job()
    assert job.placement.cancel_asked_at is not None
    assert job.state is State.COMPLETED  # C26: the batch ended well, and nothing more was fetched
    assert (scene.table.batches, len(scene.table.fetched)) == ([[1]], 2)


async def test_start_while_the_stopped_batch_goes_on_makes_the_next_job_when_it_has_ended(scene):
    async def stop_and_start() -> None:
        scene.table.in_process = None
        await scene.loops.stop(NAME)
        await scene.loops.start(NAME)
        assert await scene.claim() == []

    scene.table.in_process = stop_and_start
    await scene.insert(1, 2)
    old = await scene.turn()
    scene.table.rows = [3]

    assert await scene.loops.sweep() == 1
    await scene.turn()

    assert (await scene.job()).id != old.id
    assert scene.table.batches[-1] == [3]


async def test_stop_that_was_cut_off_before_the_cancel_is_finished_by_the_sweep(scene, monkeypatch):
    await scene.insert(1)

    async def cut_off(job_id):
        raise StoreUnavailable("cut off")

    monkeypatch.setattr(scene.loops, "_cancel", cut_off)
    with pytest.raises(StoreUnavailable):
        await scene.loops.stop(NAME)
    monkeypatch.undo()

    assert await scene.loops.sweep() == 1
    assert (await scene.job()).state is State.CANCELLED


async def test_run_of_a_stopped_loop_changes_nothing_and_ends(scene):
    """The job was claimed at the very moment of the stop."""
    await scene.insert(1)
    (job,) = await scene.claim()
    await scene.loops.stop(NAME)

    await scene.finish(scene.worker(), job)

    assert (await scene.job()).placement.live is False
    assert (await scene.status(), scene.table.fetched) == (LoopStatus.STOPPED, [])

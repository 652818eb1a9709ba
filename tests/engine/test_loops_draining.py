"""How a loop drains, cools down, debounces and takes over changed settings, on every store."""

from collections.abc import AsyncIterator

import pytest

from headrace.clock import ManualClock
from headrace.core.loop import Debounce, Idle, LoopStatus
from headrace.stores.protocol import Store
from tests.contract.conftest import STORES, opened_store
from tests.engine.looping import Scene


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def scene(request: pytest.FixtureRequest, tmp_path) -> AsyncIterator[Scene]:
    store: Store = await opened_store(request.param.url(tmp_path))
    yield Scene(store, ManualClock())
    await store.close()


async def test_loop_drains_batch_by_batch_in_one_attempt(scene):
    scene.table.at_once = 2
    await scene.insert(1, 2, 3, 4, 5)

    job = await scene.turn()

    history = await scene.operations.history(job.id)
    assert scene.table.batches == [[1, 2], [3, 4], [5]]
    assert len(history.attempts) == 1


async def test_burst_within_the_debounce_becomes_one_batch(scene):
    scene.configure(debounce_ms=100)
    await scene.insert(1)
    scene.clock.advance(0.05)
    await scene.insert(2)
    scene.clock.advance(0.05)

    await scene.turn()

    assert scene.table.batches == [[1, 2]]


async def test_loop_polls_through_the_cool_down_so_that_a_trickle_does_not_stop_it(scene):
    scene.table.idle = Idle(cooldown=10, poll_interval=0.25)
    await scene.insert(1)

    async def trickle() -> None:
        scene.table.rows.append(2)  # without a ping, and after this look

    scene.table.before_answer = [None, None, trickle]
    await scene.turn()

    assert scene.table.batches == [[1], [2]]
    assert set(scene.waited) == {0, 0.25}
    assert sum(scene.waited) == pytest.approx(10 + 0.5)


async def test_rows_that_process_leaves_come_again(scene):
    async def keep() -> None:
        scene.table.rows.append(len(scene.table.batches) + 2)
        if len(scene.table.batches) == 2:
            scene.table.in_process = None

    scene.table.in_process = keep
    await scene.insert(1)
    await scene.turn()

    assert scene.table.batches == [[1], [2], [3], [4]]


@pytest.mark.parametrize("seconds", [1, 30])
async def test_debounce_answer_gives_the_job_back_and_ignores_pings_until_then(scene, seconds):
    scene.table.says = Debounce(seconds)
    await scene.insert(1)
    await scene.turn()
    await scene.insert(2)
    info = await scene.ping()

    early = await scene.claim()
    scene.clock.advance(seconds)
    await scene.turn()

    assert (info.status, early) == (LoopStatus.RUNNING, [])
    assert info.next_run_at == scene.clock.now()
    assert scene.table.batches == [[1], [2]]


async def test_short_debounce_answer_is_waited_out_in_place(scene):
    scene.table.says = Debounce(0.5)
    scene.table.at_once = 1
    await scene.insert(1, 2)

    await scene.turn()

    assert scene.waited[:2] == [0.5, 0.5]
    assert scene.table.batches == [[1], [2]]


async def test_ping_brings_changed_settings_also_to_a_loop_that_runs(scene):
    async def change() -> None:
        scene.configure(cooldown_ms=700)
        await scene.ping()

    scene.table.idle = Idle()
    scene.table.in_process = change
    await scene.insert(1)
    await scene.turn()
    info = await scene.info()
    scene.configure(debounce_ms=5_000)
    again = await scene.ping()

    assert info.definition.config.cooldown_ms == 700
    assert again.next_run_at == scene.clock.now() + 5_000

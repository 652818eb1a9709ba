"""The life of a loop on every store: the fourteen cases that its users know by name, and what guards them."""

from collections.abc import AsyncIterator

import pytest

from headrace.clock import ManualClock
from headrace.core.loop import Idle, LoopStatus
from headrace.core.states import State
from headrace.stores.protocol import Store
from headrace.upkeep.loops import SweepLoops
from tests.contract.conftest import STORES, opened_store
from tests.engine.looping import LEASE_MS, NAME, Scene, recorded

HOUR = 3_600


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def scene(request: pytest.FixtureRequest, tmp_path) -> AsyncIterator[Scene]:
    store: Store = await opened_store(request.param.url(tmp_path))
    yield Scene(store, ManualClock())
    await store.close()


# ------------------------------------------------------------ the fourteen


async def test_ping_creates_the_loop_and_schedules_its_first_run(scene):
    scene.configure(debounce_ms=100)
    scene.table.rows = [1, 2]

    before = await scene.loops.status(NAME)
    info = await scene.ping()

    assert before is None
    assert (info.status, info.next_run_at) == (LoopStatus.RUNNING, scene.clock.now() + 100)
    assert await scene.claim() == []
    scene.clock.advance(0.1)
    await scene.turn()
    assert scene.table.batches == [[1, 2]]


async def test_monitor_comes_well_after_the_loop_and_never_disturbs_one_that_lives(scene):
    scene.table.idle = Idle(cooldown=0, timeout=HOUR)
    await scene.insert(1)
    (job,) = await scene.claim()

    assert job.placement.lease_until == scene.clock.now() + LEASE_MS
    assert await scene.rescue() == 0
    await scene.finish(scene.worker(), job)
    scene.clock.advance(HOUR - 1)
    assert (await scene.rescue(), await scene.loops.sweep()) == (0, 0)
    assert (await scene.info()).restarts == 0


async def test_ping_is_a_no_op_while_running(scene):
    await scene.insert(1)
    (job,) = await scene.claim()

    async def ping() -> None:
        before = await scene.job(), await scene.store.read("default", [f"loop/{NAME}"])
        await scene.ping()
        assert (await scene.job(), await scene.store.read("default", [f"loop/{NAME}"])) == before

    scene.table.in_process = ping
    await scene.finish(scene.worker(), job)

    assert scene.table.batches == [[1]]
    assert (await scene.operations.stats()).count() == 1


async def test_status_tells_idle_running_and_stopped(scene):
    said = []

    async def ask() -> None:
        said.append(await scene.status())

    scene.table.in_process = ask
    await scene.insert(1)
    said.append(await scene.status())
    await scene.turn()
    said.append(await scene.status())
    await scene.loops.stop(NAME)
    said.append(await scene.status())

    assert said == [LoopStatus.RUNNING, LoopStatus.RUNNING, LoopStatus.IDLE, LoopStatus.STOPPED]


async def test_stop_halts_the_loop_and_pings_are_ignored(scene):
    await scene.insert(1)

    info = await scene.loops.stop(NAME)
    await scene.insert(2)

    assert (info.status, info.in_hand) == (LoopStatus.STOPPED, False)
    assert (await scene.job()).state is State.CANCELLED
    assert await scene.claim() == []
    scene.clock.advance(HOUR)
    assert (await scene.loops.sweep(), await scene.claim()) == (0, [])
    assert scene.table.batches == []


async def test_start_after_a_stop_resumes_with_what_was_pinged_last(scene):
    await scene.insert(1)
    await scene.loops.stop(NAME)

    info = await scene.loops.start(NAME)
    await scene.turn()

    assert info.status is LoopStatus.RUNNING
    assert scene.table.batches == [[1]]
    assert (await scene.info()).generation > info.generation


async def test_start_of_an_unknown_loop_is_a_no_op(scene):
    assert await scene.loops.start("nobody", scene.definition) is None
    assert await scene.loops.stop("nobody") is None
    assert await scene.loops.ping("nobody") is None
    assert await scene.loops.all() == []
    assert await scene.claim() == []


async def test_logging_keeps_to_its_level_and_a_failure_can_be_alerted_on(scene, monkeypatch):
    said = recorded(monkeypatch)
    scene.log_level = "warning"
    scene.table.raises = ValueError("boom")
    await scene.insert(1)
    await scene.turn()
    scene.clock.advance(60)
    scene.table.raises = None
    await scene.turn()
    loud = [(level, event) for level, event, _ in said]
    said.clear()

    scene.log_level = "debug"
    await scene.insert(2)
    await scene.turn()

    assert loud == [("warning", "loop_failed"), ("warning", "restart")]
    assert [event for _, event, _ in said] == ["loop_started", "batch_processed", "loop_idle"]


async def test_superseded_generation_exits_without_change(scene):
    await scene.insert(1)
    (old,) = await scene.claim()
    scene.clock.advance(LEASE_MS / 1000 + 1)
    await scene.rescue()
    scene.clock.advance(60)
    (new,) = await scene.claim()
    before = await scene.job(), await scene.store.read("default", [f"loop/{NAME}"])

    await scene.run_of(old).run()

    assert new.fence > old.fence
    assert (await scene.job(), await scene.store.read("default", [f"loop/{NAME}"])) == before
    assert (scene.table.fetched, scene.table.batches) == ([], [])


async def test_generation_superseded_while_it_processes_writes_nothing_more(scene):
    """The run was opened, and then another one took over: its next write meets another fence."""
    await scene.insert(1)
    (old,) = await scene.claim()

    async def taken_over() -> None:
        scene.table.in_process = None
        scene.clock.advance(LEASE_MS / 1000 + 1)
        await scene.rescue()
        scene.clock.advance(60)
        (new,) = await scene.claim()
        await scene.finish(scene.worker(), new)
        states.append((await scene.job(), await scene.store.read("default", [f"loop/{NAME}"])))

    states = []
    scene.table.in_process = taken_over
    await scene.run_of(old).run()

    assert [(await scene.job(), await scene.store.read("default", [f"loop/{NAME}"]))] == states


async def test_ping_interrupts_a_far_sleep(scene):
    scene.table.idle = Idle(cooldown=0, timeout=HOUR)
    await scene.insert(1)
    job = await scene.turn()
    asleep = await scene.info()

    await scene.insert(2)
    (woken,) = await scene.claim()
    await scene.finish(scene.worker(), woken)

    assert (asleep.status, asleep.next_run_at) == (LoopStatus.IDLE, scene.clock.now() + HOUR * 1000)
    assert woken.id == job.id
    assert scene.table.batches == [[1], [2]]


async def test_sleep_ends_by_itself_when_its_time_out_has_come(scene):
    scene.table.idle = Idle(cooldown=0, timeout=HOUR)
    await scene.insert(1)
    await scene.turn()
    scene.table.rows = [2]  # without a ping

    scene.clock.advance(HOUR - 1)
    early = await scene.claim()
    scene.clock.advance(1)
    await scene.turn()

    assert early == []
    assert scene.table.batches == [[1], [2]]


async def test_ping_is_a_no_op_when_a_run_is_due_soon(scene):
    scene.table.idle = Idle(cooldown=0, timeout=HOUR)
    await scene.insert(1)
    await scene.turn()
    scene.clock.advance(HOUR - 1)
    before = await scene.job()

    await scene.ping()

    assert await scene.job() == before


async def test_monitor_restarts_a_dead_loop_and_keeps_watching(scene):
    await scene.insert(1)
    for died in (1, 2):
        (job,) = await scene.claim()
        assert job.placement.starts == died
        scene.clock.advance(LEASE_MS / 1000 + 1)
        assert await scene.rescue() == 1
        scene.clock.advance(60)

    await scene.turn()  # it crashed twice, so this run is isolated, and gives the job back when it went well
    info = await scene.info()
    assert scene.table.batches == [[1]]
    assert (info.restarts, (await scene.job()).placement.crashes) == (1, 0)
    await scene.turn()
    assert await scene.status() is LoopStatus.IDLE


async def test_monitor_stops_when_idle(scene):
    await scene.insert(1)
    await scene.turn()

    scene.clock.advance(24 * HOUR)

    assert (await scene.rescue(), (await SweepLoops(scene.loops).run_once()).done) == (0, 0)
    assert (await scene.status(), (await scene.job()).state) == (LoopStatus.IDLE, State.COMPLETED)
    assert await scene.claim() == []


async def test_names_are_independent_and_reach_the_functions(scene):
    await scene.ping("mails")
    await scene.ping("events")
    jobs = {job.placement.unique_lock: job for job in await scene.claim()}
    await scene.loops.stop("mails")

    await scene.run_of(jobs["loop:events"], name="events").run()

    assert set(jobs) == {"loop:events", "loop:mails"}
    assert set(scene.table.fetched) == {"events"}
    assert [(one.name, one.status) for one in await scene.loops.all()] == [
        ("events", LoopStatus.IDLE),
        ("mails", LoopStatus.STOPPED),
    ]

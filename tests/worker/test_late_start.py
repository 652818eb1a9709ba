"""A job of a lane with a rate starts at once, or is given back uncharged (C42)."""

import asyncio
import time
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.clock import ManualClock
from headrace.core.holding import must_start_at_once, slot_key
from headrace.core.limits import LATE_MS
from headrace.core.outcomes import Released, Report, Succeeded
from headrace.engine.limiting import Rate, Slots
from headrace.engine.operations import Runs
from headrace.engine.registry import JobOptions, registered
from headrace.worker import endings
from headrace.worker.buffer import EMPTY_EVERY, Buffer
from headrace.worker.events import Started
from headrace.worker.held import Held
from headrace.worker.promptness import Promptness
from headrace.worker.runner import Runner
from headrace.worker.settings import WorkerSettings
from tests.builders import NOW, a_job, a_running
from tests.worker.rig import PATIENCE, Rig, a_rig

RATED = slot_key((), rated=True)


def a_held(
    runs: Runs = Runs.ASYNC, *, rated: bool = True, queue: str = "default", name: str = "echo"
) -> Held:
    async def in_loop() -> str:
        return "ran"

    def in_thread() -> str:
        return "ran"

    kind = registered(in_loop if runs is Runs.ASYNC else in_thread, JobOptions(name=name))
    new = a_job(payload="{}", queue=queue)
    return Held(a_running(new, slot_key=RATED if rated else slot_key(("limit:a",), rated=False)), kind, runs)


async def outcome_of(held: Held, clock: ManualClock) -> tuple[object, int | None]:
    work: Any = SimpleNamespace(clock=clock)
    outbox: Any = None
    runner = Runner(work, WorkerSettings(), outbox, None)
    if held.runs is Runs.ASYNC:
        reports: list[Report] = []
        runner.start(held, lambda _, report: reports.append(report))
        assert held.task is not None
        await held.task
        return reports[0].outcome, reports[0].started_at
    runner.begin(held)
    outcome = runner.run_here(held)
    told = endings.settled(held, outcome) if outcome is None else outcome
    return told, runner.report(held, told).started_at


@pytest.mark.parametrize("runs", [Runs.ASYNC, Runs.THREAD])
async def test_c42_job_whose_turn_came_too_late_for_its_rate_is_given_back_unstarted(runs: Runs) -> None:
    clock = ManualClock(NOW)
    held = a_held(runs)
    clock.advance((LATE_MS + 1) / 1000)

    outcome, started_at = await outcome_of(held, clock)

    assert outcome == Released(reason="claimed too long ago for its rate")
    assert started_at is None


@pytest.mark.parametrize("runs", [Runs.ASYNC, Runs.THREAD])
@pytest.mark.parametrize(("rated", "late_ms"), [(True, LATE_MS), (False, 10 * LATE_MS)])
async def test_job_that_is_in_time_or_has_no_rate_starts(runs: Runs, *, rated: bool, late_ms: int) -> None:
    clock = ManualClock(NOW)
    held = a_held(runs, rated=rated)
    clock.advance(late_ms / 1000)

    outcome, started_at = await outcome_of(held, clock)

    assert isinstance(outcome, Succeeded)
    assert started_at == NOW + late_ms


def test_rated_jobs_of_a_claim_start_before_the_others() -> None:
    started: list[Held] = []
    buffer = Buffer(WorkerSettings(concurrency=2), started.append)
    plain = [a_held(rated=False) for _ in range(3)]
    rated = [a_held() for _ in range(2)]

    buffer.put([plain[0], rated[0], plain[1], rated[1], plain[2]])
    buffer.ended(rated[0])

    assert started == [*rated, plain[0]]


def a_buffer(*running: Held, **settings: Any) -> Buffer:
    buffer = Buffer(WorkerSettings(**settings), lambda _: None)
    buffer.put(running)
    return buffer


def test_room_for_prompt_jobs_is_what_is_free_without_what_is_only_ahead() -> None:
    buffer = a_buffer(*(a_held(rated=False) for _ in range(3)), concurrency=5)
    full = a_buffer(*(a_held(rated=False) for _ in range(9)), concurrency=5)

    assert Promptness(buffer).room([Runs.ASYNC], {"default": 10}) == 2
    assert Promptness(full).room([Runs.ASYNC], {"default": 10}) == 0


def test_queues_without_a_free_slot_are_left_out_once_rated_jobs_were_met() -> None:
    buffer = a_buffer(
        *(a_held(rated=False, queue="small") for _ in range(2)), concurrency=9, queues={"small": 1, "wide": 5}
    )
    promptness = Promptness(buffer)
    before, after = {"small": 3, "wide": 3}, {"small": 3, "wide": 3}

    unaware = promptness.room([Runs.ASYNC], before)
    promptness.met([a_held().job])
    aware = promptness.room([Runs.ASYNC], after)

    assert (unaware, set(before)) == (7, {"small", "wide"})
    assert (aware, set(after)) == (5, {"wide"})
    assert promptness.held_back(0, 10, 3)
    assert not promptness.held_back(0, 10, 10)
    assert not promptness.held_back(10, 10, 3)


def test_only_full_queues_are_asked_all_the_same() -> None:
    buffer = a_buffer(*(a_held(rated=False) for _ in range(2)), concurrency=9, queues={"default": 1})
    promptness = Promptness(buffer)
    promptness.met([a_held().job])
    asked = {"default": 3}

    assert promptness.room([Runs.ASYNC], asked) == 0
    assert asked == {"default": 3}
    assert not promptness.held_back(0, 3, 3)


def test_plain_and_slot_holding_jobs_need_not_start_at_once() -> None:
    assert must_start_at_once(slot_key(("limit:a",), rated=True))
    assert not must_start_at_once(slot_key(("limit:a",), rated=False))
    assert not must_start_at_once(None)


def test_fast_pool_has_room_for_the_prompt_jobs_whose_slots_will_be_free_in_a_moment() -> None:
    buffer = a_buffer(*(a_held(rated=False) for _ in range(9)), concurrency=5)
    (line,) = buffer._lines.values()
    line.rate = 100.0

    assert buffer.free(Runs.ASYNC) == 10
    buffer.put([a_held() for _ in range(4)])
    assert buffer.free(Runs.ASYNC) == 6


def test_slow_pool_fetches_nothing_ahead_once_a_second_until_a_slot_is_free() -> None:
    running = [a_held(rated=False) for _ in range(2)]
    buffer = a_buffer(*running, concurrency=2)
    (line,) = buffer._lines.values()
    line.rate = 5.0
    line.pool.emptied_at = time.monotonic()
    ahead = buffer.room(Runs.ASYNC)

    line.pool.emptied_at -= EMPTY_EVERY
    drained = buffer.room(Runs.ASYNC)
    buffer.ended(running[0])
    emptied = buffer.room(Runs.ASYNC)

    assert (ahead, drained, emptied) == (5, 0, 6)


def test_small_queue_fetches_nothing_ahead_once_a_second_until_a_slot_of_it_is_free() -> None:
    running = [a_held(rated=False, queue="small") for _ in range(2)]
    buffer = a_buffer(*running, concurrency=9, queues={"small": 2})
    (line,) = buffer._lines.values()
    line.rate = 5.0
    line.queue.emptied_at = time.monotonic()
    ahead = buffer.room_of("small", Runs.ASYNC)

    line.queue.emptied_at -= EMPTY_EVERY
    drained = buffer.room_of("small", Runs.ASYNC)
    buffer.ended(running[0])
    emptied = buffer.room_of("small", Runs.ASYNC)

    assert (ahead, drained, emptied) == (5, 0, 6)


async def test_rated_jobs_all_run_on_a_worker_whose_slots_are_busy() -> None:
    """Plain jobs keep the only slots busy for long; rated ones get theirs as these end, one by one."""
    async with a_rig() as rig:
        gate = asyncio.Event()
        ran: Counter[str] = Counter()

        @rig.job(name="plain")
        async def plain() -> None:
            await gate.wait()
            ran["plain"] += 1

        @rig.job(name="rated", limits=(Rate(1_000, per=1, burst=100),))
        async def rated() -> None:
            ran["rated"] += 1

        await rig.operations.declare_limits(rig.registry.limits, rig.registry.names)
        await rig.enqueue_many("plain", 2)
        async with rig.worker(concurrency=2) as (_, watch):
            await watch.wait(Started, count=2)
            ids = await rig.enqueue_many("rated", 5)
            gate.set()
            for job_id in ids:
                await watch.finished(job_id)

        assert ran == {"plain": 2, "rated": 5}
        assert {(await rig.read(job_id)).placement.releases for job_id in ids} == {0}


async def test_c41_slots_hold_across_two_workers() -> None:
    async with a_rig() as rig:
        running = most = 0

        @rig.job(name="draw", limits=(Slots(3),))
        async def draw() -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

        ids = await _enqueued(rig, "draw", 60)
        async with rig.worker(), rig.worker():
            for job_id in ids:
                await rig.operations.wait(job_id, timeout_ms=PATIENCE * 1000)

        assert most == 3


async def _enqueued(rig: Rig, name: str, count: int) -> list[str]:
    await rig.operations.declare_limits(rig.registry.limits, rig.registry.names)
    return await rig.enqueue_many(name, count)

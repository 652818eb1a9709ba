"""A job that sleeps or waits has left its worker, and comes back exactly when it should, on every store."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from headrace.core import place
from headrace.core.job import AttemptOutcome
from headrace.core.outcomes import Succeeded
from headrace.core.states import State
from headrace.engine.context import Context
from headrace.engine.registry import Retry
from headrace.errors import InvalidInput
from tests.worker import stepping_app
from tests.worker.rig import Rig, completed, suspended

HOUR = 3600


async def test_sleep_survives_a_restart_and_costs_nothing(stored: Rig):
    calls: Counter[str] = Counter()

    def did(name: str) -> str:
        calls[name] += 1
        return name

    @stored.job(name="order", retry=Retry(attempts=1))
    async def order(ctx: Context) -> str:
        await ctx.step("before", did, "before")
        await ctx.sleep(HOUR)
        await ctx.step("after", did, "after")
        await ctx.sleep(HOUR)
        return f"attempt {ctx.attempt}"

    job_id = await stored.enqueue("order")
    for number in (1, 2):
        async with stored.worker() as (_, watch):
            outcome = await suspended(watch, job_id)
        job = await stored.read(job_id)
        assert (job.state, job.placement.due_at) == (State.PENDING, outcome.until)
        assert outcome.until == stored.clock.now() + HOUR * 1000
        assert calls.total() == number
        stored.manual.advance(HOUR)
    async with stored.worker() as (_, watch):
        result = await completed(stored, watch, job_id)

    job, history = await stored.read(job_id), await stored.history(job_id)
    assert (result, calls) == ("attempt 1", {"before": 1, "after": 1})
    assert (job.placement.failures, job.placement.snoozes, job.placement.releases) == (0, 0, 2)
    snoozed, ended = AttemptOutcome.SNOOZED, AttemptOutcome.SUCCEEDED
    assert [attempt.outcome for attempt in history.attempts] == [snoozed, snoozed, ended]


async def test_sleeping_job_holds_no_slot(stored: Rig):
    @stored.job(name="sleeper")
    async def sleeper(ctx: Context) -> None:
        await ctx.sleep(HOUR)

    @stored.job(name="other")
    async def other() -> None: ...

    sleeping = await stored.enqueue("sleeper")
    async with stored.worker(concurrency=1) as (_, watch):
        await suspended(watch, sleeping)
        await completed(stored, watch, await stored.enqueue("other"))

    assert (await stored.read(sleeping)).state is State.PENDING


async def test_sleep_that_is_woken_too_early_goes_on_until_its_time(stored: Rig):
    @stored.job(name="sleeper")
    async def sleeper(ctx: Context) -> str:
        await ctx.sleep(HOUR)
        return "awake"

    job_id = await stored.enqueue("sleeper")
    async with stored.worker() as (_, watch):
        first = await suspended(watch, job_id)
        early = _brought_forward(await stored.read(job_id), stored.clock.now())
        await stored.store.apply([early], now=stored.clock.now())
        second = await suspended(watch, job_id, count=2)
        stored.manual.advance(HOUR)
        result = (await watch.finished(job_id, count=3)).outcome

    assert first.until == second.until
    assert result == Succeeded(result='"awake"')


async def test_short_sleep_stays_in_its_worker_and_keeps_nothing(stored: Rig):
    @stored.job(name="sleeper")
    async def sleeper(ctx: Context) -> str:
        await ctx.sleep(0)
        await ctx.sleep(0.01)
        return "awake"

    @stored.job(name="in_thread")
    def in_thread(ctx: Context) -> str:
        ctx.sleep(0.01)
        return "awake"

    ids = [await stored.enqueue("sleeper"), await stored.enqueue("in_thread")]
    async with stored.worker() as (_, watch):
        outcomes = [(await watch.finished(job_id)).outcome for job_id in ids]

    assert outcomes == [Succeeded(result='"awake"')] * 2
    for job_id in ids:
        assert (await stored.operations.steps(job_id)).steps == ()


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 1e15])
async def test_sleep_that_is_no_duration_is_refused(rig: Rig, seconds: float):
    @rig.job(name="sleeper")
    async def sleeper(ctx: Context) -> None:
        with pytest.raises(InvalidInput):
            await ctx.sleep(seconds)

    job_id = await rig.enqueue("sleeper")
    async with rig.worker() as (_, watch):
        assert await completed(rig, watch, job_id) is None


async def test_error_caught_around_a_sleep_does_not_catch_the_sleep(stored: Rig):
    @stored.job(name="sleeper")
    async def sleeper(ctx: Context) -> str:
        try:
            await ctx.sleep(HOUR)
        except Exception:
            return "caught"
        return "slept"

    job_id = await stored.enqueue("sleeper")
    async with stored.worker() as (_, watch):
        await suspended(watch, job_id)
        stored.manual.advance(HOUR)
        finished = await watch.finished(job_id, count=2)

    assert finished.outcome == Succeeded(result='"slept"')


async def test_c24_sleeping_job_can_be_cancelled(stored: Rig):
    @stored.job(name="sleeper")
    async def sleeper(ctx: Context) -> None:
        await ctx.sleep(HOUR)

    job_id = await stored.enqueue("sleeper")
    async with stored.worker() as (_, watch):
        await suspended(watch, job_id)
        await stored.operations.cancel(job_id)

    assert (await stored.read(job_id)).state is State.CANCELLED


async def test_plain_handler_sleeps_and_waits(stored: Rig):
    @stored.job(name="order")
    def order(ctx: Context) -> Any:
        ctx.sleep(HOUR)
        return ctx.wait_for("approved").wait()

    job_id = await stored.enqueue("order")
    async with stored.worker() as (_, watch):
        assert (await suspended(watch, job_id)).signal is None
        stored.manual.advance(HOUR)
        assert (await suspended(watch, job_id, count=2)).signal == "approved"
        await stored.operations.signal(job_id, "approved", {"by": "ann"})
        finished = await watch.finished(job_id, count=3)

    assert finished.outcome == Succeeded(result='{"by":"ann"}')


async def test_handler_in_a_child_process_sleeps_and_waits(stored: Rig, tmp_path: Path):
    for one in stepping_app.registry.all():
        stored.registry.add(one)
    path = tmp_path / "effects"
    job_id = await stored.enqueue("rests", {"path": str(path)})
    async with stored.worker(app_path="tests.worker.stepping_app:registry") as (_, watch):
        await suspended(watch, job_id)
        stored.manual.advance(HOUR)
        await suspended(watch, job_id, count=2)
        await stored.operations.signal(job_id, "approved", 7)
        finished = await watch.finished(job_id, count=3)

    assert finished.outcome == Succeeded(result='"after 7 done"')
    assert path.read_text().splitlines() == ["before", "after 7"]


def _brought_forward(job: Any, now: int) -> Any:
    return place.signalled(job, now)


async def test_step_on_the_way_out_of_a_sleep_is_left_to_the_last_attempt(stored: Rig):
    did: list[str] = []

    @stored.job(name="sleeper")
    async def sleeper(ctx: Context) -> None:
        try:
            await ctx.sleep(HOUR)
        finally:
            await ctx.step("clean-up", did.append, "cleaned up")

    job_id = await stored.enqueue("sleeper")
    async with stored.worker() as (_, watch):
        await suspended(watch, job_id)
        during = list(did)
        stored.manual.advance(HOUR)
        await watch.finished(job_id, count=2)

    assert (during, did) == ([], ["cleaned up"])

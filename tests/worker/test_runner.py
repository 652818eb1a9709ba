"""One job from the claim to its outcome."""

import asyncio
import contextvars
import json
import math
from typing import Any

import pytest

from headrace.core.job import AttemptOutcome
from headrace.core.outcomes import Failed, Released, Snoozed, Stopped, Succeeded
from headrace.core.policy import ErrorClass
from headrace.core.states import State
from headrace.engine.context import Context
from headrace.errors import Cancel, Exhausted, Permanent, Snooze
from headrace.worker.events import Finished
from tests.worker.rig import Rig

SEEN: contextvars.ContextVar[str] = contextvars.ContextVar("SEEN", default="nothing")


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_success_keeps_the_result(rig: Rig, kind: str):
    if kind == "async":

        @rig.job(name="add")
        async def add(a: int, b: int) -> dict[str, int]:
            return {"sum": a + b}

    else:

        @rig.job(name="add")
        def add_in_thread(a: int, b: int) -> dict[str, int]:
            return {"sum": a + b}

    job_id = await rig.enqueue("add", {"a": 1, "b": 2})
    async with rig.worker() as (_, watch):
        finished = await watch.finished(job_id)

    job = await rig.read(job_id)
    assert finished.outcome == Succeeded(result='{"sum":3}')
    assert job.state is State.COMPLETED
    assert json.loads(job.placement.result or "") == {"sum": 3}
    assert [attempt.outcome for attempt in (await rig.history(job_id)).attempts] == [AttemptOutcome.SUCCEEDED]


async def test_payload_that_does_not_fit_fails_for_good_and_names_the_field(rig: Rig):
    @rig.job(name="add")
    async def accepts_anything(order: dict[str, int]) -> None: ...

    job_id = await rig.enqueue("add", {"order": {"a": 1}})
    rig.registry = type(rig.registry)()

    @rig.job(name="add")
    async def accepts_a_number(order_id: int) -> None: ...

    async with rig.worker() as (_, watch):
        finished = await watch.finished(job_id)

    job = await rig.read(job_id)
    assert isinstance(finished.outcome, Failed)
    assert finished.outcome.error.error_class is ErrorClass.PERMANENT
    assert "orderId" in finished.outcome.error.message
    assert job.state is State.FAILED
    assert job.placement.failures == 1


async def test_error_is_retried_after_its_back_off(rig: Rig):
    @rig.job(name="flaky")
    async def flaky(ctx: Context) -> int:
        if ctx.attempt == 1:
            raise ValueError("first time")
        return ctx.attempt

    job_id = await rig.enqueue("flaky")
    async with rig.worker() as (_, watch):
        await watch.finished(job_id)
        waiting = await rig.read(job_id)
        rig.manual.advance(10)
        await watch.finished(job_id, count=2)

    job = await rig.read(job_id)
    assert waiting.state is State.PENDING
    assert waiting.placement.due_at == rig.clock.now()
    assert job.state is State.COMPLETED
    assert job.placement.failures == 1


async def test_traceback_begins_with_the_handler(rig: Rig):
    @rig.job(name="broken")
    async def broken() -> None:
        raise ValueError("no good")

    job_id = await rig.enqueue("broken")
    async with rig.worker() as (_, watch):
        finished = await watch.finished(job_id)

    assert isinstance(finished.outcome, Failed)
    trace = finished.outcome.error.traceback or ""
    assert "in broken" in trace
    assert "ValueError: no good" in trace
    assert "headrace/worker" not in trace


async def test_permanent_fails_at_once(rig: Rig):
    @rig.job(name="hopeless")
    async def hopeless() -> None:
        raise Permanent("never")

    job_id = await rig.enqueue("hopeless")
    async with rig.worker() as (_, watch):
        await watch.finished(job_id)

    assert (await rig.read(job_id)).state is State.FAILED


async def test_exhausted_waits_as_long_as_it_was_asked(rig: Rig):
    @rig.job(name="throttled")
    async def throttled() -> None:
        raise Exhausted("quota", retry_after=77)

    job_id = await rig.enqueue("throttled")
    async with rig.worker() as (_, watch):
        await watch.finished(job_id)

    assert (await rig.read(job_id)).placement.due_at == rig.clock.now() + 77_000


async def test_snooze_comes_back_and_costs_nothing(rig: Rig):
    @rig.job(name="patient")
    async def patient() -> None:
        raise Snooze(60)

    job_id = await rig.enqueue("patient")
    async with rig.worker() as (_, watch):
        finished = await watch.finished(job_id)

    job = await rig.read(job_id)
    assert finished.outcome == Snoozed(delay_ms=60_000, reason="snoozed for 60 s")
    assert job.state is State.PENDING
    assert job.placement.due_at == rig.clock.now() + 60_000
    assert (job.placement.failures, job.placement.snoozes) == (0, 1)


async def test_cancel_from_inside_ends_the_job(rig: Rig):
    @rig.job(name="gives_up")
    async def gives_up() -> None:
        raise Cancel("not needed any more")

    job_id = await rig.enqueue("gives_up")
    async with rig.worker() as (_, watch):
        finished = await watch.finished(job_id)

    assert finished.outcome == Stopped(reason="not needed any more")
    assert (await rig.read(job_id)).state is State.CANCELLED


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_handler_that_raises_anything_fails_alone(rig: Rig, error: BaseException):
    @rig.job(name="rude")
    async def rude() -> None:
        raise error

    @rig.job(name="polite")
    async def polite() -> None: ...

    rude_id, polite_id = await rig.enqueue("rude"), await rig.enqueue("polite")
    async with rig.worker() as (_, watch):
        finished = await watch.finished(rude_id)
        await watch.finished(polite_id)

    assert isinstance(finished.outcome, Failed)
    assert finished.outcome.error.type == type(error).__name__
    assert (await rig.read(polite_id)).state is State.COMPLETED


class Unspeakable(Exception):
    """An error whose parts raise when they are looked at."""

    @property
    def response(self) -> object:
        raise RuntimeError("there was no response")

    def __str__(self) -> str:
        raise LookupError("there are no words")


ODD_RETRY_AFTER: Any = "5"


@pytest.mark.parametrize("kind", ["async", "thread"])
@pytest.mark.parametrize(
    "error",
    [Unspeakable(), Exhausted("quota", retry_after=ODD_RETRY_AFTER), Snooze(float("nan")), Snooze(math.inf)],
    ids=["unspeakable", "odd retry_after", "not a number", "for ever"],
)
async def test_error_that_cannot_be_read_still_ends_its_attempt(rig: Rig, kind: str, error: Exception):
    if kind == "async":

        @rig.job(name="odd")
        async def odd() -> None:
            raise error

    else:

        @rig.job(name="odd")
        def odd_in_thread() -> None:
            raise error

    job_id = await rig.enqueue("odd")
    async with rig.worker(threads=1) as (_, watch):
        finished = await watch.finished(job_id)

    assert isinstance(finished.outcome, Failed)
    assert finished.outcome.error.type == type(error).__name__
    assert (await rig.read(job_id)).placement.failures == 1


async def test_result_that_cannot_be_kept_fails_for_good(rig: Rig):
    @rig.job(name="odd")
    async def odd() -> float:
        return float("nan")

    job_id = await rig.enqueue("odd")
    async with rig.worker() as (_, watch):
        await watch.finished(job_id)

    assert (await rig.read(job_id)).state is State.FAILED


async def test_time_limit_cancels_an_async_handler(rig: Rig):
    ended: list[str] = []

    @rig.job(name="slow", timeout=0.05)
    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cleaned up")

    job_id = await rig.enqueue("slow")
    async with rig.worker() as (_, watch):
        finished = await watch.finished(job_id)

    assert isinstance(finished.outcome, Failed)
    assert finished.outcome.error.error_class is ErrorClass.TIMEOUT
    assert ended == ["cleaned up"]
    assert (await rig.history(job_id)).attempts[0].outcome is AttemptOutcome.TIMED_OUT


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_context_variables_do_not_leak_between_jobs(rig: Rig, kind: str):
    if kind == "async":

        @rig.job(name="tell")
        async def tell_async(word: str) -> str:
            before = SEEN.get()
            SEEN.set(word)
            await asyncio.sleep(0)
            return before

    else:

        @rig.job(name="tell")
        def tell_in_thread(word: str) -> str:
            before = SEEN.get()
            SEEN.set(word)
            return before

    ids = [await rig.enqueue("tell", {"word": word}) for word in ("a", "b", "c", "d")]
    async with rig.worker(concurrency=1, threads=1) as (_, watch):
        seen = [(await watch.finished(job_id)).outcome for job_id in ids]

    assert seen == [Succeeded(result='"nothing"')] * 4


async def test_asyncio_means_what_it_means_everywhere(rig: Rig):
    @rig.job(name="ordinary")
    async def ordinary() -> list[str]:
        said: list[str] = []
        task = asyncio.current_task()
        assert task is not None
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            said.append("timed out")
        async with asyncio.TaskGroup() as group:
            child = group.create_task(asyncio.sleep(0, "child"))
        said.append(child.result())
        return said

    job_id = await rig.enqueue("ordinary")
    async with rig.worker() as (_, watch):
        finished = await watch.finished(job_id)

    assert finished.outcome == Succeeded(result='["timed out","child"]')


async def test_released_is_never_reported_for_a_job_that_ran_to_its_end(rig: Rig):
    @rig.job(name="quick")
    async def quick() -> None: ...

    ids = await rig.enqueue_many("quick", 300)
    async with rig.worker() as (worker, watch):
        await watch.finished(ids[0])
        await worker.stop()

    jobs = [await rig.read(job_id) for job_id in ids]
    settled = {event.job.id: event for event in watch.all(Finished)}
    assert {job.state for job in jobs} <= {State.COMPLETED, State.PENDING}
    assert all(job.placement.failures == 0 for job in jobs)
    assert all(isinstance(settled[job.id].outcome, Succeeded) for job in jobs if job.state is State.COMPLETED)
    assert all(
        isinstance(settled[job.id].outcome, Released)
        for job in jobs
        if job.state is State.PENDING and job.id in settled
    )

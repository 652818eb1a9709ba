"""Handlers that run without a queue."""

import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from headrace import App, Context, InvalidInput, InvalidPayload, Permanent, Settings
from headrace.errors import MisuseError, SignalTimeout
from headrace.files.disk import DiskFiles
from headrace.handlers import job_types
from headrace.testing import FakeContext, ManualClock, run_job, run_job_sync
from tests.contract.conftest import opened_store

APP = App("sqlite://", settings=Settings())


@dataclass
class Line:
    sku: str
    count: int


@APP.job()
async def order(ctx: Context, line: Line, at: datetime) -> Line:
    ctx.log("counting", sku=line.sku)
    ctx.progress("counting", 50, "half of it", left=1)
    await ctx.checkpoint({"counted": line.count})
    return Line(line.sku, line.count + at.year)


@APP.job()
def double(n: int) -> int:
    return n + n


async def test_s1_49_handler_runs_without_a_queue_and_its_context_tells_what_it_said() -> None:
    ctx = FakeContext()

    result = await run_job(order, Line("wheel", 2), at=datetime(2026, 1, 1, tzinfo=UTC), ctx=ctx)

    assert result == Line("wheel", 2028)
    assert ctx.progressed == [
        {"stage": "counting", "percentage": 50, "message": "half of it", "metadata": {"left": 1}}
    ]
    assert [(line.level, line.message, line.data) for line in ctx.lines] == [
        ("info", "counting", {"sku": "wheel"})
    ]
    assert ctx.checkpoints == [{"counted": 2}]


async def test_s1_49_plain_function_runs_in_a_thread_as_in_a_worker() -> None:
    threads: list[int] = []

    @APP.job(name="where")
    def where() -> None:
        threads.append(threading.get_ident())

    await run_job(where)

    assert threads != [threading.get_ident()]


def test_s1_49_handler_runs_in_a_test_without_an_event_loop() -> None:
    assert run_job_sync(double, 21) == 42


async def test_arguments_that_do_not_fit_are_refused_as_by_an_enqueue() -> None:
    with pytest.raises(InvalidPayload, match="/n: Input should be a valid integer"):
        await run_job(double, "many")


async def test_error_of_the_handler_is_raised_as_it_is() -> None:
    @APP.job(name="refuses")
    async def refuses() -> None:
        raise Permanent("no such order")

    with pytest.raises(Permanent, match="no such order"):
        await run_job(refuses)


async def test_result_that_could_not_be_kept_is_refused() -> None:
    @APP.job(name="opaque")
    async def opaque() -> Any:
        return object()

    with pytest.raises(InvalidInput, match="result cannot be kept"):
        await run_job(opaque)


async def test_handler_sees_the_attempt_and_what_was_saved_and_may_be_told_to_stop() -> None:
    @APP.job(name="looks")
    async def looks(ctx: Context) -> list[Any]:
        return [ctx.attempt, ctx.saved, ctx.cancelled, ctx.deps, ctx.idempotency_key]

    ctx = FakeContext(attempt=3, saved={"page": 2}, deps="a pool")
    ctx.cancelled = True

    assert await run_job(looks, ctx=ctx) == [3, {"page": 2}, True, "a pool", ctx.job.id]


async def test_children_are_noted_and_run_nowhere() -> None:
    @APP.job(name="parent")
    async def parent(ctx: Context) -> tuple[str, ...]:
        return await ctx.enqueue(double.request(1), double.request(2))

    ctx = FakeContext()

    assert await run_job(parent, ctx=ctx) == ("child-1", "child-2")
    assert [request.payload for request in ctx.enqueued] == ['{"n":1}', '{"n":2}']


async def test_steps_are_done_once_though_a_durable_sleep_begins_the_handler_anew() -> None:
    charged: list[int] = []

    @APP.job(name="pays")
    async def pays(ctx: Context, amount: int) -> int:
        def charge() -> int:
            charged.append(amount)
            return amount * 2

        paid = await ctx.step("charge", charge)
        await ctx.sleep(3600)
        return paid

    ctx = FakeContext()

    assert await run_job(pays, 5, ctx=ctx) == 10
    assert (charged, ctx.steps, ctx.slept) == ([5], {"charge": 10}, 3600)


async def test_signal_that_was_sent_before_ends_the_wait() -> None:
    @APP.job(name="waits")
    async def waits(ctx: Context) -> Any:
        return await ctx.wait_for("approved", timeout=60)

    ctx = FakeContext()
    ctx.signal("approved", {"by": "Ada"})

    assert await run_job(waits, ctx=ctx) == {"by": "Ada"}
    with pytest.raises(SignalTimeout):
        await run_job(waits)


async def test_wait_without_a_timeout_for_a_signal_that_nobody_sends_is_told() -> None:
    @APP.job(name="waits-on")
    async def waits_on(ctx: Context) -> Any:
        return await ctx.wait_for("approved")

    with pytest.raises(MisuseError, match="waits for approved, and nobody sends it"):
        await run_job(waits_on)


async def test_next_attempt_finds_checkpoint_and_steps_of_the_one_before() -> None:
    calls: list[str] = []

    @APP.job(name="resumes")
    async def resumes(ctx: Context) -> Any:
        await ctx.step("once", lambda: calls.append("step"))
        await ctx.checkpoint({"at": 1})
        return [ctx.attempt, ctx.saved]

    first = FakeContext()
    await run_job(resumes, ctx=first)

    assert await run_job(resumes, ctx=first.again()) == [2, {"at": 1}]
    assert calls == ["step"]


async def test_transaction_is_refused_with_a_hint_at_what_can_run_it() -> None:
    @APP.job(name="books")
    async def books(ctx: Context) -> None:
        await ctx.transaction(lambda _: None)

    with pytest.raises(MisuseError, match="drain"):
        await run_job(books)


async def test_s1_49_built_in_handler_runs_with_a_file(tmp_path: Path) -> None:
    store = await opened_store("sqlite://")
    files = DiskFiles(tmp_path, store, "default", ManualClock())
    kept = await files.put(chunks(b"abc"), name="test.txt")
    kinds = {kind.info.name: kind for kind in job_types(Settings())}

    ctx = FakeContext(files=files)
    result = await run_job(kinds["process-file"], file_id=kept.id, tasks=["checksum"], ctx=ctx)
    await store.close()

    assert result.tasks_completed == ["checksum"]
    assert [line.message for line in ctx.lines] == ["Completed: checksum"]


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content

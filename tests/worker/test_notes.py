"""What handlers tell while they run."""

import asyncio
import json
from typing import Any

import pytest

from headrace.core.outcomes import Failed, Succeeded
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.engine.context import Context
from headrace.errors import InvalidInput, LeaseLost
from headrace.worker.events import Finished
from tests.worker.rig import PATIENCE, Rig

CHILD = EnqueueRequest(type="child", payload={})


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_checkpoint_is_there_for_the_next_attempt(rig: Rig, kind: str):
    if kind == "async":

        @rig.job(name="pages")
        async def pages(ctx: Context) -> object:
            if ctx.saved is None:
                await ctx.checkpoint({"page": 7})
                raise ValueError("after page 7")
            return ctx.saved

    else:

        @rig.job(name="pages")
        def pages_in_thread(ctx: Context) -> object:
            if ctx.saved is None:
                ctx.checkpoint({"page": 7}).wait(PATIENCE)
                raise ValueError("after page 7")
            return ctx.saved

    job_id = await rig.enqueue("pages")
    async with rig.worker() as (_, watch):
        await watch.finished(job_id)
        rig.manual.advance(10)
        finished = await watch.finished(job_id, count=2)

    assert finished.outcome == Succeeded(result='{"page":7}')


async def test_checkpoint_is_durable_when_it_was_awaited(rig: Rig):
    go = asyncio.Event()
    saved = asyncio.Event()

    @rig.job(name="saves")
    async def saves(ctx: Context) -> None:
        await ctx.checkpoint([1, 2])
        saved.set()
        await go.wait()

    job_id = await rig.enqueue("saves")
    async with rig.worker() as (_, watch), asyncio.timeout(PATIENCE):
        await saved.wait()
        during = await rig.read(job_id)
        go.set()
        await watch.finished(job_id)

    assert during.checkpoint == "[1,2]"


async def test_newest_progress_and_all_lines_are_there_at_the_end(rig: Rig):
    @rig.job(name="tells")
    async def tells(ctx: Context) -> None:
        for percent in range(0, 101, 10):
            ctx.progress("counting", percent)
            ctx.log(f"at {percent}", percent=percent)

    job_id = await rig.enqueue("tells")
    async with rig.worker() as (_, watch):
        await watch.finished(job_id)

    job = await rig.read(job_id)
    lines = await rig.operations.log_lines(job_id)
    assert json.loads(job.progress or "") == {"stage": "counting", "percentage": 100}
    assert [line.message for line in lines] == [f"at {percent}" for percent in range(0, 101, 10)]


async def test_progress_is_seen_while_the_job_runs(rig: Rig):
    go = asyncio.Event()

    @rig.job(name="tells")
    async def tells(ctx: Context) -> None:
        ctx.progress(40)
        await go.wait()

    job_id = await rig.enqueue("tells")
    async with rig.worker() as (_, watch), asyncio.timeout(PATIENCE):
        while (during := await rig.read(job_id)).progress is None:
            await asyncio.sleep(0.005)
        go.set()
        await watch.finished(job_id)

    assert during.progress == '{"percentage":40}'


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_children_are_enqueued_with_their_parent(rig: Rig, kind: str):
    @rig.job(name="child")
    async def child() -> None: ...

    if kind == "async":

        @rig.job(name="parent")
        async def parent(ctx: Context) -> int:
            return len(await ctx.enqueue(CHILD, CHILD))

    else:

        @rig.job(name="parent")
        def parent_in_thread(ctx: Context) -> int:
            return len(ctx.enqueue(CHILD, CHILD).wait(PATIENCE))

    job_id = await rig.enqueue("parent")
    async with rig.worker() as (_, watch):
        finished = await watch.finished(job_id)
        await watch.wait(Finished, count=3)

    assert finished.outcome == Succeeded(result="2")


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_children_left_alone_are_there_before_the_parent_ends(rig: Rig, kind: str):
    @rig.job(name="child", queue="elsewhere")
    async def child() -> None: ...

    if kind == "async":

        @rig.job(name="parent")
        async def parent(ctx: Context) -> None:
            ctx.enqueue(CHILD)

    else:

        @rig.job(name="parent")
        def parent_in_thread(ctx: Context) -> None:
            ctx.enqueue(CHILD)

    job_id = await rig.enqueue("parent")
    async with rig.worker(queues={"default": 5}) as (_, watch):
        await watch.finished(job_id)
        stats = await rig.operations.stats()

    assert stats.count(State.PENDING) == 1


async def test_child_that_cannot_be_enqueued_fails_its_parent(rig: Rig):
    @rig.job(name="parent")
    async def parent(ctx: Context) -> None:
        ctx.enqueue(EnqueueRequest(type="nobody-knows", payload={}))

    job_id = await rig.enqueue("parent")
    async with rig.worker() as (_, watch):
        finished = await watch.finished(job_id)

    assert isinstance(finished.outcome, Failed)
    assert finished.outcome.error.type == "UnknownJobType"


async def test_refused_child_may_be_handled_by_the_parent(rig: Rig):
    @rig.job(name="parent")
    async def parent(ctx: Context) -> str:
        try:
            await ctx.enqueue(EnqueueRequest(type="nobody-knows", payload={}))
        except InvalidInput:
            return "handled"
        return "enqueued"

    job_id = await rig.enqueue("parent")
    async with rig.worker() as (_, watch):
        finished = await watch.finished(job_id)

    assert finished.outcome == Succeeded(result='"handled"')


async def test_note_of_a_past_attempt_does_not_stop_the_present_one(rig: Rig):
    go = asyncio.Event()
    past: list[Context] = []

    @rig.job(name="again")
    async def again(ctx: Context) -> str:
        past.append(ctx)
        if ctx.attempt == 1:
            raise ValueError("once more")
        past[0].progress(1)
        present, late = ctx.checkpoint("present"), past[0].checkpoint("past")
        await present
        with pytest.raises(LeaseLost):
            await late
        past[0].progress(2)
        with pytest.raises(LeaseLost):
            await past[0].checkpoint("past")
        with pytest.raises(LeaseLost):
            await past[0].enqueue(EnqueueRequest(type="again", payload={}))
        go.set()
        return "undisturbed"

    job_id = await rig.enqueue("again")
    async with rig.worker() as (_, watch):
        await watch.finished(job_id)
        rig.manual.advance(10)
        finished = await watch.finished(job_id, count=2)

    assert go.is_set()
    assert finished.outcome == Succeeded(result='"undisturbed"')
    assert (await rig.read(job_id)).checkpoint == '"present"'


async def test_line_that_is_no_text_is_written_as_text(rig: Rig):
    error: Any = ValueError("odd")

    @rig.job(name="tells")
    async def tells(ctx: Context) -> None:
        ctx.log(error)
        ctx.log("half a \ud83d smile")
        ctx.log("whole")

    job_id = await rig.enqueue("tells")
    async with rig.worker() as (_, watch):
        await watch.finished(job_id)

    lines = await rig.operations.log_lines(job_id)
    assert [line.message for line in lines] == ["odd", "half a \\ud83d smile", "whole"]

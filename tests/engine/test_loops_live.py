"""Loops as a program uses them: defined on an app, run by a worker, over rows in the same database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from headrace import App, Context, Idle, LoopStatus, Settings, State, Work
from headrace.core.filters import JobFilter, Page
from headrace.core.request import EnqueueRequest
from tests.contract.conftest import STORES
from tests.engine.scenes import PATIENCE, arrives, settings
from tests.engine.transacting import Inside, Program

AT_ONCE = {"cooldown": 0.0}


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def program(request: pytest.FixtureRequest, tmp_path) -> AsyncIterator[Program]:
    async with App(request.param.url(tmp_path), settings=Settings()) as app:
        one = Program.on(request.param.name, app)
        await one.make_ledger()
        yield one
    app.portal.close()


async def until_idle(loop: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while (info := await loop.status()) is None or info.status is not LoopStatus.IDLE:
            await asyncio.sleep(0.005)


def draining(program: Program, done: list[str]) -> dict[str, Any]:
    """The two functions of a loop over the ledger."""

    async def fetch() -> Work[list[str]] | Idle:
        rows = await program.ledger()
        return Work(rows) if rows else Idle()

    async def process(batch: list[str]) -> None:
        async def body(tx: Inside) -> None:
            for what in batch:
                await tx.forget(what)

        await program.transaction(body)
        done.extend(batch)

    return {"fetch": fetch, "process": process}


async def note(program: Program, *what: str) -> None:
    async def body(tx: Inside) -> None:
        for one in what:
            await tx.note(one)

    await program.transaction(body)


async def test_rows_that_are_inserted_and_pinged_are_processed_again_and_again(program):
    done: list[str] = []
    loop = program.app.loop("events", **draining(program, done), **AT_ONCE)
    before = await loop.status()

    async with program.app.running_worker(settings()):
        for what in ("a", "b", "c"):
            await note(program, what)
            await loop.ping()
            await until_idle(loop)

    assert before is None
    assert done == ["a", "b", "c"]
    jobs = (
        await (await program.app.operations()).jobs(JobFilter(types=frozenset({"loop.events"})), Page())
    ).jobs
    assert {job.state for job in jobs} == {State.COMPLETED}
    assert all(job.placement.failures == job.placement.crashes == 0 for job in jobs)


async def test_ping_in_a_transaction_comes_if_and_when_that_commits(program):
    done: list[str] = []
    loop = program.app.loop("events", **draining(program, done), **AT_ONCE)

    async def insert(tx: Inside, what: str) -> None:
        await tx.note(what)
        if program.waits:
            await loop.ping(tx=tx.connection)
        else:
            loop.ping_sync(tx=tx.connection)

    async def fails(tx: Inside) -> None:
        await insert(tx, "never")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await program.transaction(fails)
    undone = (await (await program.app.operations()).stats()).count()
    await program.transaction(lambda tx: insert(tx, "a"))
    async with program.app.running_worker(settings()):
        await until_idle(loop)

    assert (undone, done) == (0, ["a"])


async def test_c26_stop_ends_the_batch_that_is_processed_and_start_takes_it_up_again(program):
    inside, told, calls = asyncio.Event(), asyncio.Event(), []

    async def fetch() -> Work[int] | Idle:
        return Work(1) if len(calls) < 2 else Idle()

    async def process(batch: int) -> None:
        calls.append(batch)
        if len(calls) == 1:
            inside.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                told.set()
                raise

    loop = program.app.loop("events", fetch=fetch, process=process, **AT_ONCE)
    await loop.ping()
    async with program.app.running_worker(settings()):
        await arrives(inside)
        stopped = await loop.stop()
        await arrives(told)
        operations = await program.app.operations()
        job = await operations.wait(stopped.job_id, timeout_ms=PATIENCE * 1000)
        await loop.ping()
        asleep = await loop.status()
        await loop.start()
        await until_idle(loop)

    assert (stopped.status, stopped.in_hand) == (LoopStatus.STOPPED, True)
    assert job.state is State.CANCELLED
    assert asleep.status is LoopStatus.STOPPED
    assert calls == [1, 1]


async def test_loop_that_is_interrupted_by_a_shutdown_goes_on_in_the_next_worker_uncharged(program):
    inside, calls = asyncio.Event(), []

    async def fetch() -> Work[int] | Idle:
        return Work(1) if len(calls) < 2 else Idle()

    async def process(batch: int) -> None:
        calls.append(batch)
        if len(calls) == 1:
            inside.set()
            await asyncio.Event().wait()

    loop = program.app.loop("events", fetch=fetch, process=process, **AT_ONCE)
    await loop.ping()
    async with program.app.running_worker(settings(grace_ms=0)):
        await arrives(inside)
    between = await loop.status()
    async with program.app.running_worker(settings()):
        await until_idle(loop)

    info = await loop.status()
    assert between.status is LoopStatus.RUNNING
    assert (calls, info.restarts, info.last_error) == ([1, 1], 0, None)
    assert info.job_id == between.job_id
    assert info.generation == between.generation + 1


async def test_plain_functions_and_those_that_ask_for_the_context_and_the_name(program):
    seen: list[tuple[str, object]] = []
    rows = {"one": [1], "two": [2]}

    @asynccontextmanager
    async def lifespan():
        yield "dependencies"

    def fetch(name: str, ctx: Context, limit: int = 5) -> Work[list[int]] | Idle:
        assert limit == 5
        return Work(rows.pop(name)) if name in rows else Idle()

    def process(ctx: Context, batch: list[int], name: str) -> None:
        seen.append((name, batch, ctx.deps))

    program.app.lifespan(lifespan)
    family = program.app.loop_family("tenants", fetch=fetch, process=process, **AT_ONCE)
    loops = [family.loop(name) for name in ("one", "two")]
    async with program.app.running_worker(settings()):
        for loop in loops:
            await asyncio.to_thread(loop.ping_sync)
        for loop in loops:
            await until_idle(loop)

    assert family.loop("one") is loops[0]
    assert sorted(seen) == [("one", [1], "dependencies"), ("two", [2], "dependencies")]


async def test_job_of_the_loops_type_that_does_not_hold_its_key_is_a_ping(program):
    done: list[str] = []
    loop = program.app.loop("events", **draining(program, done), **AT_ONCE)
    await note(program, "a")
    operations = await program.app.operations()
    asked = [EnqueueRequest(type="loop.events", payload={"name": name}) for name in ("events", "two words")]
    first, wrong = await operations.enqueue(asked)

    async with program.app.running_worker(settings()):
        ended = [await operations.wait(one.job_id, timeout_ms=PATIENCE * 1000) for one in (first, wrong)]
        await until_idle(loop)

    assert [job.state for job in ended] == [State.COMPLETED, State.CANCELLED]
    assert (done, (await loop.status()).job_id != first.job_id) == (["a"], True)

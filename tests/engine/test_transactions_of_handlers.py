"""``ctx.transaction``: the handler's writes and its job's completion commit together, on every store."""

import asyncio
import io
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from headrace import App, Context, LeaseLost, Settings, State
from headrace.core.decide import decide
from headrace.core.job import AttemptOutcome
from headrace.core.outcomes import CancelAsked
from headrace.core.policy import Policy
from headrace.engine.work import Holder
from headrace.errors import MisuseError
from headrace.stores.protocol import Applied
from headrace.worker.child import Pipe
from headrace.worker.link import Link
from tests.contract.conftest import STORES
from tests.engine.scenes import ONCE, PATIENCE, Scene, arrives, ended, outcomes, rescue, settings
from tests.engine.transacting import Inside, Program
from tests.worker.rig import until


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def program(request: pytest.FixtureRequest, tmp_path) -> AsyncIterator[Program]:
    async with App(request.param.url(tmp_path), settings=Settings()) as app:
        one = Program.on(request.param.name, app)
        await one.make_ledger()
        yield one
    app.portal.close()


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_writes_and_completion_are_there_together_and_the_value_is_the_result(program, scene):
    @program.app.job()
    async def book(ctx: Context, order: int) -> dict[str, int]:
        async def body(tx: Inside):
            await tx.note(f"order {order}")
            return {"order": order}

        ctx.progress("booking", 50)
        value = await ctx.transaction(program.work(body))
        scene.said.append((value, await program.ledger(), (await handle.job()).state))
        ctx.progress("too late", 60)
        ctx.log("too late")
        return {"order": -1}

    handle = await book.enqueue(7)
    async with program.app.running_worker(settings()):
        assert await handle.result(timeout=PATIENCE) == {"order": 7}

    job = await handle.job()
    assert scene.said == [({"order": 7}, ["order 7"], State.COMPLETED)]
    assert await outcomes(program, handle.id) == [AttemptOutcome.SUCCEEDED]
    assert (job.placement.starts, job.placement.failures) == (1, 0)
    assert "booking" in (job.progress or "")
    assert await (await program.app.operations()).log_lines(handle.id) == []


async def test_function_that_raises_leaves_nothing_and_the_attempt_fails(program):
    @program.app.job(retry=ONCE)
    async def book(ctx: Context) -> None:
        async def body(tx: Inside):
            await tx.note("one")
            raise ZeroDivisionError("no")

        await ctx.transaction(program.work(body))

    handle = await book.enqueue()
    async with program.app.running_worker(settings()):
        job = await ended(program, handle)

    assert (job.state, await program.ledger()) == (State.FAILED, [])
    assert '"ZeroDivisionError"' in (job.placement.error or "")


async def test_value_that_cannot_be_kept_undoes_the_writes(program):
    @program.app.job(retry=ONCE)
    async def book(ctx: Context) -> object:
        async def body(tx: Inside):
            await tx.note("one")
            return object()

        return await ctx.transaction(program.work(body))

    handle = await book.enqueue()
    async with program.app.running_worker(settings()):
        job = await ended(program, handle)

    assert (job.state, await program.ledger()) == (State.FAILED, [])


async def test_handler_that_raises_afterwards_changes_nothing(program):
    @program.app.job()
    async def book(ctx: Context) -> str:
        await ctx.transaction(program.work(lambda tx: tx.note("one")))
        raise ZeroDivisionError

    handle = await book.enqueue()
    async with program.app.running_worker(settings()) as worker:
        await ended(program, handle)
    del worker  # it has stopped, so everything was reported

    assert (await handle.job()).state is State.COMPLETED
    assert await program.ledger() == ["one"]
    assert await outcomes(program, handle.id) == [AttemptOutcome.SUCCEEDED]


async def test_jobs_enqueued_inside_come_with_the_completion(program):
    @program.app.job()
    async def after(n: int) -> int:
        return n

    @program.app.job()
    async def book(ctx: Context) -> str:
        async def body(tx: Inside):
            return (await tx.enqueue(after, 5)).id

        return await ctx.transaction(program.work(body))

    handle = await book.enqueue()
    async with program.app.running_worker(settings()):
        follower = await program.app.handle(await handle.result(timeout=PATIENCE))
        assert await follower.result(timeout=PATIENCE) == 5


async def test_plain_handler_in_a_thread_waits_for_it(program):
    @program.app.job()
    def book(ctx: Context) -> str:
        async def body(tx: Inside):
            await tx.note("one")
            return "done"

        return ctx.transaction(program.work(body)).wait(PATIENCE)

    handle = await book.enqueue()
    async with program.app.running_worker(settings()):
        assert await handle.result(timeout=PATIENCE) == "done"
    assert await program.ledger() == ["one"]


async def test_transaction_that_nobody_waits_for_is_waited_for(program):
    @program.app.job()
    async def book(ctx: Context) -> str:
        async def body(tx: Inside):
            await tx.note("one")
            return "of the function"

        ctx.transaction(program.work(body))
        return "of the handler"

    handle = await book.enqueue()
    async with program.app.running_worker(settings()):
        assert await handle.result(timeout=PATIENCE) == "of the function"


async def test_second_transaction_checkpoint_and_enqueue_are_refused_afterwards(program, scene):
    @program.app.job()
    async def book(ctx: Context) -> None:
        await ctx.transaction(program.work(lambda tx: tx.note("one")))
        for call in (
            lambda: ctx.transaction(program.work(lambda tx: tx.note("two"))),
            lambda: ctx.checkpoint({}),
            lambda: ctx.enqueue(book.request()),
        ):
            try:
                call()
            except MisuseError as error:
                scene.said.append(str(error))

    handle = await book.enqueue()
    async with program.app.running_worker(settings()):
        await handle.result(timeout=PATIENCE)

    assert len(scene.said) == 3
    assert await program.ledger() == ["one"]


async def test_wrong_kind_of_function_is_refused_and_nothing_written(program):
    @program.app.job(retry=ONCE)
    async def book(ctx: Context) -> None:
        async def waits(connection: Any) -> None: ...

        def plain(connection: Any) -> None: ...

        await ctx.transaction(plain if program.waits else waits)

    handle = await book.enqueue()
    async with program.app.running_worker(settings()):
        job = await ended(program, handle)

    assert '"MisuseError"' in (job.placement.error or "")


async def test_handler_goes_on_after_its_completion_as_long_as_it_likes(program, scene):
    """There is no lease to renew any more, and nobody takes that for a loss."""

    @program.app.job()
    async def book(ctx: Context) -> None:
        await ctx.transaction(program.work(lambda tx: tx.note("one")))
        scene.inside.set()
        await scene.go_on.wait()
        scene.said.append(ctx.cancelled)

    handle = await book.enqueue()
    async with program.app.running_worker(settings(lease_ms=1_000, renew_every_ms=100)):
        await arrives(scene.inside)
        store = (await program.app.open()).store
        renewals = 0
        while renewals < 3:  # the pulse asks again and again; each turn of the writer lets it
            await store.now()
            await asyncio.sleep(0.1)
            renewals += 1
        scene.go_on.set()
        await ended(program, handle)

    assert scene.said == [False]


@pytest.mark.usefixtures("no_hints")
async def test_zombie_writes_nothing(program, scene):
    """Taken away before the transaction: the function runs in vain."""

    @program.app.job()
    async def book(ctx: Context) -> None:
        scene.inside.set()
        await scene.go_on.wait()
        try:
            await ctx.transaction(program.work(lambda tx: tx.note("zombie")))
        except LeaseLost as error:
            scene.said.append(error.job_id)
            raise

    handle = await book.enqueue()
    async with program.app.running_worker(settings()):
        await arrives(scene.inside)
        await rescue(program, handle.id)
        scene.go_on.set()
        await until(lambda: bool(scene.said))

    assert scene.said == [handle.id]
    assert await program.ledger() == []
    assert (await handle.job()).state is State.PENDING
    assert await outcomes(program, handle.id) == [AttemptOutcome.RESCUED]


@pytest.mark.usefixtures("no_hints")
async def test_success_wins_over_a_cancel_that_is_asked_meanwhile(program, scene):
    """The completion goes stale, is decided again in the same transaction, and stands (C26)."""

    @program.app.job()
    async def book(ctx: Context) -> str:
        scene.inside.set()
        await scene.go_on.wait()

        async def body(tx: Inside):
            await tx.note("one")
            return "done"

        return await ctx.transaction(program.work(body))

    handle = await book.enqueue()
    async with program.app.running_worker(settings(renew_every_ms=9_000, lease_ms=30_000)):
        await arrives(scene.inside)
        store = (await program.app.open()).store
        job = (await store.get("default", [handle.id]))[handle.id]
        asked = decide(
            job, CancelAsked(), policy=Policy(), now=job.placement.started_at or 0, rng=random.Random(1)
        )
        assert await store.apply([asked], now=0) == [Applied()]  # without a hint: the worker does not know
        scene.go_on.set()
        assert await handle.result(timeout=PATIENCE) == "done"

    assert await program.ledger() == ["one"]


def test_handler_in_a_child_process_is_told_what_to_do():
    link = Link(Holder(job_id="one", fence=1), Pipe(io.BytesIO()), 0.0)

    with pytest.raises(MisuseError, match="job of its own"):
        link.transaction(lambda connection: None)


async def test_source_of_work_that_does_not_know_the_claim_refuses(program):
    work = await program.app.work()

    with pytest.raises(LeaseLost):
        await work.transaction(Holder(job_id="one", fence=1), lambda connection: None, lambda value: None)  # type: ignore[arg-type,return-value]

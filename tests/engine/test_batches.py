"""Batches as a program uses them, with a worker, on every store."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace import (
    App,
    BatchClosed,
    BatchNotFound,
    BatchSealed,
    Context,
    InvalidInput,
    Permanent,
    Settings,
    State,
    WaitTimeout,
)
from headrace.core.batch import Counts, On, Phase, callback_id
from headrace.engine.batch_checks import Checks
from headrace.engine.registry import Retry
from headrace.errors import MisuseError, StoreUnavailable
from tests.engine.scenes import ONCE, PATIENCE, settings
from tests.servers.shared import SHARED
from tests.servers.shared_valkey import SHARED_VALKEY

URLS = {
    "sqlite-file": lambda folder: f"sqlite:///{folder / 'jobs.db'}",
    "sqlite-memory": lambda _: "sqlite://",
    "postgres": SHARED.url,
    "redis": lambda _: SHARED_VALKEY.fresh_url(),
}


@pytest.fixture(params=URLS)
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    async with App(URLS[request.param](tmp_path), settings=Settings()) as opened:
        yield opened


async def result_of_callback(app: App, batch_id: str, on: On, generation: int = 1) -> object:
    handle = await app.handle(callback_id("default", batch_id, generation, on))
    return await handle.result(timeout=PATIENCE)


async def test_c37_batch_of_jobs_runs_and_calls_back_once_all_are_done(app: App):
    @app.job()
    async def double(n: int) -> int:
        return 2 * n

    @app.job()
    async def report(ctx: Context, what: str) -> str:
        return f"{what} of {ctx.job.tags[0]}"

    async with (
        app.running_worker(settings()),
        app.batch(on_complete=report.request("end"), on_success=report.request("success")) as batch,
    ):
        handles = await batch.add(*(double.request(n) for n in range(20)))
        await batch.seal()

        counts = await batch.wait(timeout=PATIENCE)

        assert counts == Counts(completed=20)
        assert [await handle.result(timeout=PATIENCE) for handle in handles] == [2 * n for n in range(20)]
        told = [await result_of_callback(app, batch.id, on) for on in (On.COMPLETE, On.SUCCESS)]
        assert told == [f"{what} of callback:{batch.id}" for what in ("end", "success")]


async def test_members_that_end_a_batch_in_many_reports_are_noticed_without_upkeep(app: App, no_hints: None):
    @app.job(retry=ONCE)
    async def act(n: int) -> None:
        if n % 5 == 0:
            raise Permanent("no")

    async with app.batch() as batch:
        await batch.add(*(act.request(n) for n in range(30)))
    async with app.running_worker(settings(concurrency=3)):
        assert await batch.wait(timeout=PATIENCE) == Counts(completed=24, failed=6)
    assert (await batch.view()).state.phase is Phase.CLOSED


async def test_c37_retried_batch_calls_back_again(app: App):
    broken = {"now": True}

    @app.job(retry=ONCE)
    async def act(n: int) -> None:
        if broken["now"] and n:
            raise Permanent("no")

    @app.job()
    async def report() -> str:
        return "done"

    async with app.running_worker(settings()):
        async with app.batch(on_success=report.request(), on_failure=report.request()) as batch:
            await batch.add(*(act.request(n) for n in range(3)))
        assert await batch.wait(timeout=PATIENCE) == Counts(completed=1, failed=2)
        broken["now"] = False

        assert await batch.retry() == 2

        assert await batch.wait(timeout=PATIENCE) == Counts(completed=3)
        assert await result_of_callback(app, batch.id, On.FAILURE, 1) == "done"
        assert await result_of_callback(app, batch.id, On.SUCCESS, 2) == "done"


async def test_sequential_batch_runs_its_members_strictly_one_after_the_other(app: App):
    running: list[int] = []
    ran: list[tuple[int, int]] = []

    @app.job(retry=ONCE)
    async def act(n: int) -> None:
        running.append(n)
        await asyncio.sleep(0)
        ran.append((n, len(running)))
        running.remove(n)
        if n == 3:
            raise Permanent("this one fails")

    async with app.running_worker(settings()):
        async with app.batch(sequential=True) as batch:
            await batch.add(*(act.request(n) for n in range(8)))
        counts = await batch.wait(timeout=PATIENCE)

    assert ran == [(n, 1) for n in range(8)]
    assert counts == Counts(completed=7, failed=1)


@pytest.mark.parametrize("runs", ["async", "thread"])
async def test_c38_running_member_adds_more_members_to_a_sealed_batch(app: App, runs: str):
    @app.job()
    def leaf(n: int) -> int:
        return n

    @app.job(name="root")
    async def root(ctx: Context) -> int:
        return len(await ctx.batch.add(*(leaf.request(n) for n in range(5))))

    @app.job(name="threaded")
    def threaded(ctx: Context) -> int:
        return len(ctx.batch.add(*(leaf.request(n) for n in range(5))).wait(PATIENCE))

    async with app.batch() as batch:
        await batch.add((root if runs == "async" else threaded).request())
    async with app.running_worker(settings()):
        assert await batch.wait(timeout=PATIENCE) == Counts(completed=6)


async def test_job_outside_of_a_batch_has_none_to_add_to(app: App):
    @app.job(retry=Retry(attempts=1))
    async def lonely(ctx: Context) -> str:
        try:
            return ctx.batch.id
        except MisuseError as error:
            return str(error)

    async with app.running_worker(settings()):
        handle = await lonely.enqueue()
        labelled = await lonely.using(batch_id="label").enqueue()
        assert "no member of a batch" in await handle.result(timeout=PATIENCE)
        assert "no member of a batch" in await labelled.result(timeout=PATIENCE)


async def test_block_that_raises_leaves_the_batch_open_to_go_on_with(app: App):
    @app.job()
    async def act() -> None: ...

    batch = app.batch(on_complete=act.request())

    async def fill() -> None:
        async with batch:
            await batch.add(act.request())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fill()

    again = await app.open_batch(batch.id)
    assert (await again.view()).state.phase is Phase.OPEN
    await again.add(act.request())
    await again.seal()
    assert (await again.summary()).total == 2


async def test_open_batch_takes_members_after_its_block_until_it_is_sealed(app: App):
    @app.job()
    async def act() -> None: ...

    async with app.batch(seal=False) as batch:
        await batch.add(act.request())
    again = await app.open_batch(batch.id)
    async with again:
        await again.add(act.request())
    await again.seal()

    with pytest.raises(BatchSealed):
        await batch.add(act.request())
    assert (await batch.summary()).total == 2


async def test_jobs_of_a_batch_come_in_the_order_of_adding_and_by_state(app: App):
    @app.job()
    async def act(n: int) -> None: ...

    async with app.batch() as batch:
        handles = await batch.add(*(act.request(n) for n in range(5)))
    await handles[2].cancel()

    assert [job.id for job in await batch.jobs()] == [handle.id for handle in handles]
    assert [job.id for job in await batch.jobs(State.CANCELLED)] == [handles[2].id]


async def test_cancelled_batch_is_closed_and_cannot_be_cancelled_again(app: App):
    @app.job()
    async def act() -> None: ...

    async with app.batch() as batch:
        await batch.add(act.request(), act.request())

    assert await batch.cancel() == 2
    assert await batch.wait(timeout=PATIENCE) == Counts(cancelled=2)
    with pytest.raises(BatchClosed):
        await batch.cancel()


async def test_waiting_for_a_batch_gives_up_in_time(app: App):
    @app.job()
    async def act() -> None: ...

    async with app.batch() as batch:
        await batch.add(act.request())

    with pytest.raises(WaitTimeout):
        await batch.wait(timeout=0.005)


async def test_batch_has_no_id_before_it_is_made_and_no_other_can_be_opened(app: App):
    with pytest.raises(MisuseError, match="async with"):
        _ = app.batch().id
    with pytest.raises(BatchNotFound):
        await app.open_batch("batch_1_0123456789abcdef")


async def test_members_cannot_be_added_in_a_transaction_of_the_program(app: App):
    @app.job()
    async def act() -> None: ...

    async with app.batch() as batch:
        await batch.add(act.request())
        member = act.using(batch_id=batch.id).request()
        operations = await app.operations()
        with pytest.raises(InvalidInput, match="added to a batch with") as caught:
            await operations.enqueue_within(None, [act.request(), member], lambda _: None)  # type: ignore[arg-type]

    assert (caught.value.field, caught.value.index) == ("batchId", 1)


async def test_replay_of_a_member_is_no_member(app: App):
    @app.job()
    async def act() -> None: ...

    async with app.batch() as batch:
        (handle,) = await batch.add(act.request())
    await handle.cancel()

    await (await app.operations()).replay(handle.id)

    assert (await batch.summary()).total == 1


# ------------------------------------------------------------ how often is looked


async def test_batch_is_looked_at_once_for_all_that_is_asked_meanwhile():
    looks: list[frozenset[str]] = []
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def check(batches: frozenset[str]) -> frozenset[str]:
        looks.append(batches)
        inside.set()
        await go_on.wait()
        return frozenset()

    checks = Checks(check, gap_s=0)
    checks.ask(["a"])
    await inside.wait()
    for _ in range(10):
        checks.ask(["a", "b"])
    go_on.set()
    await checks.drained()

    assert looks == [{"a"}, {"a", "b"}]


async def test_batch_is_not_looked_at_again_within_the_gap_unless_it_asks_for_that():
    looks: list[frozenset[str]] = []

    async def check(batches: frozenset[str]) -> frozenset[str]:
        looks.append(batches)
        return batches & {"prompt"}

    checks = Checks(check, gap_s=3600)
    checks.ask(["slow", "prompt"])
    while not looks:
        await asyncio.sleep(0)
    checks.ask(["slow", "prompt"])
    while len(looks) < 2:
        await asyncio.sleep(0)
    for _ in range(100):
        await asyncio.sleep(0)

    assert looks == [{"slow", "prompt"}, {"prompt"}]
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        if task.get_name() == "headrace-batches":
            task.cancel()


async def test_look_that_the_store_refuses_is_left_to_the_sweep():
    looks: list[frozenset[str]] = []

    async def check(batches: frozenset[str]) -> frozenset[str]:
        looks.append(batches)
        raise StoreUnavailable("away")

    checks = Checks(check, gap_s=0)
    checks.ask(["a"])
    await checks.drained()

    assert looks == [{"a"}]

"""What flows refuse, and flows without a worker of their own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace import (
    App,
    Context,
    InvalidInput,
    JobFailed,
    Settings,
    gather,
)
from headrace.core.filters import JobFilter
from headrace.core.filters import Page as JobsPage
from headrace.core.flow import MAX_RESULTS_BYTES
from headrace.engine.flows import Flows
from headrace.errors import MisuseError, TooLarge
from headrace.testing import FakeContext, a_parent, drain, inline, run_job
from tests.engine.scenes import ONCE, PATIENCE, settings
from tests.servers.shared import SHARED

URLS = {
    "sqlite-file": lambda folder: f"sqlite:///{folder / 'jobs.db'}",
    "sqlite-memory": lambda _: "sqlite://",
    "postgres": SHARED.url,
}
NOT_THERE = "01a205d5-9542-7550-8fc2-aae8ae5a79ff"


@pytest.fixture
async def memory() -> AsyncIterator[App]:
    async with App("sqlite://", settings=Settings()) as opened:
        yield opened


async def all_jobs(app: App):
    return (await (await app.operations()).jobs(JobFilter(), JobsPage(limit=100))).jobs


async def test_job_without_parents_has_none(memory: App):
    @memory.job()
    async def alone(ctx: Context) -> list[object]:
        return [list(await ctx.parents()), await ctx.results()]

    handle = await alone.enqueue()
    await drain(memory)

    assert await handle.result(timeout=PATIENCE) == [[], []]


async def test_flow_is_refused_in_a_transaction_of_the_programs_own(memory: App):
    @memory.job()
    async def act() -> None: ...

    def within(tx: object) -> None:
        memory.enqueue_many_sync(act.request().then(act.request()).requests(), tx=tx)

    with pytest.raises(InvalidInput, match="transactions of your own"):
        await memory.transaction(within)
    assert await all_jobs(memory) == ()


async def test_flows_are_refused_where_a_job_is_made_by_something_else(memory: App):
    @memory.job()
    async def act() -> None: ...

    child = act.using(after=[NOT_THERE]).request()
    with pytest.raises(InvalidInput, match="on_complete"):
        memory.batch(on_complete=child)
    with pytest.raises(InvalidInput, match="transactions of your own"):
        memory.insert_statement([child])


async def test_results_that_are_too_large_together_are_refused(memory: App, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("headrace.engine.flows.MAX_RESULTS_BYTES", 100)
    monkeypatch.setattr("headrace.engine.flows._PARENTS_AT_ONCE", 2)

    @memory.job()
    async def fetch() -> str:
        return "x" * 40

    @memory.job(retry=ONCE)
    async def parse(ctx: Context) -> None:
        await ctx.results()

    handle = await gather(*(fetch.request() for _ in range(3))).then(parse.request()).enqueue()
    await drain(memory)

    with pytest.raises(JobFailed, match="exceed 100 bytes") as failed:
        await handle.result(timeout=PATIENCE)
    assert failed.value.error_type == TooLarge.__name__
    assert MAX_RESULTS_BYTES == 16 * 1024 * 1024


async def test_parents_of_many_pages_come_in_their_order(memory: App, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("headrace.engine.flows._PARENTS_AT_ONCE", 3)

    @memory.job()
    async def act(n: int) -> int:
        return n

    @memory.job()
    async def add(ctx: Context) -> object:
        return await ctx.results()

    handle = await gather(*(act.request(n) for n in range(9))).then(add.request()).enqueue()
    await drain(memory)

    assert await handle.result(timeout=PATIENCE) == list(range(9))


def test_flows_from_programs_without_an_event_loop(tmp_path: Path):
    app = App(f"sqlite:///{tmp_path / 'jobs.db'}", settings=Settings())

    @app.job()
    async def act(n: int) -> int:
        return n

    with inline(app):
        handle = act.request(1).then(act.request(2)).enqueue_sync()
        assert handle.result_sync(timeout=PATIENCE) == 2
    app.portal.call(app.close)
    app.portal.close()


async def test_handler_is_tested_with_made_up_parents(memory: App):
    @memory.job()
    async def fetch() -> int:
        return 1

    @memory.job()
    async def add(ctx: Context) -> list[object]:
        parents = await ctx.parents()
        return [parents.of(fetch), [one.error for one in parents.failed]]

    parents = [a_parent(3, job_type="fetch"), a_parent(error="no", job_type="other")]

    assert await run_job(add, ctx=FakeContext(parents=parents)) == [[3], ["Error: no"]]


async def test_children_of_a_handlers_transaction_are_freed(memory: App):
    @memory.job()
    async def write(ctx: Context) -> None:
        await ctx.transaction(lambda _: 5)

    @memory.job()
    async def read(ctx: Context) -> object:
        return await ctx.results()

    async with memory.running_worker(settings()):
        handle = await write.request().then(read.request()).enqueue()

        assert await handle.result(timeout=PATIENCE) == [5]


async def test_look_that_fails_is_made_up_for_by_the_sweep(memory: App, monkeypatch: pytest.MonkeyPatch):
    @memory.job()
    async def act(n: int) -> int:
        return n

    handle = await act.request(1).then(act.request(2)).enqueue()
    flows: Flows = (await memory.operations()).flow_engine
    monkeypatch.setattr(flows.checks, "ask", lambda _: None)
    monkeypatch.setattr(flows.checks, "_check", None)

    await drain(memory)

    assert await handle.result(timeout=PATIENCE) == 2


async def test_request_with_a_transaction_makes_no_flow(memory: App):
    @memory.job()
    async def act() -> None: ...

    with pytest.raises(MisuseError, match="no transaction"):
        act.using(tx=object()).request()

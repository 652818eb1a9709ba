"""Flows as a program uses them, with a worker, on every store."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from headrace import (
    App,
    Backoff,
    Context,
    JobCancelled,
    JobFailed,
    JobNotFound,
    OnParentFailure,
    Permanent,
    Retry,
    Settings,
    State,
    chain,
    gather,
)
from headrace.core.filters import JobFilter
from headrace.core.filters import Page as JobsPage
from tests.engine import flow_app
from tests.engine.scenes import ONCE, PATIENCE, settings
from tests.servers.shared import SHARED
from tests.servers.shared_valkey import SHARED_VALKEY

URLS = {
    "sqlite-file": lambda folder: f"sqlite:///{folder / 'jobs.db'}",
    "sqlite-memory": lambda _: "sqlite://",
    "postgres": SHARED.url,
    "redis": lambda _: SHARED_VALKEY.fresh_url(),
}
NOT_THERE = "01a205d5-9542-7550-8fc2-aae8ae5a79ff"


@pytest.fixture(params=URLS)
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    async with App(URLS[request.param](tmp_path), settings=Settings()) as opened:
        yield opened


@dataclass
class Page:
    number: int
    text: str


async def test_c38a_flow_hands_results_down_and_ends_with_that_of_its_last_job(app: App):
    @app.job()
    async def fetch(number: int) -> Page:
        return Page(number, f"page {number}")

    @app.job()
    async def count(ctx: Context) -> int:
        (page,) = (await ctx.parents()).of(fetch)
        assert isinstance(page, Page)
        return len(page.text)

    @app.job()
    def total(ctx: Context) -> int:
        return sum(ctx.results().wait(PATIENCE))

    async with app.running_worker(settings()):
        flow = gather(*(fetch.request(n).then(count.request()) for n in range(8, 12))).then(total.request())
        handle = await flow.enqueue()

        assert await handle.result(timeout=PATIENCE) == 6 + 6 + 7 + 7
        assert len(handle) == 9
        assert [one.id for one in handle.ends] == [handle[-1].id]
        assert {(await one.job()).state for one in handle} == {State.COMPLETED}


async def test_chain_goes_on_at_once_without_hints_and_without_upkeep(app: App, no_hints: None):
    @app.job()
    async def act(n: int) -> int:
        return n

    async with app.running_worker(settings(poll_ms=5)):
        handle = await chain(*(act.request(n) for n in range(12))).enqueue()
        assert await handle.result(timeout=PATIENCE) == 11


async def test_child_of_a_failed_parent_never_runs_and_its_handle_says_why(app: App):
    ran: list[str] = []

    @app.job(retry=ONCE)
    async def fetch() -> None:
        raise Permanent("no such page")

    @app.job()
    async def parse() -> None:
        ran.append("parse")

    async with app.running_worker(settings()):
        handle = await chain(fetch.request(), parse.request(), parse.request()).enqueue()
        with pytest.raises(JobCancelled) as cancelled:
            await handle.result(timeout=PATIENCE)
        with pytest.raises(JobFailed):
            await handle[0].result(timeout=PATIENCE)

    assert cancelled.value.reason == f"its parent {handle[1].id} (parse) is cancelled"
    assert ran == []


async def test_child_that_runs_anyway_sees_how_its_parents_ended(app: App):
    @app.job(retry=ONCE)
    async def fetch(n: int) -> int:
        if n:
            raise Permanent("no such page")
        return 42

    @app.job()
    async def report(ctx: Context) -> list[object]:
        parents = await ctx.parents()
        with pytest.raises(JobFailed, match="no such page"):
            await ctx.results()
        with pytest.raises(JobFailed):
            parents.of(fetch)
        failed = [one.error for one in parents.failed]
        return [[one.state for one in parents], parents[0].result, failed]

    async with app.running_worker(settings()):
        flow = gather(fetch.request(0), fetch.request(1))
        handle = await flow.then(report.using(on_parent_failure="run").request()).enqueue()

        told = await handle.result(timeout=PATIENCE)

    assert told == [["completed", "failed"], 42, ["Permanent: no such page"]]


async def test_waiting_child_goes_on_once_its_failed_parent_is_retried(app: App):
    broken = {"now": True}

    @app.job(retry=ONCE)
    async def fetch() -> str:
        if broken["now"]:
            raise Permanent("out of order")
        return "page"

    @app.job()
    async def parse(ctx: Context) -> object:
        return await ctx.results()

    async with app.running_worker(settings()):
        flow = fetch.request().then(parse.using(on_parent_failure=OnParentFailure.WAIT).request())
        handle = await flow.enqueue()
        with pytest.raises(JobFailed):
            await handle[0].result(timeout=PATIENCE)
        broken["now"] = False
        await (await app.operations()).retry(handle[0].id)

        assert await handle.result(timeout=PATIENCE) == ["page"]


async def test_retried_parent_frees_its_child_after_its_last_attempt_only(app: App):
    attempts: list[int] = []

    @app.job(retry=Retry(attempts=3, backoff=Backoff.fixed(0)))
    async def fetch(ctx: Context) -> int:
        attempts.append(ctx.attempt)
        if ctx.attempt < 3:
            raise ConnectionError
        return ctx.attempt

    @app.job()
    async def parse(ctx: Context) -> object:
        return [await ctx.results(), list(attempts)]

    async with app.running_worker(settings()):
        handle = await fetch.request().then(parse.request()).enqueue()

        assert await handle.result(timeout=PATIENCE) == [[3], [1, 2, 3]]


async def test_job_waits_for_jobs_that_are_there_by_handle_and_by_id(app: App):
    @app.job()
    async def act(n: int) -> int:
        return n

    @app.job()
    async def add(ctx: Context) -> int:
        return sum(await ctx.results())

    first, second = await act.enqueue(1), await act.enqueue(2)
    async with app.running_worker(settings()):
        await first.result(timeout=PATIENCE)
        handle = await add.using(after=[first, second.id]).enqueue()

        assert await handle.result(timeout=PATIENCE) == 3


async def test_running_job_enqueues_children_that_wait_for_it_and_for_each_other(app: App):
    order: list[str] = []

    @app.job()
    async def act(name: str) -> str:
        order.append(name)
        return name

    @app.job()
    async def split(ctx: Context) -> str:
        flow = gather(act.request("a"), act.request("b")).then(act.request("c"))
        ids = await ctx.enqueue(act.request("first"), flow, after=[ctx.job.id])
        order.append("split")
        return ids[-1]

    async with app.running_worker(settings(concurrency=1)):
        last = await (await split.enqueue()).result(timeout=PATIENCE)
        assert await (await app.handle(last)).result(timeout=PATIENCE) == "c"

    assert order[0] == "split"
    assert order.index("c") > max(order.index("a"), order.index("b"))


async def test_flow_of_members_closes_its_batch(app: App):
    @app.job()
    async def act(n: int) -> int:
        return n

    @app.job()
    async def grow(ctx: Context) -> None:
        await ctx.batch.add(act.request(3).then(act.request(4)))

    async with app.running_worker(settings()), app.batch() as batch:
        handles = await batch.add(chain(act.request(1), grow.request()))
        await batch.seal()
        counts = await batch.wait(timeout=PATIENCE)

    assert len(handles) == 2
    assert (counts.completed, counts.total) == (4, 4)


async def test_child_process_reads_encrypted_results_of_its_parents(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    async with App(url, settings=Settings(), codec=flow_app.app.registry.codec) as app:
        app.include(flow_app.app.registry.all())
        requests = flow_app.secret.request(5).then(flow_app.apart.request()).requests()
        async with app.running_worker(settings(app_path="tests.engine.flow_app:app", processes=1)):
            handles = await app.enqueue_many(requests)
            told = await handles[1].result(timeout=PATIENCE)
        stored = await handles[0].job()
        (child,) = [job for job in (await all_jobs(app)) if job.id not in {one.id for one in handles}]

    assert told == [[{"n": 5}], [{"n": 5}], ["secret"]]
    assert "$encrypted" in (stored.placement.result or "")
    assert child.facts.type == "secret"


async def all_jobs(app: App):
    return (await (await app.operations()).jobs(JobFilter(), JobsPage(limit=100))).jobs


async def test_unknown_parent_is_refused(app: App):
    @app.job()
    async def act() -> None: ...

    with pytest.raises(JobNotFound):
        await act.using(after=[NOT_THERE]).enqueue()


async def test_child_of_a_job_that_ends_while_it_is_enqueued_is_not_forgotten(app: App):
    @app.job()
    async def act(n: int) -> int:
        return n

    async with app.running_worker(settings()):
        for n in range(25):
            parent = await act.enqueue(n)
            child = await act.using(after=[parent]).enqueue(-n)
            assert await child.result(timeout=PATIENCE) == -n

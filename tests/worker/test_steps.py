"""What a handler did in a step is not done again, whatever became of the attempt, on every store."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from headrace.core.backoff import Backoff
from headrace.core.outcomes import Failed, Succeeded
from headrace.core.policy import ErrorClass
from headrace.engine.context import Context
from headrace.engine.registry import Retry
from headrace.errors import InvalidInput, MisuseError
from headrace.upkeep.rescue import Rescue
from headrace.worker.events import Finished
from tests.worker import stepping_app
from tests.worker.doubles import Unreliable
from tests.worker.rig import PATIENCE, Rig, completed, until

APP = "tests.worker.stepping_app:registry"
OFTEN = Retry(attempts=9, backoff=Backoff.fixed(10))
STEPS = ("load", "charge", "ship")


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_error_after_each_step_repeats_none_before_it(stored: Rig, kind: str):
    calls: Counter[str] = Counter()

    def did(name: str) -> str:
        calls[name] += 1
        return f"{name} {calls[name]}"

    async def did_later(name: str) -> str:
        await asyncio.sleep(0)
        return did(name)

    if kind == "async":

        @stored.job(name="order", retry=OFTEN)
        async def order(ctx: Context) -> list[str]:
            values = []
            for number, name in enumerate(STEPS, start=1):
                values.append(await ctx.step(name, did_later, name))
                if ctx.attempt == number:
                    raise ValueError(name)
            return values

    else:

        @stored.job(name="order", retry=OFTEN)
        def order_in_thread(ctx: Context) -> list[str]:
            values = []
            for number, name in enumerate(STEPS, start=1):
                values.append(ctx.step(name, did, name).wait())
                if ctx.attempt == number:
                    raise ValueError(name)
            return values

    job_id = await stored.enqueue("order")
    async with stored.worker() as (_, watch):
        result = await completed(stored, watch, job_id)

    assert result == ["load 1", "charge 1", "ship 1"]
    assert calls == dict.fromkeys(STEPS, 1)
    assert (await stored.read(job_id)).placement.failures == len(STEPS)


@pytest.mark.parametrize(
    ("job_type", "effects"), [("plain", ["load", "charge", "ship"]), ("in_loop", ["load", "charge"])]
)
async def test_child_process_killed_after_each_step_repeats_none_before_it(
    stored: Rig, tmp_path: Path, job_type: str, effects: list[str]
):
    use(stored)
    path = tmp_path / "effects"
    job_id = await stored.enqueue(job_type, {"path": str(path)})
    async with stored.worker(app_path=APP) as (_, watch):
        result = await completed(stored, watch, job_id)

    assert path.read_text().split() == effects
    assert result == [f"{effect} done" for effect in effects]
    assert (await stored.read(job_id)).placement.crashes == len(effects) - 1


async def test_process_killed_between_a_step_and_its_keeping_does_it_again(stored: Rig, tmp_path: Path):
    use(stored)
    path = tmp_path / "effects"
    job_id = await stored.enqueue("dies_before_keeping", {"path": str(path)})
    async with stored.worker(app_path=APP) as (_, watch):
        result = await completed(stored, watch, job_id)

    assert result == "charge done"
    assert path.read_text().split() == ["charge", "charge"]


async def test_worker_that_was_lost_after_a_step_leaves_it_to_the_next(stored: Rig):
    calls: Counter[str] = Counter()
    inside = asyncio.Event()
    never = asyncio.Event()

    def did(name: str) -> int:
        calls[name] += 1
        return calls[name]

    @stored.job(name="order")
    async def order(ctx: Context) -> int:
        value = await ctx.step("charge", did, "charge")
        if ctx.attempt == 1:
            inside.set()
            await never.wait()
        return value

    job_id = await stored.enqueue("order")
    cut_off = Unreliable(stored.work())
    async with stored.worker(work=cut_off), asyncio.timeout(PATIENCE):
        await inside.wait()
        cut_off.down = True
        stored.manual.advance(3600)
        await Rescue(stored.store, stored.clock).run_once()
        stored.manual.advance(3600)
        async with stored.worker() as (_, watch):
            result = await completed(stored, watch, job_id)
        cut_off.down = False
        never.set()

    assert (result, calls["charge"]) == (1, 1)
    assert (await stored.read(job_id)).placement.crashes == 1


async def test_steps_of_one_name_are_numbered(stored: Rig):
    pages: list[int] = []

    def fetch(page: int) -> int:
        pages.append(page)
        return page * 10

    @stored.job(name="crawl", retry=OFTEN)
    async def crawl(ctx: Context) -> list[int]:
        values = [await ctx.step("page", fetch, page) for page in range(1, 3 * ctx.attempt)]
        if ctx.attempt == 1:
            raise ValueError("again")
        return values

    job_id = await stored.enqueue("crawl")
    async with stored.worker() as (_, watch):
        result = await completed(stored, watch, job_id)

    assert result == [10, 20, 30, 40, 50]
    assert pages == [1, 2, 3, 4, 5]
    kept = await stored.operations.steps(job_id)
    assert [step.label for step in kept.steps] == ["page", "page#2", "page#3", "page#4", "page#5"]


async def test_step_that_raises_keeps_nothing(stored: Rig):
    calls: Counter[str] = Counter()

    def charge() -> str:
        calls["charge"] += 1
        if calls["charge"] == 1:
            raise ConnectionError("declined")
        return "paid"

    @stored.job(name="order")
    async def order(ctx: Context) -> str:
        return await ctx.step("charge", charge)

    job_id = await stored.enqueue("order")
    async with stored.worker() as (_, watch):
        await watch.finished(job_id)
        kept_after_the_error = (await stored.operations.steps(job_id)).steps
        stored.manual.advance(10)
        finished = await watch.finished(job_id, count=2)

    assert kept_after_the_error == ()
    assert finished.outcome == Succeeded(result='"paid"')


async def test_first_attempt_is_given_the_value_as_every_other_is(stored: Rig):
    @stored.job(name="order")
    async def order(ctx: Context) -> str:
        return repr(await ctx.step("pair", lambda: (1, {"a": (2,)})))

    job_id = await stored.enqueue("order")
    async with stored.worker() as (_, watch):
        result = await completed(stored, watch, job_id)

    assert result == "[1, {'a': [2]}]"


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), "x" * 300_000], ids=["set", "nan", "too large"])
async def test_value_that_cannot_be_kept_fails_the_job_and_keeps_nothing(stored: Rig, value: object):
    @stored.job(name="order")
    async def order(ctx: Context) -> None:
        await ctx.step("charge", lambda: value)

    job_id = await stored.enqueue("order")
    async with stored.worker() as (_, watch):
        finished = await watch.finished(job_id)

    assert isinstance(finished.outcome, Failed)
    assert finished.outcome.error.error_class is ErrorClass.PERMANENT
    assert (await stored.operations.steps(job_id)).steps == ()


async def test_steps_that_run_beside_each_other_are_all_kept(stored: Rig):
    calls: Counter[str] = Counter()
    names = [f"part-{number}" for number in range(20)]

    async def did(name: str) -> str:
        await asyncio.sleep(0)
        calls[name] += 1
        return name

    @stored.job(name="order")
    async def order(ctx: Context) -> list[str]:
        values = await asyncio.gather(*(ctx.step(name, did, name) for name in names))
        if ctx.attempt == 1:
            raise ValueError("again")
        return list(values)

    job_id = await stored.enqueue("order")
    async with stored.worker() as (_, watch):
        result = await completed(stored, watch, job_id)

    assert result == names
    assert calls == dict.fromkeys(names, 1)
    numbers = [step.number for step in (await stored.operations.steps(job_id)).steps]
    assert numbers == list(range(1, 21))


async def test_kept_steps_are_read_once_an_attempt_and_only_for_jobs_that_use_them(
    stored: Rig, monkeypatch: pytest.MonkeyPatch
):
    reads: Counter[str] = Counter()
    read = stored.store.kept

    async def counted(namespace: str, job_id: str, *, now: int):
        reads[job_id] += 1
        return await read(namespace, job_id, now=now)

    monkeypatch.setattr(stored.store, "kept", counted)

    @stored.job(name="order")
    async def order(ctx: Context) -> None:
        for name in STEPS:
            await ctx.step(name, str)

    @stored.job(name="plain")
    async def plain(ctx: Context) -> None:
        ctx.log("no steps")

    with_steps, without = await stored.enqueue("order"), await stored.enqueue("plain")
    async with stored.worker() as (_, watch):
        for job_id in (with_steps, without):
            await watch.finished(job_id)

    assert reads == {with_steps: 1}


async def test_async_function_in_a_plain_handler_is_refused(stored: Rig):
    async def charge() -> None: ...

    @stored.job(name="order")
    def order(ctx: Context) -> str:
        with pytest.raises(MisuseError):
            ctx.step("charge", charge)
        return "refused"

    @stored.job(name="waits")
    async def waits(ctx: Context) -> str:
        with pytest.raises(MisuseError):
            ctx.step("charge", str).wait()
        with pytest.raises(InvalidInput):
            ctx.step("a name with spaces", str)
        return "refused"

    ids = [await stored.enqueue("order"), await stored.enqueue("waits")]
    async with stored.worker() as (_, watch):
        outcomes = [(await watch.finished(job_id)).outcome for job_id in ids]

    assert outcomes == [Succeeded(result='"refused"')] * 2


async def test_s2_41_time_out_keeps_the_steps_and_gives_the_next_attempt_longer(stored: Rig):
    calls: Counter[str] = Counter()
    never = asyncio.Event()

    def did(name: str) -> str:
        calls[name] += 1
        return name

    @stored.job(
        name="scenario",
        timeout=1,
        retry=Retry(attempts=3, backoff=Backoff.fixed(10), timeout_growth=100),
    )
    async def scenario(ctx: Context) -> Any:
        await ctx.step("load", did, "load")
        if ctx.attempt == 1:
            await ctx.checkpoint({"rows": 40})
            await never.wait()
        return ctx.saved

    job_id = await stored.enqueue("scenario")
    async with stored.worker() as (_, watch):
        result = await completed(stored, watch, job_id)

    job = await stored.read(job_id)
    assert (result, calls["load"]) == ({"rows": 40}, 1)
    assert (job.placement.failures, job.placement.timeout_ms) == (1, 100_000)


async def test_value_too_large_is_refused_in_a_child_too(stored: Rig):
    use(stored)
    job_id = await stored.enqueue("asks_too_much")
    async with stored.worker(app_path=APP) as (_, watch):
        finished = await watch.wait(Finished, job_id)

    assert isinstance(finished.outcome, Failed)
    assert finished.outcome.error.type == "TooLarge"


def use(stored: Rig) -> None:
    for one in stepping_app.registry.all():
        stored.registry.add(one)


async def test_store_that_does_not_answer_for_a_while_costs_no_attempt(stored: Rig):
    work = Unreliable(stored.work())

    @stored.job(name="order")
    async def order(ctx: Context) -> str:
        work.down = True
        return await ctx.step("charge", str, "paid")

    job_id = await stored.enqueue("order")
    async with stored.worker(work=work) as (_, watch):
        await until(lambda: work.refused["kept"] > 0)
        work.down = False
        result = await completed(stored, watch, job_id)

    assert result == "paid"
    assert (await stored.read(job_id)).placement.failures == 0

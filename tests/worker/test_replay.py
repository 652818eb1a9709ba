"""An ended job is done again by a new one, from a chosen step on."""

import pytest

from headrace.core.outcomes import Succeeded
from headrace.core.request import MAX_TAGS
from headrace.core.unique import Unique
from headrace.engine.context import Context
from headrace.engine.registry import Retry
from headrace.errors import DuplicateJob, IllegalMove, InvalidInput, JobNotFound
from tests.worker.rig import Rig, completed

STEPS = ("load", "charge", "ship")


async def replayable(stored: Rig, did: list[str]) -> str:
    """A completed job with the steps load, charge and ship, each of which tells ``did``."""

    def do(name: str) -> str:
        did.append(name)
        return name

    @stored.job(name="order")
    async def order(ctx: Context, n: int) -> list[str]:
        return [await ctx.step(name, do, name) for name in STEPS]

    job_id = await stored.enqueue("order", {"n": 7}, tags=("shop",), unique=Unique(key="order-7"))
    async with stored.worker() as (_, watch):
        await watch.finished(job_id)
    did.clear()
    return job_id


@pytest.mark.parametrize(
    ("from_step", "again"),
    [(None, ["load", "charge", "ship"]), ("charge", ["charge", "ship"]), ("ship", ["ship"])],
)
async def test_c2_replay_is_a_new_job_that_begins_at_the_chosen_step(
    stored: Rig, from_step: str | None, again: list[str]
):
    did: list[str] = []
    old = await replayable(stored, did)
    before = await stored.read(old)

    new = await stored.operations.replay(old, from_step=from_step)
    async with stored.worker() as (_, watch):
        result = await completed(stored, watch, new)

    job = await stored.read(new)
    assert (result, did) == (list(STEPS), again)
    assert await stored.read(old) == before
    assert (job.facts.type, job.facts.payload) == (before.facts.type, before.facts.payload)
    assert job.facts.tags == ("shop", f"replay-of:{old}")


async def test_replay_is_refused_where_it_makes_no_sense(stored: Rig):
    old = await replayable(stored, [])

    with pytest.raises(InvalidInput, match="load, charge, ship"):
        await stored.operations.replay(old, from_step="refund")
    new = await stored.operations.replay(old)
    with pytest.raises(IllegalMove):
        await stored.operations.replay(new)
    with pytest.raises(DuplicateJob):
        await stored.operations.replay(old)


async def test_replay_of_a_replay_names_the_job_it_was_made_of(stored: Rig):
    @stored.job(name="order")
    async def order() -> None: ...

    many = tuple(f"tag-{n}" for n in range(MAX_TAGS))
    first = await stored.enqueue("order", tags=many)
    ids = [first]
    async with stored.worker() as (_, watch):
        await completed(stored, watch, first)
        for _ in range(2):
            ids.append(await stored.operations.replay(ids[-1]))
            await completed(stored, watch, ids[-1])

    tags = (await stored.read(ids[-1])).facts.tags
    assert tags == (*many[: MAX_TAGS - 1], f"replay-of:{ids[-2]}")


async def test_job_that_is_not_there_cannot_be_replayed(stored: Rig):
    with pytest.raises(JobNotFound):
        await stored.operations.replay("no-such-job")


@pytest.mark.parametrize(("afresh", "again"), [(False, ["ship"]), (True, ["load", "ship"])])
async def test_retry_goes_on_behind_the_steps_unless_they_are_forgotten(
    stored: Rig, afresh: bool, again: list[str]
):
    did: list[str] = []

    def do(name: str) -> str:
        did.append(name)
        return name

    @stored.job(name="order", retry=Retry(attempts=1))
    async def order(ctx: Context) -> list[str]:
        first = await ctx.step("load", do, "load")
        if not mended:
            raise ValueError("before ship")
        return [first, await ctx.step("ship", do, "ship")]

    mended: list[bool] = []
    job_id = await stored.enqueue("order")
    async with stored.worker() as (_, watch):
        await watch.finished(job_id)
        did.clear()
        mended.append(True)
        if afresh:
            assert await stored.operations.forget_steps(job_id) == 1
        await stored.operations.retry(job_id)
        finished = await watch.finished(job_id, count=2)

    assert finished.outcome == Succeeded(result='["load","ship"]')
    assert did == again


async def test_steps_of_a_job_that_cannot_be_retried_are_not_forgotten(stored: Rig):
    old = await replayable(stored, [])

    with pytest.raises(IllegalMove):
        await stored.operations.forget_steps(old)
    with pytest.raises(JobNotFound):
        await stored.operations.forget_steps("no-such-job")
    assert len((await stored.operations.steps(old)).steps) == len(STEPS)

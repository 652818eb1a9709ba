"""Members of sequential batches run one after the other, on every store."""

import asyncio

import pytest

from headrace.core.batch import Counts, Phase
from headrace.core.unique import OnConflict, Unique
from headrace.engine.batch_closing import Closing, swap_of
from headrace.errors import (
    InvalidInput,
)
from headrace.stores.protocol import Store
from tests.builders import (
    NAMESPACE,
    NOW,
    a_failure,
)
from tests.contract.batching import (
    IN_TURN,
    Desk,
    Meanwhile,
    a_desk,
)


@pytest.fixture
async def desk(store: Store) -> Desk:
    return await a_desk(store)


async def test_members_of_a_sequential_batch_run_one_after_the_other_in_order_of_adding(desk: Desk):
    name = await desk.made(new=IN_TURN, seal=False)
    ids = [*await desk.add(name, 2), *await desk.add(name, 2, priority=50)]
    await desk.engine.seal_batch(name)
    ran = []
    while jobs := await desk.claimed():
        (job,) = jobs
        ran.append(job.id)
        assert await desk.claimed() == []
        await desk.run(job)
        await desk.closing.check([name])

    assert ran == ids
    assert await desk.callbacks(name) == [(1, "on_complete"), (1, "on_success")]


async def test_members_of_a_sequential_batch_wait_blocked(desk: Desk):
    name = await desk.made(3, new=IN_TURN)

    assert (await desk.engine.batch(name)).counts == Counts(blocked=2, pending=1)


async def test_failed_member_of_a_sequential_batch_does_not_stop_the_rest(desk: Desk):
    name = await desk.made(2, new=IN_TURN)
    await desk.run_all(a_failure())

    await desk.closing.check([name])
    await desk.run_all()
    await desk.closing.check([name])

    assert (await desk.engine.batch(name)).counts == Counts(completed=1, failed=1)
    assert await desk.callbacks(name) == [(1, "on_complete"), (1, "on_failure")]


async def test_member_that_will_be_tried_again_keeps_its_turn(desk: Desk):
    name = await desk.made(new=IN_TURN, seal=False)
    (first,) = await desk.add(name, max_attempts=2)
    await desk.add(name)
    await desk.run_all(a_failure())

    await desk.closing.check([name])
    early = await desk.claimed()
    desk.clock.advance(60)
    (again,) = await desk.claimed()

    assert early == []
    assert again.id == first


async def test_turn_that_nobody_passed_on_is_passed_on_by_the_sweep(desk: Desk):
    name = await desk.made(2, new=IN_TURN)
    await desk.run_all()
    stuck = await desk.claimed()

    await desk.sweep()

    assert stuck == []
    assert len(await desk.claimed()) == 1
    assert (await desk.state(name)).turn is not None


async def test_turn_given_by_many_at_once_is_given_to_one(desk: Desk):
    name = await desk.made(5, new=IN_TURN)
    await desk.run_all()

    await asyncio.gather(
        *(Closing(desk.store, desk.clock, namespace=NAMESPACE).check([name]) for _ in range(6))
    )

    assert len(await desk.claimed()) == 1


async def test_cancelled_member_loses_its_turn_to_the_next(desk: Desk):
    name = await desk.made(3, new=IN_TURN)
    one, two, _ = await desk.members(name)
    await desk.engine.cancel(two.id)

    await desk.engine.cancel(one.id)
    await desk.engine.batch_engine.checks.drained()

    (last,) = await desk.claimed()
    assert last.id == (await desk.members(name))[2].id


async def test_cancelled_sequential_batch_gives_no_turn_any_more(desk: Desk):
    name = await desk.made(4, new=IN_TURN)

    assert await desk.engine.cancel_batch(name) == 4

    assert await desk.claimed() == []
    assert (await desk.engine.batch(name)).counts == Counts(cancelled=4)
    assert (await desk.state(name)).phase is Phase.CLOSED


async def test_nobody_gets_the_turn_while_a_sequential_batch_is_being_cancelled(desk: Desk):
    name = await desk.made(2, new=IN_TURN)
    register, batch = await desk.closing.one(name)
    await desk.store.swap(NAMESPACE, [swap_of(register, batch.cancelled(NOW), NOW)])

    await desk.run_all()
    await desk.closing.check([name])

    assert await desk.claimed() == []
    assert (await desk.engine.batch(name)).counts == Counts(blocked=1, completed=1)


async def test_turn_goes_to_nobody_else_while_a_member_before_it_is_retried(desk: Desk):
    name = await desk.made(3, new=IN_TURN)
    await desk.run_all(a_failure())
    (failed, *_) = await desk.members(name)
    meanwhile = Meanwhile(desk.store, "apply", lambda: desk.engine.retry(failed.id))

    await Closing(meanwhile, desk.clock, namespace=NAMESPACE).check([name])

    (running,) = await desk.claimed()
    assert running.id == failed.id
    assert (await desk.engine.batch(name)).counts == Counts(blocked=2, processing=1)


async def test_retried_members_of_a_sequential_batch_wait_for_their_turn(desk: Desk):
    name = await desk.made(4, new=IN_TURN)
    for _ in range(3):
        await desk.run_all(a_failure())
        await desk.closing.check([name])
    (running,) = await desk.claimed()
    failed = [job.id for job in (await desk.members(name))[:3]]

    assert await desk.engine.retry_batch(name) == 3
    while_running = await desk.claimed()
    await desk.run(running)
    ran = []
    await desk.closing.check([name])
    while jobs := await desk.claimed():
        (job,) = jobs
        ran.append(job.id)
        await desk.run(job)
        await desk.closing.check([name])

    assert while_running == []
    assert ran == failed
    assert await desk.callbacks(name) == [(1, "on_complete"), (1, "on_success")]


async def test_scheduled_member_of_a_sequential_batch_holds_the_others_back(desk: Desk):
    name = await desk.made(new=IN_TURN, seal=False)
    await desk.add(name, delay_ms=60_000)
    await desk.add(name)

    early = await desk.claimed()
    desk.clock.advance(60)
    (first,) = await desk.claimed()

    assert early == []
    assert first.id == (await desk.members(name))[0].id


async def test_member_of_a_sequential_batch_cannot_replace_a_job(desk: Desk):
    name = await desk.made(new=IN_TURN, seal=False)

    with pytest.raises(InvalidInput, match="turn"):
        await desk.add(name, unique=Unique(key="k", on_conflict=OnConflict.REPLACE))

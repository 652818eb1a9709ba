"""Who may add members to a batch, on every store (C38)."""

import asyncio
from dataclasses import replace

import pytest

from headrace.core.batch import Counts
from headrace.core.batch_wire import load
from headrace.core.outcomes import RetryAsked
from headrace.core.states import State
from headrace.engine.batch_closing import swap_of
from headrace.errors import (
    BatchSealed,
    LeaseLost,
    StaleRegister,
)
from headrace.stores.protocol import Applied, Store, Swap
from tests.builders import (
    NAMESPACE,
    NOW,
    a_failure,
    decided,
    holder,
)
from tests.contract.batching import (
    Desk,
    a_desk,
    a_member,
)
from tests.contract.reads import everything


@pytest.fixture
async def desk(store: Store) -> Desk:
    return await a_desk(store)


async def test_c38_members_are_added_until_the_batch_is_sealed(desk: Desk):
    name = await desk.made(1, seal=False)
    await desk.add(name)
    await desk.engine.seal_batch(name)

    with pytest.raises(BatchSealed):
        await desk.add(name)

    assert (await desk.engine.batch(name)).counts.total == 2


async def test_c38_bulk_with_members_of_a_sealed_batch_adds_nothing(desk: Desk):
    sealed, still_open = await desk.made(1), await desk.made(seal=False)

    with pytest.raises(BatchSealed):
        await desk.engine.enqueue([a_member(batch_id=still_open), a_member(batch_id=sealed), a_member()])

    assert len(await everything(desk.store)) == 1


async def test_c38_running_member_adds_to_a_sealed_batch_and_keeps_it_from_closing(desk: Desk):
    name = await desk.made(1)
    (job,) = await desk.claimed()

    await desk.engine.enqueue([a_member(batch_id=name)], parent=holder(job))
    await desk.run(job)
    await desk.closing.check([name])

    assert await desk.callbacks(name) == []
    await desk.run_all()
    await desk.closing.check([name])
    assert (await desk.engine.batch(name)).counts == Counts(completed=2)
    assert await desk.callbacks(name) == [(1, "on_complete"), (1, "on_success")]


async def test_c38_job_that_is_no_member_cannot_add_to_a_sealed_batch(desk: Desk):
    name = await desk.made(1)
    await desk.engine.enqueue([a_member(priority=5)])
    (outside,) = await desk.claimed(1)

    with pytest.raises(BatchSealed):
        await desk.engine.enqueue([a_member(batch_id=name)], parent=holder(outside))


async def test_c38_member_that_lost_its_lease_adds_nothing(desk: Desk):
    name = await desk.made(2)
    first, _ = await desk.claimed()
    await desk.run(first)
    before = await desk.register(name)

    with pytest.raises(LeaseLost):
        await desk.engine.enqueue([a_member(batch_id=name)], parent=holder(first))

    assert (await desk.engine.batch(name)).counts.total == 2
    assert await desk.register(name) == before


async def test_c38_member_added_between_the_look_and_the_swap_keeps_the_batch_from_closing(desk: Desk):
    name = await desk.made(seal=False)
    await desk.add(name)
    await desk.run_all()
    register = await desk.register(name)

    await desk.add(name)
    swapped = await desk.store.swap(NAMESPACE, [swap_of(register, load(register.value).sealed(), NOW)])

    assert not swapped


async def test_many_members_added_at_once_are_all_there(desk: Desk):
    name = await desk.made(seal=False)

    await asyncio.gather(*(desk.add(name, 2) for _ in range(12)))

    assert (await desk.engine.batch(name)).counts == Counts(pending=24)


async def test_swap_that_goes_with_transitions_is_made_with_them_or_not_at_all(desk: Desk):
    name = await desk.made(1)
    await desk.run_all(a_failure())
    register = await desk.register(name)
    (failed,) = await desk.members(name)

    retry = decided(failed, RetryAsked(), now=NOW)
    stale = Swap(key=register.key, revision=register.revision + 1000, value="{}")
    with pytest.raises(StaleRegister):
        await desk.store.apply([retry], now=NOW, swaps=[stale])
    unchanged = (await desk.members(name), await desk.register(name))
    right = replace(stale, revision=register.revision, value=register.value)
    answers = await desk.store.apply([retry], now=NOW, swaps=[right])

    assert unchanged == ([failed], register)
    assert answers == [Applied()]
    assert (await desk.register(name)).revision > register.revision
    assert [job.state for job in await desk.members(name)] == [State.PENDING]

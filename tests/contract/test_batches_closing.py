"""Callbacks of batches come exactly once per generation, on every store, whatever happens."""

import asyncio
import random
from contextlib import suppress

import pytest

from headrace.core.batch import RECHECK_MS, Counts, Phase
from headrace.core.batch_wire import load
from headrace.core.filters import JobFilter
from headrace.core.job import Job
from headrace.core.outcomes import CancelAsked
from headrace.core.states import State
from headrace.core.unique import Unique
from headrace.engine.batch_closing import Closing, swap_of
from headrace.errors import (
    BatchSealed,
    DuplicateJob,
    IllegalMove,
)
from headrace.stores.protocol import Store
from headrace.upkeep.close_batches import CloseBatches
from tests.builders import (
    HOUR,
    NAMESPACE,
    NOW,
    SUCCESS,
    a_failure,
    claim,
    happen,
    settle,
)
from tests.contract.batching import (
    CALLBACK,
    Desk,
    Meanwhile,
    a_desk,
    a_member,
)
from tests.contract.reads import everything


@pytest.fixture
async def desk(store: Store) -> Desk:
    return await a_desk(store)


async def test_c37_empty_batch_calls_back_when_it_is_sealed(desk: Desk):
    name = await desk.made(seal=False)
    before = await desk.callbacks(name)

    await desk.engine.seal_batch(name)

    assert before == []
    assert await desk.callbacks(name) == [(1, "on_complete"), (1, "on_success")]
    assert (await desk.state(name)).phase is Phase.CLOSED


async def test_c37_open_batch_does_not_call_back_however_often_its_members_have_ended(desk: Desk):
    name = await desk.made(2, seal=False)
    await desk.run_all()

    await desk.closing.check([name])
    await desk.sweep(after_ms=2 * HOUR)

    assert await desk.callbacks(name) == []
    await desk.engine.seal_batch(name)
    assert await desk.callbacks(name) == [(1, "on_complete"), (1, "on_success")]


async def test_c37_callbacks_are_due_when_the_last_member_has_ended_and_not_before(desk: Desk):
    name = await desk.made(3)
    jobs = await desk.claimed()

    for job in jobs[:2]:
        await desk.run(job)
        await desk.closing.check([name])
    early = await desk.callbacks(name)
    await desk.run(jobs[2])
    await desk.closing.check([name])

    assert early == []
    assert await desk.callbacks(name) == [(1, "on_complete"), (1, "on_success")]
    (first, *_) = await claim(
        desk.store, now=desk.clock.now(), queues={"callbacks": 5}, types=frozenset({CALLBACK})
    )
    assert (first.facts.payload, first.facts.batch_id) == ('{"on":"complete"}', None)


@pytest.mark.parametrize("ending", ["fails", "is cancelled"])
async def test_c37_batch_in_which_a_member_did_not_complete_calls_the_other_callback(desk: Desk, ending):
    name = await desk.made(2)
    one, two = await desk.members(name)
    if ending == "fails":
        (running,) = await desk.claimed(1)
        await desk.run(running, a_failure())
        await desk.run_all()
    else:
        await happen(desk.store, one, CancelAsked())
        await desk.run_all()

    await desk.closing.check([name])

    assert two.state is State.PENDING
    assert await desk.callbacks(name) == [(1, "on_complete"), (1, "on_failure")]


async def test_c37_two_last_members_that_end_at_once_call_back_once(desk: Desk):
    name = await desk.made(2)
    jobs = await desk.claimed()

    async def ends(job: Job) -> None:
        await desk.run(job)
        await desk.closing.check([name])

    await asyncio.gather(*map(ends, jobs))

    assert await desk.callbacks(name) == [(1, "on_complete"), (1, "on_success")]


async def test_c37_many_who_look_at_once_call_back_once(desk: Desk):
    name = await desk.made(1)
    await desk.run_all()

    await asyncio.gather(
        *(Closing(desk.store, desk.clock, namespace=NAMESPACE).check([name]) for _ in range(8))
    )

    assert await desk.callbacks(name) == [(1, "on_complete"), (1, "on_success")]
    assert (await desk.state(name)).phase is Phase.CLOSED


async def test_c37_retry_between_the_look_at_the_members_and_the_swap_keeps_the_batch_from_closing(
    desk: Desk,
):
    name = await desk.made(1)
    await desk.run_all(a_failure())
    register = await desk.register(name)
    batch = load(register.value)
    live = await desk.store.live_batches(NAMESPACE, [name])
    (failed,) = await desk.members(name)

    await desk.engine.retry(failed.id)
    closing = batch.closing(Counts(failed=1), anything_ended=True)
    swapped = await desk.store.swap(NAMESPACE, [swap_of(register, closing, NOW)])

    assert (live, swapped) == (frozenset(), False)
    assert await desk.callbacks(name) == []
    await desk.run_all()
    await desk.closing.check([name])
    assert await desk.callbacks(name) == [(1, "on_complete"), (1, "on_success")]


@pytest.mark.parametrize("moment", ["batch_counts", "swap"])
async def test_c37_retry_while_somebody_closes_the_batch_leaves_it_to_who_ends_last(desk: Desk, moment: str):
    name = await desk.made(1)
    await desk.run_all(a_failure())
    (failed,) = await desk.members(name)
    meanwhile = Meanwhile(desk.store, moment, lambda: desk.engine.retry(failed.id))

    await Closing(meanwhile, desk.clock, namespace=NAMESPACE).check([name])

    assert await desk.callbacks(name) == []
    assert (await desk.state(name)).phase is Phase.SEALED
    await desk.run_all()
    await desk.closing.check([name])
    assert await desk.callbacks(name) == [(1, "on_complete"), (1, "on_success")]


@pytest.mark.parametrize("moment", ["batch_counts", "swap", "insert"])
async def test_c37_somebody_else_who_closes_the_batch_meanwhile_is_not_outdone(desk: Desk, moment: str):
    name = await desk.made(1)
    await desk.run_all()
    meanwhile = Meanwhile(desk.store, moment, lambda: desk.closing.check([name]))

    await Closing(meanwhile, desk.clock, namespace=NAMESPACE).check([name])

    assert await desk.callbacks(name) == [(1, "on_complete"), (1, "on_success")]
    assert (await desk.state(name)).phase is Phase.CLOSED


async def test_c37_crash_between_closing_and_callbacks_is_healed_by_the_sweep(desk: Desk):
    name = await desk.made(1)
    await desk.run_all()
    register = await desk.register(name)
    closing = load(register.value).closing(Counts(completed=1), anything_ended=True)
    assert await desk.store.swap(NAMESPACE, [swap_of(register, closing, desk.clock.now())])

    early = await desk.callbacks(name)
    closed = await desk.sweep()

    assert (early, closed) == ([], 1)
    assert await desk.callbacks(name) == [(1, "on_complete"), (1, "on_success")]


async def test_c37_closing_that_is_finished_twice_inserts_the_callbacks_once(desk: Desk):
    name = await desk.made(1)
    await desk.run_all()
    register = await desk.register(name)
    closing = load(register.value).closing(Counts(completed=1), anything_ended=True)
    await desk.store.swap(NAMESPACE, [swap_of(register, closing, NOW)])
    register = await desk.register(name)

    await desk.closing.finish(register, closing)
    (first, *_) = await everything(desk.store, JobFilter(types=frozenset({CALLBACK})))
    await desk.closing.finish(register, closing)

    assert await desk.callbacks(name) == [(1, "on_complete"), (1, "on_success")]
    assert first.facts.created_at == NOW


async def test_c37_crash_before_anybody_looked_is_healed_by_the_sweep(desk: Desk):
    name = await desk.made(2)
    await desk.run_all()

    early = await desk.sweep(after_ms=RECHECK_MS - 1)
    healed = await desk.sweep(after_ms=1)

    assert (early, healed) == (0, 1)
    assert await desk.callbacks(name) == [(1, "on_complete"), (1, "on_success")]
    assert await desk.sweep() == 0


async def test_sweep_looks_again_later_at_what_goes_on(desk: Desk):
    name = await desk.made(1)

    assert await desk.sweep() == 0
    assert (await desk.register(name)).due_at == desk.clock.now() + RECHECK_MS
    await desk.run_all()
    assert await desk.sweep() == 1


async def test_c37_retry_of_a_member_opens_a_generation_that_calls_back_again(desk: Desk):
    name = await desk.made(2)
    jobs = await desk.claimed()
    await desk.run(jobs[0], a_failure())
    await desk.run(jobs[1])
    await desk.closing.check([name])
    desk.clock.advance(60)

    await desk.engine.retry(jobs[0].id)
    reopened = await desk.state(name)
    await desk.run_all()
    await desk.closing.check([name])

    assert (reopened.phase, reopened.generation) == (Phase.SEALED, 2)
    assert await desk.callbacks(name) == [
        (1, "on_complete"), (1, "on_failure"), (2, "on_complete"), (2, "on_success"),
    ]  # fmt: skip


async def test_c37_retry_while_the_batch_is_closing_gives_both_generations_their_callbacks(desk: Desk):
    name = await desk.made(1)
    await desk.run_all(a_failure())
    register = await desk.register(name)
    closing = load(register.value).closing(Counts(failed=1), anything_ended=True)
    await desk.store.swap(NAMESPACE, [swap_of(register, closing, NOW)])
    (failed,) = await desk.members(name)
    desk.clock.advance(60)

    await desk.engine.retry(failed.id)
    await desk.run_all()
    await desk.closing.check([name])

    assert await desk.callbacks(name) == [
        (1, "on_complete"), (1, "on_failure"), (2, "on_complete"), (2, "on_success"),
    ]  # fmt: skip


async def test_c37_generation_in_which_nothing_ran_closes_in_silence(desk: Desk):
    """A key taken meanwhile refuses the retry that the new generation was opened for."""
    name = await desk.made(seal=False)
    await desk.add(name, unique=Unique(key="k"))
    await desk.engine.seal_batch(name)
    await desk.run_all(a_failure())
    await desk.closing.check([name])
    desk.clock.advance(60)
    (failed,) = await desk.members(name)
    (rival,) = await desk.engine.enqueue([a_member(unique=Unique(key="k"))])

    with pytest.raises(DuplicateJob) as caught:
        await desk.engine.retry(failed.id)

    assert caught.value.existing_id == rival.job_id
    assert ((await desk.state(name)).phase, (await desk.state(name)).generation) == (Phase.CLOSED, 2)
    assert await desk.callbacks(name) == [(1, "on_complete"), (1, "on_failure")]


async def test_c27_retry_of_a_completed_or_live_member_changes_nothing(desk: Desk):
    name = await desk.made(2)
    (running,) = await desk.claimed(1)
    done, waiting = await desk.members(name)
    await desk.run(running)
    before = await desk.register(name)

    for job in (done, waiting):
        with pytest.raises(IllegalMove):
            await desk.engine.retry(job.id)

    assert await desk.register(name) == before


@pytest.mark.parametrize("seed", range(4))
async def test_c37_callbacks_come_exactly_once_per_generation_under_random_orders(desk: Desk, seed):
    chance = random.Random(seed)
    name = await desk.made(4, seal=False)
    for step in range(60):
        desk.clock.advance(chance.choice([0.001, 20]))
        if step == chance.randrange(60):
            await desk.engine.seal_batch(name)
        await asyncio.gather(*(move(desk, name, chance) for _ in range(chance.randint(1, 3))))
        await callbacks_are_right(desk, name)
    await desk.engine.seal_batch(name)
    for _ in range(3):
        desk.clock.advance(60)
        await desk.claimed()
        await settle_running(desk, name, chance, share=1)
        await desk.sweep()

    state = await desk.state(name)
    assert state.phase is Phase.CLOSED
    complete = [generation for generation, on in await desk.callbacks(name) if on == "on_complete"]
    assert complete == list(range(1, state.generation + 1))


async def move(desk: Desk, name: str, chance: random.Random) -> None:
    await chance.choice(MOVES)(desk, name, chance)


async def claim_some(desk: Desk, name: str, chance: random.Random) -> None:
    await desk.claimed(chance.randint(1, 2))


async def settle_running(desk: Desk, name: str, chance: random.Random, share: float = 0.8) -> None:
    for job in await desk.members(name):
        if job.state is State.PROCESSING and chance.random() < share:
            await settle(desk.store, job, chance.choice([SUCCESS, a_failure()]), now=desk.clock.now())


async def look(desk: Desk, name: str, chance: random.Random) -> None:
    await desk.closing.check([name])


async def sweep(desk: Desk, name: str, chance: random.Random) -> None:
    await CloseBatches(desk.store, desk.clock).run_once()


async def retry_all(desk: Desk, name: str, chance: random.Random) -> None:
    await desk.engine.retry_batch(name)


async def retry_each(desk: Desk, name: str, chance: random.Random) -> None:
    for job in await desk.members(name):
        if job.state is State.FAILED:
            with suppress(IllegalMove):
                await desk.engine.retry(job.id)


async def add_one(desk: Desk, name: str, chance: random.Random) -> None:
    with suppress(BatchSealed):
        await desk.add(name)


async def begin_closing_and_die(desk: Desk, name: str, chance: random.Random) -> None:
    register = await desk.register(name)
    batch = load(register.value)
    counts = Counts.of((await desk.store.batch_counts(NAMESPACE, [name]))[name])
    if batch.phase is Phase.SEALED and not counts.live:
        closing = batch.closing(counts, anything_ended=True)
        await desk.store.swap(NAMESPACE, [swap_of(register, closing, desk.clock.now())])


MOVES = [
    claim_some, settle_running, settle_running, look, sweep, retry_all, retry_each, add_one,
    begin_closing_and_die,
]  # fmt: skip


async def callbacks_are_right(desk: Desk, name: str) -> None:
    """Each closed generation has called back once, and no other has."""
    state = await desk.state(name)
    generations = [generation for generation, on in await desk.callbacks(name) if on == "on_complete"]
    finished = state.generation if state.phase is Phase.CLOSED else state.generation - 1
    assert generations == list(range(1, finished + 1))

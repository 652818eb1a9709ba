"""Batches on every store: members are added, counted, kept, cancelled and retried."""

import asyncio
import random

import pytest

from headrace.core.batch import Counts, Phase
from headrace.core.batch_request import NewBatch
from headrace.core.filters import Page, dump_cursor
from headrace.core.outcomes import CancelAsked
from headrace.core.request import EnqueueRequest
from headrace.core.states import LIVE, State
from headrace.core.unique import Unique
from headrace.engine.local import LocalOperations
from headrace.errors import (
    BatchClosed,
    BatchNotFound,
    BatchSealed,
    InvalidInput,
    UnknownJobType,
    WaitTimeout,
)
from headrace.stores.protocol import Store
from headrace.upkeep.close_batches import ForgetBatches
from headrace.upkeep.rescue import Rescue
from tests.builders import (
    HOUR,
    NAMESPACE,
    NOW,
    SUCCESS,
    TYPE,
    a_failure,
    happen,
    holder,
    settle,
)
from tests.contract.batching import (
    DAY,
    NOT_THERE,
    Desk,
    a_desk,
    a_member,
)
from tests.contract.reads import everything


@pytest.fixture
async def desk(store: Store) -> Desk:
    return await a_desk(store)


# ------------------------------------------------------------ making


async def test_new_batch_is_open_and_empty(desk: Desk):
    name = await desk.made(seal=False)

    view = await desk.engine.batch(name)

    assert (view.state.phase, view.state.generation, view.counts) == (Phase.OPEN, 1, Counts())
    assert name.startswith(f"batch_{NOW}_")


async def test_callback_of_an_unknown_type_is_refused_before_anything_is_written(desk: Desk):
    with pytest.raises(UnknownJobType):
        await desk.engine.create_batch(NewBatch(on_complete=EnqueueRequest(type="nobody", payload={})))

    views, _ = await desk.engine.batches(Page())
    assert list(views) == []


async def test_batches_are_listed_newest_first_page_by_page(desk: Desk):
    made = []
    for _ in range(5):
        desk.clock.advance(1)
        made.append(await desk.made(1, seal=False))

    first, cursor = await desk.engine.batches(Page(limit=3))
    second, end = await desk.engine.batches(Page(limit=3, before=cursor))

    assert [view.state.id for view in (*first, *second)] == made[::-1]
    assert all(view.counts == Counts(pending=1) for view in first)
    assert end is None


@pytest.mark.parametrize("cursor", ["nonsense", "WzFd"])
async def test_cursor_that_is_none_is_refused(desk: Desk, cursor):
    with pytest.raises(InvalidInput, match="cursor"):
        await desk.engine.batches(Page(before=cursor))


async def test_cursor_that_no_key_can_follow_finds_nothing(desk: Desk):
    await desk.made(seal=False)

    views, following = await desk.engine.batches(Page(before=dump_cursor("\0")))

    assert (list(views), following) == ([], None)


@pytest.mark.parametrize("name", [NOT_THERE, "label", "", "\0", "batch_\ud800"])
async def test_batch_that_does_not_exist_is_not_found(desk: Desk, name):
    engine = desk.engine
    calls = (
        lambda: engine.batch(name),
        lambda: engine.seal_batch(name),
        lambda: engine.cancel_batch(name),
        lambda: engine.retry_batch(name),
        lambda: engine.wait_for_batch(name, timeout_ms=1),
    )
    for call in calls:
        with pytest.raises(BatchNotFound):
            await call()


async def test_member_of_a_batch_that_does_not_exist_is_refused(desk: Desk):
    with pytest.raises(BatchNotFound):
        await desk.add(NOT_THERE)

    assert await everything(desk.store) == []


async def test_other_batch_ids_are_labels_and_need_no_batch(desk: Desk):
    await desk.engine.enqueue([a_member(batch_id="import-7")])

    (job,) = await desk.claimed()
    await desk.run(job)

    assert await desk.closing.check(["import-7"]) == frozenset()


async def test_c46_batch_of_another_namespace_is_absent(desk: Desk):
    name = await desk.made(2)
    other = LocalOperations(desk.store, desk.clock, namespace="other")

    with pytest.raises(BatchNotFound):
        await other.batch(name)
    views, _ = await other.batches(Page())
    assert list(views) == []
    assert (await desk.store.batch_counts("other", [name]))[name] == {}
    assert await desk.store.live_batches("other", [name]) == frozenset()


# ------------------------------------------------------------ C36


@pytest.mark.parametrize("seed", range(3))
async def test_c36_counts_add_up_at_every_step_whatever_happens(desk: Desk, seed):
    chance = random.Random(seed)
    name = await desk.made(seal=False)
    for _ in range(40):
        desk.clock.advance(60)
        await something_happens(desk, name, chance)

        members = await desk.members(name)
        counts = (await desk.engine.batch(name)).counts
        states = [job.state for job in members]
        assert counts == Counts.of({state: states.count(state) for state in State})
        assert counts.total == len(members)
        assert (await desk.store.live_batches(NAMESPACE, [name]) == {name}) == bool(counts.live)


async def something_happens(desk: Desk, name: str, chance: random.Random) -> None:
    match chance.choice(["add", "add", "claim", "settle", "settle", "cancel", "retry", "rescue", "erase"]):
        case "add":
            await desk.add(name, chance.randint(1, 3), max_attempts=2)
        case "claim":
            await desk.claimed(2)
        case "settle":
            for job in await desk.members(name):
                if job.state is State.PROCESSING:
                    await settle(desk.store, job, chance.choice([SUCCESS, a_failure()]), now=desk.clock.now())
        case "erase":
            await desk.store.erase(now=desk.clock.now() + DAY * 10, limit=3)
        case "retry":
            await desk.engine.retry_batch(name)
        case word:
            for job in chance.sample(await desk.members(name), k=min(2, len(await desk.members(name)))):
                if word == "cancel" and job.state in LIVE:
                    await happen(desk.store, job, CancelAsked(), now=desk.clock.now())


async def test_c36_total_is_the_number_of_members_and_not_of_attempts(desk: Desk):
    name = await desk.made(1, seal=False)
    await desk.add(name, 1, max_attempts=5)
    for _ in range(4):
        await desk.run_all(a_failure())
        desk.clock.advance(60)

    counts = (await desk.engine.batch(name)).counts

    assert counts == Counts(failed=1, pending=1)


async def test_request_that_meets_a_unique_key_adds_no_member(desk: Desk):
    name = await desk.made(seal=False)
    key = Unique(key="k")
    (outside,) = await desk.engine.enqueue([a_member(unique=key)])

    (inside,) = await desk.engine.add_to_batch(name, [a_member(unique=key)])

    assert inside.job_id == outside.job_id
    assert (await desk.engine.batch(name)).counts.total == 0


# ------------------------------------------------------------ C44


async def test_c44_members_stay_until_the_batch_is_closed(desk: Desk):
    name = await desk.made(2, seal=False)
    (one,) = await desk.claimed(1)
    await desk.run(one)
    much_later = NOW + 10 * DAY

    kept = await desk.store.erase(now=much_later, limit=10)
    beyond = await desk.store.erase_beyond(NAMESPACE, TYPE, State.COMPLETED, keep=0, limit=10)
    await desk.engine.seal_batch(name)
    await desk.run_all()
    await desk.closing.check([name])
    erased = await desk.store.erase(now=much_later, limit=10)

    assert (kept, beyond) == (0, 0)
    assert erased == 2
    assert (await desk.engine.batch(name)).counts == Counts()


async def test_c44_labelled_jobs_and_jobs_beside_an_open_batch_are_erased(desk: Desk):
    await desk.made(1, seal=False)
    await desk.engine.enqueue([a_member(priority=1), a_member(priority=1, batch_id="label")])
    for job in await desk.claimed(2):
        await desk.run(job)

    assert await desk.store.erase(now=NOW + 10 * DAY, limit=10) == 2


async def test_closed_batch_is_forgotten_when_its_members_are_gone_for_a_day(desk: Desk):
    name, other = await desk.made(1), await desk.made(1, seal=False)
    await desk.run_all()
    await desk.closing.check([name])
    forget = ForgetBatches(desk.store, desk.clock, namespace=NAMESPACE)
    desk.clock.advance(DAY / 1000 + 1)
    with_member = await forget.run_once()
    await desk.store.erase(now=NOW + 10 * DAY, limit=10)

    without = await forget.run_once()

    assert (with_member.done, without.done) == (0, 1)
    with pytest.raises(BatchNotFound):
        await desk.engine.batch(name)
    assert (await desk.engine.batch(other)).counts.total == 1


# ------------------------------------------------------------ cancelling, retrying, waiting


async def test_cancelled_batch_ends_what_waits_asks_what_runs_and_takes_no_more(desk: Desk):
    name = await desk.made(3, seal=False)
    (running,) = await desk.claimed(1)

    count = await desk.engine.cancel_batch(name)

    counts = (await desk.engine.batch(name)).counts
    assert (count, counts) == (3, Counts(processing=1, cancelled=2))
    with pytest.raises(BatchSealed, match="cancelled"):
        await desk.add(name)
    with pytest.raises(BatchSealed, match="cancelled"):
        await desk.engine.enqueue([a_member(batch_id=name)], parent=holder(running))
    await desk.run(running, a_failure())
    await desk.closing.check([name])
    assert (await desk.engine.batch(name)).counts == Counts(cancelled=3)
    assert await desk.callbacks(name) == [(1, "on_complete"), (1, "on_failure")]


async def test_batch_whose_last_member_a_rescue_ends_is_closed_at_once(desk: Desk):
    name = await desk.made(1)
    await desk.claimed()
    await desk.engine.cancel_batch(name)
    desk.clock.advance(HOUR / 1000)

    await Rescue(desk.store, desk.clock, hold_off_ms=0).run_once()

    assert (await desk.engine.batch(name)).counts == Counts(cancelled=1)
    assert await desk.callbacks(name) == [(1, "on_complete"), (1, "on_failure")]


async def test_cancelling_twice_asks_nobody_twice(desk: Desk):
    name = await desk.made(2)
    await desk.claimed(1)
    await desk.engine.cancel_batch(name)

    assert await desk.engine.cancel_batch(name) == 0


async def test_closed_batch_cannot_be_cancelled(desk: Desk):
    name = await desk.made()

    with pytest.raises(BatchClosed):
        await desk.engine.cancel_batch(name)


async def test_retried_batch_runs_all_failed_members_in_a_new_generation(desk: Desk):
    name = await desk.made(5)
    jobs = await desk.claimed()
    for number, job in enumerate(jobs):
        await desk.run(job, a_failure() if number % 2 else SUCCESS)
    await desk.closing.check([name])
    desk.clock.advance(60)

    count = await desk.engine.retry_batch(name)

    assert count == 2
    assert (await desk.engine.batch(name)).counts == Counts(completed=3, pending=2)
    await desk.run_all()
    await desk.closing.check([name])
    assert await desk.callbacks(name) == [
        (1, "on_complete"), (1, "on_failure"), (2, "on_complete"), (2, "on_success"),
    ]  # fmt: skip


async def test_retry_of_a_batch_without_failures_changes_nothing(desk: Desk):
    name = await desk.made(1)
    await desk.run_all()
    await desk.closing.check([name])
    before = await desk.register(name)

    assert await desk.engine.retry_batch(name) == 0
    assert await desk.register(name) == before


async def test_retry_of_a_batch_passes_over_a_member_whose_key_is_taken(desk: Desk):
    name = await desk.made(seal=False)
    await desk.add(name, unique=Unique(key="k"))
    await desk.add(name)
    await desk.engine.seal_batch(name)
    await desk.run_all(a_failure())
    await desk.engine.enqueue([a_member(unique=Unique(key="k"))])

    assert await desk.engine.retry_batch(name) == 1
    assert (await desk.engine.batch(name)).counts == Counts(failed=1, pending=1)


async def test_waiting_ends_when_the_batch_is_closed_and_gives_its_numbers(desk: Desk):
    name = await desk.made(1)
    waiting = asyncio.create_task(desk.engine.wait_for_batch(name, timeout_ms=60_000))
    await desk.run_all()

    await desk.closing.check([name])

    assert (await waiting).counts == Counts(completed=1)


async def test_waiting_for_a_batch_that_goes_on_gives_up_in_time(desk: Desk):
    name = await desk.made(1)

    with pytest.raises(WaitTimeout):
        await desk.engine.wait_for_batch(name, timeout_ms=5)

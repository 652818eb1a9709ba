"""C28-C31: at most one job in a period (throttle: the first wins), or the latest of many (debounce)."""

import asyncio

import pytest

from headrace.core.outcomes import Succeeded
from headrace.core.states import State
from headrace.core.unique import OnConflict, Unique, Until
from headrace.engine.enqueue import PERIOD_PREFIX
from headrace.errors import DuplicateJob
from headrace.stores.protocol import Inserted, InsertKind, Receipt
from tests.builders import HOUR, MINUTE, NOW, a_job, claim, enqueue, read, settle

DEBOUNCE = Unique(key="k", on_conflict=OnConflict.REPLACE)


def throttled(now: int = NOW, *, on_conflict: OnConflict = OnConflict.EXISTING, **columns):
    unique = Unique(key="k", until=Until.STARTED, on_conflict=on_conflict, period_ms=MINUTE)
    receipt = Receipt(key=PERIOD_PREFIX + "k", until=now + MINUTE)
    return a_job(unique=unique, receipt=receipt, created_at=now, **columns)


async def one(store, job, now: int = NOW) -> Inserted:
    (answer,) = await enqueue(store, job, now=now)
    return answer


async def test_c29_first_of_a_period_wins_and_the_reply_names_it(store):
    first = await one(store, throttled())

    again = await one(store, throttled(NOW + MINUTE - 1), now=NOW + MINUTE - 1)

    assert first.kind is InsertKind.INSERTED
    assert again == Inserted(kind=InsertKind.EXISTING, job_id=first.job_id)


async def test_c29_next_period_has_a_job_of_its_own(store):
    first = await one(store, throttled())
    await claim(store)

    later = await one(store, throttled(NOW + MINUTE), now=NOW + MINUTE)

    assert later.kind is InsertKind.INSERTED
    assert later.job_id != first.job_id


async def test_c29_job_that_has_not_started_stands_for_the_next_period_too(store):
    first = await one(store, throttled())

    later = await one(store, throttled(NOW + MINUTE), now=NOW + MINUTE)

    assert later == Inserted(kind=InsertKind.EXISTING, job_id=first.job_id)


@pytest.mark.parametrize("fate", ["started", "ended", "erased"])
async def test_c29_period_outlives_the_job(store, fate):
    first = await one(store, throttled())
    (job,) = await claim(store)
    if fate != "started":
        await settle(store, job, Succeeded())
    if fate == "erased":
        assert await store.erase(now=NOW + HOUR, limit=10) == 1
        assert await store.trim(now=NOW + 1, limit=10) == 0

    again = await one(store, throttled(NOW + 1), now=NOW + 1)

    assert again == Inserted(kind=InsertKind.EXISTING, job_id=first.job_id)


@pytest.mark.parametrize("fate", ["waiting", "started", "ended"])
async def test_c30_reject_is_refused_for_the_whole_period_and_names_the_winner(store, fate):
    first = await one(store, throttled())
    if fate != "waiting":
        (job,) = await claim(store)
    if fate == "ended":
        await settle(store, job, Succeeded())

    with pytest.raises(DuplicateJob) as caught:
        await one(store, throttled(on_conflict=OnConflict.REJECT))

    assert (caught.value.unique_key, caught.value.existing_id) == ("k", first.job_id)


async def test_c30_reject_in_a_bulk_refuses_the_whole_bulk(store):
    await one(store, throttled())
    await claim(store)

    with pytest.raises(DuplicateJob):
        await enqueue(store, a_job(), throttled(on_conflict=OnConflict.REJECT))

    assert await claim(store) == []


async def test_c29_of_two_in_one_bulk_the_first_wins(store):
    first, second = await enqueue(store, throttled(), throttled())

    assert (first.kind, second.kind) == (InsertKind.INSERTED, InsertKind.EXISTING)
    assert second.job_id == first.job_id


async def test_c29_of_many_at_once_one_wins_and_all_replies_name_it(store):
    answers = await asyncio.gather(*(one(store, throttled()) for _ in range(16)))

    kinds = [answer.kind for answer in answers]
    assert kinds.count(InsertKind.INSERTED) == 1
    assert kinds.count(InsertKind.EXISTING) == 15
    assert len({answer.job_id for answer in answers}) == 1


async def test_c30_latest_of_a_burst_wins_and_starts_after_its_own_delay(store):
    first = await one(store, a_job(unique=DEBOUNCE, payload='"1"', due_at=NOW + 5))
    second = await one(store, a_job(unique=DEBOUNCE, payload='"2"', due_at=NOW + 8))

    assert second == Inserted(kind=InsertKind.REPLACED, job_id=first.job_id)
    assert await claim(store, now=NOW + 7) == []
    (job,) = await claim(store, now=NOW + 8)
    assert (job.id, job.facts.payload) == (first.job_id, '"2"')


async def test_c30_edit_that_comes_while_the_job_runs_is_not_lost(store):
    first = await one(store, a_job(unique=DEBOUNCE))
    await claim(store)

    second = await one(store, a_job(unique=DEBOUNCE, payload='"2"'))

    assert second.kind is InsertKind.INSERTED
    assert (await read(store, first.job_id)).state is State.PROCESSING
    assert [job.facts.payload for job in await claim(store)] == ['"2"']


async def test_c30_of_many_edits_at_once_one_job_comes_and_one_edit_is_its_last(store):
    edits = [f'"{n}"' for n in range(16)]

    answers = await asyncio.gather(*(one(store, a_job(unique=DEBOUNCE, payload=edit)) for edit in edits))

    (job,) = await claim(store)
    assert {answer.job_id for answer in answers} == {job.id}
    assert [answer.kind for answer in answers].count(InsertKind.INSERTED) == 1
    assert job.facts.payload in edits

"""Idempotency keys and unique keys for a period: records that outlive their job."""

import asyncio

import pytest

from headrace.core.unique import OnConflict, Unique
from headrace.errors import DuplicateJob, IdempotencyMismatch
from headrace.stores.protocol import Inserted, InsertKind, Receipt
from tests.builders import (
    HOUR,
    NAMESPACE,
    NOW,
    a_job,
    claimed,
    enqueue,
    enqueued,
    settle,
)
from tests.contract.reads import everything, ids_of

ORDER = Receipt(key="idempotency:order-17", until=NOW + HOUR, body="digest-1")
DAILY = Receipt(key="period:report", until=NOW + HOUR)


async def test_c31_repeat_is_answered_with_the_first_job(store):
    first = await enqueued(store, a_job(receipt=ORDER))

    (answer,) = await enqueue(store, a_job(receipt=ORDER))

    assert answer == Inserted(kind=InsertKind.EXISTING, job_id=first.id)
    assert await ids_of(store) == [first.id]


async def test_c31_repeat_is_answered_when_the_job_has_ended(store):
    first = await claimed(store, a_job(receipt=ORDER))
    await settle(store, first)

    (answer,) = await enqueue(store, a_job(receipt=ORDER))

    assert answer.job_id == first.id


async def test_c31_repeat_is_answered_when_the_job_was_erased(store):
    receipt = Receipt(key="idempotency:x", until=NOW + 10 * HOUR, body="b")
    first = await claimed(store, a_job(receipt=receipt))
    await settle(store, first)
    assert await store.erase(now=NOW + 2 * HOUR, limit=10) == 1

    (answer,) = await enqueue(store, a_job(receipt=receipt), now=NOW + 2 * HOUR)

    assert answer == Inserted(kind=InsertKind.EXISTING, job_id=first.id)
    assert await everything(store) == []


async def test_c31_other_body_is_refused_and_nothing_is_written(store):
    first = await enqueued(store, a_job(receipt=ORDER))
    other = Receipt(key=ORDER.key, until=ORDER.until, body="digest-2")

    with pytest.raises(IdempotencyMismatch) as refusal:
        await enqueue(store, a_job(), a_job(receipt=other))

    assert refusal.value.job_id == first.id
    assert await ids_of(store) == [first.id]


async def test_c31_key_is_free_once_its_window_is_over(store):
    first = await enqueued(store, a_job(receipt=ORDER))
    later = Receipt(key=ORDER.key, until=NOW + 3 * HOUR, body="digest-2")

    (answer,) = await enqueue(store, a_job(receipt=later), now=NOW + HOUR + 1)

    assert answer.kind is InsertKind.INSERTED
    assert answer.job_id != first.id


async def test_c31_new_window_belongs_to_the_new_job(store):
    await enqueued(store, a_job(receipt=ORDER))
    later = Receipt(key=ORDER.key, until=NOW + 3 * HOUR, body="digest-2")
    (second,) = await enqueue(store, a_job(receipt=later), now=NOW + HOUR + 1)

    (answer,) = await enqueue(store, a_job(receipt=later), now=NOW + 2 * HOUR)

    assert answer == Inserted(kind=InsertKind.EXISTING, job_id=second.job_id)


async def test_c31_receipt_is_good_up_to_the_end_of_its_window(store):
    first = await enqueued(store, a_job(receipt=ORDER))

    (answer,) = await enqueue(store, a_job(receipt=ORDER), now=NOW + HOUR - 1)

    assert answer.job_id == first.id


async def test_c31_trim_leaves_receipts_that_are_still_good(store):
    first = await enqueued(store, a_job(receipt=ORDER))
    await store.trim(now=NOW + HOUR - 1, limit=100)

    (answer,) = await enqueue(store, a_job(receipt=ORDER), now=NOW + HOUR - 1)

    assert answer.job_id == first.id


async def test_c31_two_equal_receipts_in_one_bulk_leave_one_job(store):
    first = a_job(receipt=ORDER)

    answers = await enqueue(store, first, a_job(receipt=ORDER))

    assert [answer.kind for answer in answers] == [InsertKind.INSERTED, InsertKind.EXISTING]
    assert {answer.job_id for answer in answers} == {first.facts.id}
    assert await ids_of(store) == [first.facts.id]


async def test_c31_two_receipts_with_other_bodies_in_one_bulk_refuse_it_whole(store):
    other = Receipt(key=ORDER.key, until=ORDER.until, body="digest-2")

    with pytest.raises(IdempotencyMismatch):
        await enqueue(store, a_job(receipt=ORDER), a_job(receipt=other))

    assert await everything(store) == []


async def test_c31_refused_bulk_leaves_no_receipt(store):
    await enqueue(store, a_job(unique=Unique(key="k")))
    rejected = a_job(unique=Unique(key="k", on_conflict=OnConflict.REJECT))
    with pytest.raises(DuplicateJob):
        await enqueue(store, a_job(receipt=ORDER), rejected)

    (answer,) = await enqueue(store, a_job(receipt=ORDER))

    assert answer.kind is InsertKind.INSERTED


async def test_c31_receipt_names_the_winner_when_the_unique_key_was_held(store):
    holder = await enqueued(store, a_job(unique=Unique(key="k")))
    (first,) = await enqueue(store, a_job(unique=Unique(key="k"), receipt=ORDER))

    (repeat,) = await enqueue(store, a_job(unique=Unique(key="k"), receipt=ORDER))

    assert first.job_id == repeat.job_id == holder.id


async def test_c31_receipt_wins_over_the_unique_key(store):
    ended = await claimed(store, a_job(unique=Unique(key="k"), receipt=ORDER))
    await settle(store, ended)
    await enqueue(store, a_job(unique=Unique(key="k")))

    (answer,) = await enqueue(store, a_job(unique=Unique(key="k"), receipt=ORDER))

    assert answer.job_id == ended.id


async def test_c31_receipt_answers_before_the_unique_key_could_reject(store):
    unique = Unique(key="k", on_conflict=OnConflict.REJECT)
    first = await enqueued(store, a_job(unique=unique, receipt=ORDER))

    (answer,) = await enqueue(store, a_job(unique=unique, receipt=ORDER))

    assert answer == Inserted(kind=InsertKind.EXISTING, job_id=first.id)


async def test_c29_period_key_outlives_its_job(store):
    first = await claimed(store, a_job(receipt=DAILY))
    await settle(store, first)

    (answer,) = await enqueue(store, a_job(receipt=DAILY))

    assert answer == Inserted(kind=InsertKind.EXISTING, job_id=first.id)


async def test_c29_period_key_takes_any_body(store):
    first = await enqueued(store, a_job(receipt=DAILY, payload="1"))

    (answer,) = await enqueue(store, a_job(receipt=DAILY, payload="2"))

    assert answer.job_id == first.id


async def test_c29_period_key_is_free_after_its_period_even_when_the_job_has_ended(store):
    await settle(store, await claimed(store, a_job(receipt=DAILY)))

    (answer,) = await enqueue(store, a_job(receipt=DAILY), now=NOW + HOUR + 1)

    assert answer.kind is InsertKind.INSERTED


async def test_c31_sixteen_repeats_at_once_leave_one_job(store):
    answers = await asyncio.gather(*(enqueue(store, a_job(receipt=ORDER)) for _ in range(16)))

    assert len({answer.job_id for (answer,) in answers}) == 1
    assert len(await everything(store)) == 1


async def test_c5_unknown_insert_repeated_with_its_key_gives_the_original_answer(store):
    sent = a_job(receipt=ORDER)
    await enqueue(store, sent)

    (answer,) = await enqueue(store, sent)

    assert answer == Inserted(kind=InsertKind.EXISTING, job_id=sent.facts.id)


async def test_receipts_of_another_namespace_do_not_count(store):
    await enqueue(store, a_job(receipt=ORDER))

    (answer,) = await enqueue(store, a_job(namespace="other", receipt=ORDER))

    assert (answer.kind, await everything(store, namespace=NAMESPACE) != []) == (InsertKind.INSERTED, True)

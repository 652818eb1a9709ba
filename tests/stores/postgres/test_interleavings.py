"""Two ops that meet: each decides on what the other has left behind, never on what it saw before."""

import asyncio

import pytest

from headrace.core.outcomes import Rescued, RetryAsked
from headrace.core.states import State
from headrace.core.unique import OnConflict, Unique
from headrace.errors import DuplicateJob, LeaseLost
from headrace.stores.protocol import Applied, InsertKind, Receipt
from tests.builders import (
    HOUR,
    LEASE,
    NAMESPACE,
    NOW,
    TYPE,
    a_failure,
    a_job,
    claim,
    claimed,
    decided,
    enqueue,
    enqueued,
    happen,
    holder,
    read,
    settle,
)
from tests.contract.reads import everything
from tests.stores.postgres import alongside
from tests.stores.postgres.meeting import all_wait

LATE = NOW + LEASE + 1
KEY = Unique(key="key")
LATEST = Unique(key="key", on_conflict=OnConflict.REPLACE)

TAKE_AWAY = """
update headrace.live
set state = 'pending', lease_until = null, due_at = rank, fence = fence + 1, revision = revision + 1
where seq = $1
"""
CLAIM = """
update headrace.live
set
  state = 'processing', lease_until = $2, due_at = null, unique_lock = lock_after_claim,
  worker = 'other', started_at = rank, starts = starts + 1, fence = fence + 1, revision = revision + 1
where seq = $1
"""


async def insert_beside(other, store, new) -> None:
    """Inserts a job in another session's open transaction."""
    statement, text = store.insert_statement([new])
    await other.execute(statement, text)


# ------------------------------------------------------------ a zombie's child


async def test_c12_child_waits_for_the_rescue_and_is_refused(store, url):
    parent = await claimed(store)
    async with alongside.session(url) as other:
        await other.execute(TAKE_AWAY, parent.seq)
        inserting = asyncio.create_task(store.insert(NAMESPACE, [a_job()], now=NOW, parent=holder(parent)))
        await all_wait(url, inserting)

        await other.execute("commit")
        with pytest.raises(LeaseLost):
            await inserting

    assert [job.id for job in await everything(store)] == [parent.id]


async def test_c12_rescue_waits_for_the_child_that_is_being_inserted(store, rival, url):
    parent = await claimed(store)
    (expired,) = await rival.expired(now=LATE, limit=1)
    async with alongside.session(url) as other:
        await insert_beside(other, store, a_job(unique=KEY))
        child = a_job(unique=KEY)
        inserting = asyncio.create_task(store.insert(NAMESPACE, [child], now=NOW, parent=holder(parent)))
        await all_wait(url, inserting)
        rescuing = asyncio.create_task(rival.apply([decided(expired, Rescued(), now=LATE)], now=LATE))
        await all_wait(url, inserting, rescuing)

        await other.execute("rollback")
        (inserted,), (rescued,) = await asyncio.gather(inserting, rescuing)

    assert (inserted.kind, rescued) == (InsertKind.INSERTED, Applied())
    assert (await read(store, parent.id)).placement.crashes == 1


async def test_c12_two_children_of_one_parent_do_not_wait_for_each_other(store, url):
    parent = await claimed(store)
    async with alongside.session(url) as other:
        await other.execute("select from headrace.live where seq = $1 for share", parent.seq)

        await store.insert(NAMESPACE, [a_job()], now=NOW, parent=holder(parent))

    assert len(await everything(store)) == 2


# ------------------------------------------------------------ keys


async def test_c28_insert_that_meets_its_key_is_answered_with_who_holds_it(store, url):
    first, second = a_job(unique=KEY), a_job(unique=KEY)
    async with alongside.session(url) as other:
        await insert_beside(other, store, first)
        inserting = asyncio.create_task(enqueue(store, second, a_job()))
        await all_wait(url, inserting)

        await other.execute("commit")
        answers = await inserting

    assert [answer.kind for answer in answers] == [InsertKind.EXISTING, InsertKind.INSERTED]
    assert answers[0].job_id == first.facts.id
    assert {job.id for job in await everything(store)} == {first.facts.id, answers[1].job_id}


async def test_c28_insert_takes_the_key_that_another_did_not_keep(store, url):
    async with alongside.session(url) as other:
        await insert_beside(other, store, a_job(unique=KEY))
        inserting = asyncio.create_task(enqueue(store, a_job(unique=KEY)))
        await all_wait(url, inserting)

        await other.execute("rollback")
        (answer,) = await inserting

    assert answer.kind is InsertKind.INSERTED
    assert [job.id for job in await everything(store)] == [answer.job_id]


async def test_c30_reject_that_meets_its_key_refuses_the_whole_bulk(store, url):
    first = a_job(unique=KEY)
    strict = Unique(key="key", on_conflict=OnConflict.REJECT)
    async with alongside.session(url) as other:
        await insert_beside(other, store, first)
        inserting = asyncio.create_task(enqueue(store, a_job(), a_job(unique=strict)))
        await all_wait(url, inserting)

        await other.execute("commit")
        with pytest.raises(DuplicateJob):
            await inserting

    assert [job.id for job in await everything(store)] == [first.facts.id]


async def test_c30_replace_that_meets_a_claim_changes_nothing_of_the_running_job(store, url):
    waiting = await enqueued(store, a_job(unique=LATEST, payload="1"))
    async with alongside.session(url) as other:
        await other.execute(CLAIM, waiting.seq, NOW + LEASE)
        replacing = asyncio.create_task(enqueue(store, a_job(unique=LATEST, payload="2")))
        await all_wait(url, replacing)

        await other.execute("commit")
        (answer,) = await replacing

    running = await read(store, waiting.id)
    assert answer.kind is InsertKind.INSERTED
    assert (running.state, running.facts.payload) == (State.PROCESSING, "1")
    assert (await read(store, answer.job_id)).facts.payload == "2"


async def test_c31_insert_that_meets_its_receipt_is_answered_with_the_first_job(store, url):
    receipt = Receipt(key="receipt", until=NOW + HOUR, body="body")
    async with alongside.session(url) as other:
        await other.execute(
            "insert into headrace.receipt values ($1, $2, 'first', $3, $4)",
            NAMESPACE, receipt.key, receipt.body, receipt.until,
        )  # fmt: skip
        inserting = asyncio.create_task(enqueue(store, a_job(receipt=receipt)))
        await all_wait(url, inserting)

        await other.execute("commit")
        (answer,) = await inserting

    assert (answer.kind, answer.job_id) == (InsertKind.EXISTING, "first")
    assert await everything(store) == []


# ------------------------------------------------------------ retention


async def test_c44_job_that_ended_otherwise_meanwhile_is_not_erased_by_count(store, rival, monkeypatch):
    job = await claimed(store, a_job(max_attempts=1))
    await settle(store, job, a_failure())
    alone = store._database.alone

    async def retried_first(op):
        await happen(rival, await read(rival, job.id), RetryAsked())
        (again,) = await claim(rival)
        await settle(rival, again)
        return await alone(op)

    monkeypatch.setattr(store._database, "alone", retried_first)
    erased = await store.erase_beyond(NAMESPACE, TYPE, State.FAILED, keep=0, limit=10)

    assert erased == 0
    assert (await read(rival, job.id)).state is State.COMPLETED

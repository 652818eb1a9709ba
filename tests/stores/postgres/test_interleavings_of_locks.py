"""Who writes several rows locks them in one order, so that two of them never wait for each other.

Each test holds the row that comes first, and then takes the one that comes next beside the op that
waits: had the op locked that one before, the two would be locked out.
"""

import asyncio

import asyncpg
import pytest

from headrace.core.outcomes import Released, Stopped, Succeeded
from headrace.core.unique import OnConflict, Unique
from headrace.stores.postgres.session import Session
from headrace.stores.protocol import Applied, InsertKind, Note, Receipt, Swap
from tests.builders import (
    HOUR,
    NAMESPACE,
    NOW,
    a_failure,
    a_job,
    claim,
    enqueue,
    enqueued,
    holder,
    reported,
)
from tests.contract.reads import everything
from tests.stores.postgres import alongside
from tests.stores.postgres.meeting import SOON, all_wait, goes_through

LOCK = "select from headrace.live where seq = $1 for update nowait"


async def running(store, count: int):
    await enqueue(store, *(a_job() for _ in range(count)))
    return await claim(store, n=count)


def latest(key: str) -> Unique:
    return Unique(key=key, on_conflict=OnConflict.REPLACE)


async def test_claim_passes_over_what_another_claim_has_locked(store, url):
    first = await enqueued(store)
    second = await enqueued(store)
    async with alongside.session(url) as other:
        await other.execute(LOCK, first.seq)

        found = await goes_through(url, asyncio.create_task(claim(store)))

    assert [job.id for job in found] == [second.id]
    assert [job.id for job in await claim(store)] == [first.id]


@pytest.mark.parametrize(
    "outcomes",
    [
        (Succeeded(), Succeeded()),
        (Succeeded(), Stopped()),
        (a_failure(), Released(reason="shutdown")),
        (Succeeded(), a_failure()),
    ],
    ids=["end alike", "end otherwise", "go on", "both"],
)
async def test_outcomes_lock_their_jobs_in_order(store, url, outcomes):
    jobs = await running(store, 4)
    mixed = [reported(job, outcome) for job, outcome in zip(jobs, outcomes * 2, strict=True)]
    async with alongside.session(url) as other:
        await other.execute(LOCK, jobs[0].seq)
        applying = asyncio.create_task(store.apply(mixed[::-1], now=NOW))
        await all_wait(url, applying)

        await other.execute(LOCK, jobs[2].seq)
        await other.execute("rollback")
        answers = await applying

    assert answers == [Applied()] * 4


async def test_notes_lock_their_jobs_in_order(store, url):
    first, second = await running(store, 2)
    notes = [Note(holder=holder(job), progress="1") for job in (second, first)]
    async with alongside.session(url) as other:
        await other.execute(LOCK, first.seq)
        noting = asyncio.create_task(store.note(notes, now=NOW))
        await all_wait(url, noting)

        await other.execute(LOCK, second.seq)
        await other.execute("rollback")
        lost = await noting

    assert lost == frozenset()


async def test_replaced_jobs_are_locked_in_order(store, url):
    first = await enqueued(store, a_job(unique=latest("a")))
    second = await enqueued(store, a_job(unique=latest("b")))
    async with alongside.session(url) as other:
        await other.execute(LOCK, first.seq)
        replacing = asyncio.create_task(enqueue(store, a_job(unique=latest("b")), a_job(unique=latest("a"))))
        await all_wait(url, replacing)

        await other.execute(LOCK, second.seq)
        await other.execute("rollback")
        answers = await replacing

    assert [answer.kind for answer in answers] == [InsertKind.REPLACED] * 2


async def test_unique_keys_are_taken_in_order(store, url):
    def keyed(key: str):
        return a_job(unique=Unique(key=key))

    async with alongside.session(url) as other:
        await other.execute(SOON)
        await other.execute(*store.insert_statement([keyed("a")]))
        inserting = asyncio.create_task(enqueue(store, keyed("b"), keyed("a")))
        await all_wait(url, inserting)

        await other.execute(*store.insert_statement([keyed("b")]))
        await other.execute("commit")
        answers = await inserting

    assert [answer.kind for answer in answers] == [InsertKind.EXISTING] * 2
    assert len(await everything(store)) == 2


async def test_receipts_are_written_in_order(store, url):
    def receipted(key: str):
        return a_job(receipt=Receipt(key=key, until=NOW + HOUR))

    write = "insert into headrace.receipt (namespace, key, job_id, until) values ($1, $2, $2, $3)"
    async with alongside.session(url) as other:
        await other.execute(SOON)
        await other.execute(write, NAMESPACE, "a", NOW + HOUR)
        inserting = asyncio.create_task(enqueue(store, receipted("b"), receipted("a")))
        await all_wait(url, inserting)

        await other.execute(write, NAMESPACE, "b", NOW + HOUR)
        await other.execute("commit")
        answers = await inserting

    assert [answer.job_id for answer in answers] == ["b", "a"]
    assert await everything(store) == []


@pytest.mark.parametrize("there", [True, False], ids=["changed", "made"])
async def test_registers_are_locked_in_order(store, url, there):
    if there:
        await store.swap(NAMESPACE, [Swap(key=key, revision=0, value="1") for key in "ab"])
    known = await store.read(NAMESPACE, ["a", "b"])
    swaps = [Swap(key=key, revision=known[key].revision if there else 0, value="ours") for key in ("b", "a")]
    change = "update headrace.register set value = 'other' where namespace = $1 and key = $2"
    make = "insert into headrace.register (namespace, key, value) values ($1, $2, 'other')"
    async with alongside.session(url) as other:
        await other.execute(SOON)
        await other.execute(change if there else make, NAMESPACE, "a")
        swapping = asyncio.create_task(store.swap(NAMESPACE, swaps))
        await all_wait(url, swapping)

        await other.execute(change if there else make, NAMESPACE, "b")
        await other.execute("rollback")

        assert await swapping is True


async def test_op_that_the_database_undid_for_a_deadlock_is_done_again(store, monkeypatch):
    run, undone = Session.rows, []

    async def undone_once(self, query, *values):
        found = await run(self, query, *values)
        if query == "insert_jobs" and not undone:
            undone.append(query)
            raise asyncpg.DeadlockDetectedError("deadlock detected")
        return found

    monkeypatch.setattr(Session, "rows", undone_once)
    (answer,) = await enqueue(store, a_job(unique=Unique(key="key")))

    assert undone == ["insert_jobs"]
    assert answer.kind is InsertKind.INSERTED
    assert [job.id for job in await everything(store)] == [answer.job_id]

"""Notes and the taking away of their jobs never cross (C12)."""

import asyncio

import pytest

from headrace.core.outcomes import Released, Rescued, Succeeded
from headrace.stores.postgres import database
from headrace.stores.protocol import Applied, LogLine, Note
from tests.builders import (
    LEASE,
    NAMESPACE,
    NOW,
    a_job,
    claim,
    claimed,
    decided,
    enqueue,
    holder,
    note,
    read,
    reported,
    settle,
)
from tests.stores.postgres import alongside

LATE = NOW + LEASE + 1
LINE = LogLine(at=NOW, level="info", message="x")
FIELDS = [{"progress": "1"}, {"progress": "1", "lines": (LINE,)}]


async def hold_note(other, job) -> None:
    """Makes whoever notes something about the job wait, with the job's row locked."""
    await other.execute("insert into headrace.note (seq, progress) values ($1, '0')", job.seq)


@pytest.mark.parametrize(
    "fields", [{"progress": "1"}, {"progress": "1", "lines": (LINE,)}], ids=["field", "line"]
)
@pytest.mark.parametrize("outcome", [Released(reason="x"), Succeeded()], ids=["goes on", "ends"])
async def test_note_that_waits_while_its_job_is_taken_away_is_lost(store, url, outcome, fields):
    job = await claimed(store)
    taken = "update headrace.live set fence = fence + 1 where seq = $1"
    gone = "delete from headrace.live where seq = $1"
    async with alongside.session(url) as other:
        await other.execute(gone if isinstance(outcome, Succeeded) else taken, job.seq)
        noting = asyncio.create_task(note(store, job, **fields))
        await alongside.until_waiting(url)

        await other.execute("commit")
        lost = await noting

    assert lost == {job.id}
    assert await alongside.rows(url, "select from headrace.note") == []
    assert await alongside.rows(url, "select from headrace.line") == []


@pytest.mark.parametrize(
    "fields", [{"progress": "1"}, {"progress": "1", "lines": (LINE,)}], ids=["field", "line"]
)
async def test_rescue_waits_for_the_note_that_was_first(store, rival, url, fields):
    job = await claimed(store)
    (expired,) = await rival.expired(now=LATE, limit=1)
    async with alongside.session(url) as other:
        await hold_note(other, job)
        noting = asyncio.create_task(note(store, job, **fields))
        await alongside.until_waiting(url, 1)
        rescuing = asyncio.create_task(rival.apply([decided(expired, Rescued(), now=LATE)], now=LATE))
        await alongside.until_waiting(url, 2)

        await other.execute("rollback")
        lost, (answer,) = await asyncio.gather(noting, rescuing)

    after = await read(store, job.id)
    assert (lost, answer) == (frozenset(), Applied())
    assert (after.progress, after.placement.crashes) == ("1", 1)


async def test_settling_waits_for_the_note_that_was_first(store, rival, url):
    job = await claimed(store)
    async with alongside.session(url) as other:
        await hold_note(other, job)
        noting = asyncio.create_task(note(store, job, progress="1"))
        await alongside.until_waiting(url, 1)
        settling = asyncio.create_task(rival.apply([reported(job, Succeeded())], now=NOW))
        await alongside.until_waiting(url, 2)

        await other.execute("rollback")
        lost, (answer,) = await asyncio.gather(noting, settling)

    assert (lost, answer) == (frozenset(), Applied())
    assert (await read(store, job.id)).progress == "1"


async def test_lines_logged_at_the_same_time_are_all_kept(store, rival):
    job = await claimed(store)
    messages = [f"line {number}" for number in range(40)]

    lost = await asyncio.gather(
        *(
            note((store, rival)[number % 2], job, lines=(LogLine(at=NOW, level="info", message=message),))
            for number, message in enumerate(messages)
        )
    )

    assert set(lost) == {frozenset()}
    kept = await store.log_lines(NAMESPACE, job.id)
    assert sorted(line.message for line in kept) == sorted(messages)


async def test_notes_of_the_same_jobs_in_opposite_orders_do_not_lock_each_other_out(
    store, rival, monkeypatch
):
    monkeypatch.setattr(database, "_TRIES", 1)
    await enqueue(store, *(a_job() for _ in range(50)))
    jobs = await claim(store, n=50)
    notes = [Note(holder=holder(job), progress="1", lines=(LINE,)) for job in jobs]

    lost = await asyncio.gather(
        *(one.note(order, now=NOW) for _ in range(5) for one, order in ((store, notes), (rival, notes[::-1])))
    )

    assert set(lost) == {frozenset()}
    assert [len(await store.log_lines(NAMESPACE, job.id)) for job in jobs] == [10] * 50


async def test_note_under_an_old_fence_beside_one_under_the_new_is_lost_alone(store):
    old = await claimed(store)
    await settle(store, old, Released(reason="shutdown"))
    (new,) = await claim(store)

    lost = await store.note(
        [Note(holder=holder(new), progress='"new"'), Note(holder=holder(old), progress='"old"')], now=NOW
    )

    assert lost == {old.id}
    assert (await read(store, old.id)).progress == '"new"'

"""Erasing beside other erasers, operators and holders."""

import asyncio

import pytest

from headrace.core.outcomes import CancelAsked, RetryAsked, Succeeded
from headrace.core.states import State
from headrace.core.unique import Unique
from headrace.stores.protocol import LogLine, Lost
from tests.builders import (
    HOUR,
    NAMESPACE,
    NOW,
    TYPE,
    a_failure,
    a_job,
    claim,
    claimed,
    enqueue,
    enqueued,
    happen,
    note,
    settle,
)
from tests.contract.reads import everything, recounted, tallied
from tests.stores.postgres import alongside

LATER = NOW + 1_000 * HOUR
OWNED = ("job", "live", "ended", "note", "line", "trail", "tag")


async def completed(store, count: int):
    await enqueue(store, *(a_job(tags=("a", "b")) for _ in range(count)))
    jobs = await claim(store, n=count)
    for job in jobs:
        await settle(store, job)
    return jobs


async def test_nothing_of_an_erased_job_is_left_in_any_table(store, url):
    job = await claimed(store, a_job(tags=("a", 'b"\\é'), unique=Unique(key="k"), batch_id="b"))
    await note(store, job, progress="1", lines=(LogLine(at=NOW, level="info", message="x"),) * 3)
    await settle(store, job, a_failure())
    (again,) = await claim(store, now=NOW + HOUR)
    await settle(store, again, now=NOW + HOUR)
    await enqueued(store, a_job(tags=("a",)))

    assert await store.erase(now=LATER, limit=10) == 1

    counts = {
        table: (await alongside.rows(url, f"select count(*) from headrace.{table}"))[0][0] for table in OWNED
    }
    assert counts == {"job": 1, "live": 1, "ended": 0, "note": 0, "line": 0, "trail": 0, "tag": 1}


async def test_erasers_share_the_work_and_count_each_job_once(store, rival):
    await completed(store, 40)

    counts = await asyncio.gather(
        *(one.erase(now=LATER, limit=7) for _ in range(5) for one in (store, rival))
    )
    counts.append(await store.erase(now=LATER, limit=100))

    assert sum(counts) == 40
    assert await everything(store) == []
    assert await tallied(store) == await recounted(store) == {}


async def test_locked_job_is_left_for_the_next_time(store, url):
    jobs = await completed(store, 3)

    async with alongside.session(url) as other:
        await other.execute("select from headrace.ended where seq = $1 for update", jobs[0].seq)
        first = await store.erase(now=LATER, limit=10)
    second = await store.erase(now=LATER, limit=10)

    assert (first, second) == (2, 1)


async def test_job_that_an_operator_is_reopening_is_not_erased(store, url):
    await happen(store, await enqueued(store), CancelAsked())

    async with alongside.session(url) as other:
        await other.execute("delete from headrace.ended")
        meanwhile = await store.erase(now=LATER, limit=10)
        await other.execute("commit")
    afterwards = await store.erase(now=LATER, limit=10)

    assert (meanwhile, afterwards) == (0, 0)
    assert len(await alongside.rows(url, "select from headrace.job")) == 1


async def test_reopening_of_a_job_that_is_being_erased_is_lost(store, rival, url):
    await happen(store, await enqueued(store), CancelAsked())
    (ended,) = await everything(store)
    async with alongside.session(url) as other:
        await other.execute("select from headrace.job for update")
        erasing = asyncio.create_task(store.erase(now=LATER, limit=10))
        await alongside.until_waiting(url, 1)
        reopening = asyncio.create_task(happen(rival, ended, RetryAsked()))
        await alongside.until_waiting(url, 2)

        await other.execute("rollback")
        erased, answer = await asyncio.gather(erasing, reopening)

    assert (erased, answer) == (1, Lost())
    assert await everything(store) == []


async def test_c44_newest_are_kept_while_another_eraser_holds_the_oldest(store, url):
    jobs = await completed(store, 10)
    kept = {job.id for job in jobs[-4:]}

    async with alongside.session(url) as other:
        await other.execute("select from headrace.ended order by seq limit 6 for update")
        first = await store.erase_beyond(NAMESPACE, TYPE, State.COMPLETED, keep=4, limit=100)
    second = await store.erase_beyond(NAMESPACE, TYPE, State.COMPLETED, keep=4, limit=100)

    assert (first, second) == (0, 6)
    assert {job.id for job in await everything(store)} == kept


async def test_c44_newest_are_kept_by_many_erasers_at_once(store, rival):
    jobs = await completed(store, 30)

    counts = await asyncio.gather(
        *(
            one.erase_beyond(NAMESPACE, TYPE, State.COMPLETED, keep=4, limit=5)
            for _ in range(4)
            for one in (store, rival)
        )
    )
    while count := await store.erase_beyond(NAMESPACE, TYPE, State.COMPLETED, keep=4, limit=5):
        counts.append(count)

    assert sum(counts) == 26
    assert {job.id for job in await everything(store)} == {job.id for job in jobs[-4:]}
    assert await tallied(store) == await recounted(store)


@pytest.mark.parametrize("state", [State.COMPLETED, State.FAILED])
async def test_newest_are_counted_among_jobs_of_other_types_and_states(store, state):
    endings = {State.COMPLETED: Succeeded(), State.FAILED: a_failure()}
    others = {State.COMPLETED: State.FAILED, State.FAILED: State.COMPLETED}
    wanted = []
    for number in range(12):
        job = await claimed(store, a_job(type="one" if number % 2 else "other", max_attempts=1), worker="w")
        outcome = endings[state if number % 3 else others[state]]
        await settle(store, job, outcome)
        if number % 3 and number % 2:
            wanted.append(job.id)

    assert await store.erase_beyond(NAMESPACE, "one", state, keep=1, limit=100) == len(wanted) - 1

    left = [job.id for job in await everything(store) if job.facts.type == "one" and job.state is state]
    assert left == wanted[-1:]


async def test_tallies_that_are_too_low_only_delay_the_erasing(store, url):
    jobs = await completed(store, 5)
    await alongside.rows(url, "delete from headrace.move")

    too_low = await store.erase_beyond(NAMESPACE, TYPE, State.COMPLETED, keep=2, limit=100)
    await alongside.rows(
        url,
        "insert into headrace.tally (namespace, queue, type, state, count) values ($1, 'q', $2, $3, 1000)",
        NAMESPACE,
        TYPE,
        State.COMPLETED.value,
    )
    too_high = await store.erase_beyond(NAMESPACE, TYPE, State.COMPLETED, keep=2, limit=100)

    assert (too_low, too_high) == (0, 3)
    assert {job.id for job in await everything(store)} == {job.id for job in jobs[-2:]}

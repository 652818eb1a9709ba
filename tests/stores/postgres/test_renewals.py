"""Renewals stand beside whatever else happens to the rows and to the connections."""

import asyncio

import pytest

from headrace.core.outcomes import CancelAsked, Released
from headrace.errors import StoreUnavailable
from headrace.stores.open import open_store
from headrace.stores.postgres import renewing
from tests.builders import (
    LEASE,
    NOW,
    SECOND,
    a_job,
    claim,
    claimed,
    enqueue,
    happen,
    holder,
    read,
    renew,
    settle,
)
from tests.stores.postgres import alongside

LATER = NOW + SECOND
END_OTHERS = """
select pg_terminate_backend(pid)
from pg_stat_activity
where datname = current_database()
  and pid <> pg_backend_pid()
"""


async def leases(store, jobs):
    return [(await read(store, job.id)).placement.lease_until for job in jobs]


async def test_locked_job_is_busy_and_the_others_are_renewed(store, url):
    await enqueue(store, *(a_job() for _ in range(5)))
    jobs = await claim(store)

    async with alongside.session(url) as other:
        await other.execute("select from headrace.live where seq = $1 for update", jobs[2].seq)
        renewal = await renew(store, *jobs, now=LATER)

    assert (renewal.busy, renewal.lost) == ({jobs[2].id}, frozenset())
    assert await leases(store, jobs) == [LATER + LEASE] * 2 + [NOW + LEASE] + [LATER + LEASE] * 2


async def test_busy_job_is_renewed_once_the_lock_is_gone(store, url):
    job = await claimed(store)
    async with alongside.session(url) as other:
        await other.execute("select from headrace.live where seq = $1 for update", job.seq)
        await renew(store, job, now=LATER)

        await other.execute("rollback")
        renewal = await renew(store, job, now=LATER)

    assert (renewal.busy, renewal.lost) == (frozenset(), frozenset())
    assert await leases(store, [job]) == [LATER + LEASE]


async def test_job_that_is_taken_away_meanwhile_is_busy_and_then_lost(store, url):
    job = await claimed(store)

    async with alongside.session(url) as other:
        await other.execute("delete from headrace.live where seq = $1", job.seq)
        before = await renew(store, job, now=LATER)
        await other.execute("commit")
    after = await renew(store, job, now=LATER)

    assert (before.busy, before.lost) == ({job.id}, frozenset())
    assert (after.busy, after.lost) == (frozenset(), {job.id})


async def test_job_that_somebody_else_holds_is_lost_even_if_its_row_is_locked(store, url):
    job = await claimed(store)
    await settle(store, job, Released(reason="shutdown"))
    (again,) = await claim(store)

    async with alongside.session(url) as other:
        await other.execute("select from headrace.live where seq = $1 for update", job.seq)
        renewal = await renew(store, job, now=LATER)

    assert again.id == job.id
    assert (renewal.busy, renewal.lost) == (frozenset(), {job.id})


async def test_old_and_new_holder_in_one_call_are_told_apart(store):
    job = await claimed(store)
    await settle(store, job, Released(reason="shutdown"))
    (again,) = await claim(store)

    async with store.renewer() as renewer:
        old = await renewer.renew([holder(job)], now=LATER, lease_until=LATER + 1)
        both = await renewer.renew([holder(job), holder(again)], now=LATER, lease_until=LATER + 2)

    assert old.lost == {job.id}
    assert both.lost == frozenset()
    assert await leases(store, [job]) == [LATER + 2]


async def test_renewal_tells_who_is_asked_to_cancel(store):
    await enqueue(store, *(a_job() for _ in range(3)))
    jobs = await claim(store)
    await happen(store, jobs[1], CancelAsked())

    renewal = await renew(store, *jobs, now=LATER)

    assert renewal.cancel_asked == {jobs[1].id}


async def test_renewal_needs_no_free_connection_of_the_pool(url):
    narrow = await open_store(f"{url}?pool=2")
    job = await claimed(narrow)
    async with alongside.session(url) as other, narrow.renewer() as renewer:
        await other.execute("lock table headrace.queue in access exclusive mode")
        waiting = [asyncio.create_task(narrow.queues("default")) for _ in range(4)]
        await alongside.until_waiting(url, 2)

        renewal = await renewer.renew([holder(job)], now=LATER, lease_until=LATER + LEASE)

        await other.execute("rollback")
        await asyncio.gather(*waiting)
    await narrow.close()

    assert renewal.lost == renewal.busy == frozenset()


async def test_broken_connection_is_unavailable_and_the_next_renewer_works(store, url):
    job = await claimed(store)

    async with store.renewer() as renewer:
        await renewer.renew([holder(job)], now=NOW, lease_until=NOW + LEASE)
        await alongside.rows(url, END_OTHERS)
        with pytest.raises(StoreUnavailable):
            await renewer.renew([holder(job)], now=LATER, lease_until=LATER + LEASE)

    assert (await renew(store, job, now=LATER)).lost == frozenset()


async def test_renewal_that_gets_no_answer_is_given_up(store, url, monkeypatch):
    monkeypatch.setattr(renewing, "ANSWER_WITHIN", 0.05)
    job = await claimed(store)

    async with alongside.session(url) as other:
        await other.execute("lock table headrace.live in access exclusive mode")
        with pytest.raises(StoreUnavailable):
            await renew(store, job, now=LATER)

    assert await leases(store, [job]) == [NOW + LEASE]


async def test_closed_store_gives_no_renewer(store):
    await store.close()

    with pytest.raises(StoreUnavailable):
        async with store.renewer():
            pass


async def test_renewers_of_other_threads_renew_with_loops_of_their_own(store):
    await enqueue(store, *(a_job() for _ in range(3)))
    jobs = await claim(store)

    def in_own_loop(job):
        return asyncio.run(renew(store, job, now=LATER))

    renewals = await asyncio.gather(*(asyncio.to_thread(in_own_loop, job) for job in jobs))

    assert [renewal.lost for renewal in renewals] == [frozenset()] * 3
    assert await leases(store, jobs) == [LATER + LEASE] * 3


async def test_many_holders_are_renewed_at_once(store):
    await enqueue(store, *(a_job() for _ in range(500)))
    jobs = await claim(store, n=500)

    renewal = await renew(store, *reversed(jobs), now=LATER)

    assert renewal.lost == renewal.busy == frozenset()
    renewed = await store.get("default", [job.id for job in jobs])
    assert {job.placement.lease_until for job in renewed.values()} == {LATER + LEASE}

"""Listings while jobs move from one index to another, of many types, and of many that died at once."""

import pytest

from headrace.core.dead import DeadFilter
from headrace.core.filters import JobFilter, Page
from headrace.core.outcomes import DealtWith
from headrace.core.states import State
from headrace.stores.redis import listing
from tests.builders import NAMESPACE, NOW, a_failure, a_job, claim, decided, enqueue, enqueued, settle
from tests.contract.reads import everything, ids_of


async def ended(store, **fields) -> str:
    new = a_job(**fields)
    await enqueue(store, new)
    (job,) = await claim(store, n=1, types=frozenset({new.facts.type}))
    await settle(store, job)
    return job.id


@pytest.mark.parametrize("limit", [1, 7, 1000])
async def test_c48_jobs_of_many_types_and_states_are_listed_once_in_order(store, limit):
    ids = [
        await ended(store, type=f"type-{n % 23}") if n % 3 else (await enqueued(store)).id for n in range(90)
    ]

    assert [job.id for job in await everything(store, limit=limit)] == ids[::-1]


async def test_c48_ended_jobs_of_some_types_are_found_among_many(store):
    ids = [await ended(store, type=f"type-{n}") for n in range(30)]
    wanted = JobFilter(types=frozenset({"type-3", "type-17", "no-such-type"}))

    assert await ids_of(store, wanted) == [ids[17], ids[3]]


async def test_c48_walk_that_finds_nothing_ends_early_and_goes_on_behind_its_cursor(store, monkeypatch):
    monkeypatch.setattr(listing, "MAX_LOOK", 1_000)
    rare = await enqueued(store, a_job(queue="rare"))
    await enqueue(store, *(a_job() for _ in range(2_500)))
    wanted = JobFilter(queues=frozenset({"rare"}))

    pages, cursor = [], None
    while not pages or cursor is not None:
        page = await store.find(NAMESPACE, wanted, Page(limit=10, before=cursor))
        pages.append([job.id for job in page.jobs])
        cursor = page.cursor

    assert pages[0] == []
    assert [one for page in pages for one in page] == [rare.id]
    assert len(pages) == 3


async def test_running_jobs_are_listed_by_seq_also_where_there_are_very_many(store):
    await enqueue(store, *(a_job() for _ in range(1_100)))
    running = [job for n in range(11) for job in await claim(store, n=100, now=NOW + 11 - n)]
    wanted = JobFilter(states=frozenset({State.PROCESSING}))

    many = await ids_of(store, wanted)
    for job in running[:200]:
        await settle(store, job)
    fewer = await ids_of(store, wanted)

    assert many == [job.id for job in sorted(running, key=lambda job: -job.seq)]
    assert fewer == [job.id for job in sorted(running[200:], key=lambda job: -job.seq)]


@pytest.mark.parametrize("limit", [1, 99, 1000])
async def test_c48_dead_letters_that_died_in_one_instant_are_paged_once_each(store, limit):
    await enqueue(store, *(a_job(max_attempts=1) for _ in range(600)))
    jobs = [job for _ in range(6) for job in await claim(store, n=100)]
    for n, job in enumerate(jobs):
        await settle(store, job, a_failure(), now=NOW + n // 400)
    dealt = list((await store.get(NAMESPACE, [job.id for job in jobs[100:200]])).values())
    await store.apply([decided(job, DealtWith()) for job in dealt], now=NOW)

    found, cursor = [], None
    while not found or cursor is not None:
        page = await store.dead(NAMESPACE, DeadFilter(), Page(limit=limit, before=cursor))
        found += [job.id for job in page.jobs]
        cursor = page.cursor
    (count,) = await store.dead_counts(NAMESPACE)
    (deaths,) = await store.deaths_since(NAMESPACE, NOW + 1)

    assert found == [job.id for job in (*jobs[:100], *jobs[200:])][::-1]
    assert (count.count, count.first_at, count.last_at) == (500, NOW, NOW + 1)
    assert deaths.count == 200

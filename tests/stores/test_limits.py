"""A full disk, large texts, and listings that hardly anything fits."""

import asyncio

import apsw
import pytest

from headrace.core.filters import JobFilter, Page
from headrace.core.outcomes import Released
from headrace.core.states import State
from headrace.errors import StoreFull
from headrace.stores.open import open_store
from headrace.stores.sqlite import claiming, listing, migrating
from tests.builders import NAMESPACE, NOW, a_job, claim, claimed, enqueue, enqueued, note, read, settle
from tests.contract.reads import everything

MEGABYTE = '"' + "x" * 1_000_000 + '"'


@pytest.fixture
async def store(tmp_path):
    store = await open_store(f"sqlite:///{tmp_path / 'jobs.db'}")
    yield store
    await store.close()


@pytest.fixture
async def full(store):
    """A store with no room for another page."""
    await store._database.write(lambda at: at.db.pragma("max_page_count", at.db.pragma("page_count")))
    return store


async def test_full_disk_refuses_the_insert_and_writes_nothing(full):
    with pytest.raises(StoreFull):
        await enqueue(full, a_job(payload=MEGABYTE), a_job())

    assert await everything(full) == []
    assert all(tally.count == 0 for tally in await full.tallies(NAMESPACE))


async def test_store_goes_on_once_there_is_room_again(full):
    with pytest.raises(StoreFull):
        await enqueue(full, a_job(payload=MEGABYTE))
    await full._database.write(lambda at: at.db.pragma("max_page_count", 1_000_000))

    await enqueue(full, a_job(payload=MEGABYTE))

    assert len(await everything(full)) == 1


async def test_full_disk_fails_only_what_needs_room(full):
    results = await asyncio.gather(
        full.swap(NAMESPACE, []),
        enqueue(full, a_job(payload=MEGABYTE)),
        full.swap(NAMESPACE, []),
        return_exceptions=True,
    )

    assert isinstance(results[1], StoreFull)
    assert all(one is True or isinstance(one, StoreFull) for one in (results[0], results[2]))


async def test_large_texts_are_claimed_whole_beside_small_ones(store):
    held = await claimed(store, a_job(payload=MEGABYTE))
    await note(store, held, progress=MEGABYTE, checkpoint=MEGABYTE)
    await settle(store, await read(store, held.id), Released(reason="shutdown"))
    small = a_job()
    await enqueue(store, small)

    by_id = {job.id: job for job in await claim(store, now=NOW + 1)}

    assert by_id[held.id] == await read(store, held.id)
    assert by_id[held.id].progress == by_id[held.id].checkpoint == by_id[held.id].facts.payload == MEGABYTE
    assert by_id[small.facts.id].facts.payload == small.facts.payload


async def test_seq_of_an_erased_job_is_not_given_again(store):
    first = await enqueued(store)
    (running,) = await claim(store)
    await settle(store, running)
    while await store.erase(now=NOW * 2, limit=10):
        pass

    assert (await enqueued(store)).seq > first.seq


async def test_priorities_beyond_the_looks_of_a_claim_hide_nothing(store):
    future = [a_job(priority=level, due_at=NOW + 1_000_000) for level in range(1, claiming.LEVELS + 20)]
    due = [a_job(priority=-level) for level in (3, 1, 2)]
    await enqueue(store, *future, *due)

    found = await claim(store)

    assert [job.placement.priority for job in found] == [-1, -2, -3]


async def test_types_beyond_the_looks_of_a_claim_are_parked(store):
    levels = range(1, claiming.LEVELS + 20)
    future = [a_job(priority=level, due_at=NOW + 1_000_000) for level in levels]
    await enqueue(store, *future, a_job(type="unknown"), a_job(type="known", priority=-1))

    found = await claim(store, types=frozenset({"known"}))

    assert [job.facts.type for job in found] == ["known"]
    assert [one.lane for one in await store.parked(NAMESPACE)] == ["type:unknown"]


@pytest.fixture
def short_looks(monkeypatch):
    monkeypatch.setattr(listing, "FIRST_LOOK", 2)
    monkeypatch.setattr(listing, "MAX_LOOK", 5)


@pytest.mark.usefixtures("short_looks")
@pytest.mark.parametrize("limit", [1, 2, 3, 50])
async def test_every_job_is_listed_once_however_short_the_looks(store, limit):
    jobs = [a_job(type="rare" if number % 7 == 0 else "often") for number in range(40)]
    await enqueue(store, *jobs)
    for job in await claim(store, n=20, types=frozenset({"rare", "often"})):
        await settle(store, job)

    rare = await everything(store, JobFilter(types=frozenset({"rare"})), limit=limit)
    ended = await everything(store, JobFilter(states=frozenset({State.COMPLETED})), limit=limit)
    both = await everything(store, JobFilter(states=frozenset({State.COMPLETED, State.PENDING})), limit=limit)

    assert [job.id for job in rare] == [one.facts.id for one in reversed(jobs) if one.facts.type == "rare"]
    assert len(ended) == 20
    assert [job.seq for job in both] == sorted((job.seq for job in both), reverse=True)
    assert len(both) == 40


@pytest.mark.slow_plan
def test_page_that_nothing_fits_is_empty_and_goes_on(big):
    nothing = JobFilter(states=frozenset({State.COMPLETED}), types=frozenset({"nothing"}))

    page = listing.find(big, "default", nothing, Page())

    assert page.jobs == ()
    assert page.cursor is not None


async def test_check_tells_schema_and_size(store):
    health = await store.check()

    assert (health.store, health.schema) == ("sqlite", migrating.newest())
    assert health.version == apsw.sqlite_lib_version()
    assert int(health.details["bytes"]) > 0

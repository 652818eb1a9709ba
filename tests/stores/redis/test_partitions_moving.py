"""Another number of partitions is a move: from one set of keys to another, maybe on the same server."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from headrace.clock import ManualClock
from headrace.core.decide import decide
from headrace.core.job import Job, Transition
from headrace.core.limits import Limit
from headrace.core.unique import Unique
from headrace.errors import InvalidInput, StoreUnavailable
from headrace.stores.adopting import Adoption, Belongings, Carried
from headrace.stores.open import open_store
from headrace.stores.protocol import Receipt
from headrace.stores.redis.database import Database
from headrace.stores.redis.keys import Keys
from headrace.stores.redis.partitions.adopting import AdoptsJobs
from headrace.stores.redis.partitions.intents import Intents
from headrace.stores.redis.partitions.places import HOME, hashed, partition_of
from headrace.stores.redis.partitions.store import PartitionedStore
from headrace.stores.redis.session import Write
from headrace.stores.values import Applied
from tests.builders import (
    EXACT,
    HOUR,
    NAMESPACE,
    NOW,
    QUEUE,
    SUCCESS,
    a_job,
    a_rng,
    enqueue,
    enqueued,
    settle,
)
from tests.contract.gated import define, limited, ordered, taken
from tests.moving.scene import filled, moved, seen, settings


async def opened(url: str) -> PartitionedStore:
    store = await open_store(url)
    assert isinstance(store, PartitionedStore)
    await store.migrate()
    return store


@pytest.fixture
async def two(url: str) -> AsyncIterator[PartitionedStore]:
    store = await opened(f"{url}?partitions=2&prefix=two")
    yield store
    await store.close()


@pytest.fixture
async def five(url: str) -> AsyncIterator[PartitionedStore]:
    """On the same server, under another prefix."""
    store = await opened(f"{url}?partitions=5&prefix=five")
    yield store
    await store.close()


@pytest.fixture
async def another(url: str, five: PartitionedStore) -> AsyncIterator[PartitionedStore]:
    """That store in another process."""
    del five
    store = await opened(f"{url}?partitions=5&prefix=five")
    yield store
    await store.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


async def test_queue_gets_more_partitions_by_a_move(two, five, clock):
    ids = await filled(two, clock)

    report = await moved(two, five, clock, ended=True)

    here, there = await seen(two), await seen(five)
    assert report.verified, report.differences
    assert there == here
    assert await settings(five) == await settings(two)
    jobs = await five.get(NAMESPACE, list(here))
    assert {partition_of(job) for job in jobs.values()} == set(range(5))
    assert partition_of(jobs[ids["unique"]]) == hashed("only", 5)


@pytest.mark.parametrize("nth", [1, 2, 4])
async def test_move_that_died_between_partitions_goes_on_and_loses_nothing(
    two, five, clock, monkeypatch, nth
):
    await filled(two, clock)
    fulfil, calls = Intents.fulfil, 0

    async def dies(self: Intents, *args: object) -> object:
        nonlocal calls
        calls += 1
        if calls == nth:
            raise StoreUnavailable("the process died here")
        return await fulfil(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Intents, "fulfil", dies)
    with pytest.raises(StoreUnavailable, match="died"):
        await moved(two, five, clock, ended=True)
    report = await moved(two, five, clock, ended=True)

    assert report.verified, report.differences
    assert await seen(five) == await seen(two)


async def test_idempotency_key_of_a_job_that_stayed_behind_answers_in_every_partition(two, five, clock):
    receipt = Receipt(key="again", until=NOW + HOUR, body="digest")
    first = await enqueued(two, a_job(receipt=receipt))
    (job,) = await taken(two)
    await two.apply([_done(job)], now=NOW)
    await moved(two, five, clock)

    for key in (None, *(f"k{n}" for n in range(8))):
        (answer,) = await enqueue(five, a_job(receipt=receipt, unique=None if key is None else _unique(key)))
        assert answer.job_id == first.id


async def test_limit_of_a_queue_holds_after_the_move(two, five, clock):
    await define(two, Limit(name=f"queue:{QUEUE}", slots=3))
    await enqueue(two, *(a_job() for _ in range(40)))

    report = await moved(two, five, clock)

    assert report.verified, report.differences
    assert len(await taken(five, 40)) == 3


async def test_job_with_two_keys_is_refused_by_a_store_with_partitions(url, five, clock):
    source = await open_store(url)
    await source.migrate()
    await enqueue(source, ordered("a", lanes=["limit:per-user/b"]), limited("limit:per-user/c"))

    with pytest.raises(InvalidInput, match="one key"):
        await moved(source, five, clock)
    await source.close()


# ------------------------------------------------------------ what comes in between


async def test_c12_job_that_comes_without_its_neighbour_is_whole_when_a_worker_claims_it(
    two, five, another, monkeypatch
):
    """Its neighbour's key is taken at the target in the moment between look and write."""
    new = next(new for new in iter(a_job, None) if hashed(new.facts.id, 5) == 2)
    whole = await enqueued(two, new)
    held = await enqueued(two, a_job(unique=_unique(key_of(2))))
    jobs = await two.get(NAMESPACE, [whole.id, held.id])
    fresh, write, claimed = AdoptsJobs._fresh, Database.write, list[Job]()

    async def taken_meanwhile(self: AdoptsJobs, *args: Any) -> list[Carried]:
        found = await fresh(self, *args)
        await enqueued(another, a_job(unique=_unique(key_of(2))))
        return found

    async def watched(self: Database, keys: Keys, writes: Sequence[Write]) -> list[Any]:
        done = await write(self, keys, writes)
        if any(one[0] == "insert" and one[2][0][0] == whole.id for one in writes):
            claimed.extend(job for job in await taken(another) if job.id == whole.id)
        return done

    monkeypatch.setattr(AdoptsJobs, "_fresh", taken_meanwhile)
    monkeypatch.setattr(Database, "write", watched)
    adopted = await five.adopt(NAMESPACE, Adoption(jobs=tuple(map(carried, jobs.values()))))
    monkeypatch.undo()

    assert adopted == {whole.id}
    (job,) = claimed
    assert await settle(another, job) == Applied()


async def test_job_that_a_failover_has_lost_is_adopted_by_a_process_that_has_met_it(five, client):
    met = await enqueued(five, a_job())
    (job,) = (await five.get(NAMESPACE, [met.id])).values()
    client.flushdb()

    adopted = await five.adopt(NAMESPACE, Adoption(jobs=(carried(job),)))

    assert adopted == {job.id}


async def test_c28_key_that_is_taken_in_the_home_meanwhile_leaves_out_its_job_only(
    two, five, another, monkeypatch
):
    plain = await enqueued(two, a_job())
    held = await enqueued(two, a_job(unique=_unique(key_of(HOME))))
    jobs = await two.get(NAMESPACE, [plain.id, held.id])
    fresh = AdoptsJobs._fresh

    async def taken_meanwhile(self: AdoptsJobs, *args: Any) -> list[Carried]:
        monkeypatch.undo()
        found = await fresh(self, *args)
        await enqueued(another, a_job(unique=_unique(key_of(HOME))))
        return found

    monkeypatch.setattr(AdoptsJobs, "_fresh", taken_meanwhile)
    adopted = await five.adopt(NAMESPACE, Adoption(jobs=tuple(map(carried, jobs.values()))))

    assert adopted == {plain.id}


def carried(job: Job) -> Carried:
    return Carried(job, Belongings())


def key_of(place: int) -> str:
    return next(key for n in range(1_000) if hashed(key := f"k{n}", 5) == place)


def _unique(key: str) -> Unique:
    return Unique(key=key)


def _done(job: Job) -> Transition:
    return decide(job, SUCCESS, policy=EXACT, now=NOW, rng=a_rng())

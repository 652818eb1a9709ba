"""Another number of partitions is a move: from one set of keys to another, maybe on the same server."""

from collections.abc import AsyncIterator

import pytest

from headrace.clock import ManualClock
from headrace.core.decide import decide
from headrace.core.job import Job, Transition
from headrace.core.limits import Limit
from headrace.core.unique import Unique
from headrace.errors import InvalidInput, StoreUnavailable
from headrace.stores.open import open_store
from headrace.stores.protocol import Receipt
from headrace.stores.redis.partitions.intents import Intents
from headrace.stores.redis.partitions.places import hashed, partition_of
from headrace.stores.redis.partitions.store import PartitionedStore
from tests.builders import EXACT, HOUR, NAMESPACE, NOW, QUEUE, SUCCESS, a_job, a_rng, enqueue, enqueued
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


def _unique(key: str) -> Unique:
    return Unique(key=key)


def _done(job: Job) -> Transition:
    return decide(job, SUCCESS, policy=EXACT, now=NOW, rng=a_rng())

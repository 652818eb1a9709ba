"""Fair queues, chunks and own transactions, where queues are spread: what decision 0025 promises."""

import asyncio
from collections.abc import AsyncIterator
from itertools import islice

import pytest
import redis

from headrace.clock import ManualClock
from headrace.core.job import Job
from headrace.core.states import State
from headrace.core.unique import Unique
from headrace.errors import MisuseError
from headrace.stores.open import open_store
from headrace.stores.protocol import Store
from headrace.stores.redis.partitions.places import HOME, hashed, partition_of
from headrace.stores.redis.partitions.store import PartitionedStore
from headrace.upkeep.queues import PutInLine
from tests.builders import NAMESPACE, NOW, SUCCESS, a_job, claim, enqueue, read, renew, reported
from tests.contract.chunking import WAIT, a_chunk, messages
from tests.contract.fair import of, shares, tenants, weighted
from tests.contract.gated import define, slots

P = 4


@pytest.fixture
def spread_url(url: str) -> str:
    return f"{url}?partitions={P}"


@pytest.fixture
async def spread(spread_url: str) -> AsyncIterator[PartitionedStore]:
    opened = await open_store(spread_url)
    assert isinstance(opened, PartitionedStore)
    yield opened
    await opened.close()


@pytest.fixture
async def other(spread_url: str) -> AsyncIterator[Store]:
    """The same store in another process."""
    opened = await open_store(spread_url)
    yield opened
    await opened.close()


def keys_of(place: int, count: int) -> list[str]:
    """Keys of a partition."""
    return list(islice((key for n in range(1_000) if hashed(key := f"k{n}", P) == place), count))


def key_of(place: int) -> str:
    """A key of a partition."""
    return keys_of(place, 1)[0]


# ------------------------------------------------------------ fair queues


async def test_job_of_another_tenant_starts_soon_after_a_flood(spread):
    await enqueue(spread, *(of("a") for _ in range(800)))
    await claim(spread, n=200)
    await enqueue(spread, of("b"))

    started = [job for _ in range(2 * P) for job in await claim(spread, n=1)]

    assert "b" in tenants(started)


async def test_tenants_share_nearly_alike_whoever_came_first_and_wherever_their_jobs_are(spread, other):
    await enqueue(spread, *(of("a") for _ in range(400)))
    await enqueue(other, *(of("b") for _ in range(400)))

    found = shares([job for _ in range(40) for job in await claim(spread, n=5)])

    assert found["a"] + found["b"] == 200
    assert abs(found["a"] - found["b"]) <= 40


async def test_tenants_share_nearly_by_their_weights(spread):
    await weighted(spread, {"b": 3})
    await enqueue(spread, *(of("a") for _ in range(400)), *(of("b") for _ in range(400)))

    found = shares([job for _ in range(40) for job in await claim(spread, n=5)])

    assert 2 <= found["b"] / found["a"] <= 4.5


async def test_no_two_jobs_get_the_same_place_in_line_from_processes_at_once(spread, other):
    jobs = [of("a") for _ in range(60)]
    await asyncio.gather(
        *(enqueue(store, *jobs[start::6]) for start, store in enumerate((spread, other) * 3))
    )

    found = await spread.get(NAMESPACE, [new.facts.id for new in jobs])

    assert len({job.placement.rank for job in found.values()}) == len(jobs)


async def test_fair_jobs_that_become_due_are_put_in_the_one_line(spread):
    later = [of("a", due_at=NOW + 10) for _ in range(20)]
    await enqueue(spread, of("b"), *later)
    await PutInLine(spread, ManualClock(NOW + 10)).run_once()

    found = [job for job in await claim(spread, n=40, now=NOW + 10) if job.facts.payload == '"a"']

    assert len(found) == 20
    assert len({job.placement.rank for job in found}) == 20
    assert {partition_of(job) for job in found} == set(range(P))


async def test_fair_job_with_a_unique_key_is_with_its_key_and_in_line(spread):
    new = of("a", unique=Unique(key=key_of(2)))
    await enqueue(spread, of("a"), new)

    job = await read(spread, new.facts.id)

    assert partition_of(job) == 2
    assert job.placement.rank < NOW


# ------------------------------------------------------------ chunks


async def test_chunk_is_of_one_partition_and_no_message_is_in_two(spread):
    ids = await messages(spread, 80)
    chunks = [found.jobs for _ in range(40) if (found := await spread.claim_chunk(a_chunk())).jobs]

    assert all(len({partition_of(job) for job in chunk}) == 1 for chunk in chunks)
    assert all(len(chunk) == 5 for chunk in chunks)
    taken = [job.id for chunk in chunks for job in chunk]
    assert len(taken) == len(set(taken)) > 80 - P * 5
    assert set(taken) <= set(ids)


async def test_too_few_in_each_partition_wait_though_together_they_are_enough(spread):
    keys = [key for place in range(P) for key in keys_of(place, 4)]
    await enqueue(spread, *(a_job(unique=Unique(key=key)) for key in keys))

    found = await spread.claim_chunk(a_chunk())

    assert found.jobs == ()
    assert found.oldest_due_at == NOW


async def test_messages_that_have_waited_are_handed_out_of_every_partition(spread):
    ids = await messages(spread, 12)
    late = NOW + WAIT
    found: list[str] = []
    for _ in range(P):
        found += [job.id for job in (await spread.claim_chunk(a_chunk(size=20, now=late))).jobs]

    assert sorted(found) == sorted(ids)


async def test_chunks_of_processes_at_once_have_each_message_once(spread, other):
    await messages(spread, 200)

    parts = await asyncio.gather(
        *(store.claim_chunk(a_chunk()) for store in (spread, other) for _ in range(12))
    )

    taken = [job.id for part in parts for job in part.jobs]
    assert len(taken) == len(set(taken)) == 24 * 5


async def test_messages_of_a_chunk_are_settled_and_renewed_by_any_process(spread, other):
    await messages(spread, 40)
    found = (await spread.claim_chunk(a_chunk())).jobs

    assert (await renew(other, *found, now=NOW + 1)).lost == frozenset()
    await other.apply([reported(job, SUCCESS) for job in found], now=NOW + 1)

    assert {(await read(spread, job.id)).state for job in found} == {State.COMPLETED}


async def test_limit_of_a_type_of_chunks_is_not_exceeded(spread):
    await define(spread, slots("type:echo", 3))
    await messages(spread, 60)
    running: list[Job] = []
    late = NOW + WAIT
    for _ in range(3 * P):
        running += (await spread.claim_chunk(a_chunk(size=5, now=late))).jobs

    assert len(running) == 3


# ------------------------------------------------------------ transactions of the program


async def test_own_writes_and_jobs_come_together_or_not_at_all(spread, client: redis.Redis):
    async def work(pipeline: redis.Redis) -> None:
        pipeline.set("mine", "1")
        await spread.caller(pipeline).insert(NAMESPACE, [a_job()], now=NOW)

    async def fails(pipeline: redis.Redis) -> None:
        await work(pipeline)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await spread.transact(fails)
    assert await claim(spread) == []
    assert client.get("mine") is None
    await spread.transact(work)

    assert len(await claim(spread)) == 1
    assert client.get("mine") == "1"


async def test_job_whose_key_is_at_home_comes_with_own_writes_and_holds_its_key(spread):
    key = key_of(HOME)
    first, second = a_job(unique=Unique(key=key)), a_job(unique=Unique(key=key))

    async def work(pipeline: redis.Redis) -> None:
        await spread.caller(pipeline).insert(NAMESPACE, [first], now=NOW)

    await spread.transact(work)
    (answer,) = await enqueue(spread, second)

    assert answer.job_id == first.facts.id


@pytest.mark.parametrize("place", range(1, P))
async def test_refused_job_of_another_partition_takes_the_own_writes_with_it(spread, client, place):
    async def work(pipeline: redis.Redis) -> None:
        pipeline.set("mine", "1")
        jobs = [a_job(), a_job(unique=Unique(key=key_of(place)))]
        await spread.caller(pipeline).insert(NAMESPACE, jobs, now=NOW)

    with pytest.raises(MisuseError, match="partition"):
        await spread.transact(work)

    assert client.get("mine") is None
    assert await claim(spread) == []


async def test_only_jobs_at_home_are_settled_with_own_writes(spread, client):
    await enqueue(spread, *(a_job(unique=Unique(key=key_of(place))) for place in range(P)))
    jobs = {partition_of(job): job for job in await claim(spread, n=P)}

    async def settled(job: Job) -> None:
        async def work(pipeline: redis.Redis) -> None:
            pipeline.set(f"mine{partition_of(job)}", "1")

        await spread.settle_within(work, lambda _, fresh: reported(fresh or job, SUCCESS))

    await settled(jobs[HOME])
    for place in range(1, P):
        with pytest.raises(MisuseError, match="partitions"):
            await settled(jobs[place])

    assert [client.get(f"mine{place}") for place in range(P)] == ["1", None, None, None]
    states = [(await read(spread, jobs[place].id)).state for place in range(P)]
    assert states == [State.COMPLETED, *[State.PROCESSING] * (P - 1)]

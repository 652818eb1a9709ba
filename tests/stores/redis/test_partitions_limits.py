"""Limits that no key belongs to, of spread queues: never exceeded, and each partition has its turn."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

from headrace.core.job import Job
from headrace.core.limit_names import lane_of_limit
from headrace.core.limits import Limit, Rate
from headrace.core.unique import Unique
from headrace.errors import OutcomeUnknown, StoreUnavailable
from headrace.stores.open import open_store
from headrace.stores.protocol import Store
from headrace.stores.redis.keys import Keys
from headrace.stores.redis.partitions.circulating import Circulation
from headrace.stores.redis.partitions.intents import Intents
from headrace.stores.redis.partitions.limits import divided
from headrace.stores.redis.partitions.parts import Parts
from headrace.stores.redis.partitions.places import HOME, hashed, partition_of
from headrace.stores.redis.partitions.sharing import TURN_MS
from headrace.stores.redis.partitions.store import PartitionedStore
from tests.builders import NAMESPACE, NOW, QUEUE, SECOND, a_job, settle
from tests.contract.gated import GPU, added, define, ids, limited, rate, slots, taken

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


def holding(client: redis.Redis, lane: str = GPU) -> int:
    """How many hold a slot of a lane, in all partitions at one moment."""
    with client.pipeline(transaction=True) as pipe:
        for number in range(P):
            pipe.zcard(f"{Keys('headrace', NAMESPACE, number).root}:slots:{lane}")
        return sum(pipe.execute())


def key_of(place: int) -> str:
    """A key of a partition."""
    return next(key for n in range(1_000) if hashed(key := f"k{n}", P) == place)


async def died(*args: object) -> None:
    raise StoreUnavailable("the process died here")


# ------------------------------------------------------------ slots


@pytest.mark.parametrize(("count", "most"), [(1, 1), (1, 10), (2, 3), (5, 10), (7, 2)])
async def test_c41_as_many_run_as_there_are_slots_and_no_more(spread, count, most):
    rng = random.Random(count)
    await define(spread, slots("gpu", count))
    await added(spread, *(limited(GPU) for _ in range(40)))
    now, done = NOW, 0
    running = await taken(spread, most, now=now)
    while running:
        assert len(running) <= count
        await settle(spread, running.pop(rng.randrange(len(running))), now=now)
        now, done = now + 50, done + 1
        running += await taken(spread, most, now=now)

    assert done == 40


@pytest.mark.parametrize("count", [1, 3])
async def test_c41_claims_of_two_processes_at_once_never_hold_more_than_the_slots(
    spread, other, client, count
):
    await define(spread, slots("gpu", count))
    await added(spread, *(limited(GPU) for _ in range(80)))
    done: set[str] = set()
    most = 0
    now = NOW

    async def work(store: Store, name: str) -> None:
        nonlocal most, now
        while len(done) < 80:
            for job in await taken(store, 4, worker=name, now=now):
                most = max(most, holding(client))
                await settle(store, job, now=now)
                done.add(job.id)
            now += 20

    await asyncio.gather(*(work(store, f"w{n}") for n in range(3) for store in (spread, other)))

    assert 0 < most <= count
    assert len(done) == 80


async def test_c41_no_partition_starves_where_one_slot_is_enough_for_one_of_them(spread):
    await define(spread, slots(f"queue:{QUEUE}", 1))
    await added(spread, *(a_job() for _ in range(80)))
    places: list[int] = []
    for step in range(40):
        now = NOW + step * TURN_MS // 2
        (job,) = await taken(spread, now=now)
        places.append(partition_of(job))
        await settle(spread, job, now=now)

    for start in range(24):
        assert set(places[start : start + 4 * P]) == set(range(P))


async def test_c41_slot_that_is_freed_brings_back_a_job_of_another_partition(spread):
    await define(spread, slots("gpu", 1))
    await added(spread, *(limited(GPU) for _ in range(40)))
    (first,) = await taken(spread)
    await settle(spread, first, now=NOW + TURN_MS)

    figures = (await spread.lane_figures(NAMESPACE, [GPU]))[GPU]
    places = {number for number in range(P) if await due_in(spread, number)}

    assert figures.holders == 0
    assert places
    assert partition_of(first) not in places


async def test_c41_lowered_limit_admits_nobody_while_more_run(spread):
    await define(spread, slots("gpu", 6))
    await added(spread, *(limited(GPU) for _ in range(40)))
    running: list[Job] = []
    while len(running) < 6:
        running += await taken(spread, 1)
        await spread.unpark_free(now=NOW, limit=10)  # lends what is idle
    assert len({partition_of(job) for job in running}) > 1
    await define(spread, slots("gpu", 2))

    started: list[int] = []
    for job in running:
        await settle(spread, job, now=NOW + SECOND)
        started.append(len(await taken(spread, now=NOW + SECOND)))

    assert started == [0, 0, 0, 0, 1, 1]


async def test_c41_limit_that_is_taken_away_lets_all_in_and_counts_again_when_it_is_back(spread):
    await define(spread, slots("gpu", 2))
    await added(spread, *(limited(GPU) for _ in range(20)))
    running = await taken(spread)
    await define(spread)
    await spread.unpark_free(now=NOW, limit=100)
    running += await taken(spread, 10)
    await define(spread, slots("gpu", 2))

    assert len(running) == 12
    for job in running:
        await settle(spread, job)
    await spread.unpark_free(now=NOW, limit=100)
    assert len(await taken(spread)) == 2


async def test_c41_limit_that_was_defined_before_there_were_partitions_holds(url, spread_url, client):
    whole = await open_store(url)
    await whole.migrate()
    await define(whole, slots("gpu", 2))
    await added(whole, *(limited(GPU, queue="old") for _ in range(2)))
    running = await taken(whole, queues={"old": 2})
    assert len(running) == 2
    await whole.close()
    spread = await open_store(spread_url)
    await added(spread, *(limited(GPU) for _ in range(20)))

    assert await taken(spread) == []
    for job in running:
        await settle(spread, job)
    assert len(await taken(spread)) == holding(client) == 2
    await spread.close()


async def test_c41_limit_of_all_holds_when_a_wider_queue_begins(url, client):
    narrow = await open_store(f"{url}?partitions=2")
    await narrow.migrate()
    await define(narrow, slots("all", 3))
    await added(narrow, *(a_job() for _ in range(20)))
    assert len(await taken(narrow)) == 3
    wide = await open_store(f"{url}?partitions={P}")
    await added(wide, *(a_job(queue="wide") for _ in range(20)))

    assert await taken(wide, queues={"wide": 10, QUEUE: 10}) == []
    assert holding(client, lane_of_limit("all")) == 3
    await narrow.close()
    await wide.close()


async def test_c41_paused_partition_jobs_get_no_slot_that_others_need(spread):
    await define(spread, slots("gpu", 1))
    await added(spread, *(limited(GPU, queue="paused") for _ in range(20)))
    assert len(await taken(spread, queues={"paused": 1})) == 1
    assert await taken(spread, queues={"paused": 9}) == []
    await spread.set_paused(NAMESPACE, "paused", paused=True)
    (waiting,) = await added(spread, limited(GPU))
    (running,) = (await spread.get(NAMESPACE, await held(spread))).values()
    await settle(spread, running)

    assert ids(await taken(spread)) == [waiting]


async def test_c41_slot_that_a_job_has_just_taken_does_not_leave(spread, other, client, monkeypatch):
    """Looks at partitions are of different moments, and a start gives a lane no other version."""
    await define(spread, slots("gpu", 1))
    await added(spread, limited(GPU, unique=Unique(key=key_of(2))))
    done = Circulation._done
    moved: list[int | None] = []

    async def late(self: Circulation, *args: Any) -> int | None:
        monkeypatch.undo()
        await added(other, limited(GPU, unique=Unique(key=key_of(HOME))))
        assert len(await taken(other, 1)) == 1
        moved.append(await done(self, *args))
        return moved[0]

    monkeypatch.setattr(Circulation, "_done", late)

    assert await taken(spread) == []
    assert moved == [None]
    assert holding(client) == 1


# ------------------------------------------------------------ what dies in between


async def test_c41_slot_on_its_way_arrives_though_who_moved_it_died(spread, other, monkeypatch):
    await define(spread, slots("gpu", 1))
    await added(spread, *(limited(GPU) for _ in range(20)))
    (job,) = await taken(spread)
    monkeypatch.setattr(Intents, "fulfil", died)
    await settle(spread, job, now=NOW + TURN_MS)
    monkeypatch.undo()
    assert await taken(other, now=NOW + TURN_MS) == []

    await other.expired(now=NOW + TURN_MS, limit=10)

    assert len(await taken(other, now=NOW + TURN_MS)) == 1


async def test_c41_definition_that_reached_the_home_only_is_known_everywhere_after_a_sweep(
    spread, other, monkeypatch
):
    await added(spread, *(limited(GPU) for _ in range(20)))
    monkeypatch.setattr(Parts, "agree", died)
    with pytest.raises(OutcomeUnknown):
        await define(spread, slots("gpu", 1))
    monkeypatch.undo()

    await other.unpark_free(now=NOW, limit=10)

    assert len(await taken(other, 20)) == 1


@pytest.mark.parametrize("lost", [-1, 1])
async def test_c41_sweep_brings_right_what_a_failover_has_lost(spread, other, client, lost):
    await define(spread, slots("gpu", 3))
    await added(spread, *(limited(GPU) for _ in range(40)))
    running = await taken(spread)
    while not (away := [number for number in range(1, P) if share_of(client, number) > 0]):
        await settle(spread, running.pop(), now=NOW + TURN_MS)
        running += await taken(spread, now=NOW + TURN_MS)
    keys = Keys("headrace", NAMESPACE, away[0])
    left = client.hincrby(keys.shares, f"s {GPU}", lost)
    client.hset(keys.lane(GPU), "cap", left)

    await other.unpark_free(now=NOW, limit=10)

    for job in running:
        await settle(other, job)
    assert len(await taken(other)) == holding(client) == 3


def share_of(client: redis.Redis, number: int) -> int:
    return int(client.hget(Keys("headrace", NAMESPACE, number).shares, f"s {GPU}") or 0)


# ------------------------------------------------------------ rates


@pytest.mark.parametrize(("count", "burst"), [(1, 0), (1, 3), (3, 0), (3, 2)])
async def test_c42_rate_too_small_to_be_divided_is_kept_over_all_partitions(spread, count, burst):
    await define(spread, rate("gpu", count, burst=burst))
    await added(spread, *(limited(GPU) for _ in range(40)))
    starts: list[int] = []
    places: set[int] = set()
    for step in range(120):
        now = NOW + step * 100
        for job in await taken(spread, now=now):
            starts.append(now)
            places.add(partition_of(job))
            await settle(spread, job, now=now)

    windows = [sum(begin <= at < begin + SECOND for at in starts) for begin in starts]
    assert max(windows) <= count + burst
    assert len(starts) >= 9 * count
    assert places == set(range(P))


async def test_c42_divided_rate_is_kept_over_all_partitions(spread):
    await define(spread, rate("gpu", 10, burst=5))
    await added(spread, *(limited(GPU) for _ in range(200)))
    starts: list[int] = []
    for step in range(60):
        found = await taken(spread, 50, now=NOW + step * 100)
        starts += [NOW + step * 100] * len(found)

    windows = [sum(begin <= at < begin + SECOND for at in starts) for begin in starts]
    assert 10 <= max(windows) <= 15


async def test_c42_rate_and_slots_of_one_limit_are_both_kept(spread, client):
    await define(spread, Limit(name="gpu", slots=1, rate=Rate(count=2, per_ms=SECOND)))
    await added(spread, *(limited(GPU) for _ in range(20)))
    done = 0
    for step in range(300):
        now = NOW + step * 100
        found = await taken(spread, now=now)
        assert len(found) <= 1
        assert holding(client) <= 1
        for job in found:
            await settle(spread, job, now=now + 50)
            done += 1

    assert done == 20


@pytest.mark.parametrize("number", range(P))
def test_part_of_a_rate_is_as_even_as_can_be(number):
    part = divided(Limit(name="all", rate=Rate(count=10, per_ms=SECOND, burst=6)), number, P).rate

    assert part is not None
    assert (part.count, part.burst) in {(3, 2), (2, 1)}


# ------------------------------------------------------------ looks


async def due_in(spread: PartitionedStore, number: int) -> int:
    """How many jobs of a partition are due and parked on nothing."""
    queue = f"{Keys('headrace', NAMESPACE, number).root}:q:{QUEUE}:ready"
    return await spread._parts.home_database.call("ZCARD", queue)


async def held(store: Store) -> tuple[str, ...]:
    """Who holds slots."""
    return (await store.lane_figures(NAMESPACE, [GPU]))[GPU].held_by

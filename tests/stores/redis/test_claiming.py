"""Claims where one script is not enough, and where an index is not as it should be."""

import asyncio
import random

from headrace.core.job import MAX_PRIORITY, MIN_PRIORITY
from headrace.core.lanes import lane_of_type
from headrace.stores.redis import claiming
from tests.builders import (
    HOUR,
    NAMESPACE,
    NOW,
    QUEUE,
    TYPE,
    a_hello,
    a_job,
    claim,
    claimed,
    enqueue,
    enqueued,
    note,
    read,
    renew,
    rescue,
    settle,
)

MANY = 2 * claiming.AT_ONCE + 50
ROOT = "headrace:{default}"
READY, LATER = f"{ROOT}:q:{QUEUE}:ready", f"{ROOT}:q:{QUEUE}:later"


# ------------------------------------------------------------ more than one script


async def test_c39_jobs_of_several_scripts_come_in_order(store):
    drawn = random.Random(1)
    new = [a_job(priority=drawn.randrange(5), due_at=NOW - drawn.randrange(100)) for _ in range(MANY)]
    await enqueue(store, *new)

    found = await claim(store, n=MANY)

    places = [(-job.placement.priority, job.placement.rank, job.seq) for job in found]
    assert len({job.id for job in found}) == MANY
    assert places == sorted(places)


async def test_c39_extremes_of_priority_and_rank_keep_their_order(store):
    places = [
        (MAX_PRIORITY, NOW),
        (1, NOW),
        (0, 0),
        (0, 1),
        (0, NOW - 1),
        (0, NOW),
        (-1, NOW),
        (MIN_PRIORITY, NOW),
    ]
    shuffled = random.Random(1).sample(places, len(places))
    await enqueue(store, *(a_job(priority=priority, rank=rank) for priority, rank in shuffled))

    found = await claim(store)

    assert [(job.placement.priority, job.placement.rank) for job in found] == places


async def test_c17_caps_of_queues_hold_over_several_scripts(store):
    for queue in ("a", "b"):
        await enqueue(store, *(a_job(queue=queue) for _ in range(MANY)))

    found = await claim(store, n=MANY, queues={"a": 120, "b": MANY, "empty": 5})

    queues = [job.facts.queue for job in found]
    assert (queues.count("a"), queues.count("b")) == (120, MANY - 120)


async def test_c16_best_of_very_many_that_come_due_at_once_is_claimed_first(store, client):
    for _ in range(11):
        await enqueue(store, *(a_job(due_at=NOW + HOUR) for _ in range(1_000)))
    await enqueue(store, a_job(due_at=NOW + HOUR + 1, priority=7))
    assert (client.zcard(READY), client.zcard(LATER)) == (0, 11_001)

    (first,) = await claim(store, n=1, now=NOW + HOUR + 1)

    assert first.placement.priority == 7
    assert (client.zcard(READY), client.zcard(LATER)) == (11_000, 0)


async def test_jobs_of_a_type_that_only_others_know_are_passed_over_however_many(store):
    await store.hello(a_hello("other", types=frozenset({"theirs"}), seen_at=NOW))
    for _ in range(6):
        await enqueue(store, *(a_job(type="theirs") for _ in range(1_000)))
    mine = [await enqueued(store) for _ in range(3)]

    found = await claim(store)

    assert [job.id for job in found] == [job.id for job in mine]
    assert await store.parked(NAMESPACE) == []


async def test_jobs_of_a_type_that_nobody_knows_go_out_of_the_way_step_by_step(store):
    await enqueue(store, *(a_job(type="unknown") for _ in range(1_500)))
    mine = await enqueued(store)

    first, second = await claim(store), await claim(store)

    assert ([job.id for job in first], second) == ([mine.id], [])
    assert [(one.lane, one.count) for one in await store.parked(NAMESPACE)] == [
        (lane_of_type("unknown"), 1_500)
    ]


async def test_c10_claims_at_once_of_two_stores_share_all_jobs(store, rival):
    await enqueue(store, *(a_job() for _ in range(1_000)))

    found = await asyncio.gather(*(claim(one, n=70) for one in (store, rival) * 10))

    ids = [job.id for some in found for job in some]
    assert len(ids) == len(set(ids)) == 1_000


# ------------------------------------------------------------ clocks, and what should not be


async def test_c16_what_a_clock_that_is_ahead_made_ready_waits_for_its_time(store, client):
    job = await enqueued(store, a_job(due_at=NOW + HOUR))
    assert await claim(store, now=NOW + HOUR, types=frozenset({"other"})) == []
    await store.hello(a_hello("late", types=frozenset({TYPE}), seen_at=NOW + HOUR))
    assert client.zcard(READY) == 1

    assert await claim(store, now=NOW) == []

    assert (client.zcard(READY), client.zcard(LATER)) == (0, 1)
    assert [one.id for one in await claim(store, now=NOW + HOUR)] == [job.id]


async def test_member_whose_job_is_gone_is_dropped(store, client):
    gone, here = await enqueued(store), await enqueued(store)
    client.delete(f"{ROOT}:j:{gone.id}")

    assert [job.id for job in await claim(store)] == [here.id]

    assert client.zcard(READY) == 0


# ------------------------------------------------------------ who is not known here


async def test_c12_holder_of_another_process_is_found_in_its_namespace(store, rival):
    await enqueue(store, a_job(namespace="elsewhere"), a_job(namespace="elsewhere"))
    await enqueue(store, a_job())
    here, there = await claim(store, namespace="elsewhere", n=2)

    assert await note(rival, here, progress="1") == frozenset()
    assert (await renew(rival, here, there, now=NOW + 1)).lost == frozenset()

    assert (await read(store, here.id, namespace="elsewhere")).progress == "1"
    leases = {job.placement.lease_until for job in await rival.expired(now=NOW + 10 * HOUR, limit=10)}
    assert leases == {NOW + 1 + 30_000}


async def test_c12_holder_whose_job_was_rescued_by_another_process_is_told(store, rival):
    job = await claimed(store)
    await rescue(rival, now=NOW + HOUR)

    assert await note(store, job, progress="1") == {job.id}
    assert (await renew(store, job, now=NOW)).lost == {job.id}
    assert await note(store, await settled(store), progress="1") != frozenset()


async def settled(store):
    job = await claimed(store, a_job(created_at=NOW, priority=1))
    await settle(store, job)
    return job

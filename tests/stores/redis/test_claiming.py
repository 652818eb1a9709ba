"""Claims where one script is not enough, and where an index is not as it should be."""

import asyncio
import random

import pytest
from redis.exceptions import ResponseError

from headrace.core.job import MAX_PRIORITY, MIN_PRIORITY
from headrace.core.lanes import lane_of_type
from headrace.errors import StoreFull
from headrace.stores.redis import claiming, database
from headrace.stores.redis.connecting import Connection
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
from tests.contract.gated import GPU, added, define, ids, limited, slots

MANY = (claiming.AHEAD + 3) * claiming.AT_ONCE + 50
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

    found = await claim(store, n=MANY, queues={"a": 320, "b": MANY, "empty": 300})

    queues = [job.facts.queue for job in found]
    assert (queues.count("a"), queues.count("b")) == (320, MANY - 320)


async def test_c17_large_claim_takes_all_that_the_gate_lets_in_beside_others(store):
    await define(store, slots("gpu", 200))
    some = [limited(GPU) if number % 3 == 0 else a_job() for number in range(MANY)]
    await added(store, *some)

    found = await claim(store, n=MANY)

    gated = {new.facts.id for new in some[::3]}
    assert len(gated) > 200
    assert len(gated.intersection(ids(found))) == 200
    assert len(found) == len(set(ids(found))) == MANY - len(gated) + 200
    assert await claim(store, n=MANY) == []


async def test_c17_large_claim_takes_no_more_than_asked_for_with_the_gate(store):
    await define(store, slots("gpu", MANY))
    new = await added(store, *(limited(GPU) if number % 3 == 0 else a_job() for number in range(MANY)))

    first, rest = await claim(store, n=MANY - 70), await claim(store, n=MANY)

    assert (ids(first), ids(rest)) == (new[:-70], new[-70:])


async def test_c39_large_claim_leaves_no_limited_job_behind_later_ones(store):
    await define(store, slots("gpu", MANY))
    some = [a_job() for _ in range(2 * claiming.AT_ONCE + 50)]
    some[100], some[200] = limited(GPU), limited(GPU)
    new = await added(store, *some)

    assert ids(await claim(store, n=MANY)) == new


async def test_c10_what_the_other_scripts_of_a_claim_have_claimed_is_handed_out(store, monkeypatch):
    await enqueue(store, *(a_job() for _ in range(MANY)))
    sent = Connection.ask_all

    async def second_refused(connection, commands):
        if len(commands) == claiming.AHEAD:
            commands = [commands[0], ("NOSUCH",), *commands[2:]]
        return await sent(connection, commands)

    monkeypatch.setattr(Connection, "ask_all", second_refused)

    found = await claim(store, n=MANY - claiming.AT_ONCE)

    assert len(found) == MANY - claiming.AT_ONCE
    assert {job.id for job in found} == await running(store)


async def test_c10_what_was_answered_before_the_connection_broke_is_handed_out(store, monkeypatch):
    await enqueue(store, *(a_job() for _ in range(MANY)))
    heard = Connection._answer
    breaks = [TimeoutError()]

    async def last_unheard(connection):
        if len(connection.heard) == claiming.AHEAD - 1 and breaks:
            raise breaks.pop()
        return await heard(connection)

    monkeypatch.setattr(Connection, "_answer", last_unheard)

    found = await claim(store, n=6 * claiming.AT_ONCE)

    assert not breaks
    assert len({job.id for job in found}) == len(found) == 6 * claiming.AT_ONCE
    assert len(await running(store) - {job.id for job in found}) == claiming.AT_ONCE


async def test_claim_that_the_server_refuses_at_once_says_so(store, monkeypatch):
    async def refused(connection, keys, name, many_args):
        return [ResponseError("OOM command not allowed") for _ in many_args]

    monkeypatch.setattr(database, "attempted", refused)

    with pytest.raises(StoreFull):
        await claim(store, n=MANY)


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


async def running(store):
    return {job.id for job in await store.expired(now=NOW + 10 * HOUR, limit=MANY)}

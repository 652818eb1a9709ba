"""Lanes on this store: pages of them, what a crash leaves, and keys of any kind."""

import pytest

from headrace.core.lanes import lane_of_type
from headrace.core.limits import LaneState
from headrace.stores.redis import applying
from headrace.stores.sweeping import START
from tests.builders import HOUR, NAMESPACE, NOW, QUEUE, a_failure, a_job, read, reported, settle
from tests.contract.gated import (
    GPU,
    account,
    added,
    define,
    drained,
    ids,
    lane_of,
    limited,
    ordered,
    slots,
    taken,
    user,
)

ROOT = "headrace:{default}"


async def parked_on_gpu(store, count: int) -> list[str]:
    """So many jobs that wait on the lane, in the order of claims."""
    await define(store, slots("gpu", 0))
    jobs = await added(store, *(limited(GPU) for _ in range(count)))
    while await taken(store, 100):
        pass
    return jobs


async def test_c41_more_than_one_script_brings_back_come_back_all(store):
    jobs = await parked_on_gpu(store, 1_700)
    await define(store)

    assert (await store.open_lanes(NAMESPACE, [GPU], now=NOW)).count == len(jobs)
    assert ids(await taken(store, len(jobs))) == jobs


async def test_c41_gate_that_meets_an_open_lane_brings_back_all_that_wait(store, client):
    """As many come back as could start, also more than one script brings back."""
    jobs = await parked_on_gpu(store, 1_200)
    await define(store, slots("gpu", 1_500))
    (newcomer,) = await added(store, limited(GPU, due_at=NOW + 1))

    assert ids(await taken(store, 100, now=NOW + 1)) == jobs[:100]

    assert client.zcard(f"{ROOT}:q:default:ready") == 1_101
    assert await lane_of(store, newcomer) is None


async def test_c41_many_queues_behind_one_lane_get_a_job_back_each(store):
    queues = [f"q{number:03}" for number in range(120)]
    await define(store, slots("gpu", 0))
    await added(store, *(limited(GPU, queue=queue) for queue in queues for _ in range(2)))
    await taken(store, 500, queues=dict.fromkeys(queues, 10))
    await define(store, slots("gpu", 1))

    back = await store.open_lanes(NAMESPACE, [GPU], now=NOW)

    assert back.count == len(queues)
    assert back.places == {(NAMESPACE, queue) for queue in queues}


async def test_c41_crash_between_an_outcome_and_what_it_frees_is_healed_by_the_sweep(store, monkeypatch):
    await define(store, slots("gpu", 1))
    _, second = await added(store, limited(GPU), limited(GPU))
    (job,) = await taken(store)
    assert await taken(store) == []

    async def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(applying.lanes, "free", killed)
    with pytest.raises(KeyboardInterrupt):
        await store.apply([reported(job, a_failure())], now=NOW)
    assert await taken(store) == []

    assert (await store.unpark_free(now=NOW, limit=10)).count == 1
    assert ids(await taken(store)) == [second]


async def test_c41_each_slot_that_is_freed_brings_back_one(store, client, monkeypatch):
    """Others see to theirs: what came back twice would be parked twice."""
    await define(store, slots("gpu", 2))
    await added(store, *(limited(GPU) for _ in range(6)))
    one, other = await taken(store, 2)
    assert await taken(store) == []

    async def nothing(*_: object) -> None: ...

    with monkeypatch.context() as later:
        later.setattr(applying, "give_on", nothing)
        await settle(store, one)
    await settle(store, other)

    assert client.zcard(f"{ROOT}:q:default:ready") == 1
    await store.open_lanes(NAMESPACE, [GPU], now=NOW)
    assert len(await taken(store)) == 2


async def test_c41_slots_of_jobs_that_do_not_run_are_given_back(store, client):
    await define(store, slots("gpu", 1))
    (ended,) = await added(store, a_job())
    await settle(store, (await taken(store))[0])
    client.zadd(f"{ROOT}:slots:{GPU}", {ended: 1, "00000000-0000-7000-8000-000000000000": 2})
    (job,) = await added(store, limited(GPU))
    assert await taken(store) == []

    await store.forget_lanes(now=NOW, limit=10)

    assert (await store.unpark_free(now=NOW, limit=10)).count == 1
    assert ids(await taken(store)) == [job]


async def test_c41_sweep_steps_over_lanes_that_are_not_its_own(store):
    await added(store, *(a_job(type=f"unknown-{number:04}") for number in range(1_100)))
    while sum(one.count for one in await store.parked(NAMESPACE)) < 1_100:
        assert await taken(store, 100) == []
    await parked_on_gpu(store, 1)
    await define(store, slots("per-user", 0))
    await added(store, limited(user("z")))
    await taken(store)

    lanes = await store.lanes_waited_for(START, 10)

    assert lanes == [(NAMESPACE, GPU), (NAMESPACE, user("z"))]
    assert await store.lanes_waited_for(lanes[0], 10) == lanes[1:]
    assert await store.lanes_waited_for(START, 1) == lanes[:1]
    assert not any(lane.startswith(lane_of_type("")) for _, lane in lanes)


async def test_c41_sweep_goes_through_all_namespaces(store):
    for namespace in ("a", "b", "c"):
        await define(store, slots("gpu", 0), namespace=namespace)
        await added(store, limited(GPU, namespace=namespace))
        await taken(store, namespace=namespace)
        await define(store, namespace=namespace)

    back = await store.unpark_free(now=NOW, limit=10)

    assert back.places == {("a", QUEUE), ("b", QUEUE), ("c", QUEUE)}


async def test_c41_lanes_of_all_namespaces_are_forgotten_in_turn(store):
    for namespace in ("a", "b", "c"):
        for number in range(3):
            await store.set_lane(namespace, LaneState(key=f"breaker:{number}"))

    assert [await store.forget_lanes(now=NOW, limit=4) for _ in range(3)] == [4, 4, 1]
    assert await store.forget_lanes(now=NOW, limit=4) == 0


@pytest.mark.parametrize("key", ["a|b", "*", "[x", "a b", "zürich 🌍", "{default}", "q:1:ready", '"pass"'])
async def test_c40_c41_keys_of_any_kind_are_lanes_of_their_own(store, key):
    await define(store, slots("per-user", 1))
    jobs = await added(store, *(limited(user(key)) for _ in range(2)), limited(user(key + "!")))
    turns = await added(store, *(ordered(key) for _ in range(2)), ordered(key + "!"))

    first = ids(await taken(store))
    figures = await store.lane_figures(NAMESPACE, [user(key), account(key)])

    assert first == [jobs[0], jobs[2], turns[0], turns[2]]
    assert {(one.holders, one.parked) for one in figures.values()} == {(1, 1)}
    assert figures[user(key)].first_parked == jobs[1]
    assert figures[account(key)].first_parked == turns[1]


async def test_c41_nothing_is_left_of_lanes_that_were_used(store, client):
    await define(store, slots("gpu", 1), slots("per-user", 2))
    await added(store, *(limited(GPU, user("a")) for _ in range(5)), *(ordered() for _ in range(5)))
    assert len(await drained(store)) == 10
    await store.forget_lanes(now=NOW + HOUR, limit=100)

    kinds = ("lane", "slots", "turn", "begun", "order", "parked")
    assert [key for kind in kinds for key in client.keys(f"{ROOT}:{kind}:*")] == []
    assert client.exists(f"{ROOT}:lanes", f"{ROOT}:parkings") == 0
    assert await read(store, (await added(store, a_job()))[0])

"""Concurrency limits: no more holders than slots, and whoever waits comes in the slot that is freed."""

import asyncio

import pytest

from headrace.core.outcomes import CancelAsked, Released, RetryAsked, Snoozed
from headrace.core.states import State
from headrace.core.unique import OnConflict, Unique
from headrace.stores.protocol import Applied
from tests.builders import (
    LEASE,
    NAMESPACE,
    NOW,
    QUEUE,
    SECOND,
    TYPE,
    a_failure,
    a_hello,
    a_job,
    happen,
    read,
    reported,
    rescue,
    settle,
)
from tests.contract.gated import GPU, added, define, drained, ids, lane_of, limited, slots, taken, user


async def holders(store, lane: str = GPU) -> int:
    return (await store.lane_figures(NAMESPACE, [lane]))[lane].holders


async def test_c41_only_as_many_jobs_of_a_lane_run_as_it_has_slots(store):
    await define(store, slots("gpu", 2))
    jobs = await added(store, *(limited(GPU) for _ in range(5)))

    assert ids(await taken(store)) == jobs[:2]
    assert await taken(store) == []
    assert [await lane_of(store, job) for job in jobs] == [None, None, GPU, GPU, GPU]
    assert await holders(store) == 2


async def test_c41_slot_that_is_freed_goes_to_the_best_that_waits(store):
    await define(store, slots("gpu", 1))
    jobs = await added(store, *(limited(GPU, priority=level) for level in (9, 0, 5)))

    assert await drained(store) == [jobs[0], jobs[2], jobs[1]]


@pytest.mark.parametrize("n", [1, 2, 10])
async def test_c41_jobs_of_one_lane_come_in_the_order_of_claims(store, n):
    await define(store, slots("gpu", 2))
    jobs = await added(store, *(limited(GPU) for _ in range(7)))

    assert await drained(store, n=n) == jobs


async def test_c41_lane_without_a_definition_limits_nothing(store):
    await define(store, slots("other", 0))
    jobs = await added(store, *(limited(GPU) for _ in range(3)))

    assert ids(await taken(store)) == jobs
    assert await holders(store) == 0


async def test_c41_each_key_has_slots_of_its_own_and_delays_no_other(store):
    await define(store, slots("per-user", 1))
    a = await added(store, *(limited(user("a")) for _ in range(3)))
    b = await added(store, *(limited(user("b")) for _ in range(3)))

    assert ids(await taken(store)) == [a[0], b[0]]


async def test_c41_job_with_two_lanes_needs_a_slot_of_both_and_takes_none_otherwise(store):
    await define(store, slots("gpu", 1), slots("per-user", 1))
    first, second, third = await added(
        store, limited(user("a")), limited(GPU, user("a")), limited(GPU, user("b"))
    )

    assert ids(await taken(store)) == [first, third]
    assert await lane_of(store, second) == user("a")
    found = await read(store, third)
    assert found.placement.slot_key == f'["{GPU}","{user("b")}"]'


async def test_c41_limits_of_all_of_a_queue_and_of_a_type_need_no_wishes(store):
    await define(store, slots("all", 5), slots("queue:default", 4), slots("type:echo", 3))
    await added(store, *(a_job() for _ in range(9)))

    assert len(await taken(store)) == 3


async def test_c41_queue_and_type_beside_a_limited_one_are_as_before(store):
    await define(store, slots("queue:slow", 1), slots("type:image", 1))
    slow = await added(store, *(a_job(queue="slow") for _ in range(2)))
    image = await added(store, *(a_job(type="image") for _ in range(2)))
    plain = await added(store, *(a_job() for _ in range(2)))

    found = await taken(store, queues={"slow": 9, QUEUE: 9}, types=frozenset({TYPE, "image"}))

    assert sorted(ids(found)) == sorted([slow[0], image[0], *plain])


async def test_c41_plain_jobs_pass_by_those_that_wait(store):
    await define(store, slots("gpu", 0))
    await added(store, *(limited(GPU) for _ in range(50)))
    plain = await added(store, *(a_job() for _ in range(3)))

    assert ids(await taken(store, 5)) == plain


@pytest.mark.parametrize("count", [1, 2])
async def test_c41_change_of_a_limit_counts_from_the_next_claim_on(store, count):
    await define(store, slots("gpu", count))
    await added(store, *(limited(GPU) for _ in range(5)))
    assert len(await taken(store)) == count
    await define(store, slots("gpu", 4))
    back = await store.unpark_free(now=NOW, limit=100)

    assert back.count == 4 - count
    assert back.places == {(NAMESPACE, QUEUE)}
    assert len(await taken(store)) == 4 - count


async def test_c41_limit_that_is_taken_away_lets_everybody_in(store):
    await define(store, slots("gpu", 0))
    jobs = await added(store, *(limited(GPU) for _ in range(5)))
    assert await taken(store) == []
    await define(store)

    assert (await store.unpark_free(now=NOW, limit=100)).count == 5
    assert ids(await taken(store)) == jobs


async def test_c41_lowered_limit_interrupts_nobody_and_admits_nobody(store):
    await define(store, slots("gpu", 3))
    await added(store, *(limited(GPU) for _ in range(5)))
    running = await taken(store)
    await define(store, slots("gpu", 1))
    for job in running[:2]:
        assert await settle(store, job) == Applied()
    assert await taken(store) == []
    await settle(store, running[2])

    assert len(await taken(store)) == 1


@pytest.mark.parametrize(
    "outcome",
    [a_failure(), Snoozed(delay_ms=SECOND), Released(reason="shutdown"), Snoozed(delay_ms=0)],
    ids=["retry", "snooze", "give back", "snooze for nothing"],
)
async def test_c41_job_that_goes_back_frees_its_slot(store, outcome):
    await define(store, slots("gpu", 1))
    first, second = await added(store, limited(GPU, due_at=NOW - 2), limited(GPU, due_at=NOW - 1))
    (job,) = await taken(store)

    assert await settle(store, job, outcome) == Applied()
    assert await holders(store) == 0
    assert (await read(store, first)).placement.slot_key is None
    assert await lane_of(store, second) is None
    assert len(await taken(store)) == 1


async def test_c41_job_whose_worker_is_lost_frees_its_slot_when_it_is_rescued(store):
    await define(store, slots("gpu", 1))
    _, second = await added(store, limited(GPU), limited(GPU))
    await taken(store)
    late = NOW + LEASE + 1
    assert await taken(store, now=late) == []
    await rescue(store, now=late)

    assert ids(await taken(store, now=late)) == [second]


async def test_c41_cancelled_job_frees_its_slot_once_it_has_stopped(store):
    await define(store, slots("gpu", 1))
    _, second = await added(store, limited(GPU), limited(GPU))
    (job,) = await taken(store)
    await happen(store, job, CancelAsked())
    assert await taken(store) == []

    await settle(store, job, a_failure())

    assert (await read(store, job.id)).state is State.CANCELLED
    assert ids(await taken(store)) == [second]


async def test_c41_outcomes_of_many_lanes_bring_back_the_next_of_each(store):
    await define(store, slots("per-user", 1))
    await added(store, *(limited(user(key)) for key in "abc" for _ in range(3)))
    running = await taken(store, 20)
    assert len(running) == 3
    await store.apply([reported(job, a_failure()) for job in running[:2]], now=NOW)
    await store.apply([reported(running[2], Released(reason="stop"))], now=NOW)

    assert len(await taken(store, 20)) == 3


async def test_c41_newcomer_does_not_overtake_who_waits_in_its_queue(store):
    await define(store, slots("gpu", 1))
    first, waiting = await added(store, limited(GPU), limited(GPU))
    (running,) = await taken(store)
    newcomer, urgent = await added(store, limited(GPU, due_at=NOW + 1), limited(GPU, priority=1))
    assert running.id == first
    assert await taken(store, now=NOW + 1) == []
    assert await lane_of(store, newcomer) == GPU

    await settle(store, running)

    assert await drained(store, now=NOW + 1) == [urgent, waiting, newcomer]


async def test_c41_newcomer_that_meets_a_free_lane_lets_those_in_that_wait_before_it(store):
    await define(store, slots("gpu", 0))
    waiting = await added(store, *(limited(GPU) for _ in range(3)))
    await taken(store)
    await define(store, slots("gpu", 2))
    (newcomer,) = await added(store, limited(GPU, due_at=NOW + 1))

    assert ids(await taken(store, now=NOW + 1)) == waiting[:2]
    assert await lane_of(store, newcomer) == GPU


async def test_c41_slot_goes_to_each_queue_whose_jobs_wait_for_it(store):
    await define(store, slots("gpu", 1))
    await added(store, limited(GPU))
    (running,) = await taken(store)
    other = await added(store, *(limited(GPU, queue="other") for _ in range(2)))
    here = await added(store, *(limited(GPU) for _ in range(2)))
    await taken(store, queues={"other": 9, QUEUE: 9})
    await settle(store, running)

    assert [await lane_of(store, job) for job in (*other, *here)] == [None, GPU, None, GPU]
    assert len(await taken(store, queues={"other": 9, QUEUE: 9})) == 1


async def test_c41_refusal_costs_nothing_and_keeps_the_rank(store):
    await define(store, slots("gpu", 0))
    (job,) = await added(store, limited(GPU, due_at=NOW - 5))
    await taken(store)

    placed = (await read(store, job)).placement
    assert (placed.rank, placed.starts, placed.due_at, placed.state) == (NOW - 5, 0, None, State.PENDING)
    assert (await store.history(NAMESPACE, job)).attempts == ()


async def test_c41_many_blocked_jobs_at_the_head_are_passed_over_by_one_claim(store):
    await define(store, slots("per-user", 1))
    await added(store, *(limited(user("a")) for _ in range(3_000)))
    free = await added(store, *(limited(user("b")) for _ in range(2)), a_job())

    found = ids(await taken(store, 5))

    assert free[0] in found
    assert free[2] in found
    assert len(found) == 3


async def test_c41_paused_queue_admits_nobody_through_the_gate(store):
    await define(store, slots("gpu", 1))
    (job,) = await added(store, limited(GPU))
    await store.set_paused(NAMESPACE, QUEUE, paused=True)
    assert await taken(store) == []
    assert await lane_of(store, job) is None

    await store.set_paused(NAMESPACE, QUEUE, paused=False)
    assert ids(await taken(store)) == [job]


async def test_c41_parked_job_can_be_cancelled_and_retried_and_keeps_its_limits(store):
    await define(store, slots("gpu", 1))
    _, second = await added(store, limited(GPU), limited(GPU))
    await taken(store)
    await happen(store, await read(store, second), CancelAsked())
    await happen(store, await read(store, second), RetryAsked(), now=NOW + 1)

    assert await taken(store, now=NOW + 1) == []
    assert await lane_of(store, second) == GPU


async def test_c41_jobs_of_a_type_nobody_knew_are_limited_once_somebody_does(store):
    await define(store, slots("gpu", 1))
    await added(store, *(limited(GPU, type="new") for _ in range(2)))
    await taken(store)
    await store.hello(a_hello(types=frozenset({"new"})))

    assert len(await taken(store, types=frozenset({"new"}))) == 1


async def test_c41_replaced_job_keeps_its_limits(store):
    latest = Unique(key="k", on_conflict=OnConflict.REPLACE)
    await define(store, slots("gpu", 0))
    (job,) = await added(store, limited(GPU, unique=latest))
    await taken(store)
    await added(store, limited(GPU, unique=latest, payload="2"))
    assert await lane_of(store, job) is None

    assert await taken(store) == []
    assert await lane_of(store, job) == GPU


async def test_c41_namespaces_share_no_lane(store):
    await define(store, slots("gpu", 1))
    await define(store, slots("gpu", 1), namespace="other")
    await added(store, limited(GPU))
    await added(store, limited(GPU, namespace="other"))

    assert len(await taken(store)) == 1
    assert len(await taken(store, namespace="other")) == 1


async def test_c41_claims_at_once_never_hold_more_than_the_slots(store):
    await define(store, slots("gpu", 3))
    await added(store, *(limited(GPU) for _ in range(60)))
    most, done = 0, set()

    async def work(name: str) -> None:
        nonlocal most
        while len(done) < 60:
            for job in await taken(store, 4, worker=name):
                most = max(most, await holders(store))
                await settle(store, job)
                done.add(job.id)

    await asyncio.gather(*(work(f"w{number}") for number in range(6)))

    assert 0 < most <= 3
    assert len(done) == 60

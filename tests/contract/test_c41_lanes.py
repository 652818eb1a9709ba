"""Lanes themselves: closed by hand, told in figures, swept, forgotten (C41)."""

import asyncio

from headrace.core.limits import LaneState
from headrace.core.outcomes import CancelAsked, Released, Succeeded
from headrace.core.states import State
from tests.builders import (
    HOUR,
    NAMESPACE,
    NOW,
    QUEUE,
    SECOND,
    a_failure,
    a_job,
    happen,
    read,
    reported,
    settle,
)
from tests.contract.gated import GPU, added, define, ids, lane_of, limited, slots, taken, user


async def holders(store, lane: str = GPU) -> int:
    return (await store.lane_figures(NAMESPACE, [lane]))[lane].holders


async def test_c41_closed_lane_admits_nobody_before_it_opens_and_then_as_many_as_its_cap(store):
    lane = "breaker:mail"
    await store.set_lane(NAMESPACE, LaneState(key=lane, opens_at=NOW + SECOND, cap=1))
    jobs = await added(store, *(limited(lane) for _ in range(3)))
    assert await taken(store) == []
    back = await store.open_lanes(NAMESPACE, [lane], now=NOW)
    assert (back.count, back.next_opening) == (0, NOW + SECOND)

    later = NOW + SECOND
    assert ids(await taken(store, now=later)) == jobs[:1]  # the claim knew when it opens
    await store.set_lane(NAMESPACE, LaneState(key=lane))
    assert (await store.open_lanes(NAMESPACE, [lane], now=later)).count == 2
    assert ids(await taken(store, now=later)) == jobs[1:]


async def test_c41_lane_state_is_kept_and_told(store):
    state = LaneState(key="breaker:mail", opens_at=NOW, cap=2)
    await store.set_lane(NAMESPACE, state)

    assert await store.lane_states(NAMESPACE, ["breaker:mail", "limit:none"]) == {"breaker:mail": state}
    assert await store.lane_states("other", ["breaker:mail"]) == {}


# ------------------------------------------------------------ figures, the sweep, what is forgotten


async def test_c41_figures_tell_who_holds_and_who_waits(store):
    await define(store, slots("gpu", 2))
    jobs = await added(store, *(limited(GPU) for _ in range(3)), limited(GPU, priority=5))
    running = await taken(store, 2)

    (figures,) = (await store.lane_figures(NAMESPACE, [GPU])).values()

    assert (figures.holders, figures.parked) == (2, 0)
    assert set(figures.held_by) == set(ids(running)) == {jobs[3], jobs[0]}
    await taken(store)
    (figures,) = (await store.lane_figures(NAMESPACE, [GPU])).values()
    assert (figures.parked, figures.first_parked) == (2, jobs[1])


async def test_c41_sweep_brings_back_no_more_than_could_start(store):
    await define(store, slots("per-user", 1))
    await added(store, *(limited(user(str(key))) for key in range(5) for _ in range(2)))
    running = await taken(store, 20)
    assert len(running) == 5

    assert (await store.unpark_free(now=NOW, limit=100)).count == 0


async def test_c41_sweep_stops_after_enough_and_says_so(store):
    await define(store, slots("per-user", 0))
    await added(store, *(limited(user(str(key))) for key in range(5)))
    await taken(store, 20)
    await define(store)

    first = await store.unpark_free(now=NOW, limit=5)

    assert (first.count, first.more) == (5, True)
    assert await store.unpark_free(now=NOW, limit=5) == await store.unpark_free(now=NOW, limit=1)


async def test_c41_sweep_leaves_jobs_of_unknown_types_alone(store):
    (job,) = await added(store, a_job(type="unknown"))
    await taken(store)

    assert (await store.unpark_free(now=NOW, limit=100)).count == 0
    assert await lane_of(store, job) == "type:unknown"


async def test_c41_idle_lanes_are_forgotten_and_others_kept(store):
    await define(store, slots("per-user", 1))
    await store.set_lane(NAMESPACE, LaneState(key="breaker:mail", cap=1))
    await added(store, limited(user("a")), limited(user("b")), limited(user("b")))
    running = await taken(store)
    await settle(store, running[0])

    lanes = [user("a"), user("b"), "breaker:mail"]
    assert await store.forget_lanes(now=NOW, limit=2) + await store.forget_lanes(now=NOW, limit=2) == 1
    assert set(await store.lane_states(NAMESPACE, lanes)) == {user("b"), "breaker:mail"}
    assert len(await taken(store)) == 0
    await settle(store, running[1])
    assert len(await taken(store, now=NOW + HOUR)) == 1


async def test_c41_decided_but_not_written_frees_nothing(store):
    await define(store, slots("gpu", 1))
    await added(store, limited(GPU), limited(GPU))
    (job,) = await taken(store)
    await happen(store, job, CancelAsked())  # so what is decided on the job as it was claimed is stale

    await store.apply([reported(job, Released(reason="stop"))], now=NOW)

    assert await holders(store) == 1
    assert await taken(store) == []


async def test_c41_waiters_are_woken_by_the_slot_that_is_freed(store):
    await define(store, slots("gpu", 1))
    await added(store, limited(GPU), limited(GPU))
    (job,) = await taken(store)
    queues = frozenset({QUEUE})
    await store.woken(NAMESPACE, queues, timeout_ms=0)
    waiting = asyncio.create_task(store.woken(NAMESPACE, queues, timeout_ms=60_000))
    await asyncio.sleep(0)

    await store.apply([reported(job, a_failure())], now=NOW)

    assert await waiting


async def test_c41_job_that_is_completed_in_a_transaction_frees_its_slot(store):
    await define(store, slots("gpu", 1))
    _, second = await added(store, limited(GPU), limited(GPU))
    (job,) = await taken(store)
    assert await taken(store) == []

    def plain(connection: object) -> int:
        return id(connection)

    async def awaited(connection: object) -> int:
        return id(connection)

    on_server = (await store.check()).store != "sqlite"
    await store.settle_within(
        awaited if on_server else plain, lambda _, fresh: reported(fresh or job, Succeeded())
    )

    assert (await read(store, job.id)).state is State.COMPLETED
    assert ids(await taken(store)) == [second]


async def test_c41_job_that_comes_back_before_a_claim_in_order_is_claimed_before_it(store):
    """Its own process knows that it is there again, wherever its claims have begun to look since."""
    await define(store, slots("gpu", 1))
    await added(store, limited(GPU), limited(GPU))
    (job,) = await taken(store, 2)
    await added(store, *(a_job(due_at=NOW + number) for number in range(40)))
    for _ in range(15):
        await taken(store, 1, now=NOW + HOUR)

    await settle(store, job)

    (back,) = await taken(store, 1, now=NOW + HOUR)
    assert back.facts.lane is not None

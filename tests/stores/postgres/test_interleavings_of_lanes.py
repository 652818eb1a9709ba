"""Claims, outcomes and the sweep that meet on one lane: counted under its lock, nobody left behind (C41)."""

import asyncio

from headrace.core.limits import LaneState
from headrace.core.wishes import Wishes
from headrace.stores.protocol import Applied
from tests.builders import NAMESPACE, NOW, QUEUE, a_failure, a_job, reported
from tests.contract.gated import (
    GPU,
    account,
    added,
    define,
    ids,
    limited,
    ordered,
    slots,
    taken,
    user,
    wishing,
)
from tests.stores.postgres import alongside
from tests.stores.postgres.meeting import SOON, all_wait, goes_through

LOCK = "select from headrace.lane where key = $1 for update"
LOCK_NOW = "select from headrace.lane where key = $1 for update nowait"
LOCK_JOB = "select from headrace.live where seq = (select seq from headrace.job where id = $1) for update"
HOLDERS = "select count(*) from headrace.live where state = 'processing' and slot_key is not null"


async def lane(store, key: str) -> None:
    """Makes the lane's row, so that it can be locked."""
    await store.set_lane(NAMESPACE, LaneState(key=key))


async def test_c41_claims_that_met_at_a_lane_count_after_they_have_it(store, rival, url):
    await define(store, slots("gpu", 3))
    await lane(store, GPU)
    await added(store, *(limited(GPU) for _ in range(6)))
    async with alongside.session(url) as other:
        await other.execute(LOCK, GPU)
        claims = [asyncio.create_task(taken(one, 3)) for one in (store, rival)]
        await all_wait(url, *claims)
        await other.execute("rollback")
        found = [await claim for claim in claims]

    assert sorted(map(len, found)) == [0, 3]


async def test_c40_claims_that_met_at_a_key_start_one_job(store, rival, url):
    await lane(store, account("7"))
    jobs = await added(store, *(ordered() for _ in range(4)))
    async with alongside.session(url) as other:
        await other.execute(LOCK, account("7"))
        claims = [asyncio.create_task(taken(one, 2)) for one in (store, rival)]
        await all_wait(url, *claims)
        await other.execute("rollback")
        found = [job for claim in claims for job in await claim]

    assert ids(found) == jobs[:1]


async def test_c41_job_that_met_a_full_lane_is_not_left_behind_by_an_outcome_that_waits(store, url):
    await define(store, slots("gpu", 1))
    _, second = await added(store, limited(GPU), limited(GPU))
    (running,) = await taken(store, 1)
    async with alongside.session(url) as other:
        await other.execute(LOCK, GPU)
        claiming = asyncio.create_task(taken(store))
        await all_wait(url, claiming)
        settling = asyncio.create_task(store.apply([reported(running, a_failure())], now=NOW))
        await all_wait(url, claiming, settling)
        await other.execute("rollback")

        assert await claiming == []
        assert await settling == [Applied()]

    assert ids(await taken(store)) == [second]


async def test_c41_job_that_meets_an_outcome_that_waits_is_admitted_after_it(store, url):
    await define(store, slots("gpu", 1))
    _, second = await added(store, limited(GPU), limited(GPU))
    (running,) = await taken(store, 1)
    async with alongside.session(url) as other:
        await other.execute(LOCK, GPU)
        settling = asyncio.create_task(store.apply([reported(running, a_failure())], now=NOW))
        await all_wait(url, settling)
        claiming = asyncio.create_task(taken(store))
        await all_wait(url, settling, claiming)
        await other.execute("rollback")

        assert await settling == [Applied()]
        assert ids(await claiming) == [second]


async def test_c41_candidates_that_others_have_are_passed_over(store, url):
    await define(store, slots("gpu", 5))
    first, second = await added(store, limited(GPU), limited(GPU))
    async with alongside.session(url) as other:
        await other.execute(LOCK_JOB, first)

        found = await goes_through(url, asyncio.create_task(taken(store)))

    assert ids(found) == [second]
    assert ids(await taken(store)) == [first]


async def test_c41_parked_jobs_that_others_have_do_not_hold_up_an_outcome(store, url):
    await define(store, slots("gpu", 1))
    _, second, third = await added(store, *(limited(GPU) for _ in range(3)))
    (running,) = await taken(store)
    async with alongside.session(url) as other:
        await other.execute(LOCK_JOB, second)

        settling = asyncio.create_task(store.apply([reported(running, a_failure())], now=NOW))
        assert await goes_through(url, settling) == [Applied()]

    assert (await store.unpark_free(now=NOW, limit=10)).count == 1  # nobody runs, and one of two is due
    assert ids(await taken(store)) == [second]
    assert third not in ids(await taken(store))


async def test_outcomes_lock_lanes_in_order(store, url):
    await define(store, slots("per-user", 1))
    await added(store, limited(user("b")), limited(user("a")))
    jobs = await taken(store)
    async with alongside.session(url) as other:
        await other.execute(SOON)
        await other.execute(LOCK, user("a"))
        settling = asyncio.create_task(store.apply([reported(job, a_failure()) for job in jobs], now=NOW))
        await all_wait(url, settling)

        await other.execute(LOCK_NOW, user("b"))
        await other.execute("rollback")

        assert await settling == [Applied(), Applied()]


async def test_claims_lock_lanes_in_order(store, url):
    await define(store, slots("per-user", 1))
    for key in "ab":
        await lane(store, user(key))
    await added(store, limited(user("b")), limited(user("a")))
    async with alongside.session(url) as other:
        await other.execute(SOON)
        await other.execute(LOCK, user("a"))
        claiming = asyncio.create_task(taken(store))
        await all_wait(url, claiming)

        await other.execute(LOCK_NOW, user("b"))
        await other.execute("rollback")

        assert len(await claiming) == 2


async def test_c41_idle_lane_that_a_claim_waits_for_is_not_forgotten_under_it(store, url):
    await define(store, slots("gpu", 1))
    await lane(store, GPU)
    await added(store, limited(GPU), limited(GPU))
    async with alongside.session(url) as other:
        await other.execute(LOCK, GPU)
        claiming = asyncio.create_task(taken(store, 1))
        await all_wait(url, claiming)

        async with asyncio.timeout(alongside.HANGS):
            assert await store.forget_lanes(now=NOW, limit=10) == 0
        await other.execute("delete from headrace.lane")
        await other.execute("commit")
        assert len(await claiming) == 1

    assert await taken(store) == []


async def test_c41_pause_waits_for_a_claim_at_the_gate(store, url):
    await define(store, slots("gpu", 1))
    await lane(store, GPU)
    await added(store, limited(GPU))
    async with alongside.session(url) as other:
        await other.execute(LOCK, GPU)
        claiming = asyncio.create_task(taken(store))
        await all_wait(url, claiming)
        pausing = asyncio.create_task(store.set_paused(NAMESPACE, QUEUE, paused=True))
        await all_wait(url, claiming, pausing)
        await other.execute("rollback")

        assert len(await claiming) == 1
        await pausing


async def test_c41_change_of_limits_is_met_by_the_next_claim_of_another_process(store, rival):
    await added(rival, a_job(), a_job(), a_job())
    assert len(await taken(rival, 1)) == 1
    await define(store, slots("type:echo", 1))

    assert len(await taken(rival)) == 1
    await define(store)
    assert len(await taken(rival)) == 0  # the one that waits is for the sweep
    assert (await store.unpark_free(now=NOW, limit=9)).count == 1
    assert len(await taken(rival)) == 1


async def test_c41_twelve_claimers_never_hold_more_than_the_slots(store, rival, url, run_sql):
    await define(store, slots("gpu", 3))
    jobs = await added(store, *(limited(GPU) for _ in range(150)))
    counted, ended = [], set()

    async def claimer(number: int) -> None:
        mine = (store, rival)[number % 2]
        while len(ended) < len(jobs):
            found = await taken(mine, 5, worker=f"w{number}")
            async with alongside.session(url) as watching:
                counted.append(await watching.fetchval(HOLDERS))
            for job in found:
                await mine.apply([reported(job, a_failure())], now=NOW)
                ended.add(job.id)

    await asyncio.gather(*(claimer(number) for number in range(12)))

    assert max(counted) == 3
    assert run_sql(url, "select count(*) from headrace.slot") == [(0,)]


async def test_c41_only_fair_jobs_do_not_meet_the_gate(store, url, run_sql):
    await added(store, wishing(a_job(), Wishes(fair="tenant")))

    assert run_sql(url, "select gate from headrace.live") == [(None,)]
    assert len(await taken(store)) == 1

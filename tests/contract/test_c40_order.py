"""Ordering keys: one at a time, in the order of enqueueing, whatever their priorities and retries."""

import asyncio

import pytest

from headrace.core.limits import LaneState
from headrace.core.outcomes import CancelAsked, Released, RetryAsked, Snoozed
from headrace.core.states import State
from headrace.core.wishes import OnRetry
from headrace.stores.protocol import Applied
from tests.builders import (
    EXACT,
    HOUR,
    LEASE,
    NAMESPACE,
    NOW,
    QUEUE,
    SECOND,
    a_failure,
    a_hello,
    a_job,
    happen,
    read,
    rescue,
    settle,
)
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
)

KEY = account("7")
RETRY = NOW + EXACT.backoff.delay_ms(1, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("n", [1, 2, 10])
async def test_c40_one_job_of_a_key_runs_at_a_time_in_the_order_of_enqueueing(store, n):
    jobs = await added(store, *(ordered() for _ in range(6)))

    found = []
    for job in jobs:
        running = await taken(store, n)
        found += ids(running)
        assert ids(running) == [job]
        await settle(store, running[0])

    assert found == jobs


@pytest.mark.parametrize("n", [1, 10])
async def test_c40_priority_and_rank_do_not_reorder_a_key(store, n):
    jobs = await added(
        store,
        ordered(priority=0, due_at=NOW),
        ordered(priority=9, due_at=NOW - 9),
        ordered(priority=5, due_at=NOW - 99),
    )

    assert await drained(store, n=n) == jobs


async def test_c40_keys_are_independent_and_plain_jobs_pass_by(store):
    a = await added(store, *(ordered("a") for _ in range(2)))
    b = await added(store, *(ordered("b") for _ in range(2)))
    plain = await added(store, a_job(), a_job())

    assert ids(await taken(store)) == [a[0], b[0], *plain]


async def test_c40_key_is_one_whatever_the_queue(store):
    first, second = await added(store, ordered(queue="other"), ordered())
    assert await taken(store) == []  # the other queue's job comes first
    assert await lane_of(store, second) == KEY

    (job,) = await taken(store, queues={"other": 9, QUEUE: 9})
    assert job.id == first
    await settle(store, job)
    assert ids(await taken(store)) == [second]


async def test_c40_job_that_waits_for_a_retry_holds_its_key(store):
    first, second = await added(store, ordered(), ordered())
    (job,) = await taken(store)
    await settle(store, job, a_failure())
    assert await taken(store) == []
    assert await lane_of(store, second) == KEY

    assert await drained(store, now=RETRY) == [first, second]


async def test_c40_job_that_lets_others_pass_does_so_while_it_waits(store):
    first, second = await added(store, ordered(on_retry=OnRetry.PASS), ordered(on_retry=OnRetry.PASS))
    assert ids(await taken(store, 1)) == [first]
    assert await taken(store) == []
    await settle(store, (await read(store, first)), a_failure())

    (job,) = await taken(store)

    assert job.id == second
    assert await taken(store, now=RETRY) == []  # one at a time all the same
    assert await lane_of(store, first) == KEY
    await settle(store, job, now=RETRY)
    assert ids(await taken(store, now=RETRY)) == [first]


@pytest.mark.parametrize("outcome", [Released(reason="shutdown"), Snoozed(delay_ms=SECOND)], ids=str)
async def test_c40_job_that_is_given_back_or_snoozes_comes_before_the_others(store, outcome):
    jobs = await added(store, ordered(), ordered())
    (job,) = await taken(store)
    await settle(store, job, outcome)

    assert await drained(store, now=NOW + SECOND) == jobs


async def test_c40_job_whose_worker_is_lost_holds_its_key_until_it_has_ended(store):
    jobs = await added(store, ordered(), ordered())
    await taken(store)
    late = NOW + LEASE + 1
    await rescue(store, now=late)
    assert await taken(store, now=late) == []

    assert await drained(store, now=late + HOUR) == jobs


async def test_c40_last_failure_lets_the_next_one_start(store):
    _, second = await added(store, ordered(max_attempts=1), ordered())
    (job,) = await taken(store)
    await settle(store, job, a_failure())

    assert ids(await taken(store)) == [second]


async def test_c40_delayed_job_does_not_hold_the_key_before_it_is_due(store):
    late, early = await added(store, ordered(due_at=NOW + SECOND), ordered())

    (job,) = await taken(store)
    assert job.id == early
    assert await taken(store, now=NOW + SECOND) == []
    assert await lane_of(store, late) == KEY
    await settle(store, job)
    assert ids(await taken(store, now=NOW + SECOND)) == [late]


async def test_c40_cancelled_predecessor_that_never_ran_lets_the_next_one_start(store):
    first, second = await added(store, ordered(queue="other"), ordered())
    assert await taken(store) == []
    assert await lane_of(store, second) == KEY

    assert await happen(store, await read(store, first), CancelAsked()) == Applied()

    assert ids(await taken(store)) == [second]


async def test_c40_cancelled_job_that_waited_for_its_retry_frees_the_key(store):
    first, second = await added(store, ordered(), ordered())
    (job,) = await taken(store)
    await settle(store, job, a_failure())
    await taken(store)
    assert await lane_of(store, second) == KEY

    await happen(store, await read(store, first), CancelAsked())

    assert ids(await taken(store)) == [second]


async def test_c40_retried_job_takes_its_place_in_the_order_of_enqueueing(store):
    first, second, third = await added(store, *(ordered(max_attempts=1) for _ in range(3)))
    (job,) = await taken(store)
    await settle(store, job, a_failure())
    (running,) = await taken(store)
    assert running.id == second
    await happen(store, await read(store, first), RetryAsked())
    assert await taken(store) == []
    await settle(store, running)

    assert await drained(store) == [first, third]


async def test_c40_job_that_a_limit_refuses_keeps_its_place_under_its_key(store):
    await define(store, slots("gpu", 1))
    (holder,) = await added(store, limited(GPU))
    (running,) = await taken(store)
    assert running.id == holder
    first, second = await added(store, ordered(lanes=[GPU]), ordered())
    assert await taken(store) == []
    assert [await lane_of(store, job) for job in (first, second)] == [GPU, KEY]

    await settle(store, running)

    assert await drained(store) == [first, second]


async def test_c40_job_of_an_unknown_type_keeps_its_place_until_somebody_knows_it(store):
    first, second = await added(store, ordered(type="new"), ordered())
    assert await taken(store) == []
    assert await lane_of(store, second) == KEY
    await store.hello(a_hello(types=frozenset({"new"})))

    both = frozenset({"new", "echo"})
    (job,) = await taken(store, types=both)
    assert job.id == first
    await settle(store, job)
    assert ids(await taken(store, types=both)) == [second]


async def test_c40_blocked_job_and_one_that_waits_for_its_batch_hold_no_key(store):
    await added(store, ordered(state=State.BLOCKED))
    (parked,) = await added(store, ordered())
    (job,) = await taken(store)
    assert job.id == parked
    await settle(store, job)
    (second,) = await added(store, ordered())

    assert ids(await taken(store)) == [second]


async def test_c40_many_jobs_of_one_key_at_the_head_are_passed_over(store):
    jobs = await added(store, *(ordered() for _ in range(2_500)))
    (free,) = await added(store, a_job())

    assert ids(await taken(store, 3)) == [jobs[0], free]


async def test_c40_figures_tell_who_holds_the_key_and_who_is_next(store):
    jobs = await added(store, ordered(), ordered(priority=-1), ordered(priority=5))
    (job,) = await taken(store, 1)
    await taken(store)
    (figures,) = (await store.lane_figures(NAMESPACE, [KEY])).values()
    assert (figures.holders, figures.held_by, figures.parked) == (1, (jobs[0],), 2)
    assert figures.first_parked == jobs[1]

    await settle(store, job, a_failure())
    (figures,) = (await store.lane_figures(NAMESPACE, [KEY])).values()
    assert (figures.holders, figures.held_by, figures.parked) == (1, (jobs[0],), 2)

    await happen(store, await read(store, jobs[0]), CancelAsked())
    (figures,) = (await store.lane_figures(NAMESPACE, [KEY])).values()
    assert (figures.holders, figures.held_by, figures.parked) == (0, (), 1)


async def test_c40_sweep_lets_the_next_one_start_whom_nobody_told(store):
    """As after the predecessor was put off by a newer enqueue, which frees nothing by itself."""
    first, second = await added(store, ordered(queue="other"), ordered())
    await taken(store)
    assert await lane_of(store, second) == KEY
    await store.set_lane(NAMESPACE, LaneState(key=KEY))
    await happen(store, await read(store, first), CancelAsked())

    back = await store.unpark_free(now=NOW, limit=100)

    assert back.count == 0  # the cancel had let it go already
    assert await lane_of(store, second) is None


async def test_c40_claims_at_once_keep_the_order(store):
    jobs = await added(store, *(ordered(key) for _ in range(15) for key in ("a", "b")))
    started: list[str] = []

    async def work(name: str) -> None:
        while len(started) < len(jobs):
            for job in await taken(store, 3, worker=name):
                started.append(job.id)
                await settle(store, job)

    await asyncio.gather(*(work(f"w{number}") for number in range(4)))

    assert [job for job in started if job in jobs[::2]] == jobs[::2]
    assert [job for job in started if job in jobs[1::2]] == jobs[1::2]

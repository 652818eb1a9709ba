import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from headrace.core import place
from headrace.core.outcomes import CancelAsked, Released, RetryAsked
from headrace.core.states import State
from tests.builders import (
    HOUR,
    LEASE,
    NOW,
    QUEUE,
    SECOND,
    TYPE,
    WORKER,
    a_failure,
    a_job,
    apply,
    claim,
    claimed,
    enqueue,
    enqueued,
    given_back_unstarted,
    happen,
    read,
    settle,
)
from tests.contract.reads import everything, sight, tallied


async def test_c10_claim_leaves_the_job_as_core_says(store):
    job = await enqueued(store, a_job(priority=4, timeout_ms=9_000, tags=("x",)))

    (found,) = await claim(store, now=NOW + 5)

    assert found == place.claimed(job, worker=WORKER, now=NOW + 5, lease_until=NOW + 5 + LEASE)
    assert await read(store, job.id) == found


async def test_c10_second_claim_of_a_retried_job_leaves_it_as_core_says(store):
    first = await claimed(store, a_job(timeout_ms=9_000))
    await settle(store, first, a_failure())
    waiting = await read(store, first.id)

    (found,) = await claim(store, now=NOW + 10 * SECOND, worker="worker-2")

    lease_until = NOW + 10 * SECOND + LEASE
    assert await read(store, first.id) == found
    assert found == place.claimed(waiting, worker="worker-2", now=NOW + 10 * SECOND, lease_until=lease_until)


async def test_c10_claimed_job_is_not_claimed_again(store):
    await claimed(store)

    assert await claim(store, worker="worker-2") == []


async def test_c10_expired_lease_alone_is_not_claimed_again(store):
    await claimed(store)

    assert await claim(store, now=NOW + HOUR, worker="worker-2") == []


async def test_c10_no_job_is_claimed_twice_by_tasks_that_claim_at_once(store):
    jobs = [a_job() for _ in range(200)]
    await enqueue(store, *jobs)

    batches = await asyncio.gather(*(claim(store, n=7, worker=f"w{number}") for number in range(40)))

    found = [job.id for batch in batches for job in batch]
    assert sorted(found) == sorted(job.facts.id for job in jobs)


async def test_c10_no_job_is_claimed_twice_by_threads_with_loops_of_their_own(store):
    jobs = [a_job() for _ in range(200)]
    await enqueue(store, *jobs)

    async def drain(worker: str) -> list[str]:
        found: list[str] = []
        while batch := await claim(store, n=9, worker=worker):
            found.extend(job.id for job in batch)
        return found

    with ThreadPoolExecutor(4) as pool:
        loop = asyncio.get_running_loop()
        runs = [loop.run_in_executor(pool, lambda n=n: asyncio.run(drain(f"w{n}"))) for n in range(4)]
        found = [job_id for batch in await asyncio.gather(*runs) for job_id in batch]

    assert sorted(found) == sorted(job.facts.id for job in jobs)


async def test_c11_fence_grows_with_every_claim_and_over_manual_retries(store):
    fences = []
    job = await enqueued(store, a_job(max_attempts=1))
    for _ in range(3):
        (running,) = await claim(store)
        fences.append(running.fence)
        await settle(store, running, a_failure())
        await happen(store, await read(store, job.id), RetryAsked())

    assert fences == [1, 2, 3]


async def test_c11_release_without_a_start_does_not_take_the_fence_back(store):
    job = await claimed(store)
    await apply(store, given_back_unstarted(job, Released(reason="pause")))

    (again,) = await claim(store)

    assert again.fence == job.fence + 1


@pytest.mark.parametrize("early", [1, HOUR])
async def test_c16_job_is_not_claimed_before_it_is_due(store, early):
    await enqueue(store, a_job(due_at=NOW + HOUR))

    assert await claim(store, now=NOW + HOUR - early) == []


async def test_c16_job_is_claimed_the_moment_it_is_due(store):
    await enqueue(store, a_job(due_at=NOW + HOUR))

    assert len(await claim(store, now=NOW + HOUR)) == 1


async def test_c16_job_that_ranks_early_is_not_claimed_before_it_is_due(store):
    await enqueue(store, a_job(due_at=NOW + HOUR, rank=NOW - HOUR))

    assert await claim(store) == []


async def test_c16_job_with_a_cancel_asked_is_not_claimed(store):
    new = a_job()
    await enqueue(store, replace(new, placement=replace(new.placement, cancel_asked_at=NOW)))

    assert await claim(store) == []


async def test_c16_blocked_job_is_not_claimed(store):
    await enqueue(store, a_job(state=State.BLOCKED))

    assert await claim(store, now=NOW + HOUR) == []


async def test_c16_job_in_backoff_is_not_claimed_before_its_time(store):
    job = await claimed(store)
    await settle(store, job, a_failure())

    assert await claim(store, now=NOW + 10 * SECOND - 1) == []
    assert len(await claim(store, now=NOW + 10 * SECOND)) == 1


@pytest.mark.parametrize("ended", [State.COMPLETED, State.FAILED, State.CANCELLED])
async def test_c16_ended_job_is_never_claimed(store, ended):
    if ended is State.CANCELLED:
        await happen(store, await enqueued(store), CancelAsked())
    else:
        job = await claimed(store, a_job(max_attempts=1))
        await (settle(store, job) if ended is State.COMPLETED else settle(store, job, a_failure()))

    assert await claim(store, now=NOW + 2 * HOUR) == []


async def test_c17_claim_returns_at_most_as_many_as_asked_and_marks_exactly_those(store):
    await enqueue(store, *(a_job() for _ in range(10)))

    found = await claim(store, n=3)

    running = [job.id for job in await everything(store) if job.state is State.PROCESSING]
    assert sorted(job.id for job in found) == sorted(running)
    assert len(found) == 3


async def test_c17_queue_gives_at_most_its_own_number(store):
    await enqueue(store, *(a_job(queue=queue) for queue in ("a", "b") for _ in range(5)))

    found = await claim(store, n=10, queues={"a": 2, "b": 3})

    assert sorted(job.facts.queue for job in found) == ["a", "a", "b", "b", "b"]


async def test_c17_limit_bounds_the_sum_over_queues(store):
    await enqueue(store, *(a_job(queue=queue) for queue in ("a", "b") for _ in range(5)))

    assert len(await claim(store, n=4, queues={"a": 3, "b": 3})) == 4


async def test_c17_queue_that_was_not_asked_for_is_left_alone(store):
    await enqueue(store, a_job(queue="b"))

    assert await claim(store, queues={"a": 5}) == []


@pytest.mark.parametrize(("n", "queues"), [(0, {QUEUE: 5}), (5, {}), (5, {QUEUE: 0})])
async def test_c17_nothing_is_claimed_when_nothing_is_asked_for(store, n, queues):
    await enqueue(store, a_job())

    assert await claim(store, n=n, queues=queues) == []


async def test_c17_thousand_jobs_are_claimed_in_one_op(store):
    await enqueue(store, *(a_job() for _ in range(1_000)))

    assert len(await claim(store, n=1_000)) == 1_000
    assert await tallied(store) == {(QUEUE, TYPE, State.PROCESSING): 1_000}


async def test_c18_claim_notes_worker_and_start_in_the_history(store):
    job = await claimed(store, now=NOW + 3)

    (attempt,) = (await sight(store, job.id)).history.attempts

    assert (attempt.fence, attempt.worker, attempt.started_at, attempt.outcome) == (1, WORKER, NOW + 3, None)


async def test_c45_only_the_instant_passed_in_decides(store):
    past, future = 1_000, NOW + 10_000 * HOUR
    await enqueue(store, a_job(created_at=past, due_at=past), now=past)
    await enqueue(store, a_job(created_at=future, due_at=future), now=past)

    assert len(await claim(store, now=past)) == 1
    assert await claim(store, now=future - 1) == []
    assert len(await claim(store, now=future)) == 1

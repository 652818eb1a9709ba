"""Rates: starts in any window, tokens that nobody wastes, and jobs that come back when their lane opens."""

import asyncio
from itertools import pairwise

import pytest

from headrace.core.limits import CATCH_UP_MS, Rate
from headrace.core.outcomes import Released
from tests.builders import NAMESPACE, NOW, QUEUE, SECOND, a_job, read, settle
from tests.contract.gated import GPU, added, define, drained, ids, lane_of, limited, rate, slots, taken, user


async def starts(store, *, until: int, every: int = 50, n: int = 10, prompt: int | None = None) -> list[int]:
    """When jobs start, of claims in steps of time; each job ends at once."""
    found = []
    for now in range(NOW, until, every):
        for job in await taken(store, n, now=now, prompt=prompt):
            found.append(now)
            await settle(store, job, now=now)
    return found


def spacing(count: int, per_ms: int = SECOND) -> int:
    """How many milliseconds there are at least between two starts."""
    return Rate(count=count, per_ms=per_ms).spacing // 1_000 - CATCH_UP_MS


def most_in_any(window: int, instants: list[int]) -> int:
    return max((sum(at <= other < at + window for other in instants) for at in instants), default=0)


@pytest.mark.parametrize("burst", [0, 3])
async def test_c42_no_window_has_more_starts_than_rate_and_burst(store, burst):
    await define(store, rate("gpu", 5, burst=burst))
    await added(store, *(limited(GPU) for _ in range(60)))

    found = await starts(store, until=NOW + 6 * SECOND)

    assert most_in_any(SECOND, found) <= 5 + burst
    assert len(found) >= 4 * 6  # the spacing is wider than the rate's by how late a start may be


async def test_c42_starts_without_a_burst_are_spaced(store):
    await define(store, rate("gpu", 5))
    await added(store, *(limited(GPU) for _ in range(9)))

    found = await starts(store, until=NOW + 2 * SECOND, every=10)

    assert len(found) > 5
    assert min(after - before for before, after in pairwise(found)) >= spacing(5)


async def test_c42_rest_earns_no_more_than_the_burst(store):
    await define(store, rate("gpu", 5, burst=3))
    await added(store, *(limited(GPU) for _ in range(20)))
    await taken(store)

    assert len(await taken(store, 20, now=NOW + 3_600 * SECOND)) == 4


async def test_c42_refused_jobs_wait_uncharged_and_in_order(store):
    await define(store, rate("gpu", 1, burst=0))
    jobs = await added(store, *(limited(GPU) for _ in range(4)))
    assert ids(await taken(store)) == jobs[:1]
    assert [await lane_of(store, job) for job in jobs[1:]] == [GPU] * 3
    assert (await read(store, jobs[1])).placement.starts == 0

    assert [await drained(store, now=NOW + n * 2 * SECOND) for n in (1, 2, 3)] == [[job] for job in jobs[1:]]


async def test_c42_refusal_delays_no_other_key(store):
    await define(store, rate("per-user", 1))
    a = await added(store, *(limited(user("a")) for _ in range(200)))
    b = await added(store, limited(user("b")))
    plain = await added(store, a_job())

    assert ids(await taken(store)) == [a[0], *b, *plain]


async def test_c42_tokens_are_taken_only_when_all_lanes_admit(store):
    await define(store, rate("api", 1), slots("gpu", 0))
    await added(store, *(limited("limit:api", GPU) for _ in range(5)))
    assert await taken(store) == []

    (job,) = await added(store, limited("limit:api", due_at=NOW + 1))
    assert ids(await taken(store, now=NOW + 1)) == [job]


async def test_c42_no_more_jobs_with_a_rate_are_claimed_than_can_start_at_once(store):
    await define(store, rate("gpu", 100, burst=50))
    jobs = await added(store, *(limited(GPU) for _ in range(8)))
    plain = await added(store, a_job())

    assert ids(await taken(store, prompt=3)) == [*jobs[:3], *plain]
    assert await taken(store, prompt=0) == []
    assert await lane_of(store, jobs[3]) is None
    assert ids(await taken(store, 2, prompt=1)) == jobs[3:4]


async def test_c42_plain_jobs_before_those_with_a_rate_start_before_them(store):
    await define(store, rate("gpu", 100, burst=50))
    plain = await added(store, *(a_job(priority=1) for _ in range(3)))
    jobs = await added(store, *(limited(GPU) for _ in range(5)))
    last = await added(store, *(a_job(priority=-1) for _ in range(9)))

    assert ids(await taken(store, prompt=4)) == [*plain, *jobs[:1], *last[:2]]


async def test_c42_job_that_was_given_back_late_has_used_a_token_and_no_attempt(store):
    await define(store, rate("gpu", 1))
    await added(store, limited(GPU))
    (job,) = await taken(store)
    await settle(store, job, Released(reason="late"), now=NOW + 300)

    assert await taken(store, now=NOW + 300) == []
    (again,) = await taken(store, now=NOW + 2 * SECOND)
    assert again.attempt == 1


async def test_c42_sweep_brings_back_who_may_start_and_says_when_the_next_may(store):
    await define(store, rate("gpu", 1))
    jobs = await added(store, *(limited(GPU) for _ in range(3)))
    await taken(store)
    early = await store.unpark_free(now=NOW + 1, limit=100)
    assert early.count == 0
    assert early.next_opening == NOW + spacing(1)

    late = await store.unpark_free(now=NOW + spacing(1), limit=100)

    assert (late.count, late.places) == (1, {(NAMESPACE, QUEUE)})
    assert await lane_of(store, jobs[1]) is None
    assert await lane_of(store, jobs[2]) == GPU


async def test_c42_waiting_claims_are_woken_when_a_lane_opens(store):
    await define(store, rate("gpu", 1, per_ms=50))
    await added(store, *(limited(GPU) for _ in range(2)))
    assert len(await taken(store)) == 1
    queues = frozenset({QUEUE})
    while await store.woken(NAMESPACE, queues, timeout_ms=0):
        pass

    async with asyncio.timeout(20):
        assert await store.woken(NAMESPACE, queues, timeout_ms=20_000)


async def test_c42_changed_rate_counts_from_the_next_claim_on(store):
    await define(store, rate("gpu", 1, per_ms=3_600 * SECOND))
    jobs = await added(store, *(limited(GPU) for _ in range(3)))
    assert ids(await taken(store)) == jobs[:1]
    await define(store, rate("gpu", 1_000, burst=100))
    await store.unpark_free(now=NOW + 2, limit=100)

    assert ids(await taken(store, now=NOW + 2)) == jobs[1:]


async def test_c42_lane_is_forgotten_once_its_rate_is_at_rest(store):
    await define(store, rate("gpu", 1))
    await added(store, limited(GPU))
    await taken(store)
    assert await store.forget_lanes(now=NOW, limit=100) == 0

    assert await store.forget_lanes(now=NOW + 2 * SECOND, limit=100) == 1
    assert await store.lane_states(NAMESPACE, [GPU]) == {}

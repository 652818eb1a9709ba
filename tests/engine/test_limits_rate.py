"""Rates (C42, S2-22): starts are counted in every window, on every store."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace import App, ManualClock, Rate, Settings
from headrace.core.limits import LATE_MS
from tests.builders import NOW
from tests.contract.conftest import STORES, Kind
from tests.engine.limiting import GIVEN_BACK, Program, ns

SECOND = 1_000


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    kind: Kind = request.param
    async with App(kind.url(tmp_path), settings=Settings(), clock=ManualClock(NOW)) as opened:
        yield opened


def most_in_a_window(starts: list[int], window: int) -> int:
    return max((sum(at <= other < at + window for other in starts) for at in starts), default=0)


@pytest.mark.parametrize("burst", [0, 4])
async def test_c42_s2_22_starts_of_a_user_in_any_second_stay_within_rate_and_burst(
    app: App, burst: int
) -> None:
    @app.job(rate=Rate(10, per=1, burst=burst, key="user_id"))
    async def send(user_id: int, n: int) -> None: ...

    program = await Program.of(app)
    rng = random.Random(5)
    await app.enqueue_many([send.request(user_id=n % 2, n=n) for n in range(120)])
    starts: dict[int, list[int]] = {0: [], 1: []}

    for _ in range(120):
        for job in await program.claim(rng.randrange(1, 30), prompt=rng.choice([2, 50])):
            (n,) = ns([job])
            starts[n % 2].append(program.clock.now() + rng.randrange(LATE_MS + 1))
            await program.end(job)
        program.clock.advance(rng.choice([0.01, 0.04, 0.2]))
        await program.sweep()

    assert all(most_in_a_window(some, SECOND) <= 10 + burst for some in starts.values())
    passed = (program.clock.now() - NOW) / SECOND
    assert min(len(some) for some in starts.values()) >= min(60, 5 * passed)


async def test_c42_refused_jobs_of_one_user_delay_no_other(app: App) -> None:
    @app.job(rate=Rate(1, per=60, key="user_id"))
    async def send(user_id: int, n: int) -> None: ...

    program = await Program.of(app)
    await app.enqueue_many([send.request(user_id=1, n=n) for n in range(50)])
    await send.enqueue(user_id=2, n=99)

    first = await program.claim(2)
    second = await program.claim(2)

    assert sorted(ns([*first, *second])) == [0, 99]


async def test_c42_parked_jobs_start_in_rank_order_as_the_clock_opens_their_lane(app: App) -> None:
    @app.job(rate=Rate(1, per=1))
    async def send(n: int) -> None: ...

    program = await Program.of(app)
    for n in range(4):
        await send.using(priority=n % 2).enqueue(n=n)
    order = ns(await program.claim())

    for _ in range(3):
        early = await program.claim()
        program.clock.advance(1.25)
        await program.sweep()
        order += ns(await program.claim())
        assert early == []

    assert order == [1, 3, 0, 2]


async def test_c42_job_that_cannot_start_at_once_is_not_claimed_and_not_parked(app: App) -> None:
    @app.job(rate=Rate(100, per=1, burst=50))
    async def send(n: int) -> None: ...

    @app.job()
    async def plain(n: int) -> None: ...

    program = await Program.of(app)
    operations = await app.operations()
    for n in range(3):
        await send.enqueue(n=n)
        await plain.enqueue(n=n + 10)

    none_free = await program.claim(prompt=0)
    parked = await operations.parked()
    two_free = await program.claim(prompt=2)

    assert ns(none_free) == [10, 11, 12]
    assert list(parked) == []
    assert ns(two_free) == [0, 1]


async def test_c42_job_given_back_because_it_was_late_costs_no_attempt_and_takes_a_fresh_token(
    app: App,
) -> None:
    @app.job(rate=Rate(1, per=1))
    async def send(n: int) -> None: ...

    program = await Program.of(app)
    await send.enqueue(n=0)
    (job,) = await program.claim()

    await program.end(job, outcome=GIVEN_BACK)
    at_once = await program.claim()
    program.clock.advance(1.25)
    await program.sweep()
    (again,) = await program.claim()

    assert at_once == []
    assert (again.attempt, again.attempts) == (1, 1)
    assert again.fence > job.fence


async def test_c42_changed_rate_holds_from_the_next_claim_on(app: App) -> None:
    @app.job(rate=Rate(1, per=3_600))
    async def send(n: int) -> None: ...

    program = await Program.of(app)
    operations = await app.operations()
    for n in range(30):
        await send.enqueue(n=n)
    slow = await program.claim()
    still = await program.claim()

    await operations.set_limit("type:send", rate=Rate(100, per=1, burst=9).value)
    fast = await program.claim()
    await operations.set_limit("type:send", rate=None)
    lifted = await program.claim()

    assert (ns(slow), ns(still)) == ([0], [])
    assert 10 <= len(fast) <= 15
    assert len(lifted) == 30 - 1 - len(fast)


async def test_s2_23_quota_is_shared_by_all_types_that_use_it(app: App) -> None:
    quota = Rate(3, per=60, burst=2, name="ai-quota")

    @app.job(rate=quota)
    async def summarise(n: int) -> None: ...

    @app.job(rate=quota, queue="vectors")
    async def embed(n: int) -> None: ...

    program = await Program.of(app)
    for n in range(5):
        await summarise.enqueue(n=n)
        await embed.enqueue(n=n + 10)

    first = await program.claim(queues=("default", "vectors"))
    second = await program.claim(queues=("default", "vectors"))
    program.clock.advance(21)
    await program.sweep()
    third = await program.claim(queues=("default", "vectors"))

    assert (len(first), second, len(third)) == (3, [], 1)

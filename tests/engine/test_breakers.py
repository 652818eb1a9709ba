"""Circuit breakers on every store: opened by how attempts end, felt by claims, shown and set by operators."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from headrace import (
    App,
    Breaker,
    BreakerNotFound,
    Context,
    InvalidInput,
    ManualClock,
    Settings,
    State,
)
from headrace.core.breaker import LANE, BreakerStatus
from headrace.core.job import Job
from headrace.core.limits import LaneState
from headrace.core.outcomes import Outcome, Report, Snoozed, Succeeded
from headrace.core.policy import ErrorClass
from headrace.core.request import EnqueueRequest
from headrace.engine.local import LocalOperations
from headrace.engine.work import Claim, LocalWork
from headrace.upkeep.breakers import HealBreakers
from headrace.upkeep.open_lanes import OpenLanes
from tests.builders import NAMESPACE, NOW, SECOND, a_failure
from tests.contract.conftest import STORES, Kind

STRIPE = Breaker("stripe", failures=3, cooldown=30)
GUARDED = LANE + "stripe"
DONE = Succeeded()
BROKEN = a_failure("no answer", error_class=ErrorClass.TIMEOUT)
ALL = frozenset({"pay", "refund", "free"})


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    kind: Kind = request.param
    async with App(kind.url(tmp_path), settings=Settings(), clock=ManualClock(NOW)) as opened:
        for name, breaker in (("pay", STRIPE), ("refund", STRIPE), ("free", None)):
            opened.job(name=name, breaker=breaker)(_handler())
        work = await opened.work()
        await work.publish([one.info for one in opened.registry.all()])
        yield opened


def _handler():
    async def handler(n: int = 0) -> None: ...

    return handler


async def enqueue(app: App, name: str, count: int = 1) -> None:
    request = EnqueueRequest(type=name, payload={})
    await (await app.operations()).enqueue([request] * count)


async def claim(work: LocalWork, count: int = 10) -> Sequence[Job]:
    return await work.claim(
        Claim(worker="w", queues={"default": count}, types=ALL, limit=count, lease_ms=30_000)
    )


async def report(work: LocalWork, jobs: Sequence[Job], outcome: Outcome) -> None:
    now = work.clock.now()
    await work.report(
        [
            Report(job_id=job.id, fence=job.fence, started_at=now, ended_at=now, outcome=outcome)
            for job in jobs
        ]
    )


async def broken(app: App, count: int = 3) -> LocalWork:
    """A worker that has seen so many attempts fail."""
    work = await app.work()
    await enqueue(app, "pay", count)
    await report(work, await claim(work, count), BROKEN)
    return work


async def status(app: App) -> BreakerStatus:
    return (await (await app.operations()).breaker("stripe")).status


async def come_back(app: App) -> None:
    """What upkeep does when lanes have opened."""
    opened = await app.open()
    await OpenLanes(opened.store, opened.clock).run_once()


def after(app: App, seconds: float) -> None:
    assert isinstance(app.given_clock, ManualClock)
    app.given_clock.advance(seconds)


async def probe(app: App, work: LocalWork) -> Sequence[Job]:
    """The jobs that start once the cool-down is over."""
    after(app, 30)
    await come_back(app)
    return await claim(work)


async def test_breaker_opens_and_its_jobs_wait_uncharged(app: App) -> None:
    work = await broken(app)
    await enqueue(app, "pay")

    assert await claim(work) == []

    operations = await app.operations()
    info = await operations.breaker("stripe")
    assert (info.status, info.waiting, info.state.error) == (BreakerStatus.OPEN, 1, "ValueError")
    assert info.state.until == NOW + 30 * SECOND
    store = (await app.open()).store
    (parked,) = [
        job for job in await store.oldest_waiting(NAMESPACE, "default", limit=9) if job.placement.parked_on
    ]
    assert (parked.placement.parked_on, parked.placement.starts, parked.placement.due_at) == (
        GUARDED,
        0,
        None,
    )


async def test_all_types_that_name_it_wait_and_no_other(app: App) -> None:
    work = await broken(app)
    await enqueue(app, "refund")
    await enqueue(app, "free")

    assert [job.facts.type for job in await claim(work)] == ["free"]


async def test_errors_that_do_not_count_keep_it_closed(app: App) -> None:
    work = await app.work()
    await enqueue(app, "pay", 5)

    await report(work, await claim(work), a_failure(error_class=ErrorClass.PERMANENT))

    assert await status(app) is BreakerStatus.CLOSED


async def test_good_answers_cost_nothing_while_all_is_well(app: App) -> None:
    work = await app.work()
    await enqueue(app, "pay", 5)

    await report(work, await claim(work), DONE)

    store = (await app.open()).store
    assert await store.scan(NAMESPACE, LANE) == []
    assert await store.lane_states(NAMESPACE, [GUARDED]) == {}


async def test_good_answer_between_failures_keeps_it_closed(app: App) -> None:
    work = await broken(app, 2)
    await enqueue(app, "pay", 2)
    first, second = await claim(work, 2)

    await report(work, [first], DONE)
    await report(work, [second], BROKEN)

    assert await status(app) is BreakerStatus.CLOSED


async def test_one_probe_at_a_time_runs_after_the_cool_down(app: App) -> None:
    work = await broken(app)
    await enqueue(app, "pay", 5)
    await claim(work)

    (trying,) = await probe(app, work)

    assert await status(app) is BreakerStatus.HALF_OPEN
    assert trying.placement.slot_key is not None
    assert await claim(work) == []


async def test_probe_that_succeeds_closes_it_and_all_come_back(app: App) -> None:
    work = await broken(app)
    await enqueue(app, "pay", 5)
    await claim(work)
    trying = await probe(app, work)

    await report(work, trying, DONE)

    assert await status(app) is BreakerStatus.CLOSED
    assert len(await claim(work, 20)) == 4 + 3  # those that waited, and those that had failed


async def test_probe_that_fails_opens_it_for_longer(app: App) -> None:
    work = await broken(app)
    await enqueue(app, "pay", 5)
    await claim(work)
    trying = await probe(app, work)

    await report(work, trying, BROKEN)

    info = await (await app.operations()).breaker("stripe")
    assert info.status is BreakerStatus.OPEN
    assert info.state.until == NOW + 30 * SECOND + 60 * SECOND
    after(app, 59)
    await come_back(app)
    assert await claim(work) == []
    after(app, 1)
    await come_back(app)
    assert len(await claim(work)) == 1


async def test_probe_that_is_given_back_decides_nothing_and_another_one_runs(app: App) -> None:
    work = await broken(app)
    await enqueue(app, "pay", 5)
    await claim(work)
    trying = await probe(app, work)

    await report(work, trying, Snoozed(delay_ms=60_000))

    assert await status(app) is BreakerStatus.HALF_OPEN
    await come_back(app)
    assert len(await claim(work)) == 1


async def test_probe_of_another_process_closes_it(app: App) -> None:
    work = await broken(app)
    await enqueue(app, "pay", 3)
    await claim(work)
    opened = await app.open()
    elsewhere = LocalWork(opened.store, opened.clock, LocalOperations(opened.store, opened.clock))

    trying = await probe(app, elsewhere)
    await report(elsewhere, trying, DONE)

    assert await status(app) is BreakerStatus.CLOSED


async def test_job_started_before_it_opened_does_not_close_it(app: App) -> None:
    work = await app.work()
    await enqueue(app, "pay", 4)
    *failing, slow = await claim(work)
    await report(work, failing, BROKEN)
    after(app, 31)

    await report(work, [slow], DONE)

    assert await status(app) is BreakerStatus.HALF_OPEN


async def test_workers_that_fail_at_once_open_it_once(app: App) -> None:
    opened = await app.open()
    works = [
        LocalWork(opened.store, opened.clock, LocalOperations(opened.store, opened.clock)) for _ in range(6)
    ]
    await enqueue(app, "pay", 12)
    claims = [await claim(work, 2) for work in works]

    await asyncio.gather(*(report(work, jobs, BROKEN) for work, jobs in zip(works, claims, strict=True)))

    info = await (await app.operations()).breaker("stripe")
    assert (info.status, info.state.openings) == (BreakerStatus.OPEN, 1)
    assert await opened.store.lane_states(NAMESPACE, [GUARDED]) == {
        GUARDED: LaneState(key=GUARDED, opens_at=NOW + 30 * SECOND, cap=1)
    }


async def test_operator_opens_and_closes_it(app: App) -> None:
    operations = await app.operations()
    work = await app.work()
    await enqueue(app, "pay", 2)

    held = await operations.open_breaker("stripe")
    none_started = await claim(work)
    after(app, 10_000)
    await come_back(app)
    still_none = await claim(work)
    back = await operations.close_breaker("stripe")

    assert (held.status, none_started, still_none) == (BreakerStatus.OPEN, [], [])
    assert back.status is BreakerStatus.CLOSED
    assert len(await claim(work)) == 2


async def test_operator_opens_it_for_a_while(app: App) -> None:
    operations = await app.operations()
    work = await app.work()
    await enqueue(app, "pay", 2)

    await operations.open_breaker("stripe", for_ms=5_000)
    await claim(work)
    after(app, 5)
    await come_back(app)

    assert len(await claim(work)) == 1


async def test_breakers_are_listed_whether_touched_or_not(app: App) -> None:
    operations = await app.operations()

    (info,) = await operations.breakers()

    assert (info.state.name, info.status, info.waiting) == ("stripe", BreakerStatus.CLOSED, 0)


@pytest.mark.parametrize("call", ["breaker", "open_breaker", "close_breaker"])
async def test_breaker_that_nobody_names_is_not_found(app: App, call: str) -> None:
    with pytest.raises(BreakerNotFound):
        await getattr(await app.operations(), call)("other")


async def test_breaker_is_opened_for_a_time_that_can_be(app: App) -> None:
    with pytest.raises(InvalidInput):
        await (await app.operations()).open_breaker("stripe", for_ms=0)


async def test_lane_that_a_crash_left_behind_is_set_right(app: App) -> None:
    work = await broken(app)
    opened = await app.open()
    await opened.store.set_lane(NAMESPACE, LaneState(key=GUARDED))
    await enqueue(app, "pay")

    healed = await HealBreakers(opened.operations.breaker_engine).run_once()
    again = await HealBreakers(opened.operations.breaker_engine).run_once()

    assert (healed.done, again.done) == (1, 0)
    assert await claim(work) == []


async def test_lane_that_stayed_closed_after_a_crash_is_opened(app: App) -> None:
    work = await broken(app)
    opened = await app.open()
    await enqueue(app, "pay")
    await claim(work)
    await opened.operations.close_breaker("stripe")
    await opened.store.set_lane(NAMESPACE, LaneState(key=GUARDED, opens_at=NOW + 10**9, cap=1))

    await HealBreakers(opened.operations.breaker_engine).run_once()

    assert len(await claim(work)) == 1


async def test_namespaces_have_breakers_of_their_own(app: App) -> None:
    await broken(app)
    opened = await app.open()
    other = LocalOperations(opened.store, opened.clock, namespace="other", registry=app.registry)

    assert (await other.breaker("stripe")).status is BreakerStatus.CLOSED


async def test_worker_stops_starting_jobs_and_begins_again_with_a_probe(app: App) -> None:
    calls: list[int] = []
    healthy = asyncio.Event()

    @app.job(breaker=Breaker("mail", failures=2, cooldown=30, on=ConnectionError))
    async def deliver(ctx: Context, n: int) -> int:
        calls.append(n)
        if not healthy.is_set():
            raise ConnectionError("refused")
        return n

    operations = await app.operations()
    handles = await app.enqueue_many([deliver.request(n) for n in range(20)])
    async with app.running_worker(), asyncio.timeout(60):
        while (info := await operations.breaker("mail")).status is not BreakerStatus.OPEN:
            await asyncio.sleep(0)
        after(app, 10)
        while (info := await operations.breaker("mail")).waiting == 0:
            await asyncio.sleep(0.01)
        seen = len(calls)
        healthy.set()
        while not all([(await handle.job()).state is State.COMPLETED for handle in handles]):
            after(app, 1)
            await asyncio.sleep(0.01)

    assert info.status is BreakerStatus.OPEN
    assert len(calls) == seen + len(handles)
    assert (await operations.breaker("mail")).status is BreakerStatus.CLOSED

"""Why a job has not run, for jobs that really are in that situation, on every store."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from headrace import (
    App,
    Backoff,
    Breaker,
    Chunk,
    Context,
    EnqueueRequest,
    JobNotFound,
    ManualClock,
    Permanent,
    Retry,
    Settings,
)
from headrace.core.findings import Code, Explanation, Finding
from headrace.core.job import Job
from headrace.core.outcomes import Report, Succeeded
from headrace.engine.limiting import OrderBy, Rate, Slots
from headrace.engine.work import Claim, LocalWork, WorkerHello
from tests.engine.scenes import PATIENCE, settings
from tests.servers.shared import SHARED
from tests.servers.shared_valkey import SHARED_VALKEY

URLS = {
    "sqlite-file": lambda folder: f"sqlite:///{folder / 'jobs.db'}",
    "sqlite-memory": lambda _: "sqlite://",
    "postgres": SHARED.url,
    "redis": lambda _: SHARED_VALKEY.fresh_url(),
}
WORKER = "worker-1"


@pytest.fixture(params=URLS)
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    async with App(URLS[request.param](tmp_path), settings=Settings(), clock=ManualClock()) as opened:
        yield opened


def clock_of(app: App) -> ManualClock:
    clock = app.given_clock
    assert isinstance(clock, ManualClock)
    return clock


async def explained(app: App, job_id: str) -> Explanation:
    return await (await app.operations()).explain(job_id)


async def codes(app: App, job_id: str) -> list[Code]:
    return [one.code for one in (await explained(app, job_id)).findings]


async def only(app: App, job_id: str, code: Code) -> Finding:
    found = await explained(app, job_id)
    assert [one.code for one in found.findings] == [code], found
    return found.findings[0]


async def a_worker(app: App, *, queues: tuple[str, ...] | None = None, **hello: Any) -> LocalWork:
    """A worker that has said hello and claims when it is told to."""
    opened, work = await app.open(), await app.work()
    await work.publish([one.info for one in app.registry.all()])
    await app.limit.put_into(opened.operations)
    now = opened.clock.now()
    told = {"types": app.registry.known, "worker": WORKER} | hello
    await work.hello(
        WorkerHello(namespace="default", host="h", pid=1, queues=queues, started_at=now, seen_at=now, **told)
    )
    return work


async def claimed(app: App, work: LocalWork, n: int = 10, types: set[str] | None = None) -> list[Job]:
    claim = Claim(
        worker=WORKER,
        queues={"default": n},
        types=frozenset(app.registry.names if types is None else types),
        limit=n,
        lease_ms=30_000,
    )
    return list(await work.claim(claim))


async def settled(work: LocalWork, job: Job) -> None:
    now = work.clock.now()
    await work.report(
        [Report(job_id=job.id, fence=job.fence, started_at=now, ended_at=now, outcome=Succeeded())]
    )


def a_plain_type(app: App, **options: Any) -> Any:
    @app.job(name="plain", **options)
    async def plain(n: int = 0) -> None: ...

    return plain


async def test_unknown_job_is_not_found(app: App):
    with pytest.raises(JobNotFound):
        await explained(app, "0199b0c4-8a00-7c3e-9f5b-0d6c5b7d2a11")


async def test_completed_running_and_overdue(app: App):
    plain = a_plain_type(app)
    handle = await plain.enqueue()
    work = await a_worker(app)
    (job,) = await claimed(app, work)

    running = await only(app, handle.id, Code.RUNNING)
    await handle.cancel()
    asked = await codes(app, handle.id)
    clock_of(app).advance(31)
    lapsed = await codes(app, handle.id)
    await settled(work, job)
    ended = await only(app, handle.id, Code.ENDED)

    assert f"worker {WORKER} holds it since" in running.sentence
    assert running.until == (running.since or 0) + 30_000
    assert asked == [Code.CANCEL_ASKED, Code.RUNNING]
    assert lapsed == [Code.LEASE_OVER, Code.CANCEL_ASKED, Code.RUNNING]
    assert ended.sentence.startswith("It has run and completed")


async def test_failed_and_cancelled(app: App):
    @app.job(retry=Retry(attempts=1))
    async def hopeless() -> None:
        raise Permanent("no such address")

    failed, cancelled = await hopeless.enqueue(), await hopeless.using(delay=60).enqueue()
    await cancelled.cancel()
    async with app.running_worker(settings()):
        await (await app.operations()).wait(failed.id, timeout_ms=PATIENCE * 1000)

    assert "no such address" in (await only(app, failed.id, Code.ENDED)).sentence
    assert "cancelled" in (await only(app, cancelled.id, Code.ENDED)).sentence


async def test_scheduled(app: App):
    handle = await a_plain_type(app).using(delay=3600).enqueue()
    await a_worker(app)

    finding = await only(app, handle.id, Code.SCHEDULED)

    assert finding.until == clock_of(app).now() + 3_600_000


async def test_retrying(app: App):
    @app.job(retry=Retry(attempts=3, backoff=Backoff.fixed(600)))
    async def flaky() -> None:
        raise ConnectionError("the other side is gone")

    handle = await flaky.enqueue()
    async with app.running_worker(settings()):
        await _until(app, handle.id, lambda job: job.placement.failures == 1)
        finding = await only(app, handle.id, Code.RETRYING)

    assert finding.sentence.endswith("the last one ended with: the other side is gone.")
    assert finding.until == clock_of(app).now() + 600_000


async def test_sleeping_and_waiting_for_a_signal(app: App):
    @app.job()
    async def patient(ctx: Context) -> None:
        await ctx.sleep(3600)
        await ctx.wait_for("approved")

    handle = await patient.enqueue()
    async with app.running_worker(settings()):
        await _until(app, handle.id, lambda job: job.placement.releases == 1)
        sleeping = await only(app, handle.id, Code.SLEEPING)
        clock_of(app).advance(3600)
        await _until(app, handle.id, lambda job: job.placement.releases == 2)
        await a_worker(app)  # the running one says hello by the real clock
        waiting = await only(app, handle.id, Code.SIGNAL)

    assert sleeping.until == clock_of(app).now()
    assert "waits for the signal 'approved'." in waiting.sentence
    assert waiting.until is None


async def test_paused_queue_without_a_worker(app: App):
    handle = await a_plain_type(app).enqueue()
    await (await app.operations()).pause("default")

    assert await codes(app, handle.id) == [Code.PAUSED, Code.NO_WORKER]


async def test_no_worker_of_the_queue_knows_the_type(app: App):
    handle = await a_plain_type(app).enqueue()
    await a_worker(app, types=frozenset({"other"}))
    await a_worker(app, queues=("elsewhere",), worker="worker-2")

    finding = await only(app, handle.id, Code.NO_HANDLER)

    assert "worker-2 would, and serves other queues." in finding.sentence


async def test_worker_that_fell_silent_is_none(app: App):
    handle = await a_plain_type(app).enqueue()
    await a_worker(app)
    clock_of(app).advance(61)

    assert await codes(app, handle.id) == [Code.NO_WORKER]


async def test_type_that_no_worker_knows_is_parked(app: App):
    handle = await a_plain_type(app).enqueue()
    work = await a_worker(app, types=frozenset({"other"}))
    assert await claimed(app, work, types={"other"}) == []

    finding = await only(app, handle.id, Code.TYPE_UNKNOWN)

    assert finding.sentence == "No worker that runs knows its type plain."


async def test_slots_that_are_taken_name_who_holds_them(app: App):
    plain = a_plain_type(app, concurrency=Slots(1, name="gpu"))
    first, second = await app.enqueue_many([plain.request(n=n) for n in range(2)])
    work = await a_worker(app)
    (job,) = await claimed(app, work)

    held = await only(app, second.id, Code.LIMIT)
    await settled(work, job)
    free = await only(app, second.id, Code.NEXT)

    assert job.id == first.id
    assert held.jobs == (first.id,)
    assert "Limit 'gpu' lets 1 job run at once" in held.sentence
    assert free.sentence.startswith("It is the next of queue default")


async def test_rate_that_is_spent_says_when_it_has_room(app: App):
    plain = a_plain_type(app, rate=Rate(1, per=60))
    _, second = await app.enqueue_many([plain.request(n=n) for n in range(2)])
    assert len(await claimed(app, await a_worker(app))) == 1

    finding = await only(app, second.id, Code.LIMIT)

    assert finding.until is not None
    assert 59_000 < finding.until - clock_of(app).now() < 62_000
    assert "lets 1 job start in 1 min" in finding.sentence


async def test_ordering_key_names_the_job_before(app: App):
    plain = a_plain_type(app, order_by=OrderBy("n"))
    first, second = await app.enqueue_many([plain.request(n=7) for _ in range(2)])
    assert len(await claimed(app, await a_worker(app))) == 1

    finding = await only(app, second.id, Code.ORDER)

    assert finding.jobs == (first.id,)
    assert finding.advice == f"`headrace explain {first.id}` tells what keeps that one."


async def test_open_breaker_says_until_when(app: App):
    plain = a_plain_type(app, breaker=Breaker("stripe", cooldown=30))
    handle = await plain.enqueue()
    work = await a_worker(app)
    await (await app.operations()).open_breaker("stripe")
    assert await claimed(app, work) == []

    finding = await only(app, handle.id, Code.BREAKER)

    assert "Breaker 'stripe' is open" in finding.sentence
    assert finding.until is not None


async def test_child_names_the_parents_it_waits_for(app: App):
    plain = a_plain_type(app)
    first, second = await app.enqueue_many([plain.request(n=n) for n in range(2)])
    child = await plain.using(after=[first, second]).enqueue()
    work = await a_worker(app)
    job, _ = await claimed(app, work)
    await settled(work, job)

    finding = await only(app, child.id, Code.PARENTS)

    assert finding.jobs == (second.id,)


async def test_member_of_a_sequential_batch_names_the_one_whose_turn_it_is(app: App):
    plain = a_plain_type(app)
    async with app.batch(sequential=True) as batch:
        first, second = await batch.add(plain.request(n=1), plain.request(n=2))
    await a_worker(app)

    finding = await only(app, second.id, Code.TURN)

    assert finding.jobs == (first.id,)


async def test_job_behind_others_says_how_many(app: App):
    plain = a_plain_type(app)
    await app.enqueue_many([plain.request(n=n) for n in range(5)])
    last = await plain.enqueue()
    await plain.using(delay=60, priority=9).enqueue()
    await plain.using(priority=-9).enqueue()
    await plain.using(priority=9).enqueue()
    await plain.using(queue="other", priority=9).enqueue()
    await a_worker(app)

    finding = await only(app, last.id, Code.BEHIND)

    assert finding.sentence == "6 jobs come before it in queue default."


async def test_many_jobs_before_it_are_not_counted_to_the_end(app: App):
    plain = a_plain_type(app)
    await app.enqueue_many([plain.request(n=n) for n in range(1_200)])
    last = await plain.enqueue()
    await a_worker(app)

    assert (await only(app, last.id, Code.BEHIND)).sentence.startswith("At least 1,000 jobs come before it")


async def test_next_job_waits_for_a_slot(app: App):
    handle = await a_plain_type(app).enqueue()
    await a_worker(app)

    assert await codes(app, handle.id) == [Code.NEXT]


async def test_message_waits_for_its_chunk(app: App):
    @app.chunk(max_size=50, max_wait=20)
    async def deliver(chunk: Chunk[dict[str, int]]) -> None: ...

    handle = await deliver.enqueue({"n": 1})
    await a_worker(app)

    finding = await only(app, handle.id, Code.CHUNK)

    assert "a chunk of 50 messages" in finding.sentence
    assert finding.until == clock_of(app).now() + 20_000


async def test_rule_of_a_chunk_is_known_without_its_code(app: App):
    """As a service explains that only has what workers have published."""

    @app.chunk(max_size=50, max_wait=20)
    async def deliver(chunk: Chunk[dict[str, int]]) -> None: ...

    await a_worker(app)
    handle = (await app.enqueue_many([EnqueueRequest(type="deliver", payload={"n": 1})]))[0]
    app.registry._types.clear()

    assert await codes(app, handle.id) == [Code.CHUNK]


async def test_several_reasons_at_once(app: App):
    plain = a_plain_type(app, concurrency=Slots(1, name="gpu"))
    _, second = await app.enqueue_many([plain.request(n=n) for n in range(2)])
    await claimed(app, await a_worker(app))
    await (await app.operations()).pause("default")
    clock_of(app).advance(61)

    assert await codes(app, second.id) == [Code.LIMIT, Code.PAUSED, Code.NO_WORKER]


async def _until(app: App, job_id: str, holds: Any) -> None:
    operations = await app.operations()
    async with asyncio.timeout(PATIENCE):
        while not holds(await operations.job(job_id)):
            await asyncio.sleep(0.005)

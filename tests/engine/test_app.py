import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace import (
    App,
    Context,
    DuplicateJob,
    IdempotencyMismatch,
    IllegalMove,
    InvalidInput,
    InvalidPayload,
    JobCancelled,
    JobNotFound,
    ManualClock,
    OnConflict,
    Retention,
    Settings,
    State,
    UnknownJobType,
    Until,
    WaitTimeout,
)
from headrace.core.filters import JobFilter, Page
from headrace.core.outcomes import ErrorInfo, Failed, Report, Succeeded
from headrace.core.request import EnqueueRequest
from headrace.engine.operations import CancelAnswer
from headrace.engine.registry import Retry
from headrace.engine.work import Claim, LocalWork
from headrace.errors import MisuseError, TooLarge
from headrace.stores.open import open_store
from headrace.stores.protocol import Store
from headrace.stores.values import InsertKind

NOBODY = "018bcfe5-6800-7113-b63c-5ab791b7584a"


@pytest.fixture
async def app() -> AsyncIterator[App]:
    async with App("sqlite://", settings=Settings(), clock=ManualClock()) as opened:
        yield opened


async def claim_one(work: LocalWork, *types: str) -> Report:
    (job,) = await work.claim(
        Claim(worker="w", queues={"default": 1}, types=frozenset(types), limit=1, lease_ms=30_000)
    )
    return Report(
        job_id=job.id,
        fence=job.fence,
        started_at=work.clock.now(),
        ended_at=work.clock.now(),
        outcome=Succeeded(result='{"n":1}'),
    )


async def test_a_result_comes_back_to_the_handle_when_the_job_is_done(app: App) -> None:
    @app.job()
    async def count(n: int) -> dict[str, int]:
        return {"n": n}

    handle = await count.enqueue(n=1)
    work = await app.work()
    await work.report([await claim_one(work, "count")])

    assert await handle.result(timeout=5) == {"n": 1}


async def test_waiting_ends_with_an_error_when_the_job_was_cancelled(app: App) -> None:
    @app.job()
    async def count(n: int) -> None: ...

    handle = await count.enqueue(n=1)

    assert await handle.cancel() is CancelAnswer.ENDED
    with pytest.raises(JobCancelled):
        await handle.result(timeout=5)
    with pytest.raises(IllegalMove):
        await handle.cancel()


async def test_waiting_gives_up_in_time_and_the_job_stays(app: App) -> None:
    @app.job()
    async def count(n: int) -> None: ...

    handle = await count.enqueue(n=1)

    with pytest.raises(WaitTimeout):
        await handle.result(timeout=0.005)
    assert (await handle.job()).state is State.PENDING


async def test_a_bad_payload_in_a_bulk_leaves_nothing_behind(app: App) -> None:
    @app.job()
    async def count(n: int) -> None: ...

    requests = [
        EnqueueRequest(type="count", payload={"n": 1}),
        EnqueueRequest(type="count", payload={"n": "x"}),
    ]

    with pytest.raises(InvalidPayload):
        await app.enqueue_many(requests)
    assert (await (await app.operations()).stats()).count() == 0


async def test_an_unknown_type_is_refused_and_the_known_ones_are_named(app: App) -> None:
    @app.job()
    async def count(n: int) -> None: ...

    with pytest.raises(UnknownJobType, match="known types: count"):
        await app.enqueue_many([EnqueueRequest(type="cuont", payload={})])


async def test_too_many_jobs_in_one_call_are_refused(app: App) -> None:
    with pytest.raises(TooLarge, match="10000"):
        await app.enqueue_many([EnqueueRequest(type="count", payload={})] * 10_001)


async def test_the_same_idempotency_key_gives_the_same_job_and_another_body_is_refused(app: App) -> None:
    @app.job()
    async def count(n: int) -> None: ...

    first = await count.using(idempotency_key="k").enqueue(n=1)
    again = await count.using(idempotency_key="k").enqueue(n=1)

    assert (again.id, again.kind) == (first.id, InsertKind.EXISTING)
    with pytest.raises(IdempotencyMismatch):
        await count.using(idempotency_key="k").enqueue(n=2)


async def test_a_period_key_outlives_its_job_until_the_period_ends(app: App) -> None:
    clock = ManualClock()
    other = App("sqlite://", settings=Settings(), clock=clock)

    @other.job()
    async def count(n: int) -> None: ...

    async with other:
        first = await count.using(unique_key="k", period=60).enqueue(n=1)
        await first.cancel()
        within = await count.using(unique_key="k", period=60).enqueue(n=2)
        clock.advance(61)
        after = await count.using(unique_key="k", period=60).enqueue(n=3)

    assert within.id == first.id
    assert after.kind is InsertKind.INSERTED


async def test_a_conflict_is_answered_as_the_caller_chose(app: App) -> None:
    @app.job()
    async def count(n: int) -> None: ...

    first = await count.using(unique_key="k", until=Until.STARTED).enqueue(n=1)

    with pytest.raises(DuplicateJob) as caught:
        await count.using(unique_key="k", on_conflict=OnConflict.REJECT).enqueue(n=2)
    replaced = await count.using(unique_key="k", on_conflict=OnConflict.REPLACE).enqueue(n=3)

    assert caught.value.existing_id == first.id
    assert (replaced.id, replaced.kind) == (first.id, InsertKind.REPLACED)
    assert (await replaced.job()).facts.payload == '{"n":3}'


async def test_a_retry_by_an_operator_runs_a_failed_job_again(app: App) -> None:
    @app.job()
    async def count(n: int) -> None: ...

    handle = await count.using(max_attempts=1).enqueue(n=1)
    work = await app.work()
    report = await claim_one(work, "count")
    failure = Failed(error=ErrorInfo(type="ValueError", message="no"))
    await work.report(
        [
            Report(
                job_id=report.job_id,
                fence=report.fence,
                started_at=report.started_at,
                ended_at=report.ended_at,
                outcome=failure,
            )
        ]
    )
    failed = await handle.job()

    reopened = await (await app.operations()).retry(handle.id)

    assert failed.state is State.FAILED
    assert (reopened.state, reopened.placement.generation, reopened.placement.failures) == (
        State.PENDING,
        2,
        0,
    )
    assert len((await (await app.operations()).history(handle.id)).attempts) == 1


async def test_a_lost_reply_repeated_gives_the_first_effect(app: App) -> None:
    @app.job()
    async def count(n: int) -> None: ...

    await count.enqueue(n=1)
    work = await app.work()
    report = await claim_one(work, "count")
    first = await work.report([report])

    again = await work.report([report])

    assert (first[0].lost, first[0].state) == (False, State.COMPLETED)
    assert not again[0].lost


async def test_unknown_ids_are_not_found(app: App) -> None:
    operations = await app.operations()

    for call in (operations.job, operations.cancel, operations.retry, operations.history, app.handle):
        with pytest.raises(JobNotFound):
            await call(NOBODY)


async def test_two_namespaces_on_one_file_do_not_see_each_other(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    async with (
        App(url, namespace="mill", settings=Settings()) as mine,
        App(url, namespace="weir", settings=Settings()) as theirs,
    ):

        @mine.job()
        async def count(n: int) -> None: ...

        handle = await count.enqueue(n=1)

        assert (await (await theirs.operations()).jobs(JobFilter(), Page())).jobs == ()
        with pytest.raises(JobNotFound):
            await (await theirs.operations()).job(handle.id)


async def test_a_process_without_the_code_enqueues_and_decides_by_the_published_type(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    with_code, without = App(url, settings=Settings()), App(url, settings=Settings())

    @with_code.job(queue="counts", priority=7, timeout=3)
    async def count(n: int) -> None: ...

    async with with_code, without:
        await (await with_code.work()).publish([count.registered.info])
        (handle,) = await without.enqueue_many([EnqueueRequest(type="count", payload={"n": 1})])
        job = await handle.job()

    assert (job.facts.queue, job.placement.priority, job.facts.timeout_ms) == ("counts", 7, 3000)


async def test_an_app_can_be_opened_by_many_tasks_at_once(tmp_path: Path) -> None:
    app = App(f"sqlite:///{tmp_path}/jobs.db", settings=Settings())

    opened = await asyncio.gather(*(app.open() for _ in range(8)))
    await app.close()

    assert len({id(one.store) for one in opened}) == 1


def test_synchronous_callers_enqueue_and_wait_through_the_portal(tmp_path: Path) -> None:
    app = App(f"sqlite:///{tmp_path}/jobs.db", settings=Settings())

    @app.job()
    def count(ctx: Context, n: int) -> int:
        return n

    handle = count.enqueue_sync(n=1)

    with pytest.raises(WaitTimeout):
        handle.result_sync(timeout=0.005)
    app.portal.call(app.close)
    app.portal.close()


async def test_a_synchronous_call_inside_a_loop_is_refused(app: App) -> None:
    @app.job()
    def count(n: int) -> int:
        return n

    with pytest.raises(MisuseError, match="await"):
        count.enqueue_sync(n=1)


def test_calling_a_job_type_runs_the_handler_itself() -> None:
    app = App("sqlite://", settings=Settings())

    @app.job()
    def double(n: int) -> int:
        return 2 * n

    assert double(4) == 8


@pytest.mark.parametrize(
    "environment",
    [{"HEADRACE_NAMESPACE": "not a name"}, {"HEADRACE_LEASE": "soon"}, {"HEADRACE_LEASE": "0.1"}],
)
def test_settings_that_cannot_be_used_are_refused(environment: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        Settings.from_environment(environment)


async def test_a_caller_that_gives_up_does_not_keep_others_from_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, arrived = asyncio.Event(), asyncio.Event()

    async def slow(url: str) -> Store:
        arrived.set()
        await gate.wait()
        return await open_store(url)

    monkeypatch.setattr("headrace.stores.open.open_store", slow)
    for gives_up in (0, 1):
        app = App(f"sqlite:///{tmp_path}/jobs.db", settings=Settings())
        gate.clear()
        arrived.clear()
        callers = [asyncio.create_task(app.open()) for _ in range(3)]
        await arrived.wait()
        callers[gives_up].cancel()
        await asyncio.wait([callers[gives_up]])
        gate.set()
        opened = [await one for one in callers if one is not callers[gives_up]]
        await app.close()

        assert opened[0].store is opened[1].store


async def test_a_changed_default_of_the_type_makes_no_other_body(tmp_path: Path) -> None:
    before = App(f"sqlite:///{tmp_path}/jobs.db", settings=Settings())
    after = App(f"sqlite:///{tmp_path}/jobs.db", settings=Settings())

    @before.job(name="count", queue="old", priority=1)
    async def count(n: int) -> None: ...

    @after.job(name="count", queue="new", priority=2, retry=Retry(attempts=9))
    async def recount(n: int) -> None: ...

    async with before, after:
        first = await count.using(idempotency_key="k").enqueue(n=1)
        again = await recount.using(idempotency_key="k").enqueue(n=1)

    assert (again.id, again.kind) == (first.id, InsertKind.EXISTING)


def test_a_job_type_may_say_how_long_its_ended_jobs_stay() -> None:
    app = App("sqlite://", settings=Settings())
    kept = Retention(completed_age_ms=24 * 3_600_000, completed_count=100, failed_count=1000)

    @app.job(retention=kept)
    async def process_file(file_id: str) -> None: ...

    assert process_file.registered.info.policy.retention == kept

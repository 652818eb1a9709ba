"""Bounded queues as programs declare them and operators change them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace import (
    App,
    Context,
    InvalidInput,
    JobCancelled,
    ManualClock,
    Overflow,
    QueueFull,
    Settings,
    State,
)
from headrace.core.fairness import FairQueue
from headrace.core.queue_rules import QueueBound
from headrace.core.request import EnqueueRequest
from headrace.engine.local import LocalOperations
from headrace.engine.queues import REFRESH_MS
from headrace.errors import MisuseError, StoreError
from headrace.upkeep.fire import FireSchedules
from headrace.worker.settings import WorkerSettings
from tests.builders import NOW
from tests.contract.conftest import STORES, Kind


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    kind: Kind = request.param
    async with App(kind.url(tmp_path), settings=Settings(), clock=ManualClock(NOW)) as opened:
        yield opened


def job_type(app: App, name: str = "send", **options):
    async def handler(n: int = 0, tenant: str = "a") -> int:
        return n

    return app.job(name=name, **options)(handler)


async def waiting(app: App, queue: str = "default") -> list[str]:
    """The ids of the jobs that wait, the first inserted first."""
    store = (await app.open()).store
    return [job.id for job in await store.oldest_waiting("default", queue, limit=1000)]


async def another(app: App) -> LocalOperations:
    """Another process that has none of the program's code."""
    opened = await app.open()
    return LocalOperations(opened.store, opened.clock)


def after(app: App, ms: int) -> None:
    assert isinstance(app.given_clock, ManualClock)
    app.given_clock.advance(ms / 1000)


async def test_c8_full_queue_refuses_more(app: App) -> None:
    app.queue("default", max_length=2)
    send = job_type(app)
    await send.enqueue(1)
    await send.enqueue(2)

    with pytest.raises(QueueFull, match="at most 2 waiting jobs"):
        await send.enqueue(3)

    assert len(await waiting(app)) == 2


async def test_c8_bulk_that_does_not_fit_is_refused_whole(app: App) -> None:
    app.queue("default", max_length=2)
    send = job_type(app)

    with pytest.raises(QueueFull):
        await app.enqueue_many([send.request(n) for n in range(3)])

    assert await waiting(app) == []


async def test_full_queue_that_drops_cancels_the_oldest_and_tells(app: App) -> None:
    app.queue("default", max_length=2, overflow="drop-oldest")
    send = job_type(app)
    first, second = await send.enqueue(1), await send.enqueue(2)

    third = await send.enqueue(3)

    assert await waiting(app) == [second.id, third.id]
    with pytest.raises(JobCancelled):
        await first.result(timeout=5)
    (bound,) = await (await app.operations()).queue_bounds()
    assert (bound.dropped, bound.set) == (1, False)


async def test_bulk_that_never_fits_drops_nothing(app: App) -> None:
    app.queue("default", max_length=2, overflow=Overflow.DROP_OLDEST)
    send = job_type(app)
    first = await send.enqueue(1)

    with pytest.raises(QueueFull):
        await app.enqueue_many([send.request(n) for n in range(3)])

    assert await waiting(app) == [first.id]


async def test_producers_at_once_that_drop_keep_the_queue_at_its_bound(app: App) -> None:
    app.queue("default", max_length=5, overflow="drop-oldest")
    send = job_type(app)

    await asyncio.gather(*(send.enqueue(n) for n in range(30)))

    (bound,) = await (await app.operations()).queue_bounds()
    assert len(await waiting(app)) == 5
    assert bound.dropped == 25


async def test_dropped_job_can_be_run_again(app: App) -> None:
    app.queue("default", max_length=1, overflow="drop-oldest")
    send = job_type(app)
    first = await send.enqueue(1)
    await send.enqueue(2)

    again = await (await app.operations()).retry(first.id)

    assert again.state is State.PENDING


async def test_child_of_a_running_job_is_refused_too(app: App) -> None:
    app.queue("small", max_length=1)
    other = job_type(app, "other", queue="small")
    seen: list[str] = []

    @app.job()
    async def parent(ctx: Context) -> None:
        await ctx.enqueue(other.request(1))
        try:
            await ctx.enqueue(other.request(2))
        except QueueFull as error:
            seen.append(error.queue)

    handle = await parent.enqueue()
    async with app.running_worker(WorkerSettings(queues={"default": 5})):
        await handle.result(timeout=30)

    assert seen == ["small"]


async def test_members_of_batches_are_refused_too(app: App) -> None:
    app.queue("default", max_length=2)
    send = job_type(app)
    async with app.batch() as batch:
        await batch.add(send.request(0), send.request(1))

        with pytest.raises(QueueFull):
            await batch.add(send.request(2))

    assert len(await waiting(app)) == 2


async def test_fire_into_a_full_queue_is_made_up_for_later(app: App) -> None:
    app.queue("default", max_length=1)
    send = job_type(app)
    app.schedule("often", every=60, job=send)
    operations = await app.operations()
    await app.queue.put_into(operations)
    await app.schedule.put_into(operations)
    blocking = await send.enqueue(1)
    opened = await app.open()
    chore = FireSchedules(opened.store, opened.clock)
    after(app, 60_000)

    await chore.run_once()
    put_off = (await operations.schedule("often")).error
    await operations.cancel(blocking.id)
    after(app, 5_000)
    await chore.run_once()

    assert "QueueFull" in str(put_off)
    assert len(await waiting(app)) == 1
    assert (await operations.schedule("often")).error is None


async def test_operator_bounds_a_queue_while_all_runs(app: App) -> None:
    send = job_type(app)
    await send.enqueue(1)
    operations = await app.operations()

    await operations.set_queue_bound("default", 1)

    with pytest.raises(QueueFull):
        await send.enqueue(2)
    await operations.set_queue_bound("default", 2, overflow=Overflow.DROP_OLDEST)
    await app.enqueue_many([send.request(n) for n in (2, 3)])
    assert len(await waiting(app)) == 2


async def test_other_processes_learn_of_a_bound_within_five_seconds(app: App) -> None:
    send = job_type(app)
    await (await app.work()).publish((send.registered.info,))
    elsewhere = await another(app)
    request = EnqueueRequest(type="send", payload={"n": 1})
    await elsewhere.enqueue((request,))

    await (await app.operations()).set_queue_bound("default", 1)
    await elsewhere.enqueue((request,))
    after(app, REFRESH_MS + 1)

    with pytest.raises(QueueFull):
        await elsewhere.enqueue((request,))


async def test_operator_wins_over_the_code_until_it_is_reset(app: App) -> None:
    app.queue("default", max_length=1)
    send = job_type(app)
    operations = await app.operations()
    await operations.set_queue_bound("default", 3)
    await app.queue.put_into(operations)
    await app.enqueue_many([send.request(n) for n in range(3)])

    (view,) = await operations.queue_bounds()
    await operations.reset_queue_bound("default")

    assert (view.bound, view.declared, view.set) == (
        QueueBound(queue="default", max_length=3),
        QueueBound(queue="default", max_length=1),
        True,
    )
    with pytest.raises(QueueFull, match="at most 1 "):
        await send.enqueue(4)


async def test_operator_lifts_a_bound_of_the_code(app: App) -> None:
    app.queue("default", max_length=1)
    send = job_type(app)
    operations = await app.operations()

    await operations.set_queue_bound("default", None)

    await app.enqueue_many([send.request(n) for n in range(3)])
    (view,) = await operations.queue_bounds()
    assert (view.bound, view.set) == (None, True)


async def test_programs_without_the_code_keep_to_bounds_that_were_put(app: App) -> None:
    app.queue("default", max_length=1)
    send = job_type(app)
    await app.queue.put_into(await app.operations())
    await (await app.work()).publish((send.registered.info,))
    elsewhere = await another(app)
    request = EnqueueRequest(type="send", payload={"n": 1})
    await elsewhere.enqueue((request,))

    with pytest.raises(QueueFull):
        await elsewhere.enqueue((request,))


async def test_unbounded_queues_are_inserted_into_as_ever(app: App) -> None:
    app.queue("small", max_length=1)
    send = job_type(app)
    engine = (await app.operations()).queue_engine
    (job,) = await (await app.operations()).prepared((send.request(1),), NOW)

    assert engine.room_for((job,)) is None


async def test_statement_of_ones_own_cannot_bound_a_queue(app: App) -> None:
    app.queue("default", max_length=1)
    send = job_type(app)

    with pytest.raises(InvalidInput, match="bounded length"):
        await asyncio.to_thread(app.insert_statement, [send.request(1)])


async def test_transaction_of_the_program_is_refused_where_no_room_is_left(app: App) -> None:
    app.queue("default", max_length=1)
    send = job_type(app)
    await send.enqueue(1)
    refused: list[str] = []

    def on_sqlite(connection):
        try:
            send.using(tx=connection).enqueue_sync(2)
        except QueueFull as error:
            refused.append(error.queue)

    async def on_a_server(connection):
        try:
            await send.using(tx=connection).enqueue(2)
        except QueueFull as error:
            refused.append(error.queue)

    waits = not app.settings.url.startswith("sqlite")
    await app.transaction(on_a_server if waits else on_sqlite)  # type: ignore[arg-type]

    assert refused == ["default"]
    assert len(await waiting(app)) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_length": 0},
        {"max_length": 10**9},
        {"max_length": 1, "overflow": "explode"},
        {"fair_by": "no path!"},
        {"weights": {"a": 0}},
        {"weights": {"": 1}},
    ],
)
def test_queue_that_cannot_be_is_refused(wrong) -> None:
    with pytest.raises(InvalidInput):
        App().queue("default", **wrong)


def test_queue_is_declared_once() -> None:
    app = App()
    app.queue("default", max_length=1)

    with pytest.raises(MisuseError):
        app.queue("default", fair_by="tenant")


async def test_queue_that_nobody_has_touched_is_shown_as_unbounded(app: App) -> None:
    operations = await app.operations()

    assert list(await operations.queue_bounds()) == []
    with pytest.raises((InvalidInput, StoreError)):
        await operations.set_queue_bound("no spaces", 3)
    assert FairQueue().weights == {}

"""Rescue: who is taken away, when, and what it costs the job."""

import pytest

from headrace.clock import ManualClock, StoreClock
from headrace.core.job import AttemptOutcome
from headrace.core.states import State
from headrace.engine.operations import Runs, TypeInfo
from headrace.engine.published import PublishedTypes
from headrace.errors import StoreUnavailable
from headrace.stores.open import open_store
from headrace.stores.protocol import Store
from headrace.upkeep.rescue import Rescue
from tests import builders
from tests.builders import EXACT, LEASE, NOW, SECOND, a_job, claimed, read


@pytest.fixture
async def store(anyio_backend: str):
    opened = await open_store("sqlite://")
    await opened.migrate()
    yield opened
    await opened.close()


def a_clock() -> ManualClock:
    return ManualClock(NOW)


async def publish(store: Store, clock: ManualClock) -> None:
    info = TypeInfo(
        name=builders.TYPE,
        version=1,
        queue=builders.QUEUE,
        priority=0,
        runs=Runs.ASYNC,
        policy=EXACT,
        schema={},
    )
    await PublishedTypes(store, builders.NAMESPACE, clock).publish([info])


async def test_lost_job_comes_back_after_the_published_back_off(store: Store):
    clock = a_clock()
    await publish(store, clock)
    job = await claimed(store)
    clock.advance(31)

    result = await Rescue(store, clock).run_once()

    after = await read(store, job.id)
    assert result.done == 1
    assert after.state is State.PENDING
    assert after.placement.due_at == clock.now() + 5 * SECOND
    assert (after.placement.crashes, after.placement.failures) == (1, 0)
    history = await store.history(builders.NAMESPACE, job.id)
    assert [attempt.outcome for attempt in history.attempts] == [AttemptOutcome.RESCUED]


async def test_lease_that_still_runs_is_left_alone(store: Store):
    clock = a_clock()
    job = await claimed(store)
    clock.advance(29)

    result = await Rescue(store, clock).run_once()

    assert result.done == 0
    assert (await read(store, job.id)).state is State.PROCESSING


async def test_renewal_between_reading_and_writing_wins(store: Store):
    clock = a_clock()
    job = await claimed(store)
    clock.advance(31)

    class RenewedMeanwhile:
        def __getattr__(self, name: str):
            return getattr(store, name)

        async def expired(self, *, now: int, limit: int):
            found = await store.expired(now=now, limit=limit)
            await builders.renew(store, job, now=now)
            return found

    result = await Rescue(RenewedMeanwhile(), clock).run_once()  # type: ignore[arg-type]

    assert result.done == 0
    assert (await read(store, job.id)).state is State.PROCESSING


async def test_job_past_its_time_limit_counts_a_failure_and_no_crash(store: Store):
    clock = a_clock()
    job = await claimed(store, a_job(timeout_ms=1_000))
    await builders.note(store, job, timed_out_at=NOW + 1_000)
    clock.advance(31)

    await Rescue(store, clock).run_once()

    after = await read(store, job.id)
    assert (after.placement.failures, after.placement.crashes) == (1, 0)


async def test_two_rescuers_charge_one_crash(store: Store):
    clock = a_clock()
    job = await claimed(store)
    clock.advance(31)

    first, second = await Rescue(store, clock).run_once(), await Rescue(store, clock).run_once()

    assert first.done + second.done == 1
    assert (await read(store, job.id)).placement.crashes == 1


async def test_after_an_outage_workers_get_one_lease_to_renew(store: Store):
    clock = a_clock()
    job = await claimed(store)

    class Down:
        up = False

        def __getattr__(self, name: str):
            return getattr(store, name)

        async def now(self) -> int:
            if not self.up:
                raise StoreUnavailable("down for this test")
            return await store.now()

    down = Down()
    rescue = Rescue(down, clock, hold_off_ms=LEASE)  # type: ignore[arg-type]
    clock.advance(31)
    with pytest.raises(StoreUnavailable):
        await rescue.run_once()
    down.up = True

    held_off = await rescue.run_once()
    during = await read(store, job.id)
    clock.advance(30)
    done = await rescue.run_once()

    assert held_off.done == 0
    assert during.state is State.PROCESSING
    assert done.done == 1


@pytest.mark.parametrize("step_ms", [-60_000, 60_000])
async def test_after_a_clock_step_workers_get_one_lease_to_renew(store: Store, step_ms: int):
    host = await store.now()
    clock = StoreClock(host - step_ms)
    await claimed(store, now=host - 2 * LEASE - abs(step_ms))

    result = await Rescue(store, clock).run_once()

    assert result.done == 0
    assert "held_off_ms" in result.details


async def test_after_a_new_primary_workers_get_one_lease_to_renew(store: Store):
    clock = a_clock()
    job = await claimed(store)

    class FailedOver:
        serving = "one"

        def __getattr__(self, name: str):
            return getattr(store, name)

        async def incarnation(self) -> str:
            return self.serving

    servers = FailedOver()
    rescue = Rescue(servers, clock, hold_off_ms=LEASE)  # type: ignore[arg-type]
    await rescue.run_once()
    clock.advance(31)
    servers.serving = "two"

    held_off = await rescue.run_once()
    during = await read(store, job.id)
    clock.advance(30)
    done = await rescue.run_once()

    assert held_off.done == 0
    assert "held_off_ms" in held_off.details
    assert during.state is State.PROCESSING
    assert done.done == 1


async def test_more_is_said_when_the_limit_was_reached(store: Store):
    clock = a_clock()
    await builders.enqueue(store, *[a_job() for _ in range(250)])
    await builders.claim(store, n=250)
    clock.advance(31)
    rescue = Rescue(store, clock)

    first, second = await rescue.run_once(), await rescue.run_once()

    assert (first.done, first.more) == (200, True)
    assert (second.done, second.more) == (50, False)

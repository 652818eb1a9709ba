"""The chore that fires schedules: when it looks again, and what it does where a schedule cannot fire."""

import json

import pytest

from headrace.clock import ManualClock
from headrace.core.filters import JobFilter, Page
from headrace.core.request import EnqueueRequest
from headrace.core.schedule import Cron, Every, Once, Timing
from headrace.core.scheduled import key_of
from headrace.engine.local import LocalOperations
from headrace.engine.operations import Runs, TypeInfo
from headrace.engine.published import PREFIX, PublishedTypes
from headrace.errors import StoreUnavailable
from headrace.stores.open import open_store
from headrace.stores.protocol import Store, Swap
from headrace.upkeep.chore import ChoreResult
from headrace.upkeep.fire import LIMIT, NONE_MS, PUT_OFF_MS, SPREAD_MS, FireSchedules
from headrace.upkeep.upkeep import Upkeep
from tests.builders import EXACT, MINUTE, NAMESPACE, NOW, QUEUE, TYPE

MINUTELY = Timing(rule=Cron(expression="* * * * *"))
REQUEST = EnqueueRequest(type=TYPE, payload={})


@pytest.fixture
async def store(anyio_backend: str):
    opened = await open_store("sqlite://")
    await opened.migrate()
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
async def engine(store: Store, clock: ManualClock) -> LocalOperations:
    info = TypeInfo(name=TYPE, version=1, queue=QUEUE, priority=0, runs=Runs.ASYNC, policy=EXACT, schema={})
    await PublishedTypes(store, NAMESPACE, clock).publish([info])
    return LocalOperations(store, clock, namespace=NAMESPACE)


async def count(store: Store) -> int:
    return len((await store.find(NAMESPACE, JobFilter(), Page(limit=1_000))).jobs)


async def test_without_schedules_it_looks_every_five_seconds(store, clock):
    assert await FireSchedules(store, clock).run_once() == ChoreResult(again_in_ms=NONE_MS)


async def test_with_a_schedule_it_looks_every_second_and_when_the_next_one_is_due(store, clock, engine):
    await engine.put_schedule("s", MINUTELY, REQUEST)
    chore = FireSchedules(store, clock)

    far = await chore.run_once()
    clock.advance(59.8)
    near = await chore.run_once()

    assert far.again_in_ms == 1_000
    assert 200 <= near.again_in_ms < 200 + SPREAD_MS
    assert (far.done, near.done) == (0, 0)


async def test_paused_and_finished_schedules_are_not_waited_for(store, clock, engine):
    await engine.put_schedule("paused", MINUTELY, REQUEST)
    await engine.pause_schedule("paused")
    await engine.put_schedule("over", Timing(rule=Once(at=NOW + 1)), REQUEST)
    clock.advance(1)

    fired = await FireSchedules(store, clock).run_once()
    after = await FireSchedules(store, clock).run_once()

    assert (fired.done, fired.more) == (1, True)
    assert after.again_in_ms == NONE_MS


async def test_more_schedules_than_one_look_takes_all_fire(store, clock, engine):
    for number in range(2 * LIMIT + 1):
        await engine.put_schedule(f"s{number}", MINUTELY, REQUEST)
    clock.advance(60)
    chore, looks = FireSchedules(store, clock), 0
    while (await chore.run_once()).more:
        looks += 1

    assert looks == 3
    assert await count(store) == 2 * LIMIT + 1


async def test_queues_of_fired_jobs_are_woken(store, clock, engine):
    await engine.put_schedule("s", MINUTELY, EnqueueRequest(type=TYPE, payload={}, queue="q"))
    clock.advance(60)

    await FireSchedules(store, clock).run_once()

    assert await store.woken(NAMESPACE, frozenset({"q"}), timeout_ms=0)


async def test_schedule_that_cannot_fire_is_put_off_and_holds_up_no_other(store, clock, engine):
    await engine.put_schedule("broken", MINUTELY, REQUEST)
    key = key_of("broken")
    register = (await store.read(NAMESPACE, [key]))[key]
    unknown = register.value.replace(f'"type":"{TYPE}"', '"type":"gone"')
    await store.swap(
        NAMESPACE, [Swap(key=key, revision=register.revision, value=unknown, due_at=register.due_at)]
    )
    await engine.put_schedule("fine", MINUTELY, REQUEST)
    clock.advance(60)

    result = await FireSchedules(store, clock).run_once()

    broken = (await store.read(NAMESPACE, [key]))[key]
    assert result.done == 1
    assert broken.due_at == clock.now() + PUT_OFF_MS
    told = await engine.schedule("broken")
    assert told.error.startswith("UnknownJobType: unknown job type 'gone'")
    assert (told.next_at, told.fired) == (NOW + MINUTE, 0)


async def test_schedule_that_was_put_off_fires_when_it_can(store, clock, engine):
    await engine.put_schedule("s", MINUTELY, REQUEST)
    types = await store.scan(NAMESPACE, PREFIX)
    await store.swap(NAMESPACE, [Swap(key=one.key, revision=one.revision, value=None) for one in types])
    clock.advance(60)
    await FireSchedules(store, clock).run_once()
    put_off = await count(store)
    await store.swap(NAMESPACE, [Swap(key=one.key, revision=0, value=one.value) for one in types])
    clock.advance(PUT_OFF_MS / 1000)

    await FireSchedules(store, clock).run_once()

    known = await engine.schedule("s")
    assert (put_off, await count(store)) == (0, 1)
    assert (known.last_at, known.error) == (NOW + MINUTE, None)


async def test_register_that_another_version_wrote_is_put_off_as_it_is(store, clock, engine):
    strange = json.dumps({"id": "s", "tide": "high"})
    await store.swap(NAMESPACE, [Swap(key="schedule:s", revision=0, value=strange, due_at=NOW)])
    await engine.put_schedule("fine", MINUTELY, REQUEST)
    clock.advance(60)

    result = await FireSchedules(store, clock).run_once()

    kept = (await store.read(NAMESPACE, ["schedule:s"]))["schedule:s"]
    assert (result.done, kept.value) == (1, strange)
    assert kept.due_at == clock.now() + PUT_OFF_MS


async def test_store_that_is_away_is_told_and_loses_no_fire(store, clock, engine, monkeypatch):
    await engine.put_schedule("s", Timing(rule=Every(interval_ms=60_000)), REQUEST)
    clock.advance(60)

    async def away(*_: object, **__: object):
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(store, "insert", away)
        with pytest.raises(StoreUnavailable):
            await FireSchedules(store, clock).run_once()
    result = await FireSchedules(store, clock).run_once()

    assert result.done == 1
    assert (await engine.schedule("s")).error is None


class Timed:
    name = "timed"
    every_ms = 1_000

    async def run_once(self) -> ChoreResult:
        return ChoreResult()


def test_service_runs_a_chore_again_exactly_when_it_says():
    service, chore = Upkeep([Timed()]), Timed()

    told = [ChoreResult(again_in_ms=250), ChoreResult(again_in_ms=-5), ChoreResult(more=True, again_in_ms=9)]

    assert [service._until_next(chore, result) for result in told] == [0.25, 0.0, 0.0]
    assert 0.8 <= service._until_next(chore, ChoreResult()) <= 1.2

"""Schedules on every store: a fire happens once, whoever makes it, and not after the schedule has gone."""

import asyncio
import random

import pytest

from headrace.clock import ManualClock
from headrace.core.filters import JobFilter, Page
from headrace.core.request import EnqueueRequest
from headrace.core.schedule import CatchUp, Cron, Every, Fire, Once, Timing, fired_by
from headrace.core.scheduled import KIND, key_of
from headrace.core.unique import Unique
from headrace.engine.local import LocalOperations
from headrace.engine.operations import Runs, TypeInfo
from headrace.engine.published import PublishedTypes
from headrace.errors import InvalidInput, OutcomeUnknown, ScheduleNotFound, StaleRegister, UnknownJobType
from headrace.stores.protocol import InsertKind, Store, Swap
from headrace.upkeep.fire import FireSchedules
from tests.builders import EXACT, HOUR, MINUTE, NAMESPACE, NOW, QUEUE, SECOND, TYPE

MINUTELY = Timing(rule=Cron(expression="* * * * *"))
REQUEST = EnqueueRequest(type=TYPE, payload={"n": 1}, tags=("mine",))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
async def engine(store: Store, clock: ManualClock) -> LocalOperations:
    return await an_engine(store, clock)


async def an_engine(store: Store, clock: ManualClock, namespace: str = NAMESPACE) -> LocalOperations:
    info = TypeInfo(name=TYPE, version=1, queue=QUEUE, priority=0, runs=Runs.ASYNC, policy=EXACT, schema={})
    await PublishedTypes(store, namespace, clock).publish([info])
    return LocalOperations(store, clock, namespace=namespace)


async def jobs(store: Store, namespace: str = NAMESPACE):
    page = await store.find(namespace, JobFilter(), Page(limit=1_000))
    return sorted(page.jobs, key=lambda job: job.seq)


async def fires(store: Store, namespace: str = NAMESPACE) -> list[int]:
    """The nominal instants for which there are jobs, in the order of insertion."""
    made = [fired_by(job.facts.tags) for job in await jobs(store, namespace)]
    return [fire.at for fire in made if fire is not None]


async def fire(store: Store, clock: ManualClock) -> int:
    """Lets a scheduler do all there is to do; how many jobs it made."""
    chore, done = FireSchedules(store, clock), 0
    while (result := await chore.run_once()).more:
        done += result.done
    return done


# ------------------------------------------------------------ what is due


async def test_registers_that_are_due_come_by_kind_and_time_from_all_namespaces(store):
    for namespace, key, due_at in (
        ("a", "schedule:late", NOW + 5), ("b", "schedule:first", NOW - 5), ("a", "schedule:second", NOW),
        ("a", "schedule:never", None), ("a", "schedules:x", NOW),
        ("a", "schedule", NOW - 1), ("a", "x:schedule:", NOW),
    ):  # fmt: skip
        assert await store.swap(namespace, [Swap(key=key, revision=0, value="1", due_at=due_at)])

    due = await store.due("schedule", now=NOW, limit=10)

    assert [(namespace, one.key) for namespace, one in due] == [
        ("b", "schedule:first"),
        ("a", "schedule"),
        ("a", "schedule:second"),
    ]
    assert due[0][1] == (await store.read("b", ["schedule:first"]))["schedule:first"]
    assert [one.key for _, one in await store.due("schedule", now=NOW + 5, limit=1)] == ["schedule:first"]


# ------------------------------------------------------------ a fire


async def test_c32_fire_makes_one_job_that_names_schedule_and_instant(store, clock, engine):
    await engine.put_schedule("s", MINUTELY, REQUEST)
    clock.advance(60)

    done = await fire(store, clock)

    (job,) = await jobs(store)
    assert done == 1
    assert fired_by(job.facts.tags) == Fire(schedule="s", at=NOW + MINUTE)
    assert job.facts.tags == ("mine", "schedule:s", "fire:2026-01-01T00:01:00Z")
    assert (job.facts.type, job.facts.payload) == (TYPE, '{"n":1}')
    assert (job.placement.due_at, job.placement.rank) == (NOW + MINUTE, NOW + MINUTE)
    known = await engine.schedule("s")
    assert (known.fired, known.last_at, known.next_at) == (1, NOW + MINUTE, NOW + 2 * MINUTE)


async def test_c32_nothing_fires_before_its_time(store, clock, engine):
    await engine.put_schedule("s", MINUTELY, REQUEST)
    clock.advance(59.999)

    assert await fire(store, clock) == 0
    assert await jobs(store) == []


async def test_c32_of_many_schedulers_one_makes_the_fire(store, clock, engine):
    for name in "abc":
        await engine.put_schedule(name, MINUTELY, REQUEST)
    clock.advance(60)

    await asyncio.gather(*(FireSchedules(store, clock).run_once() for _ in range(8)))
    await fire(store, clock)

    assert await fires(store) == [NOW + MINUTE] * 3
    assert [one.fired for one in await engine.schedules()] == [1, 1, 1]


async def test_c32_schedulers_that_read_the_same_fire_make_it_once(store, clock, engine):
    """Both have read the register before either writes."""
    await engine.put_schedule("s", MINUTELY, REQUEST)
    clock.advance(60)
    first, second = (FireSchedules(store, clock) for _ in range(2))
    ((namespace, register),) = await store.due(KIND, now=clock.now(), limit=9)

    made = [await one._fired(namespace, register, clock.now()) for one in (first, second)]

    assert [len(one) for one in made] == [1, 0]
    assert await fires(store) == [NOW + MINUTE]


class Dying:
    """A store whose caller dies before or after an insertion, as seen by those who live on."""

    def __init__(self, store: Store, *, after: bool) -> None:
        self._store = store
        self._after = after

    def __getattr__(self, name: str):
        return getattr(self._store, name)

    async def insert(self, *arguments, **named):
        if self._after:
            await self._store.insert(*arguments, **named)
        raise OutcomeUnknown("died")


@pytest.mark.parametrize("after", [False, True], ids=["before the write", "after it"])
async def test_c32_scheduler_that_dies_at_a_fire_neither_loses_nor_doubles_it(store, clock, engine, after):
    await engine.put_schedule("s", MINUTELY, REQUEST)
    clock.advance(60)

    with pytest.raises(OutcomeUnknown):
        await FireSchedules(Dying(store, after=after), clock).run_once()
    await fire(store, clock)

    assert await fires(store) == [NOW + MINUTE]
    assert (await engine.schedule("s")).fired == 1


async def test_c32_fire_is_not_repeated_by_a_schedule_made_anew_under_a_clock_that_is_behind(
    store, clock, engine
):
    await engine.put_schedule("s", MINUTELY, REQUEST)
    clock.advance(60)
    await fire(store, clock)
    await engine.remove_schedule("s")

    behind = await an_engine(store, ManualClock(NOW + 30 * SECOND))
    made = await behind.put_schedule("s", MINUTELY, REQUEST)
    await fire(store, clock)

    assert made.next_at == NOW + MINUTE
    assert await fires(store) == [NOW + MINUTE]
    assert (await engine.schedule("s")).next_at == NOW + 2 * MINUTE


async def test_c32_schedules_of_all_namespaces_fire_each_in_its_own(store, clock, engine):
    other = await an_engine(store, clock, "other")
    await engine.put_schedule("s", MINUTELY, REQUEST)
    await other.put_schedule("s", Timing(rule=Every(interval_ms=60_000)), REQUEST)
    clock.advance(60)

    await fire(store, clock)

    assert await fires(store) == await fires(store, "other") == [NOW + MINUTE]


async def test_jitter_delays_the_job_and_not_the_schedule(store, clock, engine):
    await engine.put_schedule("s", Timing(rule=Cron(expression="* * * * *"), jitter_ms=20_000), REQUEST)
    for _ in range(8):
        clock.advance(60)
        await fire(store, clock)

    late = [job.placement.due_at - fired_by(job.facts.tags).at for job in await jobs(store)]
    assert await fires(store) == [NOW + n * MINUTE for n in range(1, 9)]
    assert all(0 <= one <= 20_000 for one in late)
    assert len(set(late)) > 1


async def test_job_with_a_unique_key_is_made_only_while_none_is_live(store, clock, engine):
    request = EnqueueRequest(type=TYPE, payload={}, unique=Unique(key="only"))
    await engine.put_schedule("s", MINUTELY, request)
    for _ in range(3):
        clock.advance(60)
        await fire(store, clock)

    assert len(await jobs(store)) == 1
    assert (await engine.schedule("s")).fired == 3


# ------------------------------------------------------------ missed fires


@pytest.mark.parametrize(
    ("missed", "made_up", "skipped"), [("skip", [], 59), ("one", [59], 58), ("all(3)", [57, 58, 59], 56)]
)
async def test_c33_fires_missed_in_an_outage_follow_the_policy(
    store, clock, engine, *, missed, made_up, skipped
):
    await engine.put_schedule(
        "s", Timing(rule=MINUTELY.rule, catch_up=CatchUp.of(missed, window_ms=0)), REQUEST
    )
    clock.advance(3600)

    await fire(store, clock)

    assert await fires(store) == [NOW + n * MINUTE for n in [*made_up, 60]]
    known = await engine.schedule("s")
    assert (known.skipped, known.next_at) == (skipped, NOW + 61 * MINUTE)


async def test_c33_start_of_a_program_that_declares_its_schedule_again_loses_no_missed_fire(
    store, clock, engine
):
    await engine.put_schedule("s", MINUTELY, REQUEST)
    clock.advance(600)
    await engine.put_schedule("s", MINUTELY, REQUEST)

    await fire(store, clock)

    assert (await fires(store))[-1] == NOW + 10 * MINUTE


# ------------------------------------------------------------ put, pause, trigger, remove


async def test_c35_edit_goes_on_with_the_first_instant_to_come(store, clock, engine):
    await engine.put_schedule("s", MINUTELY, REQUEST)
    clock.advance(90)

    await engine.put_schedule("s", Timing(rule=Cron(expression="*/2 * * * *")), REQUEST)
    await fire(store, clock)
    clock.advance(30)
    await fire(store, clock)

    assert await fires(store) == [NOW + 2 * MINUTE]


async def test_c35_removed_schedule_fires_no_more_even_by_who_has_read_it_before(store, clock, engine):
    await engine.put_schedule("s", MINUTELY, REQUEST)
    clock.advance(60)
    ((namespace, register),) = await store.due(KIND, now=clock.now(), limit=9)

    await engine.remove_schedule("s")
    late = await FireSchedules(store, clock)._fired(namespace, register, clock.now())

    assert late == []
    assert await jobs(store) == []
    assert await engine.schedules() == []


async def test_c35_schedule_made_anew_is_not_fired_by_who_has_read_the_old_one(store, clock, engine):
    await engine.put_schedule("s", MINUTELY, REQUEST)
    clock.advance(60)
    ((namespace, register),) = await store.due(KIND, now=clock.now(), limit=9)
    await engine.remove_schedule("s")
    await engine.put_schedule("s", Timing(rule=Once(at=NOW + HOUR)), REQUEST)

    late = await FireSchedules(store, clock)._fired(namespace, register, clock.now())

    assert late == []
    assert (await engine.schedule("s")).next_at == NOW + HOUR


async def test_paused_schedule_does_not_fire_until_it_is_resumed(store, clock, engine):
    await engine.put_schedule("s", MINUTELY, REQUEST)
    await engine.pause_schedule("s")
    clock.advance(600)
    await fire(store, clock)
    quiet = await fires(store)

    await engine.resume_schedule("s")
    clock.advance(60)
    await fire(store, clock)

    assert quiet == []
    assert await fires(store) == [NOW + 11 * MINUTE]


async def test_trigger_makes_a_job_now_and_leaves_the_next_fire(store, clock, engine):
    await engine.put_schedule("s", MINUTELY, REQUEST)
    clock.advance(30)

    first, second = await engine.trigger_schedule("s"), await engine.trigger_schedule("s")

    made = await jobs(store)
    assert [job.id for job in made] == [first.job_id, second.job_id]
    assert first.kind is InsertKind.INSERTED
    assert made[0].facts.tags == ("mine", "schedule:s", "triggered")
    assert made[0].placement.due_at == NOW + 30 * SECOND
    known = await engine.schedule("s")
    assert (known.next_at, known.triggered_at, known.fired) == (NOW + MINUTE, NOW + 30 * SECOND, 0)


async def test_paused_schedule_can_be_triggered(store, clock, engine):
    await engine.put_schedule("s", MINUTELY, REQUEST)
    await engine.pause_schedule("s")

    await engine.trigger_schedule("s")

    assert len(await jobs(store)) == 1
    assert (await engine.schedule("s")).due_at is None


async def test_changes_at_the_same_moment_are_all_made(store, clock, engine):
    await engine.put_schedule("s", MINUTELY, REQUEST)
    rng = random.Random(3)
    acts = [engine.pause_schedule, engine.resume_schedule, engine.trigger_schedule] * 4
    rng.shuffle(acts)

    await asyncio.gather(*(act("s") for act in acts))

    assert len(await jobs(store)) == 4


@pytest.mark.parametrize(
    "act", ["schedule", "pause_schedule", "resume_schedule", "trigger_schedule", "remove_schedule"]
)
async def test_schedule_that_is_not_there_is_told(engine, act):
    with pytest.raises(ScheduleNotFound, match="no schedule 's'"):
        await getattr(engine, act)("s")


async def test_c46_schedule_of_another_namespace_is_absent(store, clock, engine):
    await engine.put_schedule("s", MINUTELY, REQUEST)
    other = await an_engine(store, clock, "other")

    assert await other.schedules() == []
    with pytest.raises(ScheduleNotFound):
        await other.remove_schedule("s")
    assert [one.id for one in await engine.schedules()] == ["s"]


@pytest.mark.parametrize(
    ("name", "timing", "request_", "error"),
    [
        ("a b", MINUTELY, REQUEST, InvalidInput),
        ("s", MINUTELY, EnqueueRequest(type="unheard-of"), UnknownJobType),
        ("s", MINUTELY, EnqueueRequest(type=TYPE, payload=[]), InvalidInput),
        ("s", MINUTELY, EnqueueRequest(type=TYPE, payload={}, delay_ms=1), InvalidInput),
        ("s", Timing(rule=Once(at=NOW)), REQUEST, InvalidInput),
    ],
)
async def test_c35_schedule_that_cannot_fire_is_refused_and_not_written(
    engine, name, timing, request_, error
):
    with pytest.raises(error):
        await engine.put_schedule(name, timing, request_)

    assert await engine.schedules() == []


async def test_register_changes_only_with_the_revision_that_was_read(store, clock, engine):
    await engine.put_schedule("s", MINUTELY, REQUEST)
    key = key_of("s")
    revision = (await store.read(NAMESPACE, [key]))[key].revision
    await engine.pause_schedule("s")

    with pytest.raises(StaleRegister):
        await store.insert(NAMESPACE, [], now=NOW, swaps=[Swap(key=key, revision=revision, value="{}")])

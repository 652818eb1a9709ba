"""``app.schedule``: declared in code, put when a worker starts, and the jobs as their handlers see them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headrace import App, Context, InvalidInput, ManualClock, Settings
from headrace.core.filters import JobFilter, Page
from headrace.core.request import EnqueueRequest
from headrace.core.schedule import CatchUp, Cron, Every, Fire, Once, Timing, Unknown, fired_by
from headrace.core.scheduled import key_of
from headrace.engine.declared import Declarations, timing_of
from headrace.errors import MisuseError, Refused, UnknownJobType
from headrace.stores.protocol import Register, Swap
from headrace.upkeep.fire import FireSchedules
from tests.builders import NOW
from tests.contract.conftest import STORES, Kind


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    kind: Kind = request.param
    async with App(kind.url(tmp_path), settings=Settings(), clock=ManualClock(NOW)) as opened:
        yield opened


async def fire(app: App) -> int:
    opened = await app.open()
    return (await FireSchedules(opened.store, opened.clock).run_once()).done


async def test_handler_of_a_fired_job_knows_its_schedule_and_instant(app: App) -> None:
    seen: asyncio.Queue[Fire | None] = asyncio.Queue()

    @app.job()
    async def clean_up(ctx: Context) -> None:
        seen.put_nowait(fired_by(ctx.job.tags))

    app.schedule("cleaning", cron="@hourly", job=clean_up)
    clock = app.given_clock
    assert isinstance(clock, ManualClock)
    async with app.running_worker(), asyncio.timeout(60):
        clock.advance(3600)
        fire_of_the_hour = await seen.get()

    assert fire_of_the_hour == Fire(schedule="cleaning", at=NOW + 3_600_000)


async def test_declared_schedules_are_put_when_a_worker_starts(app: App) -> None:
    @app.job()
    async def clean_up(days: int = 7) -> None: ...

    app.schedule("daily", cron="0 2 * * *", zone="Europe/Berlin", job=clean_up, missed="all(3)")
    app.schedule("often", every=90, job=clean_up.using(queue="q").request(days=1), jitter=5)
    before = await app.schedules()

    async with app.running_worker():
        put = {one.id: one for one in await app.schedules()}

    assert list(before) == []
    assert put["daily"].timing == Timing(
        rule=Cron(expression="0 2 * * *", zone="Europe/Berlin"), catch_up=CatchUp.of("all(3)")
    )
    assert put["often"].timing == Timing(rule=Every(interval_ms=90_000), jitter_ms=5_000)
    assert (put["often"].request.queue, put["often"].request.payload) == ("q", '{"days":1}')


async def test_schedule_declared_no_longer_stays_until_it_is_removed(app: App) -> None:
    @app.job()
    async def clean_up() -> None: ...

    app.schedule("old", every=60, job=clean_up)
    await app.schedule.put_into(await app.operations())
    app.schedule = Declarations()
    app.schedule("new", every=60, job=clean_up)

    await app.schedule.put_into(await app.operations())

    assert [one.id for one in await app.schedules()] == ["new", "old"]


async def test_declared_one_off_that_has_passed_stops_no_start(app: App) -> None:
    @app.job()
    async def migrate() -> None: ...

    app.schedule("past", at=NOW - 1, job=migrate)
    app.schedule("soon", at=NOW + 1_000, job=migrate)
    await app.schedule.put_into(await app.operations())
    clock = app.given_clock
    assert isinstance(clock, ManualClock)
    clock.advance(2)
    made = await fire(app)

    await app.schedule.put_into(await app.operations())

    assert made == 1
    assert [(one.id, one.due_at) for one in await app.schedules()] == [("soon", None)]
    assert await fire(app) == 0


async def test_unknown_job_type_of_a_declared_schedule_is_told_at_the_start(app: App) -> None:
    app.schedule("s", every=60, job=EnqueueRequest(type="unheard-of"))

    with pytest.raises(UnknownJobType, match="unheard-of"):
        async with app.running_worker():
            pass


async def test_fire_keeps_the_version_of_the_job_type_that_was_put(app: App) -> None:
    @app.job(name="report", version=2)
    async def report(days: int) -> None: ...

    app.schedule("s", every=60, job=report.request(days=3))
    await app.schedule.put_into(await app.operations())
    opened = await app.open()
    newer = replace(report.registered.info, version=3)
    await opened.operations._published.publish([newer])
    clock = app.given_clock
    assert isinstance(clock, ManualClock)
    clock.advance(60)

    made = await fire(app)

    jobs = await opened.store.find("default", JobFilter(), Page(limit=10))
    assert made == 1
    assert [(job.facts.version, job.facts.payload) for job in jobs.jobs] == [(2, '{"days":3}')]


def echoing(app: App) -> None:
    @app.job(name="echo")
    async def echo() -> None: ...


async def with_a_newer_one(app: App) -> Register:
    """Two schedules, of which a newer program has given one a rule that is not known here."""
    operations = await app.operations()
    request = EnqueueRequest(type="echo", payload={})
    for name in ("known", "newer"):
        await operations.put_schedule(name, Timing(rule=Every(interval_ms=60_000)), request)
    store = (await app.open()).store
    key = key_of("newer")
    register = (await store.read("default", (key,)))[key]
    value = register.value.replace('"every_ms":60000', '"lunar":"full moon"')
    swap = Swap(key=key, revision=register.revision, value=value, due_at=register.due_at)
    assert value != register.value
    assert await store.swap("default", (swap,))
    return (await store.read("default", (key,)))[key]


async def test_c50_schedule_of_a_newer_version_is_listed_as_unknown_beside_the_others(app: App) -> None:
    echoing(app)
    await with_a_newer_one(app)

    known, newer = await app.schedules()

    assert (known.id, known.timing.rule, known.error) == ("known", Every(interval_ms=60_000), None)
    assert (newer.id, newer.request.type) == ("newer", "echo")
    assert newer.next_at == NOW + 60_000
    assert isinstance(newer.timing.rule, Unknown)
    assert newer.error == newer.timing.rule.why
    assert "only another version or machine can read it" in newer.error
    assert await (await app.operations()).schedule("newer") == newer


async def test_c50_schedule_of_a_newer_version_is_not_changed_but_can_be_removed(app: App) -> None:
    echoing(app)
    before = await with_a_newer_one(app)
    operations = await app.operations()
    timing, request = Timing(rule=Every(interval_ms=5_000)), EnqueueRequest(type="echo", payload={})

    for change in (
        operations.put_schedule("newer", timing, request),
        operations.pause_schedule("newer"),
        operations.resume_schedule("newer"),
        operations.trigger_schedule("newer"),
    ):
        with pytest.raises(Refused, match="schedule 'newer' stays as it is: only another version"):
            await change
    store = (await app.open()).store
    after = (await store.read("default", (before.key,)))[before.key]
    await operations.remove_schedule("newer")

    assert after == before
    assert [one.id for one in await app.schedules()] == ["known"]


async def test_c50_older_program_starts_beside_a_newer_one_and_leaves_its_schedule_as_it_is(app: App) -> None:
    echoing(app)
    before = await with_a_newer_one(app)
    app.schedule("newer", every=60, job=EnqueueRequest(type="echo", payload={}))
    app.schedule("other", every=60, job=EnqueueRequest(type="echo", payload={}))

    await app.schedule.put_into(await app.operations())

    store = (await app.open()).store
    assert (await store.read("default", (before.key,)))[before.key] == before
    assert [one.id for one in await app.schedules()] == ["known", "newer", "other"]


def test_two_schedules_of_one_name_are_refused() -> None:
    app = App("sqlite://", settings=Settings())
    request = EnqueueRequest(type="echo")
    app.schedule("s", every=60, job=request)
    app.schedule("s", every=60, job=request)

    with pytest.raises(MisuseError, match="two schedules are named 's'"):
        app.schedule("s", every=61, job=request)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"cron": "@daily", "every": 5},
        {"every": 5, "at": NOW},
        {"every": 0},
        {"every": float("inf")},
        {"every": 5, "zone": "Europe/Berlin"},
        {"at": datetime(2027, 1, 1)},  # noqa: DTZ001 - that it knows no zone is the point
        {"cron": "@daily", "jitter": -1},
        {"cron": "@daily", "missed": "none"},
        {"cron": "@daily", "misfire_window": -1},
        {"cron": "nonsense"},
    ],
)
def test_timing_that_cannot_be_is_refused_where_it_is_written(fields) -> None:
    with pytest.raises(InvalidInput):
        App("sqlite://", settings=Settings()).schedule("s", job=EnqueueRequest(type="echo"), **fields)


def test_instants_are_datetimes_with_a_zone_or_epoch_milliseconds() -> None:
    moment = datetime.fromtimestamp(NOW / 1000, UTC)

    assert timing_of(at=moment) == timing_of(at=NOW) == Timing(rule=Once(at=NOW))
    assert timing_of(every=5, start=moment, end=moment) == timing_of(every=5, start=NOW, end=NOW)

"""Throttled and debounced calls of a job type, on every store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace import App, InvalidInput, ManualClock, Settings
from headrace.stores.protocol import InsertKind
from tests.builders import NOW
from tests.contract.conftest import STORES, Kind


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    kind: Kind = request.param
    async with App(kind.url(tmp_path), settings=Settings(), clock=ManualClock(NOW)) as opened:
        yield opened


def job_type(app: App):
    @app.job(name="index")
    async def index(n: int) -> int:
        return n

    return index


def after(app: App, seconds: float) -> None:
    assert isinstance(app.given_clock, ManualClock)
    app.given_clock.advance(seconds)


async def test_first_call_of_a_period_wins(app: App) -> None:
    index = job_type(app).throttle("doc-1", period=60)
    first = await index.enqueue(1)
    after(app, 59)

    second = await index.enqueue(2)

    assert (first.kind, second.kind) == (InsertKind.INSERTED, InsertKind.EXISTING)
    assert second.id == first.id
    assert (await first.job()).facts.payload == '{"n":1}'


async def test_job_that_ran_stands_for_its_period_and_no_longer(app: App) -> None:
    index = job_type(app).throttle("doc-1", period=60)
    first = await index.enqueue(1)
    async with app.running_worker():
        assert await first.result(timeout=30) == 1

    same = await index.enqueue(2)
    after(app, 60)
    next_one = await index.enqueue(3)

    assert (same.kind, same.id) == (InsertKind.EXISTING, first.id)
    assert await same.result(timeout=30) == 1
    assert next_one.kind is InsertKind.INSERTED


async def test_keys_are_throttled_apart(app: App) -> None:
    index = job_type(app)

    kinds = [(await index.throttle(f"doc-{n}", period=60).enqueue(n)).kind for n in range(3)]

    assert kinds == [InsertKind.INSERTED] * 3


async def test_latest_call_wins_and_starts_after_its_delay(app: App) -> None:
    index = job_type(app).debounce("doc-1", delay=5)
    first = await index.enqueue(1)
    after(app, 4)

    second = await index.enqueue(2)

    assert (first.kind, second.kind) == (InsertKind.INSERTED, InsertKind.REPLACED)
    job = await first.job()
    assert (second.id, job.facts.payload) == (first.id, '{"n":2}')
    assert job.placement.due_at == NOW + 9_000


async def test_other_options_are_kept(app: App) -> None:
    index = job_type(app).using(tags=("x",), priority=7)

    throttled = await (await index.throttle("a", period=60).enqueue(1)).job()
    debounced = await (await index.debounce("b", delay=1).enqueue(1)).job()

    assert [(job.facts.tags, job.placement.priority) for job in (throttled, debounced)] == [(("x",), 7)] * 2


async def test_throttled_calls_pass_through_a_bulk(app: App) -> None:
    index = job_type(app)

    handles = await app.enqueue_many([index.throttle("a", period=60).request(n) for n in range(3)])

    assert [handle.kind for handle in handles] == [InsertKind.INSERTED, *[InsertKind.EXISTING] * 2]


@pytest.mark.parametrize("period", [0, -1, 10**15])
async def test_period_that_cannot_be_is_refused(app: App, period: float) -> None:
    with pytest.raises(InvalidInput):
        job_type(app).throttle("a", period=period)

"""What becomes of jobs that wait for a dead letter, on every store."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from headrace import App, DeadFilter, ManualClock, Retry, Settings
from headrace.core.dead import DeadQueue
from headrace.core.states import State
from headrace.testing import advance, drain
from tests.builders import NOW
from tests.contract.conftest import STORES, Kind


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    kind: Kind = request.param
    async with App(kind.url(tmp_path), settings=Settings(), clock=ManualClock(NOW)) as opened:
        yield opened


async def a_flow(app: App) -> list[Any]:
    """Handles of a parent that is a dead letter by now, and of a child that waits for it."""
    broken = [True]

    @app.job(retry=Retry(attempts=1))
    async def fetch() -> str:
        if broken.pop() if broken else False:
            raise ValueError("not found")
        return "page"

    @app.job()
    async def parse() -> None: ...

    handle = await fetch.request().then(parse.using(on_parent_failure="wait").request()).enqueue()
    await drain(app)
    return list(handle)


async def states(app: App, handles: list[Any]) -> list[State]:
    engine = await app.operations()
    return [(await engine.job(one.id)).state for one in handles]


async def test_child_that_waits_runs_once_its_parent_was_redriven(app):
    handles = await a_flow(app)
    before = await states(app, handles)

    await (await app.operations()).redrive_many(DeadFilter())
    await drain(app)

    assert before == [State.FAILED, State.BLOCKED]
    assert await states(app, handles) == [State.COMPLETED] * 2


@pytest.mark.parametrize("many", [False, True])
async def test_child_that_waits_is_cancelled_once_its_parent_is_discarded(app, many):
    handles = await a_flow(app)
    engine = await app.operations()

    if many:
        await engine.discard_many(DeadFilter())
    else:
        await engine.discard(handles[0].id)
    await advance(app, 60)

    assert await states(app, handles) == [State.FAILED, State.CANCELLED]


async def test_child_that_waits_is_cancelled_once_its_parent_is_on_a_dead_letter_queue(app):
    handles = await a_flow(app)

    await (await app.operations()).set_dead_letter_queue("default", DeadQueue(queue="dead"))
    await advance(app, 60)

    assert await states(app, handles) == [State.FAILED, State.CANCELLED]

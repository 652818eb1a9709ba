"""The sweep that lets refused jobs start once nothing refuses them any more, on every store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace import App, ManualClock, OrderBy, Rate, Settings, Slots
from headrace.core.limit_register import KEY, Definitions
from headrace.core.limits import OLDEST_CLAIM_MS, LaneState
from headrace.stores.protocol import Swap
from headrace.upkeep.chore import ChoreResult
from headrace.upkeep.open_lanes import SOONEST_MS, ForgetLanes, OpenLanes
from headrace.upkeep.upkeep import usual_chores
from tests.builders import NOW
from tests.contract.conftest import STORES, Kind
from tests.engine.limiting import Program, ns


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    kind: Kind = request.param
    async with App(kind.url(tmp_path), settings=Settings(), clock=ManualClock(NOW)) as opened:
        yield opened


async def swept(app: App) -> ChoreResult:
    opened = await app.open()
    return await OpenLanes(opened.store, opened.clock).run_once()


async def test_nothing_parked_means_no_hurry(app: App) -> None:
    assert await swept(app) == ChoreResult()


async def test_lane_that_the_clock_opens_is_opened_and_the_next_look_is_at_its_next_opening(app: App) -> None:
    @app.job(rate=Rate(1, per=2))
    async def send(n: int) -> None: ...

    program = await Program.of(app)
    for n in range(3):
        await send.enqueue(n=n)
    await program.claim()

    closed = await swept(app)
    program.clock.advance(2.2)
    opened = await swept(app)

    assert (closed.done, closed.again_in_ms) == (0, 2_200)
    assert opened.done == 1
    assert ns(await program.claim()) == [1]


async def test_sweep_neither_spins_nor_sleeps_past_its_usual_pace(app: App) -> None:
    @app.job(rate=(Rate(1, per=3_600, name="slow"), Rate(1_000, per=1, name="fast", key="n")))
    async def send(n: int) -> None: ...

    program = await Program.of(app)
    for _ in range(2):
        await send.enqueue(n=1)
    await program.claim()

    slow = await swept(app)
    await (await app.operations()).set_limit("slow", rate=None)
    opened = await app.open()
    await opened.store.set_lane("default", LaneState(key="limit:fast/1", opens_at=NOW + 5))
    await program.claim()
    soon = await swept(app)

    assert slow.again_in_ms == 5_000
    assert soon.again_in_ms == SOONEST_MS


async def test_lane_left_closed_by_a_crash_is_opened(app: App) -> None:
    """The holder's job is gone, as after a crash between the end of it and whatever would have followed."""

    @app.job(concurrency=Slots(1))
    async def draw(n: int) -> None: ...

    program = await Program.of(app)
    for n in range(2):
        await draw.enqueue(n=n)
    await program.claim()
    await program.claim()
    opened = await app.open()
    key = "limit:type:draw"
    before = (await opened.store.lane_figures("default", [key]))[key]
    await opened.store.swap("default", [await _emptied(app)])

    healed = await swept(app)

    assert (before.holders, before.parked) == (1, 1)
    assert healed.done == 1
    assert ns(await program.claim()) == [1]


async def _emptied(app: App) -> Swap:
    """Takes the definitions away behind everybody's back: nobody but the sweep brings parked jobs back."""
    store = (await app.open()).store
    register = (await store.read("default", (KEY,)))[KEY]
    return Swap(key=KEY, revision=register.revision, value=Definitions().dumps())


async def test_turn_that_a_cancelled_job_left_is_given_to_the_next(app: App) -> None:
    @app.job(order_by=OrderBy("account"), concurrency=Slots(1, name="gpu"))
    async def book(account: str, n: int) -> None: ...

    program = await Program.of(app)
    operations = await app.operations()
    handles = [await book.enqueue(account="a", n=n) for n in range(2)]
    await operations.set_limit("gpu", slots=0)
    await program.claim()
    parked = {one.lane for one in await operations.parked()}
    await operations.cancel(handles[0].id)
    await operations.set_limit("gpu", slots=1)

    taken: list[int] = []
    for _ in range(2):
        await swept(app)
        taken += ns(await program.claim())

    assert "limit:gpu" in parked
    assert taken == [1]


async def test_lanes_that_nobody_needs_are_forgotten(app: App) -> None:
    @app.job(rate=Rate(1, per=1, key="n"), concurrency=Slots(1, key="n"))
    async def send(n: int) -> None: ...

    program = await Program.of(app)
    for n in (1, 2, 1):
        await send.enqueue(n=n)
    jobs = await program.claim()
    opened = await app.open()
    keys = ["limit:type:send@n/1", "limit:type:send@n/2"]
    kept = await opened.store.lane_states("default", keys)
    await program.end(*jobs)
    program.clock.advance(OLDEST_CLAIM_MS / 1000)
    too_early = await ForgetLanes(opened.store, opened.clock).run_once()
    program.clock.advance(2)

    forgotten = await ForgetLanes(opened.store, opened.clock).run_once()
    left = await opened.store.lane_states("default", keys)

    assert set(kept) == set(keys)
    assert too_early.done == 0
    assert forgotten.done >= 1
    assert keys[1] not in left


async def test_sweep_is_among_the_usual_chores(app: App) -> None:
    opened = await app.open()

    chores = usual_chores(opened.store, opened.clock, namespace="default", lease_ms=30_000)

    assert {"open_lanes", "forget_lanes"} <= {chore.name for chore in chores}

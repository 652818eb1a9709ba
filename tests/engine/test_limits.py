"""Limits as programs declare and operators set them, on every store."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace import App, InvalidInput, LimitNotFound, ManualClock, Rate, Settings, Slots
from headrace.core.limits import Limit, Origin
from headrace.core.limits import Rate as Numbers
from headrace.engine.declared_limits import DeclaredLimits
from headrace.engine.limiting import Limiting
from headrace.engine.registry import Registry
from tests.builders import NOW
from tests.contract.conftest import STORES, Kind
from tests.engine.limiting import Program, ns


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    kind: Kind = request.param
    async with App(kind.url(tmp_path), settings=Settings(), clock=ManualClock(NOW)) as opened:
        yield opened


async def names(app: App) -> list[str]:
    return [view.limit.name for view in await app.limits()]


async def test_limits_of_code_are_put_when_a_worker_starts(app: App) -> None:
    @app.job(concurrency=Slots(2, key="user_id"), rate=Rate(10, per=0.5, burst=3, key="user_id"))
    async def send(user_id: int) -> None: ...

    @app.job(concurrency=Slots(1, name="gpu"), rate=Rate(5, per=60))
    async def draw() -> None: ...

    app.limit("queue:default", slots=7)
    before = await names(app)

    async with app.running_worker():
        put = {view.limit.name: view.limit for view in await app.limits()}

    assert before == []
    assert put == {
        "gpu": Limit(name="gpu", slots=1),
        "queue:default": Limit(name="queue:default", slots=7),
        "type:draw": Limit(name="type:draw", rate=Numbers(count=5, per_ms=60_000)),
        "type:send@user_id": Limit(
            name="type:send@user_id", slots=2, rate=Numbers(count=10, per_ms=500, burst=3)
        ),
    }


async def test_c41_no_more_jobs_of_a_type_run_than_it_has_slots(app: App) -> None:
    @app.job(concurrency=Slots(2))
    async def draw(n: int) -> None: ...

    program = await Program.of(app)
    for n in range(5):
        await draw.enqueue(n=n)

    first = await program.claim()
    none = await program.claim()
    await program.end(first[0])
    second = await program.claim()
    await program.end(first[1], *second)
    rest = await program.claim()

    assert (ns(first), none, ns(second), ns(rest)) == ([0, 1], [], [2], [3, 4])


async def test_c41_each_key_has_slots_of_its_own(app: App) -> None:
    @app.job(concurrency=Slots(1, key="user_id"))
    async def send(user_id: int, n: int) -> None: ...

    program = await Program.of(app)
    for n in range(6):
        await send.enqueue(user_id=n % 2, n=n)

    first = await program.claim()
    await program.end(first[1])
    second = await program.claim()

    assert (ns(first), ns(second)) == ([0, 1], [3])


async def test_c41_limit_of_one_name_is_shared_by_several_types_and_queues(app: App) -> None:
    @app.job(concurrency=Slots(2, name="gpu"), queue="a")
    async def draw(n: int) -> None: ...

    @app.job(concurrency=Slots(2, name="gpu"), queue="b")
    async def paint(n: int) -> None: ...

    program = await Program.of(app)
    for n in range(3):
        await draw.enqueue(n=n)
        await paint.enqueue(n=n + 10)

    first = await program.claim(queues=("a", "b"))
    await program.end(*first)
    second = await program.claim(queues=("a", "b"))

    assert len(first) == len(second) == 2
    assert len({job.id for job in (*first, *second)}) == 4


@pytest.mark.parametrize("name", ["all", "queue:default", "type:echo"])
async def test_limit_of_everything_a_queue_or_a_type_holds_from_the_next_claim_on(
    app: App, name: str
) -> None:
    @app.job()
    async def echo(n: int) -> None: ...

    program = await Program.of(app)
    operations = await app.operations()
    for n in range(4):
        await echo.enqueue(n=n)
    before = await program.claim(1)
    await program.end(*before)

    await operations.set_limit(name, slots=1)
    limited = await program.claim()
    await operations.set_limit(name, slots=2)
    wider = await program.claim()
    await operations.set_limit(name, slots=None)
    free = await program.claim()

    assert [ns(jobs) for jobs in (before, limited, wider, free)] == [[0], [1], [2], [3]]


async def test_operator_wins_over_the_code_until_reset(app: App) -> None:
    @app.job(concurrency=Slots(1))
    async def draw(n: int) -> None: ...

    program = await Program.of(app)
    operations = await app.operations()
    await operations.set_limit("type:draw", slots=3)
    await app.limit.put_into(operations)
    for n in range(5):
        await draw.enqueue(n=n)
    jobs = await program.claim()
    (view,) = await app.limits()

    left = await operations.reset_limit("type:draw")
    await program.end(*jobs)
    after = await program.claim()

    assert len(jobs) == 3
    assert view.limit.origin is Origin.OPERATOR
    assert view.declared == Limit(name="type:draw", slots=1) == left
    assert len(after) == 1


async def test_part_that_an_operator_does_not_name_stays(app: App) -> None:
    @app.job(concurrency=Slots(1), rate=Rate(5, per=1))
    async def draw() -> None: ...

    await Program.of(app)
    operations = await app.operations()

    made = await operations.set_limit("type:draw", slots=4)
    lifted = await operations.set_limit("type:draw", rate=None)

    assert made.rate == Numbers(count=5, per_ms=1_000)
    assert (lifted.slots, lifted.rate) == (4, None)


async def test_limit_that_no_type_names_is_refused_as_misspelt(app: App) -> None:
    @app.job(concurrency=Slots(1, name="gpu"))
    async def draw() -> None: ...

    await Program.of(app)
    operations = await app.operations()

    with pytest.raises(InvalidInput, match=r"no job type names a limit 'gpus'.*gpu"):
        await operations.set_limit("gpus", slots=4)
    with pytest.raises(LimitNotFound, match="'gpus'"):
        await operations.limit("gpus")
    with pytest.raises(LimitNotFound, match="'all'"):
        await operations.reset_limit("all")
    assert await names(app) == ["gpu"]


async def test_type_that_declares_a_limit_no_longer_is_not_limited_any_more(app: App) -> None:
    @app.job(concurrency=Slots(1), rate=Rate(5, per=1, name="api"))
    async def draw(n: int) -> None: ...

    program = await Program.of(app)
    for n in range(3):
        await draw.enqueue(n=n)
    first = await program.claim(prompt=100)
    newer = Registry([replace(draw.registered, limiting=Limiting())])

    await DeclaredLimits(newer).put_into(await app.operations())

    assert len(first) == 1
    assert await names(app) == ["api"]


async def test_details_show_who_holds_waits_and_when_it_opens(app: App) -> None:
    @app.job(concurrency=Slots(1, key="user_id", name="per-user"))
    async def send(user_id: int) -> None: ...

    program = await Program.of(app)
    for user in (1, 1, 1, 2, 2):
        await send.enqueue(user_id=user)
    await program.claim()

    told = await (await app.operations()).limit("per-user")
    (view,) = await app.limits()

    assert [(lane.key, lane.holders, lane.parked, lane.opens_at) for lane in told.lanes[:2]] == [
        ("limit:per-user/1", 1, 2, None),
        ("limit:per-user/2", 1, 1, None),
    ]
    assert (told.lanes_parked, told.view.parked, view.parked) == (2, 3, 3)

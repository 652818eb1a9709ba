"""Jobs that run one at a time under an ordering key (C40), on every store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace import App, ManualClock, OrderBy, Settings, Slots
from headrace.core.job import AttemptOutcome
from headrace.core.wishes import OnRetry
from tests.builders import NOW
from tests.contract.conftest import STORES, Kind
from tests.engine.limiting import GIVEN_BACK, Program, failed, ns

LONG = 3_600_000


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    kind: Kind = request.param
    async with App(kind.url(tmp_path), settings=Settings(), clock=ManualClock(NOW)) as opened:
        yield opened


async def test_c40_jobs_of_a_key_run_one_at_a_time_in_enqueue_order_whatever_their_priority(app: App) -> None:
    @app.job(order_by="account")
    async def book(account: str, n: int) -> None: ...

    program = await Program.of(app)
    for n in range(4):
        await book.using(priority=n).enqueue(account="a", n=n)
    await book.enqueue(account="b", n=10)

    taken: list[list[int]] = []
    for _ in range(4):
        jobs = await program.claim()
        taken.append(sorted(ns(jobs)))
        await program.end(*jobs)

    assert taken == [[0, 10], [1], [2], [3]]


@pytest.mark.parametrize("on_retry", list(OnRetry))
async def test_c40_job_that_waits_for_a_retry_holds_its_key_unless_told_to_let_others_pass(
    app: App, on_retry: OnRetry
) -> None:
    @app.job(order_by=OrderBy("account", on_retry=on_retry))
    async def book(account: str, n: int) -> None: ...

    program = await Program.of(app)
    for n in range(3):
        await book.enqueue(account="a", n=n)
    first = await program.claim()
    await program.end(*first, outcome=failed(LONG))

    meanwhile = await program.claim()
    program.clock.advance(LONG / 1000)
    await program.end(*meanwhile)
    later = await program.claim()

    passed = on_retry is OnRetry.PASS
    assert ns(first) == [0]
    assert ns(meanwhile) == ([1] if passed else [])
    assert ns(later) == [0]


async def test_c40_holder_that_fails_for_good_lets_the_next_one_start(app: App) -> None:
    @app.job(order_by="account")
    async def book(account: str, n: int) -> None: ...

    program = await Program.of(app)
    for n in range(2):
        await book.using(max_attempts=1).enqueue(account="a", n=n)
    first = await program.claim()
    blocked = await program.claim()

    await program.end(*first, outcome=failed())
    second = await program.claim()

    assert (ns(first), ns(blocked), ns(second)) == ([0], [], [1])


async def test_c40_cancelled_job_lets_the_next_one_start(app: App) -> None:
    @app.job(order_by="account")
    async def book(account: str, n: int) -> None: ...

    program = await Program.of(app)
    handles = [await book.enqueue(account="a", n=n) for n in range(3)]
    running = await program.claim()
    await program.claim()

    await (await app.operations()).cancel(handles[1].id)
    await program.end(*running)
    after = await program.claim()

    assert (ns(running), ns(after)) == ([0], [2])


async def test_c40_delayed_job_does_not_hold_the_key_until_it_is_due(app: App) -> None:
    @app.job(order_by="account")
    async def book(account: str, n: int) -> None: ...

    program = await Program.of(app)
    await book.using(delay=60).enqueue(account="a", n=0)
    await book.enqueue(account="a", n=1)
    await book.enqueue(account="a", n=2)

    first = await program.claim()
    program.clock.advance(60)
    await program.end(*first)
    second = await program.claim()

    assert (ns(first), ns(second)) == ([1], [0])


async def test_c40_order_of_one_name_is_shared_by_types_and_queues(app: App) -> None:
    @app.job(order_by=OrderBy("account", name="account"), queue="a")
    async def book(account: str, n: int) -> None: ...

    @app.job(order_by=OrderBy("account", name="account"), queue="b")
    async def remind(account: str, n: int) -> None: ...

    program = await Program.of(app)
    await book.enqueue(account="x", n=0)
    await remind.enqueue(account="x", n=1)
    await book.enqueue(account="x", n=2)

    taken: list[list[int]] = []
    for _ in range(3):
        jobs = await program.claim(queues=("a", "b"))
        taken.append(ns(jobs))
        await program.end(*jobs)

    assert taken == [[0], [1], [2]]


async def test_c40_order_and_slots_hold_together(app: App) -> None:
    @app.job(order_by="account", concurrency=Slots(2))
    async def book(account: str, n: int) -> None: ...

    program = await Program.of(app)
    for n in range(9):
        await book.enqueue(account=f"a{n % 3}", n=n)

    seen: list[int] = []
    most = 0
    running = await program.claim()
    while running:
        most = max(most, len(running))
        assert len({job.facts.lane for job in running}) == len(running)
        seen += ns(running)
        await program.end(*running)
        running = await program.claim()

    assert most == 2
    assert sorted(seen) == list(range(9))
    assert [[n for n in seen if n % 3 == key] for key in range(3)] == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]


async def test_order_said_for_one_call_is_kept_by_that_job_alone(app: App) -> None:
    @app.job()
    async def book(account: str, n: int) -> None: ...

    program = await Program.of(app)
    ordered = book.using(order_by="account")
    await ordered.enqueue(account="a", n=0)
    await ordered.enqueue(account="a", n=1)
    await book.enqueue(account="a", n=2)

    jobs = await program.claim()

    assert ns(jobs) == [0, 2]


async def test_refusal_is_uncharged_and_leaves_no_trace(app: App) -> None:
    @app.job(order_by="account")
    async def book(account: str, n: int) -> None: ...

    program = await Program.of(app)
    await book.enqueue(account="a", n=0)
    second = await book.enqueue(account="a", n=1)
    operations = await app.operations()
    before = await operations.job(second.id)
    first = await program.claim()
    await program.claim()
    parked = await operations.job(second.id)
    await program.end(*first)
    (started,) = await program.claim()
    history = await operations.history(second.id)

    placement = parked.placement
    assert (placement.starts, placement.releases, placement.rank) == (0, 0, before.placement.rank)
    assert placement.parked_on == "order:type:book@account/a"
    assert (started.placement.starts, started.attempt) == (1, 1)
    assert [one.outcome for one in history.attempts] == [None]


async def test_given_back_job_goes_first_again_and_keeps_its_key(app: App) -> None:
    @app.job(order_by="account")
    async def book(account: str, n: int) -> None: ...

    program = await Program.of(app)
    for n in range(2):
        await book.enqueue(account="a", n=n)
    first = await program.claim()

    await program.end(*first, outcome=GIVEN_BACK)
    again = await program.claim()

    assert (ns(first), ns(again)) == ([0], [0])
    assert (again[0].placement.releases, again[0].attempt) == (1, 1)
    assert AttemptOutcome.RELEASED in {
        one.outcome for one in (await (await app.operations()).history(first[0].id)).attempts
    }

"""Jobs that are put on a dead-letter queue for each that failed for good, on every store."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from headrace import (
    App,
    DeadFilter,
    DeadLetter,
    InvalidInput,
    ManualClock,
    Permanent,
    Retention,
    Retry,
    Settings,
)
from headrace.core.dead import DeadQueue
from headrace.core.events import OLDEST, EventFilter
from headrace.core.filters import JobFilter, Page
from headrace.core.job import Job
from headrace.core.policy import DAY_MS
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.errors import MisuseError, StoreUnavailable
from headrace.stores.protocol import Store
from headrace.testing import drain
from headrace.upkeep.dead_queues import AT_ONCE, WHOLE_MS, FillDeadLetterQueues
from tests.builders import NOW
from tests.contract.conftest import STORES, Kind

ONCE = Retry(attempts=1)


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    kind: Kind = request.param
    async with App(kind.url(tmp_path), settings=Settings(), clock=ManualClock(NOW)) as opened:
        yield opened


def clock(app: App) -> ManualClock:
    assert isinstance(app.given_clock, ManualClock)
    return app.given_clock


async def the_store(app: App) -> Store:
    return (await app.open()).store


async def jobs(app: App, **wanted: Any) -> list[Job]:
    return list((await (await app.operations()).jobs(JobFilter(**wanted), Page(limit=1000))).jobs)


async def a_chore(app: App) -> FillDeadLetterQueues:
    return FillDeadLetterQueues(await the_store(app), clock(app), namespace="default")


async def one_pass(chore: FillDeadLetterQueues) -> int:
    """How many jobs one pass over the dead letters puts."""
    done = 0
    while True:
        result = await chore.run_once()
        done += result.done
        if not result.more:
            return done


def failing(app: App, **options: Any) -> Any:
    @app.job(name="upload", retry=ONCE, **options)
    async def upload(n: int = 0) -> None:
        raise Permanent("no such bucket")

    return upload


async def test_s1_45_job_of_the_queue_tells_all_of_the_one_that_failed(app):
    upload = failing(app, dead_letter_queue="uploads-dead")
    letters: list[DeadLetter] = []

    @app.job(name="dead-letter", queue="uploads-dead")
    async def review(letter: DeadLetter) -> None:
        letters.append(letter)

    handle = await upload.using(tags=("import",)).enqueue(7)
    await drain(app)

    (letter,) = letters
    assert (letter.job_id, letter.queue, letter.payload, letter.attempts) == (
        handle.id,
        "default",
        {"n": 7},
        1,
    )
    assert (letter.error, letter.error_type, letter.why) == ("no such bucket", "Permanent", "permanent")
    assert int(letter.failed_at.timestamp() * 1000) == NOW
    assert letter.tags == ("import",)
    (put,) = await jobs(app, tag=f"dead-letter-of:{handle.id}")
    assert (put.facts.queue, put.state) == ("uploads-dead", State.COMPLETED)


async def test_failed_job_is_dealt_with_once_the_other_is_there_and_names_it(app):
    upload = failing(app, dead_letter_queue="dead")
    handle = await upload.enqueue(1)
    await drain(app)

    engine = await app.operations()
    view = await engine.dead_letter(handle.id)
    (put,) = await jobs(app, queues=frozenset({"dead"}))
    assert (await engine.dead_letters(DeadFilter(), Page())).jobs == ()
    assert view.job.placement.erase_at == NOW + 7 * DAY_MS
    assert view.replaced_by == (put.id,)


async def test_job_type_that_nobody_knows_waits_on_the_queue(app):
    upload = failing(app, dead_letter_queue="dead", dead_letter_type="page-someone")
    await upload.enqueue(1)
    await drain(app)

    (put,) = await jobs(app, queues=frozenset({"dead"}))
    assert (put.facts.type, put.state) == ("page-someone", State.PENDING)


async def test_each_retry_that_fails_again_puts_another_job(app):
    upload = failing(app, dead_letter_queue="dead")
    handle = await upload.enqueue(1)
    await drain(app)
    await (await app.operations()).retry(handle.id)
    await drain(app)

    put = await jobs(app, queues=frozenset({"dead"}))
    assert len({job.id for job in put}) == 2


async def test_exactly_one_job_is_put_however_many_look_at_once(app):
    upload = failing(app, dead_letter_queue="dead")
    for n in range(10):
        await upload.enqueue(n)
    async with app.running_worker():
        while await jobs(
            app, types=frozenset({"upload"}), states=frozenset({State.PENDING, State.PROCESSING})
        ):
            await asyncio.sleep(0.01)

    await asyncio.gather(*[one_pass(await a_chore(app)) for _ in range(4)])

    put = await jobs(app, queues=frozenset({"dead"}))
    assert len(put) == 10
    assert len({job.facts.payload for job in put}) == 10


async def test_crash_between_the_death_and_the_look_loses_nothing(app, monkeypatch):
    upload = failing(app, dead_letter_queue="dead")
    store = await the_store(app)

    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(store, "stand_in", away)
        await upload.enqueue(1)
        with pytest.raises(StoreUnavailable):
            await drain(app)
    assert await jobs(app, queues=frozenset({"dead"})) == []

    await drain(app)

    assert len(await jobs(app, queues=frozenset({"dead"}))) == 1


async def test_queue_may_have_one_that_is_set_while_it_runs(app):
    upload = failing(app)
    engine = await app.operations()
    await upload.enqueue(1)
    await upload.using(queue="other").enqueue(2)
    await drain(app)

    await engine.set_dead_letter_queue("default", DeadQueue(queue="dead", type="review"))
    put = await one_pass(await a_chore(app))

    assert put == 1
    assert [job.facts.type for job in await jobs(app, queues=frozenset({"dead"}))] == ["review"]
    assert await engine.dead_letter_queues() == {"default": DeadQueue(queue="dead", type="review")}


async def test_queue_whose_dead_letter_queue_was_taken_away_keeps_its_dead_letters(app):
    upload = failing(app)
    engine = await app.operations()
    await engine.set_dead_letter_queue("default", DeadQueue(queue="dead"))
    await engine.set_dead_letter_queue("default", None)
    await engine.set_dead_letter_queue("default", None)
    await upload.enqueue(1)
    await drain(app)

    assert await engine.dead_letter_queues() == {}
    assert len((await engine.dead_letters(DeadFilter(), Page())).jobs) == 1


async def test_what_the_type_says_comes_before_what_its_queue_says(app):
    upload = failing(app, dead_letter_queue="of-type")
    await (await app.operations()).set_dead_letter_queue("default", DeadQueue(queue="of-queue"))
    await upload.enqueue(1)
    await drain(app)

    assert len(await jobs(app, queues=frozenset({"of-type"}))) == 1
    assert await jobs(app, queues=frozenset({"of-queue"})) == []


async def test_what_fails_on_a_dead_letter_queue_goes_nowhere_else(app):
    upload = failing(app, dead_letter_queue="dead")
    await (await app.operations()).set_dead_letter_queue("dead", DeadQueue(queue="dead"))

    @app.job(name="dead-letter", queue="dead", retry=ONCE, dead_letter_queue="dead")
    async def review(letter: DeadLetter) -> None:
        raise Permanent("cannot")

    await upload.enqueue(1)
    await drain(app)

    (put,) = await jobs(app, queues=frozenset({"dead"}))
    letters = await (await app.operations()).dead_letters(DeadFilter(), Page())
    assert [job.id for job in letters.jobs] == [put.id]


async def test_passes_after_the_first_look_only_at_late_deaths(app, monkeypatch):
    failing(app, dead_letter_queue="dead")
    store, chore = await the_store(app), await a_chore(app)
    await (await app.work()).publish([one.info for one in app.registry.all()])
    asked: list[int] = []
    real = store.dead

    async def noted(namespace: str, wanted: DeadFilter, page: Page) -> Any:
        asked.append(wanted.died_after)
        return await real(namespace, wanted, page)

    monkeypatch.setattr(store, "dead", noted)
    for seconds in (0, 5, 5, WHOLE_MS / 1000):
        clock(app).advance(seconds)
        await chore.run_once()

    assert asked == [0, NOW - WHOLE_MS, NOW + 5_000 - WHOLE_MS, 0]


async def test_more_than_one_look_takes_are_put_in_stretches(app):
    upload = failing(app)
    many = AT_ONCE + 5
    await app.enqueue_many([EnqueueRequest(type="upload", payload={"n": n}) for n in range(many)])
    await drain(app)
    assert upload.name == "upload"
    await (await app.operations()).set_dead_letter_queue("default", DeadQueue(queue="dead"))

    chore = await a_chore(app)
    first = await chore.run_once()
    second = await chore.run_once()

    assert ((first.done, first.more), (second.done, second.more)) == ((AT_ONCE, True), (5, False))


async def test_without_such_queues_nothing_is_read_of_dead_letters(app, monkeypatch):
    failing(app)
    store = await the_store(app)

    async def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(store, "dead", never)

    assert (await (await a_chore(app)).run_once()).done == 0


@pytest.mark.parametrize(
    "options",
    [
        {"dead_letter_queue": "dead", "retention": Retention(failed_age_ms=1)},
        {"dead_letter_queue": "dead", "retention": Retention(failed_count=1)},
        {"dead_letter_type": "review"},
    ],
)
def test_job_type_that_would_lose_its_dead_letters_is_refused(options):
    with pytest.raises(MisuseError):
        failing(App("sqlite://", settings=Settings()), **options)


@pytest.mark.parametrize(
    "options", [{"dead_letter_queue": "a b"}, {"dead_letter_queue": "q", "dead_letter_type": ""}]
)
def test_illegal_names_are_refused(options):
    with pytest.raises(InvalidInput):
        failing(App("sqlite://", settings=Settings()), **options)


async def test_log_of_events_tells_of_the_death_once_and_of_the_job_that_took_its_place(app):
    upload = failing(app, dead_letter_queue="dead")
    engine = await app.operations()
    await engine.keep_events()
    handle = await upload.enqueue(1)
    await drain(app)

    page = await engine.events(EventFilter(), after=OLDEST)

    kinds = [(one.kind.value, one.job_id == handle.id) for one in page.events]
    assert kinds == [
        ("enqueued", True),
        ("active", True),
        ("attempt_failed", True),
        ("failed", True),
        ("enqueued", False),
    ]

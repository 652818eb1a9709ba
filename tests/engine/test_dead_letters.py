"""Dead letters as a program and its operators use them, on every store."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from headrace import App, DeadFilter, DuplicateJob, InvalidInput, ManualClock, Permanent, Retry, Settings
from headrace.core.dead import MAX_REASON_CHARS
from headrace.core.filters import JobFilter, Page
from headrace.core.job import Priority
from headrace.core.policy import DAY_MS, ErrorClass
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.core.unique import Unique
from headrace.errors import InvalidPayload, JobNotFound, NotADeadLetter, TooLarge
from headrace.testing import drain
from tests.builders import NOW, SECOND
from tests.contract.conftest import STORES, Kind

ONCE = Retry(attempts=1)


class Broken:
    """Whether the handler of ``upload`` raises, and what it was called with."""

    def __init__(self) -> None:
        self.by: Exception | None = ValueError("the disk is full")
        self.calls: list[int] = []

    def __call__(self, n: int) -> int:
        self.calls.append(n)
        if self.by is not None:
            raise self.by
        return n


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    kind: Kind = request.param
    async with App(kind.url(tmp_path), settings=Settings(), clock=ManualClock(NOW)) as opened:
        yield opened


@pytest.fixture
def broken(app: App) -> Broken:
    made = Broken()

    @app.job(name="upload", retry=ONCE)
    async def upload(n: int, m: int = 0) -> int:
        return made(n)

    return made


async def died(app: App, *numbers: int, **options: Any) -> list[str]:
    """Ids of jobs of the type ``upload`` that failed for good, one second after the other."""
    ids = []
    for n in numbers or (1,):
        request = app_request(app, n, **options)
        (handle,) = await app.enqueue_many((request,))
        await drain(app)
        clock(app).advance(1)
        ids.append(handle.id)
    return ids


def app_request(app: App, n: int, **options: Any) -> Any:
    return EnqueueRequest(type="upload", payload={"n": n}, **options)


def clock(app: App) -> ManualClock:
    assert isinstance(app.given_clock, ManualClock)
    return app.given_clock


async def dead(app: App, **wanted: Any) -> list[str]:
    page = await (await app.operations()).dead_letters(DeadFilter(**wanted), Page())
    return [job.id for job in page.jobs]


async def test_s3_19_job_that_used_up_its_attempts_is_a_dead_letter_with_its_errors(app, broken):
    (job_id,) = await died(app)

    view = await (await app.operations()).dead_letter(job_id)
    history = await (await app.operations()).history(job_id)

    assert await dead(app) == [job_id]
    assert view.job.state is State.FAILED
    assert (view.discarded, view.replaced_by) == (None, ())
    assert "the disk is full" in str(history.attempts[0].error)


async def test_s2_42_permanent_error_fails_at_once_and_shows_as_such(app):
    @app.job(name="upload", retry=Retry(attempts=5))
    async def upload(n: int) -> None:
        raise Permanent("no such user")

    (job_id,) = await died(app)

    (count,) = await (await app.operations()).dead_letter_counts()
    assert (count.count, count.permanent, count.last_id) == (1, 1, job_id)
    assert await dead(app, error_class=ErrorClass.PERMANENT) == [job_id]
    assert await dead(app, error_class=ErrorClass.TRANSIENT) == []
    assert len((await (await app.operations()).history(job_id)).attempts) == 1


async def test_dead_letters_are_found_by_what_their_errors_say(app, broken):
    full = await died(app, 1, 2)
    broken.by = KeyError("gone")
    gone = await died(app, 3)

    assert await dead(app, error_type="KeyError") == gone
    assert await dead(app, text="DISK") == full[::-1]
    assert await dead(app, text="neither") == []


async def test_filter_on_errors_goes_on_behind_those_that_do_not_fit(app, broken):
    wanted = await died(app, 1)
    broken.by = KeyError("gone")
    await died(app, 2, 3, 4)
    engine = await app.operations()

    page = await engine.dead_letters(DeadFilter(text="disk"), Page(limit=1))

    assert [job.id for job in page.jobs] == wanted


async def test_redriven_job_runs_again_by_itself_and_keeps_its_history(app, broken):
    (job_id,) = await died(app, 7)
    engine = await app.operations()
    broken.by = None

    again = await engine.redrive(job_id)
    ran = await drain(app)

    assert (again.id, again.placement.generation) == (job_id, 2)
    assert [(one.job_id, one.state) for one in ran] == [(job_id, State.COMPLETED)]
    assert len((await engine.history(job_id)).attempts) == 2
    assert await dead(app) == []


async def test_redrive_may_say_another_priority_and_a_delay(app, broken):
    (job_id,) = await died(app)
    engine = await app.operations()

    again = await engine.redrive(job_id, priority=Priority.HIGH, delay_ms=30 * SECOND)

    assert (again.placement.priority, again.placement.due_at) == (50, clock(app).now() + 30 * SECOND)


async def test_c2_edited_payload_makes_a_new_job_that_names_the_old_one(app, broken):
    (job_id,) = await died(app, 1, tags=("import",))
    engine = await app.operations()
    broken.by = None

    new = await engine.redrive(job_id, payload={"n": 2}, priority=7, delay_ms=5 * SECOND)
    clock(app).advance(5)
    await drain(app)

    assert new.id != job_id
    assert (new.facts.payload, new.facts.tags) == ('{"n":2}', ("import", f"redrive-of:{job_id}"))
    assert (new.placement.priority, new.placement.due_at) == (7, NOW + 6 * SECOND)
    assert broken.calls == [1, 2]
    assert await dead(app) == []
    view = await engine.dead_letter(job_id)
    assert (view.job.state, view.replaced_by) == (State.FAILED, (new.id,))


async def test_payload_that_does_not_fit_is_refused_and_nothing_is_changed(app, broken):
    (job_id,) = await died(app)
    engine = await app.operations()

    with pytest.raises(InvalidPayload):
        await engine.redrive(job_id, payload={"n": "many"})

    assert await dead(app) == [job_id]


async def test_edited_payload_takes_the_place_of_a_dead_letter_once(app, broken):
    (job_id,) = await died(app)
    engine = await app.operations()

    answers = await asyncio.gather(
        *(engine.redrive(job_id, payload={"n": n}) for n in range(4)), return_exceptions=True
    )

    assert sum(isinstance(one, NotADeadLetter) for one in answers) == 3
    jobs = await engine.jobs(JobFilter(tag=f"redrive-of:{job_id}"), Page())
    assert len(jobs.jobs) == 1


async def test_redrive_and_edited_redrive_at_once_run_one_of_both(app, broken):
    (job_id,) = await died(app)
    engine = await app.operations()
    broken.by = None
    broken.calls.clear()

    answers = await asyncio.gather(
        engine.redrive(job_id), engine.redrive(job_id, payload={"n": 2}), return_exceptions=True
    )
    await drain(app)

    assert sum(isinstance(one, Exception) for one in answers) == 1
    assert len(broken.calls) == 1


@pytest.mark.parametrize("payload", [None, {"n": 1}])
async def test_what_is_no_dead_letter_is_not_redriven(app, broken, payload):
    broken.by = None
    (done,) = await died(app)
    engine = await app.operations()

    with pytest.raises(NotADeadLetter):
        await engine.redrive(done, payload=payload)
    with pytest.raises(NotADeadLetter):
        await engine.discard(done)
    with pytest.raises(JobNotFound):
        await engine.redrive("nobody", payload=payload)


async def test_redrive_is_refused_while_another_job_holds_the_unique_key(app, broken):
    (job_id,) = await died(app, 1, unique=Unique(key="k"))
    (holder,) = await app.enqueue_many((app_request(app, 2, unique=Unique(key="k")),))
    engine = await app.operations()

    for payload in (None, {"n": 3}):
        with pytest.raises(DuplicateJob) as refused:
            await engine.redrive(job_id, payload=payload)
        assert refused.value.existing_id == holder.id
    assert await dead(app) == [job_id]


async def test_impossible_delay_and_priority_are_refused(app, broken):
    (job_id,) = await died(app)
    engine = await app.operations()

    with pytest.raises(InvalidInput):
        await engine.redrive(job_id, delay_ms=-1)
    with pytest.raises(InvalidInput):
        await engine.redrive(job_id, priority=2**40)


async def test_many_are_redriven_a_stretch_at_a_time_and_spread_over_time(app, broken):
    ids = await died(app, 1, 2, 3, 4, 5)
    engine = await app.operations()
    start = clock(app).now()

    done, cursor, stretches = 0, None, 0
    while True:
        part = await engine.redrive_many(DeadFilter(), per_second=2, limit=2, cursor=cursor)
        done, cursor, stretches = done + part.done, part.cursor, stretches + 1
        if cursor is None:
            break

    due = {job_id: (await engine.job(job_id)).placement.due_at for job_id in ids}
    assert (done, part.refused) == (5, {})
    assert stretches >= 3
    assert [due[job_id] - start for job_id in ids[::-1]] == [0, 500, 1000, 1500, 2000]
    assert await dead(app) == []


async def test_what_dies_again_meanwhile_is_left_alone(app, broken):
    await died(app, 1, 2, 3)
    engine = await app.operations()
    first = await engine.redrive_many(DeadFilter(), limit=1)
    clock(app).advance(1)
    await drain(app)  # it dies again

    second = await engine.redrive_many(DeadFilter(), limit=10, cursor=first.cursor)

    assert (first.done, second.done, second.cursor) == (1, 2, None)
    assert len(await dead(app)) == 1


async def test_bulk_tells_which_were_refused_and_why(app, broken):
    (held,) = await died(app, 1, unique=Unique(key="k"))
    (free,) = await died(app, 2)
    (holder,) = await app.enqueue_many((app_request(app, 3, unique=Unique(key="k")),))
    engine = await app.operations()

    part = await engine.redrive_many(DeadFilter())

    assert part.done == 1
    assert part.refused == {held: f"its unique key is held by job {holder.id}"}
    assert (await engine.job(free)).state is State.PENDING


async def test_only_what_the_filter_finds_is_redriven(app, broken):
    full = await died(app, 1)
    broken.by = KeyError("gone")
    gone = await died(app, 2)
    engine = await app.operations()

    part = await engine.redrive_many(DeadFilter(error_type="KeyError"))

    assert part.done == 1
    assert await dead(app) == full
    assert (await engine.job(gone[0])).state is State.PENDING


async def test_members_of_batches_take_their_batch_along(app, broken):
    engine = await app.operations()
    async with app.batch() as batch:
        await batch.add(*(app_request(app, n) for n in range(3)))
    await drain(app)
    assert (await batch.view()).state.closed_at is not None
    broken.by = None

    part = await engine.redrive_many(DeadFilter(batch_id=batch.id))
    await drain(app)

    view = await batch.view()
    assert part.done == 3
    assert (view.counts.completed, view.state.generation) == (3, 2)


async def test_member_of_a_batch_is_redriven_with_its_priority(app, broken):
    engine = await app.operations()
    async with app.batch() as batch:
        await batch.add(app_request(app, 1))
    await drain(app)
    (job_id,) = await dead(app)

    again = await engine.redrive(job_id, priority=9, delay_ms=SECOND)

    assert (again.placement.priority, again.placement.due_at) == (9, clock(app).now() + SECOND)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), 200_000.0])
async def test_impossible_rate_is_refused(app, broken, rate):
    await died(app)

    with pytest.raises(InvalidInput):
        await (await app.operations()).redrive_many(DeadFilter(), per_second=rate)


async def test_discarded_dead_letter_keeps_its_reason_and_goes_after_a_week(app, broken):
    (job_id,) = await died(app)
    engine = await app.operations()

    job = await engine.discard(job_id, reason="the customer is gone")

    view = await engine.dead_letter(job_id)
    assert view.discarded is not None
    assert (view.discarded.reason, view.discarded.at) == ("the customer is gone", clock(app).now())
    assert await dead(app) == []
    assert job.state is State.FAILED
    assert len((await engine.history(job_id)).attempts) == 1
    clock(app).advance(7 * DAY_MS / 1000)
    await drain(app)
    with pytest.raises(JobNotFound):
        await engine.job(job_id)


async def test_reason_of_a_discard_is_told_no_more_once_the_job_was_retried(app, broken):
    (job_id,) = await died(app)
    engine = await app.operations()
    await engine.discard(job_id, reason="a mistake")
    await engine.retry(job_id)

    assert (await engine.dead_letter(job_id)).discarded is None
    await drain(app)
    assert await dead(app) == [job_id]
    assert (await engine.dead_letter(job_id)).discarded is None


async def test_many_are_discarded_with_one_reason(app, broken):
    ids = await died(app, 1, 2, 3)
    engine = await app.operations()

    part = await engine.discard_many(DeadFilter(died_before=clock(app).now() - SECOND), reason="old")

    assert (part.done, part.refused, part.cursor) == (2, {}, None)
    assert await dead(app) == ids[2:]
    view = await engine.dead_letter(ids[0])
    assert view.discarded is not None
    assert view.discarded.reason == "old"


async def test_reason_that_cannot_be_kept_is_refused_before_anything_is_done(app, broken):
    (job_id,) = await died(app)
    engine = await app.operations()

    with pytest.raises(TooLarge):
        await engine.discard(job_id, reason="x" * (MAX_REASON_CHARS + 1))
    with pytest.raises(InvalidInput):
        await engine.discard_many(DeadFilter(), reason="two\nlines")

    assert await dead(app) == [job_id]


async def test_cursor_of_another_bulk_is_refused(app, broken):
    await died(app)

    with pytest.raises(InvalidInput):
        await (await app.operations()).discard_many(DeadFilter(), cursor="WzFd")

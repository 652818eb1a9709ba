"""Each message of a chunk has an answer of its own, and the first one counts."""

import asyncio
import json

import pytest

from headrace.core.backoff import Backoff
from headrace.core.job import Job
from headrace.core.outcomes import Failed, Snoozed, Stopped, Succeeded
from headrace.core.policy import ErrorClass
from headrace.core.states import State
from headrace.engine.chunk import Message
from headrace.engine.registry import Retry
from headrace.errors import Cancel, Exhausted, InvalidInput, Permanent, Snooze
from tests.worker.chunking import Answer, Order, Orders, as_kind, chunk_type, finished, orders, states
from tests.worker.rig import Rig


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_each_message_is_answered_for_itself(stored: Rig, kind: str):
    def handle(chunk: Orders) -> None:
        acked, retried, failed, rest = chunk
        acked.ack({"n": acked.payload.n})
        retried.retry(delay=60, error="not yet")
        failed.fail("no such order")
        assert rest.answered is False

    chunk_type(stored, as_kind(kind, handle), size=4)
    ids = await orders(stored, 4)
    async with stored.worker() as (_, watch):
        acked, retried, failed, rest = await finished(watch, ids)

    jobs = [await stored.read(one) for one in ids]
    assert acked.outcome == Succeeded(result='{"n":0}')
    assert isinstance(retried.outcome, Failed)
    assert isinstance(failed.outcome, Failed)
    assert rest.outcome == Succeeded()
    assert [job.state for job in jobs] == [
        State.COMPLETED,
        State.PENDING,
        State.FAILED,
        State.COMPLETED,
    ]
    assert json.loads(jobs[0].placement.result or "") == {"n": 0}
    assert jobs[1].placement.due_at == stored.clock.now() + 60_000
    assert (jobs[1].placement.failures, "not yet" in (jobs[1].placement.error or "")) == (1, True)
    assert "no such order" in (jobs[2].placement.error or "")


async def test_an_answer_is_written_before_the_call_ends(rig: Rig):
    go_on = asyncio.Event()

    async def handler(chunk: Orders) -> None:
        chunk[0].ack()
        await go_on.wait()

    chunk_type(rig, handler)
    ids = await orders(rig, 3)
    async with rig.worker() as (_, watch):
        await watch.finished(ids[0])
        early = await states(rig, ids)
        go_on.set()
        await finished(watch, ids)

    assert early == [State.COMPLETED, State.PROCESSING, State.PROCESSING]
    assert await states(rig, ids) == [State.COMPLETED] * 3


FIRST: list[tuple[Answer, State]] = [
    (lambda one: one.ack("first"), State.COMPLETED),
    (lambda one: one.retry(delay=60), State.PENDING),
    (lambda one: one.fail("first"), State.FAILED),
]


@pytest.mark.parametrize(("first", "state"), FIRST, ids=["ack", "retry", "fail"])
async def test_first_answer_wins(rig: Rig, first: Answer, state: State):
    told: list[object] = []

    async def handler(chunk: Orders) -> None:
        (one,) = chunk
        told.extend([first(one), one.answered, one.ack("later"), one.retry(), one.fail("later")])

    chunk_type(rig, handler, size=1)
    (job_id,) = await orders(rig, 1)
    async with rig.worker() as (_, watch):
        await watch.finished(job_id)

    assert told == [True, True, False, False, False]
    assert (await rig.read(job_id)).state is state
    assert len((await rig.history(job_id)).attempts) == 1


async def test_answer_after_the_call_counts_no_more(rig: Rig):
    kept: list[Message[Order]] = []

    async def handler(chunk: Orders) -> None:
        kept.extend(chunk)

    chunk_type(rig, handler, size=1)
    (job_id,) = await orders(rig, 1)
    async with rig.worker() as (_, watch):
        await watch.finished(job_id)
        late = kept[0].fail("too late")

    assert late is False
    assert (await rig.read(job_id)).state is State.COMPLETED


async def test_result_that_cannot_be_kept_is_refused_and_answers_nothing(rig: Rig):
    refused: list[InvalidInput] = []

    async def handler(chunk: Orders) -> None:
        try:
            chunk[0].ack(object())
        except InvalidInput as error:
            refused.append(error)
        chunk[0].fail("it had no result")

    chunk_type(rig, handler, size=1)
    (job_id,) = await orders(rig, 1)
    async with rig.worker() as (_, watch):
        await watch.finished(job_id)

    assert [error.field for error in refused] == ["result"]
    assert (await rig.read(job_id)).state is State.FAILED


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf")])
async def test_delay_that_is_none_is_refused(rig: Rig, delay: float):
    async def handler(chunk: Orders) -> None:
        chunk[0].retry(delay=delay)

    chunk_type(rig, handler, size=1)
    (job_id,) = await orders(rig, 1)
    async with rig.worker() as (_, watch):
        ended = await watch.finished(job_id)

    assert isinstance(ended.outcome, Failed)
    assert ended.outcome.error.error_class is ErrorClass.PERMANENT
    assert "delay" in ended.outcome.error.message


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_uncaught_error_retries_the_rest_with_it(stored: Rig, kind: str):
    def handle(chunk: Orders) -> None:
        chunk[0].ack()
        chunk[1].fail("no good")
        raise ConnectionError("the other side is gone")

    chunk_type(stored, as_kind(kind, handle), size=4)
    ids = await orders(stored, 4)
    async with stored.worker() as (_, watch):
        await finished(watch, ids)

    jobs = [await stored.read(one) for one in ids]
    assert [job.state for job in jobs] == [
        State.COMPLETED,
        State.FAILED,
        State.PENDING,
        State.PENDING,
    ]
    for job in jobs[2:]:
        error = json.loads(job.placement.error or "")
        assert (error["type"], error["message"]) == ("ConnectionError", "the other side is gone")
        assert "in handle" in error["traceback"]
        assert job.placement.due_at == stored.clock.now() + 10_000
        assert job.placement.failures == 1


@pytest.mark.parametrize(
    ("error", "state", "outcome"),
    [
        (Permanent("never"), State.FAILED, Failed),
        (Snooze(60), State.PENDING, Snoozed),
        (Cancel("not needed"), State.CANCELLED, Stopped),
    ],
    ids=["permanent", "snooze", "cancel"],
)
async def test_errors_mean_the_same_as_in_other_handlers(
    rig: Rig, error: Exception, state: State, outcome: type
):
    async def handler(chunk: Orders) -> None:
        raise error

    chunk_type(rig, handler, size=2)
    ids = await orders(rig, 2)
    async with rig.worker() as (_, watch):
        ends = await finished(watch, ids)

    assert {type(end.outcome) for end in ends} == {outcome}
    assert await states(rig, ids) == [state] * 2


async def test_retry_with_an_error_takes_its_back_off(rig: Rig):
    never = Retry(attempts=3, backoff=Backoff.fixed(10), on={KeyError: Backoff.fixed(77)})

    async def handler(chunk: Orders) -> None:
        chunk[0].retry(error=KeyError("a table names this one"))
        chunk[1].retry(error=Permanent("whatever it says"))
        chunk[2].retry(error=Exhausted("quota", retry_after=55))
        chunk[3].retry(error=Exhausted("quota", retry_after=55), delay=5)

    chunk_type(rig, handler, size=4, retry=never)
    ids = await orders(rig, 4)
    async with rig.worker() as (_, watch):
        await finished(watch, ids)

    due = [(await rig.read(one)).placement.due_at for one in ids]
    assert due == [rig.clock.now() + seconds * 1000 for seconds in (77, 10, 55, 5)]


async def test_message_that_cannot_be_read_fails_alone(rig: Rig):
    seen: list[int] = []

    def handle(chunk: Orders) -> None:
        seen.extend(one.payload.n for one in chunk)

    chunk_type(rig, as_kind("async", handle))
    first, second, third = await orders(rig, 3)
    job = await rig.read(second)
    await _with_payload(rig, job, '{"n":"not a number"}')
    async with rig.worker() as (_, watch):
        await finished(watch, [first, second, third])

    assert seen == [0, 2]
    assert await states(rig, [first, second, third]) == [
        State.COMPLETED,
        State.FAILED,
        State.COMPLETED,
    ]


async def _with_payload(rig: Rig, job: Job, payload: str) -> None:
    """Writes a payload that no enqueue would have accepted, as an older program may have."""
    await rig.store._database.write(
        lambda at: at.db.execute("update body set payload = ? where seq = ?", (payload, job.seq))
    )


async def test_last_attempt_is_called_by_itself(rig: Rig):
    """Nobody ends failed because of another message."""
    sizes: list[int] = []

    async def handler(chunk: Orders) -> None:
        sizes.append(len(chunk))
        if any(one.payload.n == 1 for one in chunk):
            raise ValueError("poison")

    chunk_type(rig, handler, retry=Retry(attempts=2, backoff=Backoff.fixed(10)))
    ids = await orders(rig, 3)
    async with rig.worker() as (_, watch):
        await finished(watch, ids)
        rig.manual.advance(10)
        await finished(watch, ids, count=2)

    assert sizes == [3, 1, 1, 1]
    assert await states(rig, ids) == [State.COMPLETED, State.FAILED, State.COMPLETED]

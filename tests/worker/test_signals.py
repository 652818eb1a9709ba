"""A signal reaches the job that waits for it, whenever it is sent, and once, on every store."""

import asyncio
import json
from typing import Any

import pytest

from headrace.core.outcomes import Failed, Succeeded
from headrace.core.policy import ErrorClass
from headrace.core.states import State
from headrace.core.steps import MAX_SIGNALS, Signal
from headrace.engine.context import Context
from headrace.errors import IllegalMove, InvalidInput, JobNotFound, SignalTimeout, TooLarge
from tests.builders import NAMESPACE
from tests.worker.rig import PATIENCE, Rig, completed, suspended

HOUR = 3600


def waiting_type(rig: Rig, *, timeout: float | None = None) -> None:
    """A job type that returns the payloads of two signals, and tells of a time-out."""

    @rig.job(name="order")
    async def order(ctx: Context) -> list[Any]:
        try:
            return [await ctx.wait_for("approved", timeout=timeout) for _ in range(2)]
        except SignalTimeout as error:
            return [error.signal]


async def test_signals_sent_before_the_job_starts_are_there(stored: Rig):
    waiting_type(stored)
    job_id = await stored.enqueue("order")
    await stored.operations.signal(job_id, "approved", 1)
    await stored.operations.signal(job_id, "other", 2)
    await stored.operations.signal(job_id, "approved", 3)

    async with stored.worker() as (_, watch):
        result = await completed(stored, watch, job_id)

    assert result == [1, 3]
    assert (await stored.read(job_id)).placement.starts == 1


async def test_signal_wakes_the_job_that_waits_for_it_at_once(stored: Rig):
    waiting_type(stored)
    job_id = await stored.enqueue("order")
    async with stored.worker() as (_, watch):
        await suspended(watch, job_id)
        await stored.operations.signal(job_id, "approved", "first")
        await suspended(watch, job_id, count=2)
        await stored.operations.signal(job_id, "approved", "second")
        finished = await watch.finished(job_id, count=3)

    assert finished.outcome == Succeeded(result='["first","second"]')


async def test_signal_of_another_name_wakes_nobody(stored: Rig):
    waiting_type(stored)
    job_id = await stored.enqueue("order")
    async with stored.worker() as (_, watch):
        await suspended(watch, job_id)
    waiting = await stored.read(job_id)

    await stored.operations.signal(job_id, "other")

    assert await stored.read(job_id) == waiting


async def test_repeated_signal_answers_one_wait_only(stored: Rig):
    waiting_type(stored)
    job_id = await stored.enqueue("order")
    for _ in range(3):
        await stored.operations.signal(job_id, "approved", "once", key="delivery-1")
    async with stored.worker() as (_, watch):
        await suspended(watch, job_id)
        await stored.operations.signal(job_id, "approved", "twice", key="delivery-2")
        finished = await watch.finished(job_id, count=2)

    assert finished.outcome == Succeeded(result='["once","twice"]')


async def test_what_a_wait_was_given_stays_when_the_attempt_is_repeated(stored: Rig):
    @stored.job(name="order")
    async def order(ctx: Context) -> list[Any]:
        first = await ctx.wait_for("approved")
        if ctx.attempt == 1:
            raise ValueError("after the wait")
        return [first, await ctx.wait_for("approved")]

    job_id = await stored.enqueue("order")
    for payload in ("one", "two"):
        await stored.operations.signal(job_id, "approved", payload)
    async with stored.worker() as (_, watch):
        result = await completed(stored, watch, job_id)

    assert result == ["one", "two"]


async def test_wait_times_out_in_every_later_attempt_too(stored: Rig):
    @stored.job(name="order")
    async def order(ctx: Context) -> Any:
        try:
            await ctx.wait_for("approved", timeout=HOUR)
        except SignalTimeout as error:
            if ctx.attempt == 1:
                raise ValueError("once more") from error
            return await ctx.wait_for("approved", timeout=HOUR)
        return "not in time"

    job_id = await stored.enqueue("order")
    async with stored.worker() as (_, watch):
        await suspended(watch, job_id)
        stored.manual.advance(HOUR)
        await watch.finished(job_id, count=2)
        await stored.operations.signal(job_id, "approved", "late")
        stored.manual.advance(10)
        finished = await watch.finished(job_id, count=3)

    assert finished.outcome == Succeeded(result='"late"')


async def test_time_out_that_is_let_out_fails_the_job_at_once(stored: Rig):
    @stored.job(name="order")
    async def order(ctx: Context) -> None:
        await ctx.wait_for("approved", timeout=0)

    job_id = await stored.enqueue("order")
    async with stored.worker() as (_, watch):
        finished = await watch.finished(job_id)

    assert isinstance(finished.outcome, Failed)
    assert finished.outcome.error.error_class is ErrorClass.PERMANENT
    assert (await stored.read(job_id)).state is State.FAILED


@pytest.mark.parametrize("step", ["written", "sent"])
@pytest.mark.parametrize("moment", ["before the look", "between look and write", "after the write"])
async def test_no_signal_is_lost_between_the_wait_and_its_sender(
    stored: Rig, monkeypatch: pytest.MonkeyPatch, step: str, moment: str
):
    """``written``: the sender is slow, and wakes the job only after the waiter has given it back."""
    waiting_type(stored, timeout=HOUR)
    job_id = await stored.enqueue("order")
    await stored.operations.signal(job_id, "approved", 1)
    sending = _Sending(stored, job_id, step)
    apply, kept = stored.store.apply, stored.store.kept

    async def applying(transitions, *, now):
        ours = [one for one in transitions if one.placement.due_at and one.job.state is State.PROCESSING]
        if ours and moment == "between look and write":
            await sending.begin()
        answers = await apply(transitions, now=now)
        if ours and moment == "after the write":
            await sending.begin()
        return answers

    async def looking(namespace, one_id, *, now):
        running = (await stored.read(job_id)).state is State.PROCESSING
        if moment == "before the look" and running and await _has_open_wait(kept, job_id, now):
            await sending.begin()
        return await kept(namespace, one_id, now=now)

    monkeypatch.setattr(stored.store, "apply", applying)
    monkeypatch.setattr(stored.store, "kept", looking)
    async with stored.worker() as (_, watch), asyncio.timeout(PATIENCE):
        await suspended(watch, job_id)
        await sending.end()
        finished = await watch.finished(job_id, count=2)

    assert finished.outcome == Succeeded(result="[1,2]")


async def test_job_that_has_ended_or_is_not_there_takes_no_signal(stored: Rig):
    waiting_type(stored)
    job_id = await stored.enqueue("order")
    await stored.operations.cancel(job_id)

    with pytest.raises(IllegalMove):
        await stored.operations.signal(job_id, "approved")
    with pytest.raises(JobNotFound):
        await stored.operations.signal("no-such-job", "approved")


async def test_signal_that_cannot_be_kept_is_refused(rig: Rig):
    waiting_type(rig)
    job_id = await rig.enqueue("order")

    with pytest.raises(InvalidInput):
        await rig.operations.signal(job_id, "no name")
    with pytest.raises(TooLarge):
        await rig.operations.signal(job_id, "approved", "x" * 70_000)
    with pytest.raises(InvalidInput):
        await rig.operations.signal(job_id, "approved", key="")
    for n in range(MAX_SIGNALS):
        signal = Signal(id=str(n), name="approved", at=n, payload=json.dumps(n))
        await rig.store.signal(NAMESPACE, job_id, signal)
    with pytest.raises(TooLarge):
        await rig.operations.signal(job_id, "approved", key="one more")
    await rig.operations.signal(job_id, "approved", key="7")
    assert len((await rig.operations.steps(job_id)).signals) == MAX_SIGNALS


class _Sending:
    """Sends a second signal once: at one go, or written now and the job woken only at the end."""

    def __init__(self, rig: Rig, job_id: str, step: str) -> None:
        self._rig = rig
        self._job_id = job_id
        self._step = step
        self._begun = False

    async def begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        if self._step == "sent":
            await self._rig.operations.signal(self._job_id, "approved", 2)
        else:
            signal = Signal(id="slow", name="approved", at=self._rig.clock.now(), payload="2")
            await self._rig.store.signal(NAMESPACE, self._job_id, signal)

    async def end(self) -> None:
        assert self._begun
        if self._step == "written":
            await self._rig.operations._signals._wake(self._job_id, "approved")


async def _has_open_wait(kept: Any, job_id: str, now: int) -> bool:
    found = await kept(NAMESPACE, job_id, now=now)
    return any(step.until is not None and step.ended_at is None for step in found.steps)

"""What users do at the source while its jobs are moved, and after that."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from headrace.core.outcomes import CancelAsked
from headrace.core.steps import Signal
from headrace.core.unique import OnConflict, Unique
from headrace.errors import StoreUnavailable
from headrace.moving.mover import Wishes, move
from headrace.moving.sides import MoveRefused
from headrace.stores.protocol import Receipt
from tests.builders import (
    HOUR,
    NAMESPACE,
    NOW,
    a_hello,
    a_job,
    claim,
    enqueue,
    enqueued,
    happen,
    read,
    settle,
)
from tests.moving.faulty import Faulty
from tests.moving.scene import a_side, moved, paused, seen, surroundings


class Meddling(Faulty):
    """Calls ``meddle`` once, after the first jobs have been taken in."""

    def __init__(self, store, meddle: Callable[[], Awaitable[object]] | None) -> None:
        self._store = store
        self._meddle = meddle

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def adopt(self, namespace, adoption):
        taken = await self._store.adopt(namespace, adoption)
        if adoption.jobs and self._meddle is not None:
            meddle, self._meddle = self._meddle, None
            await meddle()
        return taken


async def moved_while(files, clock, meddle: Callable[[], Awaitable[object]]):
    here, there = await a_side(files.source, clock), await a_side(files.target, clock)
    there = replace(there, store=Meddling(files.target, meddle))
    return await move(here, there, Wishes(), surroundings(clock))


async def test_a_job_that_is_enqueued_meanwhile_comes_along(pair, clock):
    await enqueue(pair.source, a_job())
    new = a_job(queue="new-queue")

    report = await moved_while(pair, clock, lambda: enqueue(pair.source, new))

    assert (report.verified, report.moved) == (True, 2)
    assert await seen(pair.target) == await seen(pair.source)
    assert await paused(pair.source) == {"default": True, "new-queue": True}
    assert await paused(pair.target) == {"default": False, "new-queue": False}


async def test_a_job_that_is_cancelled_meanwhile_is_cancelled_at_the_target(pair, clock):
    job = await enqueued(pair.source)

    report = await moved_while(pair, clock, lambda: happen(pair.source, job, CancelAsked()))

    there = await read(pair.target, job.id)
    assert report.verified, report.differences
    assert report.mended == 1
    assert there.placement == (await read(pair.source, job.id)).placement
    assert there.placement.terminal


async def test_a_payload_that_is_replaced_meanwhile_is_replaced_at_the_target(pair, clock):
    unique = Unique(key="k", on_conflict=OnConflict.REPLACE)
    job = await enqueued(pair.source, a_job(unique=unique))
    newer = a_job(unique=unique, payload='{"n":2}', tags=("newer",), priority=5)

    report = await moved_while(pair, clock, lambda: enqueue(pair.source, newer))

    assert report.verified, report.differences
    assert (await read(pair.target, job.id)).facts.payload == '{"n":2}'
    assert await seen(pair.target) == await seen(pair.source)


async def test_a_signal_that_is_sent_meanwhile_arrives(pair, clock):
    job = await enqueued(pair.source)
    signal = Signal(id="s", name="paid", at=NOW, payload="1")

    report = await moved_while(pair, clock, lambda: pair.source.signal(NAMESPACE, job.id, signal))

    assert report.verified, report.differences
    assert (await pair.target.kept(NAMESPACE, job.id, now=NOW)).signals == (signal,)


async def test_a_job_that_a_worker_claims_meanwhile_is_not_moved_while_it_runs(pair, clock):
    await enqueue(pair.source, a_job())
    new = a_job(queue="new-queue")

    async def work() -> None:
        await enqueue(pair.source, new)
        assert len(await claim(pair.source, queues={"new-queue": 1})) == 1

    with pytest.raises(MoveRefused, match=new.facts.id):
        await moved_while(pair, clock, work)
    assert new.facts.id not in await seen(pair.target)
    running = await read(pair.source, new.facts.id)
    await settle(pair.source, running)
    report = await moved(pair.source, pair.target, clock)

    assert report.verified, report.differences
    assert len(await seen(pair.target)) == 1


async def test_what_cannot_be_brought_up_to_date_is_named(files, clock):
    job = await enqueued(files.source)

    async def strange() -> None:
        await enqueue(files.target, a_job(queue="elsewhere"))

    report = await moved_while(files, clock, strange)

    assert not report.verified
    assert len(report.differences) == 2
    assert any("only at the target" in one for one in report.differences)
    assert (await paused(files.target))["default"]
    assert job.id in await seen(files.target)


@pytest.fixture
def late_job():
    return a_job(queue="late", receipt=Receipt(key="idempotency:late", until=NOW + HOUR, body="b"))


async def test_late_jobs_are_taken_along_by_another_run(pair, clock, late_job):
    first = await enqueued(pair.source)
    await moved(pair.source, pair.target, clock)
    (running,) = await claim(pair.target)
    await settle(pair.target, running)
    await enqueue(pair.source, late_job)

    report = await moved(pair.source, pair.target, clock)
    (late,) = await claim(pair.target, queues={"late": 5})
    await settle(pair.target, late)
    assert await pair.target.erase(now=NOW + 10 * HOUR, limit=10) == 2
    again = await moved(pair.source, pair.target, clock)

    assert (report.late, report.moved, report.verified) == (True, 1, True)
    assert again.moved == 0
    assert late.id == late_job.facts.id
    assert await pair.target.get(NAMESPACE, [first.id, late.id]) == {}
    (answer,) = await enqueue(pair.target, replace(a_job(), receipt=late_job.receipt))
    assert answer.job_id == late_job.facts.id


async def test_a_job_that_ended_at_the_target_is_never_brought_again(pair, clock):
    job = await enqueued(pair.source)
    await moved(pair.source, pair.target, clock)
    (running,) = await claim(pair.target)
    await settle(pair.target, running)
    assert await pair.target.erase(now=NOW + 10 * HOUR, limit=10) == 1

    report = await moved(pair.source, pair.target, clock)

    assert report.moved == 0
    assert await pair.target.get(NAMESPACE, [job.id]) == {}


async def test_a_late_job_whose_key_is_held_at_the_target_stays_and_is_named(files, clock):
    await enqueue(files.source, a_job())
    await moved(files.source, files.target, clock)
    held = await enqueued(files.target, a_job(unique=Unique(key="k")))
    late = await enqueued(files.source, a_job(unique=Unique(key="k")))

    report = await moved(files.source, files.target, clock)

    assert (report.moved, report.verified) == (0, False)
    assert late.id in report.differences[0]
    assert held.id in await seen(files.target)


class Opening(Meddling):
    """Is away after the first queue has been given back."""

    async def set_paused(self, namespace, queue, *, paused):
        await self._store.set_paused(namespace, queue, paused=paused)
        if not paused:
            raise StoreUnavailable("away")


async def test_a_move_that_dies_while_it_hands_over_never_undoes_what_the_target_has_done(pair, clock):
    job = await enqueued(pair.source)
    here, there = await a_side(pair.source, clock), await a_side(pair.target, clock)
    opening = replace(there, store=Opening(pair.target, None))
    with pytest.raises(StoreUnavailable):
        await move(here, opening, Wishes(), surroundings(clock))
    await pair.target.hello(a_hello())
    (running,) = await claim(pair.target)
    await settle(pair.target, running)

    report = await move(here, there, Wishes(), surroundings(clock))

    assert (report.verified, report.moved, report.late) == (True, 0, False)
    assert (await read(pair.target, job.id)).placement.terminal
    assert (await move(here, there, Wishes(), surroundings(clock))).late

"""What ends a call of a chunk, or one message of it, from outside."""

import asyncio
import threading

import pytest

from headrace.core.backoff import Backoff
from headrace.core.chunk import ChunkRule
from headrace.core.outcomes import Failed, Released, Rescued, Stopped, Succeeded
from headrace.core.policy import ErrorClass
from headrace.core.states import State
from headrace.engine.chunk_work import ChunkClaim
from headrace.engine.registry import Retry
from headrace.stores.protocol import Applied
from headrace.upkeep.rescue import Rescue
from headrace.worker.events import LeaseGone, Renewed
from tests.builders import HOUR, claim, decided
from tests.worker.chunking import Orders, as_kind, chunk_type, finished, orders, states
from tests.worker.rig import Inside, Rig, organs_of, until


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_time_limit_is_that_of_the_call(rig: Rig, kind: str):
    release = threading.Event()

    async def handler(chunk: Orders) -> None:
        chunk[0].ack()
        await asyncio.Event().wait()

    def plain(chunk: Orders) -> None:
        chunk[0].ack()
        release.wait(60)

    chunk_type(rig, handler if kind == "async" else plain, timeout=0.2)
    ids = await orders(rig, 3)
    async with rig.worker() as (worker, watch):
        await watch.finished(ids[0])
        if kind == "thread":
            await until(lambda: any(one.stopping for one in organs_of(worker).buffer.running))
            release.set()
        ends = await finished(watch, ids)

    assert ends[0].outcome == Succeeded()
    assert [one.outcome.error.error_class for one in ends[1:] if isinstance(one.outcome, Failed)] == [
        ErrorClass.TIMEOUT,
        ErrorClass.TIMEOUT,
    ]
    assert await states(rig, ids) == [State.COMPLETED, State.PENDING, State.PENDING]


async def test_c23_messages_of_a_call_that_does_not_stop_are_overdue_but_for_those_answered(rig: Rig):
    release = threading.Event()

    def plain(chunk: Orders) -> None:
        chunk[0].ack()
        release.wait(60)

    chunk_type(rig, plain, timeout=0.05)
    ids = await orders(rig, 3)
    async with rig.worker() as (_, watch):
        async with asyncio.timeout(60):
            while [(await rig.read(one)).timed_out_at is None for one in ids] != [True, False, False]:
                await asyncio.sleep(0.005)
        overdue = await states(rig, ids)
        release.set()
        await finished(watch, ids)

    assert overdue == [State.COMPLETED, State.PROCESSING, State.PROCESSING]
    assert [(await rig.read(one)).placement.failures for one in ids] == [0, 1, 1]


async def test_c13_leases_of_all_messages_are_renewed_until_they_are_answered(stored: Rig):
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def handler(chunk: Orders) -> None:
        chunk[0].ack()
        inside.set()
        await go_on.wait()

    chunk_type(stored, handler)
    ids = await orders(stored, 3)
    async with stored.worker(renew_every_ms=20) as (_, watch):
        await inside.wait()
        await watch.finished(ids[0])
        seen = len(watch.all(Renewed))
        stored.manual.advance(20)
        await watch.wait(Renewed, count=seen + 2)
        renewed = watch.all(Renewed)[seen + 1 :]
        leases = [(await stored.read(one)).placement.lease_until for one in ids]
        go_on.set()
        await finished(watch, ids)

    assert {frozenset(ids[1:])} <= {one.job_ids for one in renewed}
    assert all(ids[0] not in one.job_ids for one in renewed)
    assert leases == [None, stored.clock.now() + 30_000, stored.clock.now() + 30_000]


async def test_c15_lost_lease_drops_that_message_only(stored: Rig):
    inside, go_on = asyncio.Event(), asyncio.Event()
    told: list[tuple[bool, bool]] = []

    async def handler(chunk: Orders) -> None:
        inside.set()
        await go_on.wait()
        told.extend((one.cancelled, one.ack()) for one in chunk)

    chunk_type(stored, handler)
    ids = await orders(stored, 3)
    async with stored.worker(name="a", renew_every_ms=20) as (_, watch):
        await inside.wait()
        await _taken_away(stored, ids[1])
        await watch.wait(LeaseGone, ids[1])
        go_on.set()
        await finished(watch, [ids[0], ids[2]])

    lost = await stored.read(ids[1])
    assert told == [(False, True), (True, False), (False, True)]
    assert await states(stored, ids) == [State.COMPLETED, State.PROCESSING, State.COMPLETED]
    assert (lost.fence, lost.placement.worker) == (2, "thief")


async def test_call_stops_when_no_message_is_left(stored: Rig):
    stopped = asyncio.Event()

    async def handler(chunk: Orders) -> None:
        chunk[0].ack()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    chunk_type(stored, handler)
    ids = await orders(stored, 3)
    async with stored.worker(name="a", renew_every_ms=20) as (_, watch):
        await watch.finished(ids[0])
        await _taken_away(stored, ids[1])
        await stored.operations.cancel(ids[2])
        async with asyncio.timeout(60):
            await stopped.wait()
        last = await watch.finished(ids[2])

    assert isinstance(last.outcome, Stopped)
    assert (await stored.read(ids[2])).state is State.CANCELLED


async def _taken_away(rig: Rig, job_id: str) -> None:
    """A rescuer takes a message away, and another worker claims it."""
    job = await rig.read(job_id)
    later = (job.placement.lease_until or 0) + HOUR
    (answer,) = await rig.store.apply([decided(job, Rescued(), now=later)], now=later)
    assert answer == Applied()
    (again,) = await claim(rig.store, n=1, now=later + HOUR, worker="thief", types=frozenset({"orders"}))
    assert again.id == job_id


async def test_c25_cancel_of_one_message_leaves_the_others(rig: Rig):
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def handler(chunk: Orders) -> None:
        inside.set()
        await go_on.wait()
        for one in chunk:
            if not one.cancelled:
                one.ack()
        raise ValueError("for those without an answer")

    chunk_type(rig, handler)
    ids = await orders(rig, 3)
    async with rig.worker(renew_every_ms=20) as (worker, watch):
        await inside.wait()
        await rig.operations.cancel(ids[1])
        await until(lambda: any(one.stopping for one in organs_of(worker).holdings.all()))
        go_on.set()
        await finished(watch, ids)

    assert await states(rig, ids) == [State.COMPLETED, State.CANCELLED, State.COMPLETED]


async def test_c26_cancelled_message_that_is_done_after_all_is_completed(rig: Rig):
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def handler(chunk: Orders) -> None:
        inside.set()
        await go_on.wait()

    chunk_type(rig, handler)
    ids = await orders(rig, 3)
    async with rig.worker(renew_every_ms=20) as (worker, watch):
        await inside.wait()
        await rig.operations.cancel(ids[1])
        await until(lambda: any(one.stopping for one in organs_of(worker).holdings.all()))
        go_on.set()
        await finished(watch, ids)

    assert await states(rig, ids) == [State.COMPLETED] * 3


async def test_c20_shutdown_gives_unanswered_messages_back_uncharged(stored: Rig):
    async def handler(chunk: Orders) -> None:
        chunk[0].ack()
        await asyncio.Event().wait()

    chunk_type(stored, handler)
    ids = await orders(stored, 3)
    async with stored.worker() as (worker, watch):
        await watch.finished(ids[0])
        await worker.stop(grace_ms=0)
        ends = await finished(watch, ids)

    jobs = [await stored.read(one) for one in ids]
    assert [type(end.outcome) for end in ends] == [Succeeded, Released, Released]
    assert [job.state for job in jobs] == [State.COMPLETED, State.PENDING, State.PENDING]
    assert {(job.placement.failures, job.placement.crashes) for job in jobs} == {(0, 0)}


async def test_c20_shutdown_gives_unstarted_messages_back_uncharged(rig: Rig):
    go_on, inside = threading.Event(), Inside()

    def plain(chunk: Orders) -> None:
        if chunk[0].attempt == 1:
            raise ValueError("each has its last attempt for itself")
        inside.say()
        go_on.wait(60)

    chunk_type(rig, plain, retry=Retry(attempts=2, backoff=Backoff.fixed(10)))
    ids = await orders(rig, 3)
    async with rig.worker(threads=1) as (worker, watch):
        await finished(watch, ids)
        rig.manual.advance(10)
        await inside.wait()
        worker.quiet()
        given_back = await finished(watch, ids[1:], count=2)
        go_on.set()
        await watch.finished(ids[0], count=2)

    jobs = [await rig.read(one) for one in ids]
    assert [type(one.outcome) for one in given_back] == [Released] * 2
    assert [job.state for job in jobs] == [State.COMPLETED, State.PENDING, State.PENDING]
    assert [(job.placement.failures, job.placement.releases) for job in jobs[1:]] == [(1, 1)] * 2


async def test_c22_messages_of_a_lost_worker_are_called_by_themselves(stored: Rig):
    sizes: list[int] = []
    chunk_type(stored, as_kind("async", lambda chunk: sizes.append(len(chunk))))
    ids = await orders(stored, 3)
    lost = await stored.work().claim_chunk(
        ChunkClaim(
            worker="lost",
            queues=("default",),
            type="orders",
            rule=ChunkRule(max_size=3, max_wait_ms=0),
            lease_ms=30_000,
        )
    )
    stored.manual.advance(31)
    await Rescue(stored.store, stored.clock).run_once()
    stored.manual.advance(60)
    ids += await orders(stored, 3)

    async with stored.worker() as (_, watch):
        await finished(watch, ids)

    jobs = [await stored.read(one) for one in ids]
    assert len(lost.jobs) == 3
    assert sorted(sizes) == [1, 1, 1, 3]
    assert [job.placement.crashes for job in jobs] == [1, 1, 1, 0, 0, 0]
    assert {job.state for job in jobs} == {State.COMPLETED}

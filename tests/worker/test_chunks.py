"""Chunks in a worker: when one is claimed, and what shares the worker with it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from headrace.core.job import AttemptOutcome
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.engine.work import LocalWork
from headrace.worker.events import Finished, Polled, Started
from tests.worker.chunking import WAIT_S, Order, Orders, as_kind, chunk_type, finished, orders, states
from tests.worker.rig import Rig, until


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_handler_is_called_once_for_a_full_chunk(stored: Rig, kind: str):
    seen: list[list[tuple[Order, str, int]]] = []

    def handle(chunk: Orders) -> None:
        seen.append([(one.payload, one.job.id, one.attempt) for one in chunk])

    chunk_type(stored, as_kind(kind, handle))
    ids = await orders(stored, 3)
    async with stored.worker() as (_, watch):
        await finished(watch, ids)

    assert seen == [[(Order(n), one, 1) for n, one in enumerate(ids)]]
    assert await states(stored, ids) == [State.COMPLETED] * 3
    for one in ids:
        assert [attempt.outcome for attempt in (await stored.history(one)).attempts] == [
            AttemptOutcome.SUCCEEDED
        ]


async def test_fewer_messages_wait_and_hold_no_lease_meanwhile(stored: Rig):
    sizes: list[int] = []
    chunk_type(stored, as_kind("async", lambda chunk: sizes.append(len(chunk))))
    ids = await orders(stored, 2)

    async with stored.worker() as (_, watch):
        await watch.wait(Polled, count=6)
        waiting = [await stored.read(one) for one in ids]
        stored.manual.advance(WAIT_S)
        await finished(watch, ids)

    assert [(job.state, job.fence, job.placement.lease_until) for job in waiting] == [
        (State.PENDING, 0, None)
    ] * 2
    assert sizes == [2]


async def test_chunk_is_full_with_the_last_message_that_comes(rig: Rig):
    sizes: list[int] = []
    chunk_type(rig, as_kind("async", lambda chunk: sizes.append(len(chunk))))

    async with rig.worker() as (_, watch):
        ids = await orders(rig, 2)
        await watch.wait(Polled, count=6)
        ids += await orders(rig, 1)
        await finished(watch, ids)

    assert sizes == [3]


async def test_two_workers_share_chunks_and_never_split_one(stored: Rig):
    sizes: list[int] = []
    chunk_type(stored, as_kind("async", lambda chunk: sizes.append(len(chunk))), size=5)

    async with stored.worker(name="a") as (_, first), stored.worker(name="b") as (_, second):
        ids = await orders(stored, 40)
        await until(lambda: len(first.all(Finished)) + len(second.all(Finished)) == 40)

    assert sizes == [5] * 8
    assert await states(stored, ids) == [State.COMPLETED] * 40


async def test_chunk_is_not_claimed_while_no_slot_is_free(rig: Rig):
    go_on = asyncio.Event()

    async def handler(chunk: Orders) -> None:
        await go_on.wait()

    chunk_type(rig, handler, size=2)
    ids = await orders(rig, 4)
    async with rig.worker(concurrency=1) as (_, watch):
        await watch.started(ids[0])
        await rig.operations.pause("elsewhere")  # a round trip, in which the feed could have claimed more
        waiting = await states(rig, ids)
        go_on.set()
        await finished(watch, ids)

    assert waiting == [State.PROCESSING] * 2 + [State.PENDING] * 2


async def test_chunks_and_other_jobs_of_a_queue_take_turns(stored: Rig):
    chunk_type(stored, as_kind("async", lambda chunk: None), size=5)

    @stored.job(name="plain")
    async def plain() -> None: ...

    ids: list[str] = []
    for _ in range(10):
        ids += await orders(stored, 5)
        ids += await stored.enqueue_many("plain", 5)
    async with stored.worker(concurrency=2) as (_, watch):
        await watch.wait(Finished, count=100)

    assert await states(stored, ids) == [State.COMPLETED] * 100
    kinds = [event.job.facts.type for event in watch.all(Started)]
    assert 0 < kinds.index("plain") < 95 or kinds[0] == "plain"
    assert kinds.index("orders") < 60


async def test_other_jobs_on_a_queue_of_chunks_are_found(rig: Rig):
    chunk_type(rig, as_kind("async", lambda chunk: None), size=5, queue="bulk")

    @rig.job(name="plain")
    async def plain() -> None: ...

    ids = await rig.enqueue_many("plain", 30, queue="bulk")
    async with rig.worker(batch=10) as (_, watch):
        await watch.wait(Finished, count=30)

    assert await states(rig, ids) == [State.COMPLETED] * 30


async def test_c47_other_jobs_are_found_beside_many_chunks_without_a_hint(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    async def never(*_: object, **__: object) -> bool:
        await asyncio.Event().wait()
        return False

    monkeypatch.setattr(LocalWork, "woken", never)
    chunk_type(rig, as_kind("async", lambda chunk: None), size=1)

    @rig.job(name="plain")
    async def plain() -> None: ...

    await rig.operations.enqueue([EnqueueRequest(type="orders", payload={"n": n}) for n in range(600)])
    async with rig.worker(poll_ms=50) as (_, watch):
        await watch.wait(Finished)
        await rig.enqueue("plain")
        await watch.wait(Finished, count=601)

    order = [event.job.facts.type for event in watch.all(Finished)]
    assert "plain" in order[:500]


async def test_c43_pause_of_the_queue_holds_chunks_back(rig: Rig):
    chunk_type(rig, as_kind("async", lambda chunk: None), size=2, wait=0)
    await rig.operations.pause("default")
    ids = await orders(rig, 2)
    async with rig.worker() as (_, watch):
        await watch.wait(Polled, count=5)
        paused = await states(rig, ids)
        await rig.operations.resume("default")
        await finished(watch, ids)

    assert paused == [State.PENDING] * 2


async def test_c16_message_of_a_newer_version_waits_parked_and_the_others_run(rig: Rig):
    sizes: list[int] = []
    chunk_type(rig, as_kind("async", lambda chunk: sizes.append(len(chunk))), version=2)
    newer = await orders(rig, 1)
    rig.registry = type(rig.registry)()
    rig.operations._registry = rig.registry
    chunk_type(rig, as_kind("async", lambda chunk: sizes.append(len(chunk))))
    ids = await orders(rig, 2)
    async with rig.worker() as (_, watch):
        await finished(watch, ids)
        await finished(watch, newer)

    assert sizes == [2]
    assert (await rig.read(newer[0])).placement.parked_on == "type:orders@2"


async def test_older_messages_are_carried_forward(rig: Rig):
    chunk_type(rig, as_kind("async", lambda chunk: None))
    ids = await orders(rig, 1)
    seen: list[Order] = []
    rig.registry = type(rig.registry)()
    chunk_type(
        rig,
        as_kind("async", lambda chunk: seen.extend(one.payload for one in chunk)),
        version=2,
        upgrades={1: lambda old: {"n": old["n"] + 40}},
        wait=0,
    )
    async with rig.worker() as (_, watch):
        await finished(watch, ids)

    assert seen == [Order(40)]


async def test_lifespan_is_there_as_deps(rig: Rig):
    seen: list[object] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[str]:
        yield "a connection"

    chunk_type(rig, as_kind("async", lambda chunk: seen.append(chunk.deps)), size=1)
    ids = await orders(rig, 1)
    async with rig.worker(lifespan=lifespan) as (_, watch):
        await finished(watch, ids)

    assert seen == ["a connection"]

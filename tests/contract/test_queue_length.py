"""C8: bounded queues. Whoever adds to one counts what waits while nobody else can add (C6 all or nothing)."""

import asyncio
import json
from dataclasses import replace

import pytest

from headrace.core.outcomes import CancelAsked, Dropped, Parked
from headrace.core.queue_rules import DEPTHS, Overflow, QueueBound, drops
from headrace.core.states import State
from headrace.core.unique import Unique
from headrace.errors import QueueFull
from headrace.stores.protocol import InsertKind, Room, Swap
from tests.builders import (
    HOUR,
    NAMESPACE,
    NOW,
    QUEUE,
    SECOND,
    a_failure,
    a_job,
    apply,
    claim,
    decided,
    enqueue,
    enqueued,
    given_back_unstarted,
    happen,
    read,
    settle,
)
from tests.contract.reads import ids_of


def room(most: int, *, overflow: Overflow = Overflow.REJECT, queue: str = QUEUE) -> Room:
    return Room(bounds=(QueueBound(queue=queue, max_length=most, overflow=overflow),))


async def insert(store, *jobs, given: Room, now: int = NOW):
    return await store.insert(NAMESPACE, jobs, now=now, room=given)


async def dropping(store, most: int, *, limit: int = 100, queue: str = QUEUE) -> Room:
    """Room that the oldest waiting jobs make."""
    oldest = await store.oldest_waiting(NAMESPACE, queue, limit=limit)
    given = room(most, overflow=Overflow.DROP_OLDEST, queue=queue)
    return replace(given, drops=tuple(decided(job, Dropped()) for job in oldest))


async def dropped(store, queue: str = QUEUE) -> int:
    found = (await store.read(NAMESPACE, [DEPTHS + queue])).get(DEPTHS + queue)
    return drops(None if found is None else found.value)


async def test_c8_queue_takes_as_many_as_it_may(store):
    await insert(store, a_job(), a_job(), given=room(3))
    await insert(store, a_job(), given=room(3))

    with pytest.raises(QueueFull) as caught:
        await insert(store, a_job(), given=room(3))

    assert (caught.value.queue, caught.value.max_length) == (QUEUE, 3)
    assert (caught.value.waiting, caught.value.coming) == (3, 1)
    assert "try again later" in str(caught.value)


async def test_c8_bulk_that_does_not_fit_is_refused_whole(store):
    first = await enqueued(store)
    await insert(store, a_job(queue="other"), given=room(1, queue="other"))

    with pytest.raises(QueueFull):
        await insert(store, a_job(), a_job(queue="third"), a_job(), given=room(2))

    assert sorted(await ids_of(store)) == sorted(
        [first.id, *[job.id for job in await store.oldest_waiting(NAMESPACE, "other", limit=9)]]
    )
    assert await claim(store, queues={"third": 9}) == []


async def test_c8_whatever_waits_counts_and_nothing_else(store):
    due = await enqueued(store)
    await enqueued(store, a_job(due_at=NOW + HOUR))
    await enqueued(store, a_job(state=State.BLOCKED))
    running, failing, parked, done, gone = [await enqueued(store, a_job(priority=9)) for _ in range(5)]
    claimed = {job.id: job for job in await claim(store, n=5)}
    await settle(store, claimed[failing.id], a_failure())
    await apply(store, given_back_unstarted(claimed[parked.id], Parked(lane="limit:x")))
    await settle(store, claimed[done.id])
    await settle(store, claimed[gone.id])
    await happen(store, due, CancelAsked())
    waiting = 3  # delayed, to be retried, parked; not running, ended, blocked or cancelled

    await insert(store, a_job(), given=room(waiting + 1))
    with pytest.raises(QueueFull) as caught:
        await insert(store, a_job(), given=room(waiting + 1))

    assert caught.value.waiting == waiting + 1
    assert (await read(store, running.id)).state is State.PROCESSING


async def test_c8_queues_and_namespaces_are_counted_apart(store):
    await enqueue(store, a_job(queue="other"), a_job(queue="other"))
    await enqueue(store, a_job(namespace="other"))

    await insert(store, a_job(), given=room(1))

    with pytest.raises(QueueFull):
        await insert(store, a_job(queue="other"), given=room(1, queue="other"))


async def test_c8_job_that_an_existing_one_answers_needs_no_room(store):
    key = Unique(key="k")
    first = await enqueued(store, a_job(unique=key))

    (answer,) = await insert(store, a_job(unique=key), given=room(1))

    assert (answer.kind, answer.job_id) == (InsertKind.EXISTING, first.id)


async def test_c8_blocked_job_needs_no_room(store):
    await enqueued(store)

    (answer,) = await insert(store, a_job(state=State.BLOCKED), given=room(1))

    assert answer.kind is InsertKind.INSERTED


async def test_c8_swaps_of_a_refused_insert_are_not_made(store):
    await enqueued(store)

    with pytest.raises(QueueFull):
        await store.insert(
            NAMESPACE, (a_job(),), now=NOW, swaps=(Swap(key="x", revision=0, value="1"),), room=room(1)
        )

    assert await store.read(NAMESPACE, ["x"]) == {}


async def test_c8_retry_is_never_refused(store):
    job = await enqueued(store, a_job())
    (running,) = await claim(store)
    await insert(store, a_job(), given=room(1))

    await settle(store, running, a_failure())

    assert (await read(store, job.id)).state is State.PENDING
    with pytest.raises(QueueFull):
        await insert(store, a_job(), given=room(1))


async def test_c8_producers_at_once_do_not_pass_the_bound(store):
    async def producer() -> int:
        count = 0
        for _ in range(6):
            try:
                await insert(store, a_job(), a_job(), given=room(25))
            except QueueFull:
                continue
            count += 2
        return count

    accepted = sum(await asyncio.gather(*(producer() for _ in range(12))))

    assert accepted == 24
    assert len(await claim(store, n=100)) == 24


async def test_c8_queues_of_crossing_bulks_do_not_wait_for_each_other_in_a_circle(store):
    both = Room(bounds=(room(400, queue="b").bounds[0], room(400, queue="a").bounds[0]))
    bulks = [(a_job(queue="a"), a_job(queue="b")), (a_job(queue="b"), a_job(queue="a"))]

    await asyncio.gather(
        *(
            insert(store, *(a_job(queue=job.facts.queue) for job in bulks[number % 2]), given=both)
            for number in range(40)
        )
    )

    assert len(await claim(store, n=100, queues={"a": 100, "b": 100})) == 80


async def test_oldest_waiting_jobs_give_way_to_newer_ones(store):
    oldest, older, young = [await enqueued(store, a_job(priority=p)) for p in (9, 0, 0)]

    answers = await insert(store, a_job(), a_job(), given=await dropping(store, 3))

    assert [answer.kind for answer in answers] == [InsertKind.INSERTED] * 2
    for job in (oldest, older):
        gone = await read(store, job.id)
        assert gone.state is State.CANCELLED
        assert json.loads(gone.placement.error)["type"] == "QueueFull"
        assert "'default' was full" in json.loads(gone.placement.error)["message"]
        assert gone.placement.erase_at == NOW + HOUR
    assert (await read(store, young.id)).state is State.PENDING
    assert await dropped(store) == 2


async def test_no_more_jobs_give_way_than_must(store):
    jobs = [await enqueued(store) for _ in range(5)]

    await insert(store, a_job(), given=await dropping(store, 5))

    states = [(await read(store, job.id)).state for job in jobs]
    assert states == [State.CANCELLED, *[State.PENDING] * 4]
    assert await dropped(store) == 1


async def test_running_job_never_gives_way(store):
    first = await enqueued(store)
    given = await dropping(store, 1)
    await claim(store)

    await insert(store, a_job(), given=given)

    assert (await read(store, first.id)).state is State.PROCESSING
    assert await dropped(store) == 0


async def test_job_that_changed_since_it_was_read_does_not_give_way(store):
    first = await enqueued(store)
    given = await dropping(store, 1)
    (running,) = await claim(store)
    await settle(store, running, a_failure())

    with pytest.raises(QueueFull):
        await insert(store, a_job(), given=given)

    assert (await read(store, first.id)).state is State.PENDING
    assert await dropped(store) == 0


async def test_nothing_is_dropped_if_the_insert_is_refused(store):
    first = await enqueued(store, a_job(unique=Unique(key="k")))
    given = await dropping(store, 1)
    both = Room(bounds=(*given.bounds, *room(1, queue="other").bounds), drops=given.drops)

    with pytest.raises(QueueFull):
        await insert(store, a_job(), a_job(queue="other"), a_job(queue="other"), given=both)

    assert (await read(store, first.id)).state is State.PENDING
    assert await dropped(store) == 0


async def test_unique_key_of_a_dropped_job_is_free(store):
    await enqueued(store, a_job(unique=Unique(key="k")))
    await insert(store, a_job(), given=await dropping(store, 1))

    (answer,) = await enqueue(store, a_job(unique=Unique(key="k")))

    assert answer.kind is InsertKind.INSERTED


async def test_drops_add_up(store):
    for _ in range(4):
        await insert(store, a_job(), a_job(), given=await dropping(store, 2))

    assert await dropped(store) == 6
    assert len(await claim(store)) == 2


async def test_oldest_waiting_are_those_inserted_first_of_the_queue(store):
    late = await enqueued(store, a_job(due_at=NOW + HOUR))
    urgent = await enqueued(store, a_job(priority=50))
    await enqueued(store, a_job(queue="other"))
    await enqueued(store, a_job(state=State.BLOCKED))
    failing = await enqueued(store, a_job(priority=99))
    (running,) = await claim(store, n=1)
    await apply(store, given_back_unstarted(running, Parked(lane="limit:x")))

    found = await store.oldest_waiting(NAMESPACE, QUEUE, limit=10)

    assert [job.id for job in found] == [late.id, urgent.id, failing.id]
    assert found[0] == await read(store, late.id)
    assert [job.id for job in await store.oldest_waiting(NAMESPACE, QUEUE, limit=1)] == [late.id]
    assert list(await store.oldest_waiting("other", QUEUE, limit=10)) == []


async def test_producers_at_once_that_drop_do_not_pass_the_bound(store):
    async def producer() -> int:
        count = 0
        for n in range(4):
            try:
                await insert(store, a_job(), given=await dropping(store, 10), now=NOW + n * SECOND)
            except QueueFull:
                continue  # another one dropped the same
            count += 1
        return count

    accepted = sum(await asyncio.gather(*(producer() for _ in range(8))))

    assert len(await claim(store, n=100, now=NOW + HOUR)) == min(10, accepted)
    assert await dropped(store) == max(0, accepted - 10)

"""A claim of a chunk: enough messages, or old ones, or none at all."""

import asyncio
from dataclasses import replace

import pytest

from headrace.core.outcomes import CancelAsked
from headrace.core.states import State
from headrace.stores.chunking import ChunkFound
from tests.builders import (
    HOUR,
    LEASE,
    MINUTE,
    NAMESPACE,
    NOW,
    QUEUE,
    SECOND,
    TYPE,
    WORKER,
    a_hello,
    a_job,
    claim,
    enqueue,
    enqueued,
    happen,
    read,
    renew,
    settle,
)
from tests.contract.chunking import WAIT, a_chunk, messages

OTHER = "plain"


async def test_chunk_is_claimed_as_soon_as_it_is_full(store):
    ids = await messages(store, 5)

    found = await store.claim_chunk(a_chunk())

    assert [job.id for job in found.jobs] == ids
    assert {(job.state, job.fence, job.placement.worker) for job in found.jobs} == {
        (State.PROCESSING, 1, WORKER)
    }
    assert {(await read(store, one)).placement.lease_until for one in ids} == {NOW + LEASE}


async def test_too_few_messages_are_left_as_they_are(store):
    ids = await messages(store, 4)
    before = await store.get(NAMESPACE, ids)

    found = await store.claim_chunk(a_chunk())

    assert found == ChunkFound(oldest_due_at=NOW)
    assert await store.get(NAMESPACE, ids) == before


@pytest.mark.parametrize(("early", "size"), [(1, 0), (0, 3)])
async def test_too_few_messages_are_claimed_once_the_oldest_has_waited(store, early, size):
    await messages(store, 2)
    await messages(store, 1, created_at=NOW + 5 * SECOND)

    found = await store.claim_chunk(a_chunk(now=NOW + WAIT - early))

    assert len(found.jobs) == size


async def test_wait_counts_from_when_a_message_is_due(store):
    await enqueue(store, a_job(due_at=NOW + HOUR))

    early = await store.claim_chunk(a_chunk(now=NOW + HOUR - 1))
    due = await store.claim_chunk(a_chunk(now=NOW + HOUR))
    ripe = await store.claim_chunk(a_chunk(now=NOW + HOUR + WAIT))

    assert early == ChunkFound()
    assert due == ChunkFound(oldest_due_at=NOW + HOUR)
    assert len(ripe.jobs) == 1


async def test_nothing_waits_says_so(store):
    assert await store.claim_chunk(a_chunk()) == ChunkFound()


async def test_c17_chunk_has_at_most_as_many_messages_as_asked(store):
    ids = await messages(store, 12)

    first = await store.claim_chunk(a_chunk())
    second = await store.claim_chunk(a_chunk())
    third = await store.claim_chunk(a_chunk())

    assert [job.id for job in (*first.jobs, *second.jobs)] == ids[:10]
    assert third == ChunkFound(oldest_due_at=NOW)


async def test_c39_messages_come_in_the_order_of_the_queue(store):
    low = await messages(store, 2, priority=-1)
    late = await messages(store, 2, due_at=NOW + SECOND)
    high = await messages(store, 2, priority=7)

    found = await store.claim_chunk(a_chunk(size=6, now=NOW + SECOND))

    assert [job.id for job in found.jobs] == [*high, *late, *low]


async def test_c39_oldest_of_all_priorities_decides(store):
    await messages(store, 1, created_at=NOW, priority=-5)
    await messages(store, 1, created_at=NOW + 20 * SECOND, priority=5)

    found = await store.claim_chunk(a_chunk(now=NOW + WAIT))

    assert len(found.jobs) == 2


async def test_messages_below_sixty_four_priorities_are_counted(store):
    await enqueue(store, *(a_job(priority=-n) for n in range(70)))

    found = await store.claim_chunk(a_chunk(size=70))

    assert [job.placement.priority for job in found.jobs] == [-n for n in range(70)]


async def test_other_types_of_the_queue_are_stepped_over(store):
    await store.hello(a_hello(types=frozenset({TYPE, OTHER})))
    plain = await messages(store, 20, type=OTHER)
    ids = await messages(store, 5)

    found = await store.claim_chunk(a_chunk())
    rest = await claim(store, n=50, types=frozenset({OTHER}))

    assert [job.id for job in found.jobs] == ids
    assert [job.id for job in rest] == plain


async def test_claim_of_other_types_leaves_messages_alone(store):
    await store.hello(a_hello(types=frozenset({TYPE, OTHER})))
    ids = await messages(store, 3)
    plain = await messages(store, 2, type=OTHER)

    rest = await claim(store, types=frozenset({OTHER}))

    assert [job.id for job in rest] == plain
    assert {(await read(store, one)).fence for one in ids} == {0}
    assert (await read(store, ids[0])).placement.due_at == NOW


async def test_chunk_comes_from_one_queue_only(store):
    await messages(store, 3, queue="a")
    await messages(store, 3, queue="b")

    few = await store.claim_chunk(a_chunk(queues=("a", "b")))
    old = await store.claim_chunk(a_chunk(queues=("a", "b"), now=NOW + WAIT))
    rest = await store.claim_chunk(a_chunk(queues=("a", "b"), now=NOW + WAIT))

    assert few == ChunkFound(oldest_due_at=NOW)
    assert [job.facts.queue for job in old.jobs] == ["a"] * 3
    assert [job.facts.queue for job in rest.jobs] == ["b"] * 3


async def test_queue_that_is_full_is_found_behind_one_that_is_not(store):
    await messages(store, 1, queue="a")
    await messages(store, 5, queue="b")

    found = await store.claim_chunk(a_chunk(queues=("a", "b")))

    assert [job.facts.queue for job in found.jobs] == ["b"] * 5


async def test_c43_paused_queue_gives_no_chunk(store):
    await messages(store, 5)
    await store.set_paused(NAMESPACE, QUEUE, paused=True)

    paused = await store.claim_chunk(a_chunk())
    await store.set_paused(NAMESPACE, QUEUE, paused=False)
    resumed = await store.claim_chunk(a_chunk())

    assert paused.jobs == ()
    assert len(resumed.jobs) == 5


async def test_c24_cancelled_message_does_not_count(store):
    await messages(store, 4)
    job = await enqueued(store)
    await happen(store, job, CancelAsked())

    assert await store.claim_chunk(a_chunk()) == ChunkFound(oldest_due_at=NOW)


async def test_c46_messages_of_other_namespaces_do_not_count(store):
    await messages(store, 4)
    await enqueue(store, a_job(namespace="elsewhere"))

    assert await store.claim_chunk(a_chunk()) == ChunkFound(oldest_due_at=NOW)


async def test_each_message_has_a_lease_and_an_outcome_of_its_own(store):
    ids = await messages(store, 2)
    first, second = (await store.claim_chunk(a_chunk(size=2))).jobs

    await settle(store, first, now=NOW + SECOND)
    await renew(store, second, now=NOW + 20 * SECOND)

    assert (await read(store, ids[0])).state is State.COMPLETED
    assert (await read(store, ids[1])).placement.lease_until == NOW + 20 * SECOND + LEASE


async def test_two_workers_never_hold_a_part_each(store):
    """However the claims meet, every chunk is full; what is left over is nobody's."""
    await messages(store, 95)

    found = await asyncio.gather(
        *(store.claim_chunk(a_chunk(size=10, worker=f"worker-{n % 4}")) for n in range(16))
    )

    chunks = [one.jobs for one in found if one.jobs]
    ids = [job.id for jobs in chunks for job in jobs]
    assert [len(jobs) for jobs in chunks] == [10] * 9
    assert len(set(ids)) == 90
    assert {one.oldest_due_at for one in found if not one.jobs} == {NOW}


async def test_old_messages_go_to_one_worker(store):
    await messages(store, 7)

    found = await asyncio.gather(
        *(store.claim_chunk(a_chunk(size=10, now=NOW + MINUTE, worker=f"worker-{n}")) for n in range(4))
    )

    assert sorted(len(one.jobs) for one in found) == [0, 0, 0, 7]


async def test_a_thousand_messages_make_one_chunk(store):
    await messages(store, 1_000)

    found = await store.claim_chunk(replace(a_chunk(size=1_000), queues=("empty", QUEUE)))

    assert len(found.jobs) == 1_000

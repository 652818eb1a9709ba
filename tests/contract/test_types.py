"""Jobs of a type that the claiming worker does not know."""

from dataclasses import replace

from headrace.core.outcomes import CancelAsked
from headrace.core.states import State
from headrace.stores.protocol import ParkedCount
from tests.builders import (
    HOUR,
    MINUTE,
    NAMESPACE,
    NOW,
    QUEUE,
    TYPE,
    a_hello,
    a_job,
    claim,
    enqueue,
    enqueued,
    happen,
    read,
)

KNOWS_OTHER = frozenset({"other"})
LANE = f"type:{TYPE}"


async def test_c16_type_that_nobody_knows_is_parked(store):
    job = await enqueued(store, a_job(due_at=NOW - HOUR, priority=3))

    assert await claim(store, types=KNOWS_OTHER) == []

    parked = await read(store, job.id)
    assert parked.state is State.PENDING
    assert (parked.placement.due_at, parked.placement.parked_on) == (None, LANE)


async def test_c16_parked_job_keeps_its_rank_and_is_charged_nothing(store):
    job = await enqueued(store, a_job(due_at=NOW - HOUR, priority=3))

    await claim(store, types=KNOWS_OTHER)

    parked = await read(store, job.id)
    assert parked.placement == replace(job.placement, due_at=None, parked_on=LANE)
    assert (parked.fence, (await store.history(NAMESPACE, job.id)).attempts) == (job.fence, ())


async def test_c16_parked_jobs_are_visible_by_lane(store):
    await enqueue(store, a_job(), a_job(), a_job(queue="mail"))

    await claim(store, types=KNOWS_OTHER, queues={QUEUE: 5, "mail": 5})

    assert set(await store.parked(NAMESPACE)) == {
        ParkedCount(queue=QUEUE, lane=LANE, count=2),
        ParkedCount(queue="mail", lane=LANE, count=1),
    }


async def test_c16_type_that_a_live_worker_knows_is_left_for_it(store):
    job = await enqueued(store)
    await store.hello(a_hello("worker-2"))

    found = await claim(store, types=KNOWS_OTHER)

    assert found == []
    assert (await read(store, job.id)).placement == job.placement
    assert len(await claim(store, worker="worker-2")) == 1


async def test_c16_unknown_types_at_the_head_do_not_hide_a_known_one(store):
    await enqueue(store, *(a_job(priority=9) for _ in range(300)), a_job(type="other"))

    found = []
    for _ in range(10):
        found += await claim(store, n=1, types=KNOWS_OTHER)

    assert [job.facts.type for job in found] == ["other"]


async def test_c16_types_left_for_another_worker_do_not_hide_a_known_one(store):
    await store.hello(a_hello("worker-2"))
    await enqueue(store, *(a_job(priority=9) for _ in range(300)), a_job(type="other"))

    found = []
    for _ in range(10):
        found += await claim(store, n=1, types=KNOWS_OTHER)

    assert [job.facts.type for job in found] == ["other"]


async def test_c16_hello_of_a_worker_with_the_type_brings_its_jobs_back(store):
    job = await enqueued(store, a_job(due_at=NOW - HOUR))
    await claim(store, types=KNOWS_OTHER)

    await store.hello(a_hello("worker-2"))

    back = (await read(store, job.id)).placement
    assert (back.parked_on, back.rank) == (None, NOW - HOUR)
    assert [found.id for found in await claim(store, worker="worker-2")] == [job.id]


async def test_c16_jobs_come_back_in_their_old_order(store):
    first = await enqueued(store, a_job(due_at=NOW - 2))
    await claim(store, types=KNOWS_OTHER)
    second = await enqueued(store, a_job(due_at=NOW - 1))
    await store.hello(a_hello("worker-2"))

    assert [job.id for job in await claim(store, worker="worker-2")] == [first.id, second.id]


async def test_c16_hello_of_a_worker_without_the_type_brings_nothing_back(store):
    job = await enqueued(store)
    await claim(store, types=KNOWS_OTHER)

    await store.hello(a_hello("worker-2", types=KNOWS_OTHER))

    assert (await read(store, job.id)).placement.parked_on == LANE


async def test_c16_hello_in_another_namespace_brings_nothing_back(store):
    job = await enqueued(store)
    await claim(store, types=KNOWS_OTHER)

    await store.hello(a_hello("worker-2", namespace="other"))

    assert (await read(store, job.id)).placement.parked_on == LANE


async def test_c16_job_parked_just_after_the_hello_is_brought_back_by_the_sweep(store):
    job = await enqueued(store)
    await claim(store, types=KNOWS_OTHER)
    await store.hello(a_hello("worker-2"))
    late = await enqueued(store)
    await claim(store, types=KNOWS_OTHER)

    await store.unpark_known(now=NOW + MINUTE)

    assert (await read(store, late.id)).placement.parked_on is None
    assert (await read(store, job.id)).placement.parked_on is None


async def test_c16_sweep_leaves_types_that_only_vanished_workers_knew(store):
    await store.hello(a_hello("worker-2", seen_at=NOW - HOUR))
    job = await enqueued(store)
    await claim(store, types=KNOWS_OTHER)

    count = await store.unpark_known(now=NOW)

    assert (count, (await read(store, job.id)).placement.parked_on) == (0, LANE)


async def test_c16_worker_that_said_goodbye_knows_nothing_any_more(store):
    await store.hello(a_hello("worker-2"))
    await store.goodbye(NAMESPACE, "worker-2")
    job = await enqueued(store)

    await claim(store, types=KNOWS_OTHER)

    assert (await read(store, job.id)).placement.parked_on == LANE


async def test_c24_parked_job_can_be_cancelled(store):
    job = await enqueued(store)
    await claim(store, types=KNOWS_OTHER)

    await happen(store, await read(store, job.id), CancelAsked())
    await store.hello(a_hello("worker-2"))

    ended = (await read(store, job.id)).placement
    assert (ended.state, ended.parked_on, ended.due_at) == (State.CANCELLED, None, None)
    assert await store.parked(NAMESPACE) == [] or all(one.count == 0 for one in await store.parked(NAMESPACE))


async def test_workers_are_listed_as_they_said_hello_latest_first(store):
    early, late = a_hello("worker-1", seen_at=NOW), a_hello("worker-2", seen_at=NOW + 1)

    await store.hello(early)
    await store.hello(late)

    assert list(await store.workers(NAMESPACE)) == [late, early]


async def test_worker_that_says_hello_again_is_listed_once_with_what_it_said_last(store):
    again = replace(a_hello(seen_at=NOW + 1), running=3, details={"python": "3.11"}, queues=("a", "b"))

    await store.hello(a_hello())
    await store.hello(again)

    assert list(await store.workers(NAMESPACE)) == [again]


async def test_worker_that_said_goodbye_is_not_listed(store):
    await store.hello(a_hello("worker-1"))
    await store.hello(a_hello("worker-2"))

    await store.goodbye(NAMESPACE, "worker-1")

    assert [one.worker for one in await store.workers(NAMESPACE)] == ["worker-2"]

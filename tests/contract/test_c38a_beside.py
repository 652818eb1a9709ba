"""Flows beside batches, keys, retention and replays, and what is read of them, on every store."""

import asyncio

import pytest

from headrace.core.batch_request import NewBatch
from headrace.core.flow import OnParentFailure
from headrace.core.outcomes import CancelAsked
from headrace.core.states import State
from headrace.core.unique import OnConflict, Unique
from headrace.errors import IdempotencyMismatch, InvalidInput, JobNotFound
from tests.builders import HOUR, MINUTE, NAMESPACE, NOW, a_failure, happen, read
from tests.contract.flowing import a_request, a_scene

BLOCKED, PENDING, CANCELLED, COMPLETED = State.BLOCKED, State.PENDING, State.CANCELLED, State.COMPLETED
NOT_THERE = "01a205d5-9542-7550-8fc2-aae8ae5a79ff"


async def test_cancelling_a_batch_cancels_the_children_of_its_members(store):
    scene = await a_scene(store)
    batch = (await scene.engine.create_batch(NewBatch())).state.id
    member, inner, outside = await scene.enqueue(
        a_request(batch_id=batch), a_request(0, batch_id=batch), a_request(1)
    )

    await scene.engine.cancel_batch(batch)
    await scene.engine.flow_engine.checks.drained()

    assert await scene.states([member, inner, outside]) == [CANCELLED] * 3


async def test_c36_member_with_parents_counts_and_closes_its_batch_when_its_parent_fails(store):
    scene = await a_scene(store)
    batch = (await scene.engine.create_batch(NewBatch())).state.id
    parent, member = await scene.enqueue(a_request(), a_request(0, batch_id=batch))
    await scene.engine.seal_batch(batch)
    assert (await scene.engine.batch(batch)).counts.blocked == 1

    (job,) = await scene.claimed()
    await scene.end(job, a_failure())
    scene.engine.flow_engine.checks.ask((parent,))
    await scene.engine.flow_engine.checks.drained()
    await scene.engine.batch_engine.checks.drained()

    view = await scene.engine.batch(batch)
    assert (view.counts.cancelled, view.state.phase.value) == (1, "closed")
    assert await scene.state(member) is CANCELLED


async def test_member_of_a_sequential_batch_waits_for_its_turn_only(store):
    scene = await a_scene(store)
    batch = (await scene.engine.create_batch(NewBatch(sequential=True))).state.id
    (parent,) = await scene.enqueue(a_request())

    with pytest.raises(InvalidInput, match="waits for its turn") as refused:
        await scene.enqueue(a_request(batch_id=batch), a_request(parent, batch_id=batch))

    assert refused.value.index == 1
    assert [job.id for job in await scene.jobs()] == [parent]


@pytest.mark.parametrize(
    ("requests", "message", "index"),
    [
        ([a_request(), a_request(1)], "earlier ones only", 1),
        ([a_request(1), a_request()], "earlier ones only", 0),
        ([a_request(), a_request(on_parent_failure=OnParentFailure.RUN)], "belongs to a job that waits", 1),
    ],
    ids=["itself", "a later one", "a policy without parents"],
)
async def test_what_would_make_a_circle_or_no_sense_is_refused(store, requests, message, index):
    scene = await a_scene(store)

    with pytest.raises(InvalidInput, match=message) as refused:
        await scene.enqueue(*requests)

    assert refused.value.index == index
    assert await scene.jobs() == []


async def test_unknown_parent_is_refused_before_anything_is_written(store):
    scene = await a_scene(store)

    with pytest.raises(JobNotFound):
        await scene.enqueue(a_request(), a_request(0, NOT_THERE))

    assert await scene.jobs() == []


def test_child_that_would_replace_a_due_job_is_refused():
    unique = Unique(key="k", on_conflict=OnConflict.REPLACE)

    with pytest.raises(InvalidInput, match="cannot replace"):
        a_request(0, unique=unique)


async def test_repeated_flow_with_idempotency_keys_makes_nothing_new(store):
    scene = await a_scene(store)
    requests = [a_request(idempotency_key="a"), a_request(0, idempotency_key="b")]

    first = await scene.enqueue(*requests)
    again = await scene.enqueue(*requests)

    assert again == first
    assert len(await scene.jobs()) == 2
    assert len(await store.edges(NAMESPACE, first, limit=10)) == 1


async def test_c31_same_key_with_other_parents_is_another_body(store):
    scene = await a_scene(store)
    (parent,) = await scene.enqueue(a_request())
    await scene.enqueue(a_request(idempotency_key="b"))

    with pytest.raises(IdempotencyMismatch):
        await scene.enqueue(a_request(parent, idempotency_key="b"))


async def test_c44_parent_stays_while_a_child_lives_by_age_and_by_count(store):
    scene = await a_scene(store)
    parent, child = await scene.enqueue(a_request(), a_request(0, due_at=NOW + 100 * HOUR))
    await scene.run(parent)

    assert await store.erase(now=NOW + 50 * HOUR, limit=100) == 0
    assert await store.erase_beyond(NAMESPACE, "echo", COMPLETED, keep=0, limit=100) == 0
    await happen(store, await read(store, child), CancelAsked(), now=NOW + MINUTE)

    assert await store.erase(now=NOW + HOUR, limit=100) == 1
    assert await store.get(NAMESPACE, [parent]) == {}
    assert await store.erase(now=NOW + HOUR + MINUTE, limit=100) == 1


async def test_c44_surplus_parent_goes_by_count_once_its_children_have_ended(store):
    scene = await a_scene(store)
    parent, child = await scene.enqueue(a_request(), a_request(0))
    await scene.run(parent)
    await scene.run(child)

    assert await store.erase_beyond(NAMESPACE, "echo", COMPLETED, keep=1, limit=100) == 1
    assert set(await store.get(NAMESPACE, [parent, child])) == {child}
    assert await store.erase_beyond(NAMESPACE, "echo", COMPLETED, keep=0, limit=100) == 1


async def test_c44_parent_stays_while_a_child_is_a_dead_letter_that_may_be_retried(store):
    scene = await a_scene(store)
    parent, child = await scene.enqueue(a_request(), a_request(0))
    await scene.run(parent)
    await scene.run(child, a_failure())

    assert await store.erase(now=NOW + 100 * HOUR, limit=100) == 0
    assert set(await store.get(NAMESPACE, [parent, child])) == {parent, child}


async def test_c44_child_inserted_while_its_parent_is_erased_is_refused_or_keeps_it(store):
    scene = await a_scene(store)
    for _ in range(10):
        (parent,) = await scene.enqueue(a_request())
        (job,) = await scene.claimed()
        await scene.end(job)

        async def child(parent=parent):
            try:
                return await scene.enqueue(a_request(parent, due_at=NOW + 100 * HOUR))
            except JobNotFound:
                return None

        made, _ = await asyncio.gather(child(), store.erase(now=NOW + HOUR, limit=100))

        there = parent in await store.get(NAMESPACE, [parent])
        assert there is (made is not None)


async def test_nothing_of_a_flow_is_left_once_it_is_erased(store):
    scene = await a_scene(store)
    a, b, c = await scene.enqueue(a_request(), a_request(0), a_request(1))
    await scene.run(a, a_failure())

    assert await store.erase(now=NOW + 2 * HOUR, limit=100) == 2
    await scene.sweep()

    assert set(await store.get(NAMESPACE, [a, b, c])) == {a}
    page = await store.waiting_children(after=0, limit=10)
    assert (page.ready, page.over) == ((), ())


async def test_replay_makes_a_job_that_waits_for_nobody(store):
    scene = await a_scene(store)
    parent, child = await scene.enqueue(a_request(), a_request(0))
    await scene.run(parent)
    await scene.run(child)

    new = await scene.engine.replay(child)

    assert await scene.state(new) is PENDING
    assert await store.edges(NAMESPACE, [new], limit=10) in ([], ())


async def test_graph_is_read_whole_from_any_of_its_jobs(store):
    scene = await a_scene(store)
    a, b, c, d = await scene.enqueue(a_request(), a_request(0), a_request(0), a_request(1, 2))
    (alone,) = await scene.enqueue(a_request())

    for one in (a, c, d):
        view = await scene.engine.flow(one)
        assert [node.id for node in view.nodes] == [a, b, c, d]
        assert {(e.parent, e.child) for e in view.edges} == {(a, b), (a, c), (b, d), (c, d)}
        assert view.whole

    lonely = await scene.engine.flow(alone)
    assert ([node.id for node in lonely.nodes], lonely.edges) == ([alone], ())
    with pytest.raises(JobNotFound):
        await scene.engine.flow(NOT_THERE)


async def test_graph_that_is_too_large_is_cut_and_says_so(store):
    scene = await a_scene(store)
    ids = await scene.enqueue(a_request(), *(a_request(n) for n in range(20)))

    view = await scene.engine.flow(ids[0], limit=5)

    assert [node.id for node in view.nodes] == ids[:5]
    assert len(view.edges) == 4
    assert not view.whole

"""C38a, what a store does: inserting children marks their parents, and tells who need wait no more."""

import asyncio

import pytest

from headrace.core.flow import OnParentFailure, Parent
from headrace.core.job import WAITED_ON
from headrace.core.outcomes import CancelAsked, RetryAsked
from headrace.core.states import State
from headrace.core.unique import Unique
from headrace.errors import JobNotFound, LeaseLost
from headrace.stores.protocol import Applied, Holder, Stale
from tests.builders import (
    MINUTE,
    NAMESPACE,
    NOW,
    SUCCESS,
    a_failure,
    a_job,
    apply,
    claim,
    enqueue,
    enqueued,
    happen,
    holder,
    read,
    reported,
    settle,
)
from tests.contract.flowing import a_child, a_running_parent, edge
from tests.contract.reads import sight

NOT_THERE = "01a205d5-9542-7550-8fc2-aae8ae5a79ff"


async def insert(store, *jobs, edges, **more):
    return await store.insert(NAMESPACE, jobs, now=NOW, edges=edges, **more)


async def ready(store, *parents, after=0, limit=100):
    page = await store.ready_children(NAMESPACE, parents, after=after, limit=limit)
    return [child.job.id for child in page.children], page.after


async def test_c38a_child_inserted_while_its_parent_settles_makes_the_settling_stale(store):
    running = await a_running_parent(store)
    decided = reported(running, SUCCESS)
    child = a_child()

    await insert(store, child, edges=[edge(child, running.id)])
    answer = await apply(store, decided)

    assert isinstance(answer, Stale)
    assert answer.job.waited_on
    assert answer.job.revision == running.revision + WAITED_ON
    assert await apply(store, reported(answer.job, SUCCESS)) == Applied()
    assert await ready(store, running.id) == ([child.facts.id], None)


async def test_c38a_child_inserted_after_its_parent_settled_is_ready_at_once(store):
    running = await a_running_parent(store)
    await settle(store, running)
    child = a_child()

    await insert(store, child, edges=[edge(child, running.id)])

    (found,) = await store.ready_among(NAMESPACE, [child.facts.id])
    assert (found.job.id, found.failed) == (child.facts.id, ())
    assert (await read(store, running.id)).waited_on


async def test_child_and_settling_of_its_parent_at_the_same_moment_leave_nobody_unseen(store):
    for _ in range(10):
        running = await a_running_parent(store)
        child = a_child()

        async def settled(running=running):
            answer = await apply(store, reported(running, SUCCESS))
            while isinstance(answer, Stale):
                answer = await apply(store, reported(answer.job, SUCCESS))
            return answer

        await asyncio.gather(settled(), insert(store, child, edges=[edge(child, running.id)]))

        parent = await read(store, running.id)
        assert (parent.state, parent.waited_on) == (State.COMPLETED, True)
        assert await ready(store, running.id) == ([child.facts.id], None)


async def test_mark_is_made_once_and_outlives_claim_retry_and_end(store):
    parent = await enqueued(store, a_job(max_attempts=1))
    first, second = a_child(), a_child()
    await insert(store, first, edges=[edge(first, parent.id)])
    await insert(store, second, edges=[edge(second, parent.id)])
    assert (await read(store, parent.id)).revision == WAITED_ON

    (running,) = await claim(store)
    await settle(store, running, a_failure())
    failed = await read(store, parent.id)
    await happen(store, failed, RetryAsked())
    again = await read(store, parent.id)

    assert running.revision == WAITED_ON + 1
    assert [one.waited_on for one in (running, failed, again)] == [True] * 3
    assert again.revision == failed.revision + 1


async def test_jobs_for_which_nobody_waits_bear_no_mark(store):
    plain, parent = await enqueued(store), await enqueued(store)
    child = a_child()

    await insert(store, child, edges=[edge(child, parent.id)])

    found = await store.get(NAMESPACE, [plain.id, parent.id, child.facts.id])
    assert {one.id for one in found.values() if one.waited_on} == {parent.id}


async def test_parent_and_child_of_one_insertion(store):
    parent, child = a_job(), a_child()

    await insert(store, parent, child, edges=[edge(child, parent.facts.id)])

    assert (await read(store, parent.facts.id)).waited_on
    assert await ready(store, parent.facts.id) == ([], None)
    (running,) = await claim(store)
    assert (running.id, running.waited_on) == (parent.facts.id, True)
    await settle(store, running)
    assert await ready(store, parent.facts.id) == ([child.facts.id], None)


async def test_unknown_parent_is_refused_and_nothing_is_written(store):
    parent, child, other = await enqueued(store), a_child(), a_job()
    before = await sight(store, parent.id)

    with pytest.raises(JobNotFound, match=NOT_THERE):
        await insert(store, other, child, edges=[edge(child, parent.id), edge(child, NOT_THERE, 1)])

    assert await store.get(NAMESPACE, [child.facts.id, other.facts.id]) == {}
    assert await sight(store, parent.id) == before


async def test_parent_of_another_namespace_is_not_there(store):
    stranger = await enqueued(store, a_job(namespace="other"))
    child = a_child()

    with pytest.raises(JobNotFound):
        await insert(store, child, edges=[edge(child, stranger.id)])

    assert not (await read(store, stranger.id, namespace="other")).waited_on
    assert await store.edges("other", [stranger.id], limit=10) == []


async def test_child_waits_for_whoever_stands_for_its_parent(store):
    unique = Unique(key="the-key")
    standing = await enqueued(store, a_job(unique=unique))
    parent, child = a_job(unique=unique), a_child()

    await insert(store, parent, child, edges=[edge(child, parent.facts.id)])

    (found,) = await store.edges(NAMESPACE, [child.facts.id], limit=10)
    assert found.parent == standing.id
    assert (await read(store, standing.id)).waited_on


async def test_child_that_is_there_already_gets_no_parents(store):
    unique = Unique(key="the-key")
    standing = await enqueued(store, a_job(unique=unique))
    parent, child = a_job(), a_child(unique=unique)

    await insert(store, parent, child, edges=[edge(child, parent.facts.id)])

    assert await store.edges(NAMESPACE, [standing.id, parent.facts.id], limit=10) == []
    assert not (await read(store, parent.facts.id)).waited_on
    assert (await read(store, standing.id)).state is State.PENDING


async def test_c12_child_of_a_holder_that_lost_its_job_is_refused(store):
    running = await a_running_parent(store)
    child = a_child()

    with pytest.raises(LeaseLost):
        await insert(
            store,
            child,
            edges=[edge(child, running.id)],
            parent=Holder(job_id=running.id, fence=running.fence + 1),
        )

    assert await store.get(NAMESPACE, [child.facts.id]) == {}
    assert not (await read(store, running.id)).waited_on


async def test_running_job_inserts_a_child_that_waits_for_it(store):
    running = await a_running_parent(store)
    child = a_child()

    await insert(store, child, edges=[edge(child, running.id)], parent=holder(running))
    await settle(store, running)

    assert await ready(store, running.id) == ([child.facts.id], None)


async def test_two_children_at_once_of_two_parents_named_in_other_orders(store):
    one, other = await enqueued(store), await enqueued(store)

    async def both(first, second):
        child = a_child()
        await insert(store, child, edges=[edge(child, first), edge(child, second, 1)])
        return child.facts.id

    turns = [(one.id, other.id), (other.id, one.id)] * 5
    children = await asyncio.gather(*(both(*turn) for turn in turns))

    found = await store.edges(NAMESPACE, [one.id, other.id], limit=100)
    assert {edge.child for edge in found} == set(children)
    assert len(found) == 20


async def test_child_is_not_ready_while_one_parent_lives(store):
    parents = [await enqueued(store, a_job(max_attempts=1)) for _ in range(3)]
    child = a_child()
    await insert(store, child, edges=[edge(child, one.id, n) for n, one in enumerate(parents)])
    jobs = await claim(store)

    seen = []
    for running in reversed(jobs):
        await settle(store, running)
        seen.append((await ready(store, running.id))[0])

    assert seen == [[], [], [child.facts.id]]


async def test_ready_child_tells_of_its_failed_parents_one_of_each_kind(store):
    parents = [await enqueued(store, a_job(max_attempts=1)) for _ in range(5)]
    child = a_child()
    edges = [edge(child, one.id, n, OnParentFailure.WAIT) for n, one in enumerate(parents)]
    await insert(store, child, edges=edges)
    jobs = await claim(store, n=4)
    await settle(store, jobs[0])
    for running in jobs[1:]:
        await settle(store, running, a_failure())
    await happen(store, await read(store, parents[4].id), CancelAsked())

    (found,) = await store.ready_among(NAMESPACE, [child.facts.id])

    assert found.on_parent_failure is OnParentFailure.WAIT
    assert [(one.id, one.type, one.state, one.kept) for one in found.failed] == [
        (parents[1].id, "echo", State.FAILED, True),
        (parents[4].id, "echo", State.CANCELLED, False),
    ]


async def test_children_of_one_parent_come_in_pages(store):
    running = await a_running_parent(store)
    children = [a_child() for _ in range(7)]
    await insert(store, *children, edges=[edge(one, running.id) for one in children])
    await settle(store, running)

    found, after, pages = [], 0, 0
    while after is not None:
        some, after = await ready(store, running.id, after=after, limit=3)
        found += some
        pages += 1

    assert found == [one.facts.id for one in children]
    assert pages == 3


async def test_blocked_job_without_parents_is_nobodys_child(store):
    alone = a_child()
    await enqueue(store, alone)

    assert await store.ready_among(NAMESPACE, [alone.facts.id]) == ()
    assert (await store.waiting_children(after=0, limit=10)).ready == ()


async def test_waiting_children_are_noted_until_somebody_ends_it(store):
    parent, other = await enqueued(store, a_job(max_attempts=1)), await enqueued(store)
    due, cancelled, waits = a_child(), a_child(), a_child()
    await insert(
        store,
        due,
        cancelled,
        waits,
        edges=[edge(due, parent.id), edge(cancelled, parent.id), edge(waits, other.id)],
    )
    (running,) = await claim(store, n=1)
    await settle(store, running)
    await happen(store, await read(store, cancelled.facts.id), CancelAsked())

    page = await store.waiting_children(after=0, limit=10)

    assert page.ready == ((NAMESPACE, due.facts.id),)
    assert page.over == ((await read(store, cancelled.facts.id)).seq,)
    assert page.after is None
    assert await store.end_waiting(page.over) == 1
    assert await store.end_waiting(page.over) == 0
    assert (await store.waiting_children(after=0, limit=10)).over == ()


async def test_waiting_children_come_in_pages_of_all_namespaces(store):
    jobs = []
    for namespace in ("one", "two"):
        parent, child = a_job(namespace=namespace), a_child(namespace=namespace)
        await store.insert(namespace, [parent, child], now=NOW, edges=[edge(child, parent.facts.id)])
        await happen(store, await read(store, parent.facts.id, namespace=namespace), CancelAsked())
        jobs.append((namespace, child.facts.id))

    first = await store.waiting_children(after=0, limit=1)
    second = await store.waiting_children(after=first.after, limit=1)
    rest = await store.waiting_children(after=second.after, limit=1)

    assert [*first.ready, *second.ready] == jobs
    assert (rest.ready, rest.over, rest.after) == ((), (), None)


async def test_parents_of_a_job_in_the_order_in_which_it_named_them(store):
    first, second = await enqueued(store), await enqueued(store)
    child = a_child()
    await insert(store, child, edges=[edge(child, second.id), edge(child, first.id, 1)])
    for running in await claim(store):
        if running.id == first.id:
            await settle(store, running)

    found = await store.parents(NAMESPACE, child.facts.id, after=-1, limit=10)

    assert [(one.number, one.id, one.state) for one in found] == [
        (0, second.id, State.PROCESSING),
        (1, first.id, State.COMPLETED),
    ]
    assert found[1].result == '{"ok":true}'
    assert await store.parents(NAMESPACE, child.facts.id, after=0, limit=10) == [found[1]]
    assert await store.parents(NAMESPACE, child.facts.id, after=-1, limit=1) == [found[0]]
    assert list(await store.parents("other", child.facts.id, after=-1, limit=10)) == []
    assert list(await store.parents(NAMESPACE, first.id, after=-1, limit=10)) == []


async def test_parent_that_was_erased_keeps_its_number(store):
    running = await a_running_parent(store)
    await settle(store, running)
    child = a_child()
    await insert(store, child, edges=[edge(child, running.id)])
    await happen(store, await read(store, child.facts.id), CancelAsked(), now=NOW + MINUTE)
    erase_at = (await read(store, running.id)).placement.erase_at

    assert await store.erase(now=erase_at, limit=10) == 1

    assert await store.parents(NAMESPACE, child.facts.id, after=-1, limit=10) == [Parent(number=0)]
    assert await store.edges(NAMESPACE, [child.facts.id], limit=10) == []


async def test_edges_are_found_from_either_end(store):
    a, b, c = a_job(), a_child(), a_child()
    edges = [edge(b, a.facts.id), edge(c, b.facts.id, policy=OnParentFailure.RUN)]
    await insert(store, a, b, c, edges=edges)

    async def seen(*ids, limit=10):
        return sorted(await store.edges(NAMESPACE, ids, limit=limit), key=lambda one: (one.child, one.number))

    in_order = sorted(edges, key=lambda one: (one.child, one.number))
    assert await seen(a.facts.id) == edges[:1]
    assert await seen(b.facts.id) == in_order
    assert await seen(a.facts.id, c.facts.id) == in_order
    assert len(await seen(b.facts.id, limit=1)) == 1
    assert await seen() == []


async def test_reads_of_flows_of_jobs_that_are_not_there(store):
    assert await ready(store, NOT_THERE, "\0") == ([], None)
    assert list(await store.ready_among(NAMESPACE, [NOT_THERE])) == []
    assert list(await store.parents(NAMESPACE, "\0", after=-1, limit=10)) == []
    assert list(await store.edges(NAMESPACE, ["\0"], limit=10)) == []

"""Children inserted beside others who settle, retry and erase their parents."""

import asyncio

import pytest

from headrace.core.job import WAITED_ON
from headrace.core.outcomes import CancelAsked, RetryAsked
from headrace.core.states import State
from headrace.errors import JobNotFound
from headrace.stores.protocol import Applied, Stale
from tests.builders import (
    HOUR,
    NAMESPACE,
    NOW,
    a_failure,
    a_job,
    apply,
    claim,
    enqueued,
    happen,
    read,
    reported,
    settle,
)
from tests.contract.flowing import a_child, a_running_parent, edge
from tests.stores.postgres import alongside
from tests.stores.postgres.meeting import all_wait

LATER = NOW + 1_000 * HOUR

# Another session that has made a row of that key, and may yet undo it: who makes the same row waits for it,
# with all its own locks held.
_KEPT = (
    "namespace, seq, rank, priority, fence, revision, isolation, generation, starts, failures, crashes, "
    "releases, snoozes"
)
MAKE_ENDED = f"""
insert into headrace.ended ({_KEPT}, ended_at, state)
select {_KEPT}, 1, state
from headrace.live
where seq = $1
"""
MAKE_LIVE = f"""
insert into headrace.live ({_KEPT}, queue, type, state)
select {_KEPT}, 'q', 't', state
from headrace.ended
where seq = $1
"""


async def insert(store, *jobs, edges, **more):
    return await store.insert(NAMESPACE, jobs, now=NOW, edges=edges, **more)


async def test_c38a_settling_that_waited_for_the_insertion_of_a_child_is_decided_again(store, url):
    running = await a_running_parent(store)
    child = a_child()
    async with alongside.session(url) as other:
        await other.execute("lock table headrace.waiting in exclusive mode")  # the insertion's last step
        inserting = asyncio.create_task(insert(store, child, edges=[edge(child, running.id)]))
        await alongside.until_waiting(url)
        settling = asyncio.create_task(apply(store, reported(running, a_failure())))
        await alongside.until_waiting(url, 2)
        await other.execute("rollback")
        await inserting
        answer = await settling

    assert isinstance(answer, Stale)
    assert answer.job.waited_on


async def test_c38a_insertion_that_waited_for_the_settling_marks_the_ended_parent(store, url):
    running = await a_running_parent(store)
    child = a_child()
    async with alongside.session(url) as other:
        await other.execute(MAKE_ENDED, running.seq)
        settling = asyncio.create_task(apply(store, reported(running, a_failure())))
        await alongside.until_waiting(url)
        inserting = asyncio.create_task(insert(store, child, edges=[edge(child, running.id)]))
        await all_wait(url, settling, inserting)
        await other.execute("rollback")
        assert await settling == Applied()
        await inserting

    parent = await read(store, running.id)
    assert parent.placement.terminal
    assert parent.waited_on
    (ready,) = await store.ready_among(NAMESPACE, [child.facts.id])
    assert [one.id for one in ready.failed] == [running.id]


async def test_child_of_a_parent_that_is_retried_meanwhile_marks_it_where_it_is(store, url):
    running = await a_running_parent(store)
    await settle(store, running, a_failure())
    failed = await read(store, running.id)
    child = a_child()
    async with alongside.session(url) as other:
        await other.execute(MAKE_LIVE, running.seq)
        retrying = asyncio.create_task(happen(store, failed, RetryAsked()))
        await alongside.until_waiting(url)
        inserting = asyncio.create_task(insert(store, child, edges=[edge(child, running.id)]))
        await all_wait(url, retrying, inserting)
        await other.execute("rollback")
        assert await retrying == Applied()
        await inserting

    parent = await read(store, running.id)
    assert (parent.state, parent.revision) == (State.PENDING, failed.revision + 1 + WAITED_ON)


async def test_c44_parent_that_is_being_erased_is_not_there_for_a_child(store, url):
    running = await a_running_parent(store)
    await settle(store, running)
    first = a_child()
    await insert(store, first, edges=[edge(first, running.id)])
    await happen(store, await read(store, first.facts.id), CancelAsked(), now=LATER)
    child = a_child()
    async with alongside.session(url) as other:
        await other.execute("select from headrace.job where seq = $1 for update", running.seq)
        erasing = asyncio.create_task(store.erase(now=LATER, limit=10))
        await alongside.until_waiting(url)
        inserting = asyncio.create_task(insert(store, child, edges=[edge(child, running.id)]))
        await all_wait(url, erasing, inserting)
        await other.execute("rollback")
        erased = await erasing
        with pytest.raises(JobNotFound):
            await inserting

    assert erased == 1
    assert await store.get(NAMESPACE, [running.id, child.facts.id]) == {}


async def test_c44_parent_whose_child_is_just_coming_is_left_alone(store, url):
    running = await a_running_parent(store)
    await settle(store, running)
    child = a_child()
    async with alongside.session(url) as other:
        await other.execute("lock table headrace.waiting in exclusive mode")
        inserting = asyncio.create_task(insert(store, child, edges=[edge(child, running.id)]))
        await alongside.until_waiting(url)
        erased = await store.erase(now=LATER, limit=10)
        await other.execute("rollback")
        await inserting

    assert erased == 0
    assert await store.erase(now=LATER, limit=10) == 0
    assert (await read(store, running.id)).waited_on


async def test_two_programs_insert_children_of_the_same_parents_in_any_order(store, rival):
    parents = [await enqueued(store, a_job()) for _ in range(6)]
    held = await claim(store, n=2)

    async def family(one, number):
        child = a_child()
        named = parents[number % 6 :] + parents[: number % 6]
        await insert(one, child, edges=[edge(child, up.id, n) for n, up in enumerate(named)])

    families = [family(one, n) for n in range(6) for one in (store, rival)]
    await asyncio.gather(*families, *(settle(store, job) for job in held))

    assert len(await store.edges(NAMESPACE, [one.id for one in parents], limit=1_000)) == 72
    assert all([(await read(store, one.id)).waited_on for one in parents])

"""Flows and dead letters: large ones, several namespaces, and what comes between a look and its commit."""

import pytest

from headrace.core.outcomes import CancelAsked, DealtWith, RetryAsked
from headrace.core.states import State
from headrace.core.unique import OnConflict, Unique
from headrace.errors import DuplicateJob, JobNotFound
from headrace.stores.protocol import Stale
from headrace.stores.redis.session import Session
from tests.builders import (
    HOUR,
    NAMESPACE,
    NOW,
    a_failure,
    a_job,
    claim,
    claimed,
    decided,
    enqueue,
    enqueued,
    happen,
    read,
    settle,
)
from tests.contract.flowing import a_child, edge
from tests.contract.reads import ids_of, recounted, tallied

BOTH = ("one", "two")


@pytest.fixture
def before_commit(monkeypatch):
    """Lets something happen once, between the look of an op and its commit."""

    def arrange(happens):
        commit, waiting = Session.commit, [happens]

        async def after_that(session):
            if waiting:
                await waiting.pop()()
            return await commit(session)

        monkeypatch.setattr(Session, "commit", after_that)

    return arrange


async def ready(store, parent, *, limit):
    found, after = [], 0
    while after is not None:
        page = await store.ready_children(NAMESPACE, [parent], after=after, limit=limit)
        found += [child.job.id for child in page.children]
        after = page.after
    return found


async def test_c38a_thousands_of_children_of_one_parent_are_found_in_order(store):
    parent = await claimed(store)
    children = [a_child() for _ in range(2_300)]
    await store.insert(NAMESPACE, children, now=NOW, edges=[edge(one, parent.id) for one in children])
    before = await ready(store, parent.id, limit=500)

    await settle(store, await read(store, parent.id))

    assert before == []
    assert await ready(store, parent.id, limit=500) == [one.facts.id for one in children]


async def test_c38a_child_of_thousands_of_parents_is_ready_when_the_last_of_them_has_ended(store):
    parents = [a_job(state=State.BLOCKED) for _ in range(3_000)]
    await enqueue(store, *parents)
    child = a_child()
    edges = [edge(child, one.facts.id, n) for n, one in enumerate(parents)]
    await store.insert(NAMESPACE, [child], now=NOW, edges=edges)
    jobs = await store.get(NAMESPACE, [one.facts.id for one in parents])
    in_turn = [jobs[one.facts.id] for one in (*parents[1:], parents[0])]

    for first in range(0, len(in_turn) - 1, 1_000):
        some = in_turn[first : min(first + 1_000, len(in_turn) - 1)]
        await store.apply([decided(one, CancelAsked()) for one in some], now=NOW)
    while_one_lives = await store.ready_among(NAMESPACE, [child.facts.id])
    await happen(store, in_turn[-1], CancelAsked())
    (found,) = await store.ready_among(NAMESPACE, [child.facts.id])

    assert while_one_lives == ()
    assert [one.id for one in found.failed] == [parents[0].facts.id]
    assert len(await store.parents(NAMESPACE, child.facts.id, after=2_989, limit=100)) == 10
    assert len(await store.edges(NAMESPACE, [child.facts.id], limit=2_000)) == 2_000


async def test_children_that_wait_no_more_are_forgotten_in_the_namespace_that_they_are_of(store, rival):
    over = []
    for namespace in BOTH:
        parent = await enqueued(store, a_job(namespace=namespace))
        waits, cancelled = a_child(namespace=namespace), a_child(namespace=namespace)
        edges = [edge(waits, parent.id), edge(cancelled, parent.id)]
        await store.insert(namespace, [waits, cancelled], now=NOW, edges=edges)
        child = await read(store, cancelled.facts.id, namespace=namespace)
        await happen(store, child, CancelAsked())
        over.append(child.seq)

    page = await rival.waiting_children(after=0, limit=10)
    again = await rival.waiting_children(after=0, limit=3)

    assert (over[0], len(set(page.over))) == (over[1], 2)
    assert len(again.over) == 1
    assert again.after is not None
    assert (await rival.waiting_children(after=again.after, limit=3)).over == page.over[1:]
    assert await rival.end_waiting(page.over[1:]) == 1
    assert (await rival.waiting_children(after=0, limit=10)).over == page.over[:1]


async def test_c38a_parent_erased_between_the_look_and_the_commit_refuses_its_child(
    store, rival, before_commit
):
    parent = await claimed(store)
    await settle(store, parent)
    child = a_child()
    before_commit(lambda: rival.erase(now=NOW + 2 * HOUR, limit=1))

    with pytest.raises(JobNotFound, match=parent.id):
        await store.insert(NAMESPACE, [child], now=NOW, edges=[edge(child, parent.id)])

    assert await ids_of(store) == []
    assert await tallied(store) == await recounted(store) == {}


async def test_dead_letter_retried_between_the_look_and_the_commit_is_replaced_by_nobody(
    store, rival, before_commit
):
    dead = await claimed(store, a_job(max_attempts=1))
    await settle(store, dead, a_failure())
    dead = await read(store, dead.id)
    before_commit(lambda: happen(rival, dead, RetryAsked()))

    answer = await store.stand_in(NAMESPACE, a_job(), decided(dead, DealtWith()), now=NOW)

    assert isinstance(answer, Stale)
    assert [job.id for job in await claim(store)] == [dead.id]
    assert await tallied(store) == await recounted(store)


async def test_key_taken_between_the_look_and_the_commit_takes_nobodys_place(store, rival, before_commit):
    dead = await claimed(store, a_job(max_attempts=1))
    await settle(store, dead, a_failure())
    dead = await read(store, dead.id)
    holder, new = (
        a_job(unique=Unique(key="k")),
        a_job(unique=Unique(key="k", on_conflict=OnConflict.REJECT)),
    )
    before_commit(lambda: enqueue(rival, holder))

    with pytest.raises(DuplicateJob):
        await store.stand_in(NAMESPACE, new, decided(dead, DealtWith()), now=NOW)

    assert await read(store, dead.id) == dead
    assert set(await ids_of(store)) == {dead.id, holder.facts.id}

"""C38a on every store: no child is left blocked when all its parents have ended, whoever dies in between."""

import asyncio
import json
import random

import pytest

from headrace.core.flow import OnParentFailure
from headrace.core.outcomes import CancelAsked
from headrace.core.request import EnqueueRequest
from headrace.core.states import LIVE, State
from headrace.errors import StoreUnavailable
from tests.builders import HOUR, NAMESPACE, NOW, SUCCESS, a_failure, happen, read
from tests.contract.batching import Meanwhile
from tests.contract.flowing import OTHER_TYPE, Scene, a_request, a_scene

BLOCKED, PENDING, CANCELLED, COMPLETED = State.BLOCKED, State.PENDING, State.CANCELLED, State.COMPLETED
NOT_THERE = "01a205d5-9542-7550-8fc2-aae8ae5a79ff"


async def test_c38a_child_starts_when_its_last_parent_has_completed(store):
    scene = await a_scene(store)
    first, second, child = await scene.enqueue(a_request(), a_request(), a_request(0, 1))
    assert await scene.state(child) is BLOCKED

    await scene.run(first)
    before = await scene.state(child)
    await scene.run(second)

    assert (before, await scene.state(child)) == (BLOCKED, PENDING)
    assert [job.id for job in await scene.claimed()] == [child]


async def test_child_keeps_the_time_for_which_it_was_scheduled(store):
    scene = await a_scene(store)
    parent, child = await scene.enqueue(a_request(), a_request(0, due_at=NOW + HOUR))

    await scene.run(parent)

    assert (await read(store, child)).placement.due_at == NOW + HOUR
    assert await scene.claimed() == []


async def test_c38a_failed_parent_cancels_its_children_and_theirs_and_each_says_why(store):
    scene = await a_scene(store)
    a, b, c, d = await scene.enqueue(a_request(), a_request(0), a_request(1), a_request(2, 0))

    await scene.run(a, a_failure())

    jobs = await store.get(NAMESPACE, [b, c, d])
    assert {job.state for job in jobs.values()} == {CANCELLED}
    told = {one: json.loads(job.placement.error)["message"] for one, job in jobs.items()}
    assert told[b] == f"its parent {a} (echo) is failed"
    assert told[c] == f"its parent {b} (echo) is cancelled"
    assert {job.placement.erase_at for job in jobs.values()} == {NOW + HOUR}
    assert {job.placement.starts for job in jobs.values()} == {0}


async def test_c38a_child_that_runs_anyway_is_let_go_by_a_failed_and_a_cancelled_parent(store):
    scene = await a_scene(store)
    run = OnParentFailure.RUN
    a, b, child = await scene.enqueue(a_request(), a_request(), a_request(0, 1, on_parent_failure=run))

    await happen(store, await read(store, b), CancelAsked())
    await scene.run(a, a_failure())

    assert await scene.state(child) is PENDING


async def test_c38a_cancelled_parent_counts_as_failed(store):
    scene = await a_scene(store)
    a, child = await scene.enqueue(a_request(), a_request(0))

    await scene.engine.cancel(a)
    await scene.engine.flow_engine.checks.drained()

    assert await scene.state(child) is CANCELLED


async def test_decision_falls_when_all_parents_have_ended_so_a_retry_in_time_saves_the_child(store):
    scene = await a_scene(store)
    a, b, child = await scene.enqueue(a_request(), a_request(), a_request(0, 1))
    jobs = {job.id: job for job in await scene.claimed()}

    await scene.end_and_look(jobs[a], a_failure())
    early = await scene.state(child)
    await scene.engine.retry(a)
    await scene.end_and_look(jobs[b])
    await scene.run(a)

    assert (early, await scene.state(child)) == (BLOCKED, PENDING)


async def test_c38a_waiting_child_waits_while_a_parent_is_a_dead_letter_and_runs_once_that_completes(store):
    scene = await a_scene(store)
    wait = OnParentFailure.WAIT
    a, child, last = await scene.enqueue(a_request(), a_request(0, on_parent_failure=wait), a_request(1))

    await scene.run(a, a_failure())
    seen = [await scene.state(child)]
    assert await scene.sweep() == 0
    await scene.engine.retry(a)
    seen.append(await scene.state(child))
    await scene.run(a)
    seen.append(await scene.state(child))

    assert seen == [BLOCKED, BLOCKED, PENDING]
    assert await scene.state(last) is BLOCKED


async def test_c38a_waiting_child_is_cancelled_by_a_parent_whose_failure_nobody_will_mend(store):
    scene = await a_scene(store)
    wait = OnParentFailure.WAIT
    going, child = await scene.enqueue(a_request(type=OTHER_TYPE), a_request(0, on_parent_failure=wait))
    cancelled, other = await scene.enqueue(a_request(), a_request(0, on_parent_failure=wait))

    await scene.engine.cancel(cancelled)
    await scene.engine.flow_engine.checks.drained()
    await scene.run(going, a_failure())

    assert await scene.states([child, other]) == [CANCELLED, CANCELLED]
    assert (await read(store, going)).placement.erase_at is not None


async def test_c38a_waiting_child_is_cancelled_once_its_failed_parent_is_given_up(store):
    scene = await a_scene(store)
    wait = OnParentFailure.WAIT
    a, child, last = await scene.enqueue(a_request(), a_request(0, on_parent_failure=wait), a_request(1))
    await scene.run(a, a_failure())
    before = await scene.state(child)

    await scene.engine.discard(a)
    await scene.engine.flow_engine.checks.drained()

    assert (before, await scene.states([child, last])) == (BLOCKED, [CANCELLED, CANCELLED])


async def test_c38a_child_of_parents_that_ended_before_it_came_is_settled_by_its_enqueue(store):
    scene = await a_scene(store)
    good, bad = await scene.enqueue(a_request(), a_request())
    for job in await scene.claimed():
        await scene.end(job, SUCCESS if job.id == good else a_failure())

    free, dead, none = await scene.enqueue(a_request(good), a_request(good, bad), a_request(1))

    assert await scene.states([free, dead, none]) == [PENDING, CANCELLED, CANCELLED]


@pytest.mark.parametrize("outcome", [SUCCESS, a_failure()], ids=["completed", "failed"])
async def test_c38a_sweep_heals_what_a_crash_left_between_the_end_and_the_look(store, outcome):
    scene = await a_scene(store)
    parent, child, grandchild = await scene.enqueue(a_request(), a_request(0), a_request(1))
    (job,) = await scene.claimed()
    await scene.end(job, outcome)
    before = await scene.state(child)

    assert await scene.sweep() >= 1

    expected = [PENDING, BLOCKED] if outcome is SUCCESS else [CANCELLED, CANCELLED]
    assert (before, await scene.states([child, grandchild])) == (BLOCKED, expected)
    assert await scene.sweep() == 0
    assert await scene.state(parent) is (COMPLETED if outcome is SUCCESS else State.FAILED)


async def test_c38a_sweep_heals_what_a_crash_left_between_an_enqueue_and_its_look(store):
    scene = await a_scene(store)
    (parent,) = await scene.enqueue(a_request())
    (job,) = await scene.claimed()
    await scene.end(job)

    async def dies():
        raise StoreUnavailable("the process is gone")

    scene.engine.flow_engine._freeing._store = Meanwhile(store, "ready_among", dies)
    (child,) = await scene.enqueue(a_request(parent))
    before = await scene.state(child)

    assert await scene.sweep() == 1
    assert (before, await scene.state(child)) == (BLOCKED, PENDING)


async def test_sweep_forgets_children_that_wait_no_more_and_goes_on_page_by_page(store, monkeypatch):
    monkeypatch.setattr("headrace.upkeep.free_children.AT_ONCE", 2)
    scene = await a_scene(store)
    parent, *children = await scene.enqueue(a_request(), *(a_request(0) for _ in range(5)))
    (job,) = await scene.claimed()
    await scene.end(job)

    assert await scene.sweep() == 5
    await scene.sweep()

    assert {await scene.state(child) for child in children} == {PENDING}
    page = await store.waiting_children(after=0, limit=10)
    assert (page.ready, page.over) == ((), ())
    assert await scene.state(parent) is COMPLETED


async def test_c38a_child_is_freed_once_by_many_who_look_at_the_same_moment(store):
    scene = await a_scene(store)
    parent, child = await scene.enqueue(a_request(), a_request(0))
    (job,) = await scene.claimed()
    await scene.end(job)

    await asyncio.gather(*(scene.freeing.look((parent,)) for _ in range(8)))

    freed = await read(store, child)
    assert (freed.state, freed.revision) == (PENDING, 1)


async def test_c38a_child_cancelled_while_it_is_being_freed_stays_cancelled(store):
    scene = await a_scene(store)
    parent, child, grandchild = await scene.enqueue(a_request(), a_request(0), a_request(1))
    (job,) = await scene.claimed()
    await scene.end(job)

    async def cancel():
        await scene.engine.cancel(child)

    scene.freeing._store = Meanwhile(store, "apply", cancel)
    await scene.freeing.look((parent,))
    await scene.engine.flow_engine.checks.drained()

    assert await scene.states([child, grandchild]) == [CANCELLED, CANCELLED]


async def test_long_chain_is_cancelled_to_its_end_without_recursion(store):
    scene = await a_scene(store)
    count = 1_200
    ids = await scene.enqueue(a_request(), *(a_request(n) for n in range(count)))

    await scene.run(ids[0], a_failure())

    assert set(await scene.states(ids[1:])) == {CANCELLED}


async def test_many_children_of_one_parent_are_freed_together(store):
    scene = await a_scene(store)
    parent, *children = await scene.enqueue(a_request(), *(a_request(0) for _ in range(1_100)))

    await scene.run(parent)

    assert set(await scene.states(children)) == {PENDING}


@pytest.mark.parametrize("seed", range(6))
async def test_c38a_random_flows_end_with_every_child_settled_after_its_parents(store, seed):
    """Jobs end in any order and way; now and then the process dies before it has looked."""
    chance = random.Random(seed)
    scene = await a_scene(store)
    requests = [a_random_request(n, chance) for n in range(40)]
    ids = await scene.enqueue(*requests)
    parents = {ids[n]: [ids[up] for up in one.after] for n, one in enumerate(requests)}
    started: list[str] = []
    for _ in range(500):
        jobs = await scene.claimed(count=chance.randrange(1, 4))
        for job in jobs:
            assert not {*await scene.states(parents[job.id])} & LIVE
            started.append(job.id)
            outcome = a_failure() if chance.random() < 0.2 else SUCCESS
            await (scene.end if chance.random() < 0.4 else scene.end_and_look)(job, outcome)
        if chance.random() < 0.05:
            waiting = [job for job in await scene.jobs() if job.state in {BLOCKED, PENDING}]
            if waiting:
                await happen(store, chance.choice(waiting), CancelAsked())
        if not jobs and await scene.sweep() == 0:
            break

    jobs = {job.id: job for job in await scene.jobs()}
    assert len(started) == len(set(started))
    for job in jobs.values():
        if job.state is BLOCKED:  # it waits for a dead letter, or for one that does
            assert any(jobs[up].state in {BLOCKED, State.FAILED} for up in parents[job.id])
        else:
            assert job.state not in LIVE
    await mend_all(scene)
    assert {job.state for job in await scene.jobs()} <= {COMPLETED, CANCELLED}


async def mend_all(scene: Scene) -> None:
    """Retries all dead letters, until nothing waits or runs any more."""
    while failed := [job.id for job in await scene.jobs() if job.state is State.FAILED]:
        for job_id in failed:
            await scene.engine.retry(job_id)
        while jobs := await scene.claimed():
            for job in jobs:
                await scene.end_and_look(job)


def a_random_request(n: int, chance: random.Random) -> EnqueueRequest:
    """The request number ``n``, which waits for up to three earlier ones."""
    after = sorted(chance.sample(range(n), min(n, chance.randrange(4))))
    policy = chance.choice([None, OnParentFailure.RUN, OnParentFailure.WAIT])
    return a_request(*after, on_parent_failure=policy if after else None)

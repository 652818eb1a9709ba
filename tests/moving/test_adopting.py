"""What a store promises whose jobs are moved, for every kind of store."""

import asyncio
from dataclasses import replace

import pytest

from headrace.core.flow import Edge
from headrace.core.job import WAITED_ON, AttemptOutcome, Job
from headrace.core.limits import LaneState
from headrace.core.states import State
from headrace.errors import StaleRegister
from headrace.stores.adopting import Adoption, Belongings, Carried
from headrace.stores.keyed import Kept
from headrace.stores.protocol import Receipt, Swap
from tests.builders import HOUR, NAMESPACE, NOW, a_job, a_pending, claim, enqueue, enqueued, read
from tests.moving.conftest import KINDS
from tests.moving.scene import opened


@pytest.fixture(params=list(KINDS))
async def store(request, tmp_path):
    await asyncio.to_thread((tmp_path / "store").mkdir)
    made = await opened(KINDS[request.param](tmp_path / "store"))
    yield made
    await made.close()


def carried(**fields) -> Carried:
    return Carried(a_pending(a_job(**fields)))


def ended(job: Job, **columns) -> Job:
    over = {"state": State.FAILED, "due_at": None, "ended_at": NOW + 5, "starts": 2, "failures": 2}
    return replace(job, placement=replace(job.placement, **(over | columns)), fence=2, revision=WAITED_ON + 3)


async def test_adopted_jobs_follow_each_other_and_those_there(store):
    first = await enqueued(store)
    jobs = [carried(queue="q") for _ in range(30)]

    taken = await store.adopt(NAMESPACE, Adoption(jobs=jobs))

    found = await store.get(NAMESPACE, [one.job.id for one in jobs])
    seqs = [found[one.job.id].seq for one in jobs]
    assert taken == {one.job.id for one in jobs}
    assert seqs == sorted(seqs)
    assert seqs[0] > first.seq
    assert (await enqueued(store)).seq > seqs[-1]


async def test_an_ended_job_comes_with_fence_revision_and_result(store):
    job = ended(
        a_pending(a_job(tags=("a", "b"))),
        result='{"é":1}',
        error='{"type":"x"}',
        worker="w",
        started_at=NOW,
        outcome=AttemptOutcome.ERRORED,
    )

    await store.adopt(NAMESPACE, Adoption(jobs=[Carried(job)]))

    found = await read(store, job.id)
    assert found == replace(job, seq=found.seq)
    assert found.waited_on
    (count,) = await store.dead_counts(NAMESPACE)
    assert (count.count, count.last_id) == (1, job.id)


async def test_a_job_that_is_there_is_left_as_it_is(store):
    there = await enqueued(store)
    changed = replace(there, facts=replace(there.facts, payload='{"n":9}'))
    other = carried()

    taken = await store.adopt(NAMESPACE, Adoption(jobs=[Carried(changed), other]))

    assert taken == {other.job.id}
    assert await read(store, there.id) == there
    assert sum(one.count for one in await store.tallies(NAMESPACE)) == 2


async def test_c28_a_job_whose_key_another_holds_is_left_out(store):
    def locked(new):
        return replace(new, placement=replace(new.placement, unique_lock="k"))

    await enqueue(store, locked(a_job()))
    late = Carried(a_pending(locked(a_job())))

    assert await store.adopt(NAMESPACE, Adoption(jobs=[late, carried()])) != {late.job.id}
    assert await store.get(NAMESPACE, [late.job.id]) == {}


async def test_a_stale_swap_leaves_nothing(store):
    adoption = Adoption(
        jobs=[carried()],
        receipts=[Kept(receipt=Receipt(key="r", until=NOW + HOUR), job_id="x")],
        lanes=[LaneState(key="limit:x", tat=5)],
        swaps=[Swap(key="a", revision=0, value="1"), Swap(key="b", revision=7, value="1")],
    )

    with pytest.raises(StaleRegister) as stale:
        await store.adopt(NAMESPACE, adoption)

    assert stale.value.key == "b"
    assert await store.scan(NAMESPACE, "") == []
    assert await store.tallies(NAMESPACE) == []
    assert await store.kept_lanes(NAMESPACE, after="", limit=5) == []
    assert await store.kept_receipts(NAMESPACE, after=None, limit=5) == ([], None)


async def test_lanes_and_receipts_that_are_there_are_left(store):
    first = Adoption(
        receipts=[Kept(receipt=Receipt(key="r", until=NOW + HOUR, body="b"), job_id="x")],
        lanes=[LaneState(key="breaker:x", tat=5, opens_at=6, cap=7)],
    )
    await store.adopt(NAMESPACE, first)

    await store.adopt(
        NAMESPACE,
        Adoption(
            receipts=[Kept(receipt=Receipt(key="r", until=NOW), job_id="y")],
            lanes=[LaneState(key="breaker:x"), LaneState(key="limit:y")],
        ),
    )

    assert await store.kept_receipts(NAMESPACE, after=None, limit=5) == (list(first.receipts), None)
    assert list(await store.kept_lanes(NAMESPACE, after="", limit=5)) == [
        *first.lanes,
        LaneState(key="limit:y"),
    ]
    assert list(await store.kept_lanes(NAMESPACE, after="breaker:x", limit=5)) == [LaneState(key="limit:y")]


async def test_receipts_come_in_pages_each_once(store):
    receipts = [Kept(receipt=Receipt(key=f"r{n}", until=NOW + n), job_id="x") for n in range(7)]
    await store.adopt(NAMESPACE, Adoption(receipts=receipts))
    await store.adopt("other", Adoption(receipts=receipts[:1]))

    found, after, pages = [], None, 0
    while pages == 0 or after is not None:
        some, after = await store.kept_receipts(NAMESPACE, after=after, limit=3)
        found += some
        pages += 1

    assert sorted(found, key=lambda one: one.receipt.key) == receipts
    assert pages == 3


async def test_edges_keep_their_numbers_and_the_child_is_noted_as_waiting(store):
    parent = carried()
    child = a_pending(a_job(state=State.BLOCKED, rank=NOW))
    edges = tuple(
        Edge(child=child.id, parent=one, number=n) for n, one in enumerate(["", parent.job.id, "gone"])
    )

    await store.adopt(NAMESPACE, Adoption(jobs=[parent, Carried(child, Belongings(edges=edges))]))

    owned = await store.belongings(NAMESPACE, [child.id, "no such job"])
    shown = await store.parents(NAMESPACE, child.id, after=-1, limit=10)
    assert list(owned) == [child.id]
    assert [(edge.number, edge.parent) for edge in owned[child.id].edges] == [
        (0, ""),
        (1, parent.job.id),
        (2, ""),
    ]
    assert [(one.number, one.id) for one in shown] == [(0, None), (1, parent.job.id), (2, None)]
    (job,) = await claim(store)
    assert job.id == parent.job.id
    assert not await store.ready_among(NAMESPACE, [child.id])


async def test_jobs_of_another_namespace_are_not_seen(store):
    job = await enqueued(store, a_job(namespace="other"))

    assert await store.belongings(NAMESPACE, [job.id]) == {}
    assert await store.belongings(NAMESPACE, []) == {}
    assert list(await store.belongings("other", [job.id])) == [job.id]

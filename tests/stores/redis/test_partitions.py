"""Queues that are spread over partitions, which need no cluster for it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from headrace.core.flow import Edge
from headrace.core.limit_names import lane_of_limit, lane_of_order
from headrace.core.limit_register import KEY as LIMITS
from headrace.core.limit_register import Definitions
from headrace.core.limits import Limit, Rate
from headrace.core.states import State
from headrace.core.unique import OnConflict, Unique
from headrace.core.wishes import Wishes
from headrace.errors import (
    DuplicateJob,
    InvalidInput,
    LeaseLost,
    MisuseError,
    OutcomeUnknown,
    StaleRegister,
    StoreUnavailable,
)
from headrace.stores.open import open_store
from headrace.stores.protocol import Holder, InsertKind, NewJob, Store, Swap
from headrace.stores.redis.partitions.intents import Intents
from headrace.stores.redis.partitions.limits import divided
from headrace.stores.redis.partitions.places import HOME, MOST, Wanted, hashed, partition_of, wanted
from headrace.stores.redis.partitions.store import PartitionedStore
from tests.builders import (
    NAMESPACE,
    NOW,
    a_job,
    claim,
    enqueue,
    holder,
    note,
    read,
    renew,
    settle,
)

P = 4


@pytest.fixture
def spread_url(url: str) -> str:
    return f"{url}?partitions={P}"


@pytest.fixture
async def spread(spread_url: str) -> AsyncIterator[PartitionedStore]:
    opened = await open_store(spread_url)
    assert isinstance(opened, PartitionedStore)
    yield opened
    await opened.close()


@pytest.fixture
async def other(spread_url: str) -> AsyncIterator[Store]:
    """The same store in another process."""
    opened = await open_store(spread_url)
    yield opened
    await opened.close()


def with_lanes(new: NewJob, *lanes: str, order: str | None = None) -> NewJob:
    wishes = Wishes(lanes=lanes, order=order).dumps()
    return replace(new, facts=replace(new.facts, lane=wishes))


def elsewhere(*, unlike: int = HOME) -> str:
    """A key of another partition."""
    return next(key for n in range(100) if hashed(key := f"k{n}", P) != unlike)


async def place_of(store: Store, job_id: str) -> int:
    return partition_of(await read(store, job_id))


# ------------------------------------------------------------ places


async def test_jobs_without_keys_are_spread_over_all_partitions(spread):
    jobs = [a_job() for _ in range(200)]
    await enqueue(spread, *jobs)

    counts = Counter(partition_of(job) for job in await claim(spread, n=200))

    assert sorted(counts) == list(range(P))
    assert min(counts.values()) > 200 // P // 2


async def test_jobs_of_a_key_are_together_whatever_brings_it(spread):
    unique = a_job(unique=Unique(key="acme"))
    ordered = with_lanes(a_job(), order=lane_of_order("account", "acme"))
    limited = with_lanes(a_job(), lane_of_limit("per-user", "acme"))
    await enqueue(spread, unique, ordered, limited)

    places = {await place_of(spread, one.facts.id) for one in (unique, ordered, limited)}

    assert places == {hashed("acme", P)}


async def test_two_keys_are_refused_and_nothing_is_written(spread):
    both = with_lanes(a_job(unique=Unique(key="a")), order=lane_of_order("account", "b"))

    with pytest.raises(InvalidInput, match="one key"):
        await enqueue(spread, a_job(), both)
    assert await spread.tallies(NAMESPACE) == []


async def test_queue_that_is_not_spread_is_in_the_home(url):
    store = await open_store(f"{url}?partitions=emails:3")
    jobs = [a_job() for _ in range(20)]
    await enqueue(store, *jobs, *(a_job(queue="emails") for _ in range(20)))

    assert {partition_of(job) for job in await claim(store, n=20)} == {HOME}
    emails = await claim(store, n=20, queues={"emails": 20})
    assert {partition_of(job) for job in emails} == {0, 1, 2}
    await store.close()


async def test_what_is_kept_wins_over_the_url(url, spread):
    await enqueue(spread, *(a_job() for _ in range(20)))
    narrow = await open_store(f"{url}?partitions=1")
    more = [a_job() for _ in range(20)]
    await enqueue(narrow, *more)

    assert len(await claim(narrow, n=100)) == 40
    assert {await place_of(narrow, new.facts.id) for new in more} == set(range(P))
    await narrow.close()


async def test_queue_that_had_jobs_before_stays_whole(url, store):
    await enqueue(store, a_job())
    later = await open_store(f"{url}?partitions={P}")
    jobs = [a_job() for _ in range(20)]
    await enqueue(later, *jobs)

    assert {await place_of(later, new.facts.id) for new in jobs} == {HOME}
    await later.close()


@pytest.mark.parametrize(
    "text", ["0", "65", "a", "emails", "emails:", ":3", "emails:0", "emails:3,", "a b:2"]
)
def test_partitions_of_a_url_are_checked(text):
    with pytest.raises(InvalidInput):
        wanted(text)


def test_partitions_of_a_url_are_read():
    assert wanted("emails:4,reports:2") == Wanted(by_queue={"emails": 4, "reports": 2})
    assert wanted(str(MOST)).of("anything") == MOST


# ------------------------------------------------------------ across partitions


async def test_swap_and_keyed_jobs_are_all_written_or_none(spread):
    jobs = [a_job(unique=Unique(key=f"k{n}")) for n in range(12)]
    swap = Swap(key="schedule:a", revision=0, value="1")
    await spread.insert(NAMESPACE, jobs, now=NOW, swaps=[swap])

    with pytest.raises(StaleRegister):
        await spread.insert(NAMESPACE, [a_job(unique=Unique(key="more"))], now=NOW, swaps=[swap])

    assert {job.id for job in await claim(spread, n=100)} == {new.facts.id for new in jobs}


async def test_refused_key_of_any_partition_leaves_nothing_written(spread):
    taken = next(key for n in range(100) if hashed(key := f"k{n}", P) == P - 1)
    await enqueue(spread, a_job(unique=Unique(key=taken)))
    reject = Unique(key=taken, on_conflict=OnConflict.REJECT)
    jobs = [a_job() for _ in range(20)]

    with pytest.raises(DuplicateJob):
        await enqueue(spread, *jobs, a_job(unique=reject))

    assert await spread.get(NAMESPACE, [new.facts.id for new in jobs]) == {}


async def test_what_a_dead_process_owed_is_done_by_the_next_who_looks(spread, other, monkeypatch):
    async def died(*args: object) -> None:
        raise StoreUnavailable("the process died here")

    job = a_job(unique=Unique(key=elsewhere()), batch_id="b")
    monkeypatch.setattr(Intents, "fulfil", died)
    with pytest.raises(StoreUnavailable):
        await spread.insert(
            NAMESPACE, [job], now=NOW, swaps=[Swap(key="batch:b", revision=0, value="1", due_at=NOW)]
        )
    monkeypatch.undo()

    assert await other.get(NAMESPACE, [job.facts.id]) == {}
    assert await other.live_batches(NAMESPACE, ["b"]) == {"b"}
    assert (await read(other, job.facts.id)).state is State.PENDING
    assert [one.id for one in await claim(other)] == [job.facts.id]


async def test_sweep_does_what_is_owed_and_does_it_once(spread, other, monkeypatch):
    async def died(*args: object) -> None:
        raise StoreUnavailable("the process died here")

    job = a_job(unique=Unique(key=elsewhere()))
    monkeypatch.setattr(Intents, "_forget", died)
    with pytest.raises(OutcomeUnknown):
        await spread.insert(NAMESPACE, [job], now=NOW, swaps=[Swap(key="s", revision=0, value="1")])
    monkeypatch.undo()
    (running,) = await claim(spread)
    await settle(spread, running)
    await spread.erase(now=NOW * 2, limit=10)

    await other.expired(now=NOW, limit=10)

    assert await other.get(NAMESPACE, [job.facts.id]) == {}
    assert await claim(other) == []


async def test_c12_child_elsewhere_needs_the_parents_fence(spread):
    await enqueue(spread, a_job())
    (parent,) = await claim(spread)
    key = elsewhere(unlike=partition_of(parent))
    child = a_job(unique=Unique(key=key))
    stale = Holder(job_id=parent.id, fence=parent.fence + 1)

    with pytest.raises(LeaseLost):
        await spread.insert(NAMESPACE, [child], now=NOW, parent=stale)
    assert await spread.get(NAMESPACE, [child.facts.id]) == {}
    (answer,) = await spread.insert(NAMESPACE, [child], now=NOW, parent=holder(parent))

    assert answer.kind is InsertKind.INSERTED
    assert await place_of(spread, child.facts.id) != partition_of(parent)


async def test_c12_child_that_comes_with_a_register_needs_the_parents_fence(spread):
    await enqueue(spread, a_job(unique=Unique(key=elsewhere())))
    (parent,) = await claim(spread)
    stale = Holder(job_id=parent.id, fence=parent.fence + 1)
    swap = Swap(key="batch:b", revision=0, value="1")

    with pytest.raises(LeaseLost):
        await spread.insert(NAMESPACE, [a_job()], now=NOW, parent=stale, swaps=[swap])
    assert await spread.read(NAMESPACE, ["batch:b"]) == {}
    (answer,) = await spread.insert(NAMESPACE, [a_job()], now=NOW, parent=holder(parent), swaps=[swap])

    assert answer.kind is InsertKind.INSERTED


async def test_children_without_keys_are_with_their_parent(spread):
    await enqueue(spread, a_job())
    (parent,) = await claim(spread)
    children = [a_job() for _ in range(10)]

    await spread.insert(NAMESPACE, children, now=NOW, parent=holder(parent))

    places = {await place_of(spread, new.facts.id) for new in children}
    assert places == {partition_of(parent)}


async def test_c38a_child_waits_for_parents_of_all_partitions(spread, other):
    parents = [a_job(unique=Unique(key=f"p{n}")) for n in range(8)]
    child = a_job(state=State.BLOCKED, unique=Unique(key="child"))
    edges = [Edge(child=child.facts.id, parent=one.facts.id, number=n) for n, one in enumerate(parents)]
    await spread.insert(NAMESPACE, [*parents, child], now=NOW, edges=edges)
    running = await claim(other, n=10)
    last = running.pop()
    for job in running:
        await settle(other, job)
    ids = [job.id for job in running]

    assert (await other.ready_children(NAMESPACE, ids, after=0, limit=10)).children == ()
    await settle(other, last)
    page = await other.ready_children(NAMESPACE, [last.id], after=0, limit=10)

    assert [one.job.id for one in page.children] == [child.facts.id]
    assert {one.id for one in await spread.parents(NAMESPACE, child.facts.id, after=-1, limit=10)} == {
        new.facts.id for new in parents
    }
    assert (await read(spread, last.id)).waited_on


async def test_holders_of_other_processes_are_found(spread, other):
    await enqueue(spread, *(a_job() for _ in range(8)))
    running = await claim(spread, n=8)

    renewal = await renew(other, *running, now=NOW + 1)

    assert renewal.lost == frozenset()
    assert await note(other, running[0], progress="1") == frozenset()
    assert (await read(other, running[0].id)).progress == "1"


async def test_c40_one_of_an_ordering_key_runs_at_a_time(spread):
    jobs = [with_lanes(a_job(), order=lane_of_order("account", "7")) for _ in range(6)]
    await enqueue(spread, *jobs)
    done: list[str] = []
    while found := await claim(spread, n=10):
        (job,) = found
        done.append(job.id)
        await settle(spread, job)

    assert done == [new.facts.id for new in jobs]


# ------------------------------------------------------------ limits, pauses


async def test_c41_limit_of_a_spread_queue_is_shared(spread):
    limit = Limit(name="queue:default", slots=6)
    text = Definitions(code={limit.name: limit}).dumps()
    await enqueue(spread, *(a_job() for _ in range(80)))
    assert await spread.swap(NAMESPACE, [Swap(key=LIMITS, revision=0, value=text)])

    assert len(await claim(spread, n=80)) == 6


async def test_c41_lane_of_a_key_is_not_divided(spread):
    limit = Limit(name="per-user", slots=3)
    text = Definitions(code={limit.name: limit}).dumps()
    assert await spread.swap(NAMESPACE, [Swap(key=LIMITS, revision=0, value=text)])
    await enqueue(spread, *(with_lanes(a_job(), lane_of_limit("per-user", "7")) for _ in range(10)))

    assert len(await claim(spread, n=80)) == 3


@pytest.mark.parametrize(
    "rate", [Rate(count=8, per_ms=1_000), Rate(count=4, per_ms=1_000), Rate(count=9, per_ms=10, burst=6)]
)
def test_divided_rates_are_together_no_faster_than_the_whole(rate):
    shares = [divided(Limit(name="all", rate=rate), n, P).rate for n in range(P)]

    assert sum(one.count / one.per_ms for one in shares if one is not None) <= rate.count / rate.per_ms
    assert sum(one.burst for one in shares if one is not None) == rate.burst


async def test_c43_paused_before_the_first_job_is_paused_everywhere(spread, other):
    await spread.set_paused(NAMESPACE, "default", paused=True)
    await enqueue(other, *(a_job() for _ in range(40)))

    assert await claim(other, n=40) == []
    await other.set_paused(NAMESPACE, "default", paused=False)
    assert len(await claim(spread, n=40)) == 40


async def test_claims_begin_with_another_partition_each_time(spread):
    await enqueue(spread, *(a_job() for _ in range(40)))

    places = [partition_of(job) for _ in range(P) for job in await claim(spread, n=1)]

    assert sorted(places) == list(range(P))


async def test_claims_of_many_processes_take_each_job_once(spread, other):
    await enqueue(spread, *(a_job() for _ in range(300)))

    parts = await asyncio.gather(*(claim(store, n=20) for store in (spread, other) for _ in range(10)))

    ids = [job.id for part in parts for job in part]
    assert len(ids) == len(set(ids)) == 300


async def test_own_transaction_takes_no_job_of_another_partition(spread):
    async def work(pipeline: object) -> None:
        await spread.caller(pipeline).insert(NAMESPACE, [a_job(unique=Unique(key=elsewhere()))], now=NOW)

    with pytest.raises(MisuseError, match="partition"):
        await spread.transact(work)


async def test_job_of_an_own_transaction_is_claimed(spread):
    new = a_job()

    async def work(pipeline: object) -> None:
        await spread.caller(pipeline).insert(NAMESPACE, [new], now=NOW)

    await spread.transact(work)

    assert [job.id for job in await claim(spread)] == [new.facts.id]

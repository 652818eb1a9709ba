"""A cluster of six nodes: keys where they belong, ops that find them, a primary that is killed under load."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.crc import key_slot

from headrace.core.events import OLDEST, EventFilter
from headrace.core.filters import JobFilter, Page
from headrace.core.flow import Edge
from headrace.core.states import State
from headrace.core.unique import Unique
from headrace.errors import StoreUnavailable, StoreUnusable
from headrace.stores.eventing import EventKeep
from headrace.stores.open import open_store
from headrace.stores.protocol import InsertKind, Store, Swap
from tests.builders import NAMESPACE, NOW, a_job, claim, enqueue, read, renew, settle
from tests.servers.shared_valkey import ELSEWHERE
from tests.servers.valkey_cluster import ValkeyCluster
from tests.stores.redis.clustered import Load, drained, insisted, there

if os.environ.get(ELSEWHERE):
    pytest.skip(f"{ELSEWHERE} names the server to test with", allow_module_level=True)

LOST_WITHIN = 1.0
"""An acknowledged job may be lost if the primary died so many seconds later: docs/guides/redis.md."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[ValkeyCluster]:
    """One for all tests here: each leaves it serving, with all nodes up."""
    with ValkeyCluster.start(primaries=3, replicas=1) as cluster:
        yield cluster


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """Keys of a test's own: a cluster has one database."""
    return f"t{abs(hash(request.node.name)) % 10**12}"


def url_of(cluster: ValkeyCluster, prefix: str, partitions: int) -> str:
    hosts = ",".join(f"{host}:{port}" for host, port in cluster.hosts())
    spread = "" if partitions == 1 else f"&partitions={partitions}"
    return f"redis+cluster://{hosts}/?prefix={prefix}&connect_timeout=2&timeout=2{spread}"


@pytest.fixture(params=[1, 3], ids=["whole", "spread"])
async def store(request: pytest.FixtureRequest, cluster: ValkeyCluster, prefix: str) -> AsyncIterator[Store]:
    opened = await open_store(url_of(cluster, prefix, request.param))
    await opened.migrate()
    yield opened
    await opened.close()


async def test_jobs_are_claimed_renewed_and_completed(store):
    jobs = [a_job() for _ in range(30)]
    ids = {new.facts.id for new in jobs}
    await enqueue(store, *jobs)
    running = await claim(store, n=100)

    assert {job.id for job in running} == ids
    assert (await renew(store, *running, now=NOW + 1)).lost == frozenset()
    for job in running:
        await settle(store, job)
    page = await store.find(NAMESPACE, JobFilter(states=frozenset({State.COMPLETED})), Page(limit=100))
    assert {job.id for job in page.jobs} == ids


async def test_c28_key_is_held_once(store):
    first = a_job(unique=Unique(key="k"))
    await enqueue(store, first)

    (answer,) = await enqueue(store, a_job(unique=Unique(key="k")))

    assert (answer.kind, answer.job_id) == (InsertKind.EXISTING, first.facts.id)


async def test_child_runs_after_its_parents_wherever_they_are(store):
    parents = [a_job() for _ in range(4)]
    child = a_job(state=State.BLOCKED)
    await enqueue(store, *parents)
    edges = [
        Edge(child=child.facts.id, parent=parent.facts.id, number=number)
        for number, parent in enumerate(parents)
    ]
    await store.insert(NAMESPACE, [child], now=NOW, edges=edges)
    for job in await claim(store, n=10):
        await settle(store, job)

    page = await store.ready_children(NAMESPACE, [parents[0].facts.id], after=0, limit=10)

    assert [one.job.id for one in page.children] == [child.facts.id]


async def test_register_and_keyed_job_are_written_together(store):
    job = a_job(unique=Unique(key="nightly"))
    swap = Swap(key="schedule:nightly", revision=0, value="1")

    await store.insert(NAMESPACE, [job], now=NOW, swaps=[swap])

    assert (await read(store, job.facts.id)).state is State.PENDING
    assert (await store.read(NAMESPACE, ["schedule:nightly"]))["schedule:nightly"].value == "1"


async def test_every_change_is_told_once(store):
    await store.keep_events(NAMESPACE, EventKeep(keep_ms=10**9, keep_count=1_000))
    jobs = [a_job() for _ in range(12)]
    await enqueue(store, *jobs)

    page = await store.changes(NAMESPACE, OLDEST, EventFilter())

    assert sorted(one.change.job_id for one in page.changes) == sorted(new.facts.id for new in jobs)


async def test_c43_paused_queue_gives_no_job_of_any_partition(store):
    await enqueue(store, *(a_job() for _ in range(12)))
    await store.set_paused(NAMESPACE, "default", paused=True)

    assert await claim(store, n=20) == []


async def test_wake_up_is_heard_by_a_process_on_another_node(cluster, prefix):
    stores = [await open_store(url_of(cluster, prefix, 1)) for _ in range(4)]
    ears = [asyncio.create_task(one.woken(NAMESPACE, None, timeout_ms=30_000)) for one in stores[1:]]
    for one in stores[1:]:
        await one.check()  # listens by now
    while not all(ear.done() for ear in ears):
        stores[0].wake(NAMESPACE, frozenset({"default"}))
        await asyncio.sleep(0.05)

    assert [ear.result() for ear in ears] == [True, True, True]
    for one in stores:
        await one.close()


async def test_keys_of_a_partition_are_in_one_slot(cluster, prefix):
    store = await open_store(url_of(cluster, prefix, 3))
    await enqueue(store, *(a_job(tags=("t",), unique=Unique(key=str(n))) for n in range(20)))
    for job in await claim(store, n=10):
        await settle(store, job)
    await store.close()

    found = [key.decode() for shard in range(3) for key in cluster.primary(shard).run("KEYS", f"{prefix}:*")]
    partitions = {key.partition("{")[2].partition("}")[0] for key in found if "{" in key}
    slots = {name: {key_slot(key.encode()) for key in found if f"{{{name}}}" in key} for name in partitions}

    assert partitions == {NAMESPACE, f"{NAMESPACE}/1", f"{NAMESPACE}/2"}
    assert [len(of) for of in slots.values()] == [1, 1, 1]
    assert len(set.union(*slots.values())) == 3


async def test_store_follows_a_shard_to_its_new_primary(cluster, store):
    first = [a_job() for _ in range(12)]
    await enqueue(store, *first)
    cluster.wait_until_replicated()

    for shard in range(3):
        cluster.change_places(shard)
    second = [a_job() for _ in range(12)]
    await insisted(lambda: enqueue(store, *second))

    ids = {new.facts.id for new in (*first, *second)}
    assert {job.id for job in await insisted(lambda: claim(store, n=100))} == ids


async def test_slot_that_is_on_its_way_refuses_until_it_has_arrived(cluster, prefix):
    store = await open_store(url_of(cluster, prefix, 1))
    await enqueue(store, a_job())
    slot = key_slot(f"{prefix}:{{{NAMESPACE}}}".encode())
    nodes = [cluster.primary(shard) for shard in range(3)]
    owner = next(one for one in nodes if one.run("CLUSTER", "COUNTKEYSINSLOT", slot))
    other = next(one for one in nodes if one is not owner)
    other.run("CLUSTER", "SETSLOT", slot, "IMPORTING", owner.run("CLUSTER MYID"))
    owner.run("CLUSTER", "SETSLOT", slot, "MIGRATING", other.run("CLUSTER MYID"))
    try:
        with pytest.raises(StoreUnavailable):
            await enqueue(store, a_job())
    finally:
        for node in (owner, other):
            node.run("CLUSTER", "SETSLOT", slot, "STABLE")

    await enqueue(store, a_job())
    assert len(await claim(store)) == 2
    await store.close()


async def test_url_of_a_server_is_refused_for_a_node(cluster):
    host, port = cluster.hosts()[0]
    store = await open_store(f"redis://{host}:{port}/0")

    with pytest.raises(StoreUnusable, match=r"redis\+cluster"):
        await store.check()
    await store.close()


async def test_process_without_partitions_is_refused_where_there_are_some(cluster, prefix):
    spread = await open_store(url_of(cluster, prefix, 3))
    await enqueue(spread, a_job())
    await spread.close()
    whole = await open_store(url_of(cluster, prefix, 1))

    with pytest.raises(StoreUnusable, match="partitions"):
        await enqueue(whole, a_job())
    await whole.close()


async def test_c49_primary_killed_under_load_costs_at_most_what_was_just_acknowledged(cluster, store):
    load = Load(store)
    running = asyncio.create_task(load.run())
    while len(load.acknowledged) < 300:
        await asyncio.sleep(0.01)

    shard = _shard_of(cluster, store)
    killed_at = time.monotonic()
    killed = cluster.kill_primary(shard)
    cluster.wait_until_serving()
    before = len(load.acknowledged)
    while len(load.acknowledged) < before + 300:
        await asyncio.sleep(0.01)
    load.stop()
    await running
    killed.restart()
    cluster.wait_until_serving()
    cluster.wait_until_replicated()
    await insisted(lambda: drained(store))

    found = await insisted(lambda: there(store, list(load.acknowledged)))
    lost = {job_id: at for job_id, at in load.acknowledged.items() if job_id not in found}
    late = [
        at - killed_at for at in lost.values() if not killed_at - LOST_WITHIN < at < killed_at + LOST_WITHIN
    ]
    assert late == []
    assert {job.state for job in found.values()} == {State.COMPLETED}


def _shard_of(cluster: ValkeyCluster, store: Store) -> int:
    """The shard with the home of the namespace."""
    root = store._parts.home_database if hasattr(store, "_parts") else store._database
    slot = key_slot(root.keys(NAMESPACE).root.encode())
    return next(n for n in range(3) if cluster.primary(n).run("CLUSTER", "COUNTKEYSINSLOT", slot))

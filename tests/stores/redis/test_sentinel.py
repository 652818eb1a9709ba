"""A primary that Sentinel replaces under load: everybody goes on with the new one."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from headrace.core.states import State
from headrace.errors import StoreUnavailable
from headrace.stores.open import open_store
from headrace.stores.protocol import Store
from tests.builders import NAMESPACE, a_job, claim, enqueue
from tests.servers.sentinel import Sentinel
from tests.servers.shared_valkey import ELSEWHERE
from tests.servers.valkey import ValkeyServer
from tests.stores.redis.clustered import Load, drained, insisted, there

if os.environ.get(ELSEWHERE):
    pytest.skip(f"{ELSEWHERE} names the server to test with", allow_module_level=True)

LOST_WITHIN = 1.0
"""As in test_cluster: replication is asynchronous. What a primary said last is read after its death."""


@pytest.fixture
def pair(start_valkey) -> tuple[ValkeyServer, ValkeyServer]:
    primary = start_valkey()
    return primary, start_valkey(replica_of=primary)


@pytest.fixture
def sentinel(pair) -> Iterator[Sentinel]:
    with Sentinel.start(pair[0], replicas=1) as sentinel:
        yield sentinel


@pytest.fixture(params=["", "&partitions=2"], ids=["whole", "spread"])
async def store(request: pytest.FixtureRequest, sentinel: Sentinel) -> AsyncIterator[Store]:
    ((host, port),) = sentinel.hosts()
    url = f"redis+sentinel://{host}:{port}/{sentinel.name}/0?connect_timeout=2&timeout=2{request.param}"
    opened = await open_store(url)
    await opened.migrate()
    yield opened
    await opened.close()


async def test_c49_primary_killed_under_load_costs_at_most_what_was_just_acknowledged(pair, sentinel, store):
    primary, replica = pair
    load = Load(store)
    running = asyncio.create_task(load.run())
    while len(load.acknowledged) < 300:
        await asyncio.sleep(0.01)

    killed_at = time.monotonic()
    primary.kill()
    await asyncio.to_thread(sentinel.wait_until_primary, replica)
    before = len(load.acknowledged)
    while len(load.acknowledged) < before + 300:
        await asyncio.sleep(0.01)
    load.stop()
    await running
    await insisted(lambda: drained(store))

    found = await insisted(lambda: there(store, list(load.acknowledged)))
    lost = [at for job_id, at in load.acknowledged.items() if job_id not in found]
    assert [at - killed_at for at in lost if not killed_at - LOST_WITHIN < at < killed_at + LOST_WITHIN] == []
    assert {job.state for job in found.values()} == {State.COMPLETED}


async def test_c21_new_primary_is_another_incarnation(pair, sentinel, store):
    primary, replica = pair
    before = await store.incarnation()
    primary.kill()
    await asyncio.to_thread(sentinel.wait_until_primary, replica)

    assert await insisted(store.incarnation) != before


async def test_replica_that_was_taken_for_the_primary_is_left(pair, sentinel, store):
    """A switch without a death: connections to the old primary stay open, and it refuses writes."""
    primary, replica = pair
    await enqueue(store, a_job())
    replica.wait_until_following(primary)
    sentinel.run("SENTINEL FAILOVER", sentinel.name)
    await asyncio.to_thread(sentinel.wait_until_primary, replica)

    await insisted(lambda: enqueue(store, a_job()))

    assert {job.facts.namespace for job in await insisted(lambda: claim(store))} == {NAMESPACE}


async def test_nobody_knows_the_primary(sentinel):
    ((host, port),) = sentinel.hosts()
    store = await open_store(f"redis+sentinel://{host}:{port}/unknown/0?connect_timeout=1")

    with pytest.raises(StoreUnavailable, match="unknown"):
        await store.check()
    await store.close()

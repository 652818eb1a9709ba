"""A server whose memory is full takes no new jobs. Those that are there come to their ends."""

from collections.abc import AsyncIterator

import pytest

from headrace.core.outcomes import Released
from headrace.core.states import State
from headrace.errors import StoreFull
from headrace.stores.open import open_store
from headrace.stores.protocol import Applied, Holder, Note, Store
from tests.builders import NAMESPACE, NOW, SUCCESS, a_failure, a_hello, a_job, claim, enqueue, read, reported
from tests.contract.reads import everything, recounted, tallied
from tests.servers.valkey import ValkeyServer

LEAST = 1_000_000
"""A server has more than this when it is empty."""

LATER = NOW + 60_000


@pytest.fixture
def server(start_valkey) -> ValkeyServer:
    return start_valkey()


@pytest.fixture
async def full(server: ValkeyServer) -> AsyncIterator[Store]:
    """A store with three running and three waiting jobs, on a server that is full."""
    store = await open_store(server.url())
    await store.migrate()
    await enqueue(store, *(a_job(id=name(n)) for n in range(6)))
    await claim(store, n=3)
    server.run("CONFIG SET", "maxmemory", LEAST)
    yield store
    await store.close()


def name(number: int) -> str:
    return f"00000000-0000-7000-8000-{number:012}"


@pytest.mark.parametrize("tags", [(), ("tag",)], ids=["plain", "tagged"])
async def test_c49_nothing_new_is_taken(full, tags):
    with pytest.raises(StoreFull):
        await enqueue(full, a_job(tags=tags))

    assert len(await everything(full)) == 6


async def test_c13_leases_are_renewed(full):
    job = await read(full, name(0))
    holder = Holder(job_id=job.id, fence=job.fence)

    async with full.renewer() as renewer:
        renewal = await renewer.renew([holder], now=NOW, lease_until=LATER)
    lost = await full.note([Note(holder=holder, progress='{"half":1}')], now=NOW)

    after = await read(full, job.id)
    assert (renewal.lost, lost) == (frozenset(), frozenset())
    assert (after.placement.lease_until, after.progress) == (LATER, '{"half":1}')


async def test_c49_jobs_run_to_their_ends(full):
    running = [await read(full, name(n)) for n in range(3)]
    outcomes = (SUCCESS, a_failure(), Released(reason="stopped"))

    answers = await full.apply(
        [reported(job, outcome) for job, outcome in zip(running, outcomes, strict=True)], now=NOW
    )
    claimed = await claim(full, n=2)

    alone = await full.apply([reported(claimed[0], SUCCESS)], now=NOW)

    assert answers == [Applied()] * 3
    assert alone == [Applied()]
    assert len(claimed) == 2
    assert (await read(full, name(0))).state is State.COMPLETED
    assert await tallied(full) == await recounted(full)


async def test_c43_queues_are_paused(full):
    await full.set_paused(NAMESPACE, "default", paused=True)

    assert await claim(full, n=1) == []


async def test_worker_that_begins_on_a_full_server_works(full, server):
    del full
    other = await open_store(server.url())
    await other.hello(a_hello())
    found = await claim(other, n=1)
    await other.close()

    assert len(found) == 1

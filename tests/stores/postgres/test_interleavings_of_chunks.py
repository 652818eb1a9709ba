"""A claim of a chunk that meets others: it waits for claims of its type, and for nobody else."""

import asyncio

from headrace.stores.chunking import ChunkFound
from tests.builders import NOW, QUEUE
from tests.contract.chunking import WAIT, a_chunk, messages
from tests.stores.postgres import alongside

LOCK = "select pg_advisory_xact_lock(hashtextextended('headrace.chunk:default/echo', 7426310))"
LOCK_ROW = "select from headrace.live order by seq limit $1 for update"
TAKE = "update headrace.live set due_at = null, parked_on = 'elsewhere' where seq <= $1"


async def test_claim_counts_what_the_claim_before_it_left(store, url):
    await messages(store, 7)

    async with alongside.session(url) as other:
        await other.execute(LOCK)
        claiming = asyncio.create_task(store.claim_chunk(a_chunk(size=5)))
        await alongside.until_waiting(url)
        await other.execute(TAKE, 5)
        await other.execute("commit")
        found = await claiming

    assert found == ChunkFound(oldest_due_at=NOW)


async def test_old_messages_that_the_claim_before_it_left_are_a_chunk(store, url):
    await messages(store, 7)

    async with alongside.session(url) as other:
        await other.execute(LOCK)
        claiming = asyncio.create_task(store.claim_chunk(a_chunk(size=10, now=NOW + WAIT)))
        await alongside.until_waiting(url)
        await other.execute(TAKE, 5)
        await other.execute("commit")
        found = await claiming

    assert len(found.jobs) == 2


async def test_locked_messages_do_not_count_and_are_not_waited_for(store, url):
    ids = await messages(store, 5)

    async with alongside.session(url) as other:
        await other.fetch(LOCK_ROW, 1)
        short = await store.claim_chunk(a_chunk(size=5))
    whole = await store.claim_chunk(a_chunk(size=5))

    assert short == ChunkFound(oldest_due_at=NOW)
    assert [job.id for job in whole.jobs] == ids


async def test_locked_message_is_left_out_of_an_old_chunk(store, url):
    ids = await messages(store, 5)

    async with alongside.session(url) as other:
        await other.fetch(LOCK_ROW, 1)
        found = await store.claim_chunk(a_chunk(size=5, now=NOW + WAIT))

    assert [job.id for job in found.jobs] == ids[1:]


async def test_chunks_of_other_types_are_not_waited_for(store, url):
    await messages(store, 5, queue="a")

    async with alongside.session(url) as other:
        await other.execute(LOCK.replace("echo", "another"))
        found = await store.claim_chunk(a_chunk(size=5, queues=(QUEUE, "a")))

    assert len(found.jobs) == 5

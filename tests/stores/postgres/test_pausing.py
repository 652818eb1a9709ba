"""A pause waits for the claims under way, and claims wait for the pause (C43)."""

import asyncio

import pytest

from tests.builders import NAMESPACE, QUEUE, a_job, claim, enqueue
from tests.stores.postgres import alongside

CLAIMING = "select headrace.open_queues($1, array[$2])"


@pytest.mark.parametrize("paused", [True, False])
async def test_c43_pause_is_acknowledged_after_the_claim_that_read_before_it(store, url, paused):
    async with alongside.session(url) as other:
        assert await other.fetchval(CLAIMING, NAMESPACE, QUEUE) == QUEUE
        pausing = asyncio.create_task(store.set_paused(NAMESPACE, QUEUE, paused=paused))
        await alongside.until_waiting(url)
        acknowledged = pausing.done()

        await other.execute("commit")
        await pausing

    assert acknowledged is False
    assert [queue.paused for queue in await store.queues(NAMESPACE)] == [paused]


async def test_c43_pause_of_one_queue_does_not_wait_for_claims_of_another(store, url):
    async with alongside.session(url) as other:
        await other.fetchval(CLAIMING, NAMESPACE, "other")
        await other.fetchval(CLAIMING, "other", QUEUE)

        await store.set_paused(NAMESPACE, QUEUE, paused=True)

    assert [queue.paused for queue in await store.queues(NAMESPACE)] == [True]


async def test_c43_claim_that_begins_while_a_pause_is_written_finds_nothing(store, url):
    await enqueue(store, a_job())
    async with alongside.session(url) as other:
        await other.execute("select pg_advisory_xact_lock(headrace.queue_lock($1, $2))", NAMESPACE, QUEUE)
        await other.execute("insert into headrace.queue values ($1, $2, true)", NAMESPACE, QUEUE)
        claiming = asyncio.create_task(claim(store))
        await alongside.until_waiting(url)

        await other.execute("commit")
        found = await claiming

    assert found == []

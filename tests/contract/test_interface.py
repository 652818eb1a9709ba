import asyncio

import pytest

from headrace.clock import host_now
from headrace.core.filters import JobFilter, Page
from headrace.core.outcomes import Succeeded
from headrace.core.states import State
from headrace.errors import StoreUnavailable
from headrace.stores.open import open_store
from headrace.stores.protocol import LogLine, Receipt, Record, Swap, Tier
from tests.builders import (
    HOUR,
    NAMESPACE,
    NOW,
    SECOND,
    a_hello,
    a_job,
    claim,
    claimed,
    enqueue,
    enqueued,
    holder,
    note,
    read,
    renew,
    settle,
)
from tests.contract.conftest import opened_store
from tests.contract.reads import everything, sight, tallied


async def test_c50_migrating_again_changes_nothing(store):
    job = await enqueued(store)
    first = await store.migrate()

    assert await store.migrate() == first
    assert await everything(store) == [job]


async def test_c50_two_migrators_at_once_are_safe(persistent_url):
    one, other = await open_store(persistent_url), await open_store(persistent_url)

    numbers = await asyncio.gather(one.migrate(), other.migrate())

    assert len(set(numbers)) == 1
    job = await enqueued(one)
    assert await read(other, job.id) == job
    await asyncio.gather(one.close(), other.close())


async def test_c4_check_tells_store_schema_and_tier(store):
    health = await store.check()

    assert health.store
    assert health.version
    assert health.schema == await store.migrate()
    assert health.tier in Tier


async def test_c4_persistent_store_survives_power_loss_by_default(durable_url):
    store = await opened_store(durable_url)

    tier = (await store.check()).tier
    await store.close()

    assert tier is Tier.POWER_LOSS


async def test_c45_store_time_does_not_run_backwards(store):
    samples = [await store.now() for _ in range(20)]

    assert samples == sorted(samples)
    assert abs(samples[0] - host_now()) < HOUR


async def test_close_may_be_repeated(persistent_url):
    store = await opened_store(persistent_url)

    await store.close()
    await store.close()


async def test_closed_store_is_unavailable(store):
    job = await claimed(store)
    await store.close()

    for work in (
        read(store, job.id),
        store.find(NAMESPACE, JobFilter(), Page()),
        enqueue(store, a_job()),
        claim(store),
        settle(store, job),
        renew(store, job, now=NOW),
        store.check(),
    ):
        with pytest.raises(StoreUnavailable):
            await work


async def test_c4_everything_acked_is_there_after_a_restart(persistent_url):
    store = await opened_store(persistent_url)
    running = await claimed(store, a_job(tags=("t",), queue="a"))
    await note(store, running, progress="5", lines=(LogLine(at=NOW, level="info", message="hi"),))
    done = await claimed(store, a_job(queue="b"))
    await settle(store, done, Succeeded(result="1"))
    waiting = await enqueued(store, a_job(queue="c", receipt=Receipt(key="r", until=NOW + HOUR)))
    await store.swap(NAMESPACE, [Swap(key="x", revision=0, value="1")])
    await store.append(NAMESPACE, "file", [Record(key="f", at=NOW, body="{}")])
    before = [await sight(store, job.id) for job in (running, done, waiting)]
    counts = await tallied(store)
    await store.close()

    again = await opened_store(persistent_url)
    after = [await sight(again, job.id) for job in (running, done, waiting)]

    assert after == before
    assert await tallied(again) == counts
    assert set(await again.read(NAMESPACE, ["x"])) == {"x"}
    assert set(await again.records(NAMESPACE, "file", ["f"])) == {"f"}
    (repeat,) = await enqueue(again, a_job(queue="c", receipt=Receipt(key="r", until=NOW + HOUR)))
    assert repeat.job_id == waiting.id
    await again.close()


async def test_c4_holder_keeps_its_lease_over_a_restart_of_the_store(persistent_url):
    store = await opened_store(persistent_url)
    job = await claimed(store)
    await store.close()

    again = await opened_store(persistent_url)
    async with again.renewer() as renewer:
        renewal = await renewer.renew([holder(job)], now=NOW + SECOND, lease_until=NOW + HOUR)
    await settle(again, job, now=NOW + 2 * SECOND)
    state = (await read(again, job.id)).state
    await again.close()

    assert renewal.lost == frozenset()
    assert state is State.COMPLETED


async def test_c10_two_open_stores_never_claim_the_same_job(persistent_url):
    stores = [await opened_store(persistent_url) for _ in range(2)]
    jobs = [a_job() for _ in range(60)]
    await enqueue(stores[0], *jobs)

    batches = await asyncio.gather(
        *(claim(stores[number % 2], n=7, worker=f"w{number}") for number in range(12))
    )

    found = [job.id for batch in batches for job in batch]
    await asyncio.gather(*(store.close() for store in stores))
    assert sorted(found) == sorted(job.facts.id for job in jobs)


async def test_c5_change_acked_by_one_open_store_is_seen_by_the_other(persistent_url):
    one, other = await opened_store(persistent_url), await opened_store(persistent_url)
    job = await enqueued(one)

    (running,) = await claim(other)
    await settle(one, running, Succeeded(result="1"))
    seen = await read(other, job.id)
    await asyncio.gather(one.close(), other.close())

    assert (seen.state, seen.placement.result) == (State.COMPLETED, "1")


async def test_renewer_works_in_a_thread_and_loop_of_its_own(store):
    job = await claimed(store)

    def renew_elsewhere() -> frozenset[str]:
        async def renew() -> frozenset[str]:
            async with store.renewer() as renewer:
                return (await renewer.renew([holder(job)], now=NOW + 1, lease_until=NOW + HOUR)).lost

        return asyncio.run(renew())

    lost = await asyncio.get_running_loop().run_in_executor(None, renew_elsewhere)

    assert lost == frozenset()
    assert (await read(store, job.id)).placement.lease_until == NOW + HOUR


async def test_renewing_nothing_loses_nothing(store):
    async with store.renewer() as renewer:
        renewal = await renewer.renew([], now=NOW, lease_until=NOW + HOUR)

    assert renewal.lost == frozenset()


async def test_c17_claim_that_its_caller_gave_up_is_not_half_done(store):
    await enqueue(store, *(a_job() for _ in range(20)))
    claims = [asyncio.create_task(claim(store, n=1, worker=f"w{number}")) for number in range(20)]
    await asyncio.sleep(0)
    for task in claims[::2]:
        task.cancel()

    answers = await asyncio.gather(*claims, return_exceptions=True)

    got = {job.id for answer in answers if isinstance(answer, list) for job in answer}
    jobs = await everything(store)
    assert got <= {job.id for job in jobs if job.state is State.PROCESSING}
    assert len({job.id for job in jobs if job.state is State.PROCESSING}) <= 20
    assert all(job.fence == job.placement.starts for job in jobs)


async def test_c48_listing_reads_one_snapshot_while_others_write(store):
    await enqueue(store, *(a_job() for _ in range(50)))
    stop = asyncio.Event()

    async def settle_on() -> None:
        for number in range(50):
            for job in await claim(store, n=1, worker=f"w{number}"):
                await settle(store, job)
        stop.set()

    async def look_on() -> list[int]:
        totals = []
        while not stop.is_set():
            totals.append(sum(tally.count for tally in await store.tallies(NAMESPACE)))
            page = await store.find(NAMESPACE, JobFilter(), Page(limit=1000))
            totals.append(len(page.jobs))
        return totals

    _, totals = await asyncio.gather(settle_on(), look_on())

    assert set(totals) <= {50}


async def test_workers_say_hello_over_open_stores(persistent_url):
    one, other = await opened_store(persistent_url), await opened_store(persistent_url)
    await one.hello(a_hello())

    seen = list(await other.workers(NAMESPACE))
    await asyncio.gather(one.close(), other.close())

    assert seen == [a_hello()]

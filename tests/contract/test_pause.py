import asyncio

from headrace.core.outcomes import Released, RetryAsked
from headrace.core.states import State
from headrace.stores.protocol import Applied
from tests.builders import (
    HOUR,
    LEASE,
    NAMESPACE,
    NOW,
    QUEUE,
    SECOND,
    a_failure,
    a_job,
    claim,
    claimed,
    enqueue,
    enqueued,
    happen,
    note,
    read,
    renew,
    rescue,
    settle,
)
from tests.contract.conftest import opened_store


async def pause(store, queue=QUEUE, namespace=NAMESPACE) -> None:
    await store.set_paused(namespace, queue, paused=True)


async def resume(store, queue=QUEUE) -> None:
    await store.set_paused(NAMESPACE, queue, paused=False)


async def test_c43_no_claim_of_a_paused_queue_succeeds(store):
    await enqueue(store, a_job())

    await pause(store)

    assert await claim(store, now=NOW + HOUR) == []


async def test_c43_job_enqueued_during_the_pause_waits(store):
    await pause(store)

    await enqueue(store, a_job())

    assert await claim(store) == []


async def test_c43_resume_lets_jobs_start_in_their_order(store):
    await pause(store)
    await enqueue(store, a_job(payload="2"), a_job(payload="1", priority=5))
    await claim(store)

    await resume(store)

    assert [job.facts.payload for job in await claim(store)] == ["1", "2"]


async def test_c43_other_queues_go_on(store):
    await enqueue(store, a_job(), a_job(queue="mail"))
    await pause(store)

    found = await claim(store, queues={QUEUE: 5, "mail": 5})

    assert [job.facts.queue for job in found] == ["mail"]


async def test_c43_queue_of_the_same_name_in_another_namespace_goes_on(store):
    await enqueue(store, a_job())
    await pause(store, namespace="other")

    assert len(await claim(store)) == 1


async def test_c43_running_job_goes_on_during_the_pause(store):
    job = await claimed(store)
    await pause(store)

    assert (await renew(store, job, now=NOW + SECOND)).lost == frozenset()
    assert await note(store, job, progress="5") == frozenset()
    assert await settle(store, job) == Applied()


async def test_c43_job_released_retried_or_rescued_during_the_pause_waits(store):
    jobs = [await claimed(store) for _ in range(3)]
    await pause(store)
    await settle(store, jobs[0], Released(reason="pause"))
    await settle(store, jobs[1], a_failure())
    await rescue(store, now=NOW + LEASE + 1)

    assert [(await read(store, job.id)).state for job in jobs] == [State.PENDING] * 3
    assert await claim(store, now=NOW + HOUR) == []


async def test_c43_job_retried_by_an_operator_during_the_pause_waits(store):
    job = await claimed(store, a_job(max_attempts=1))
    await settle(store, job, a_failure())
    await pause(store)

    await happen(store, await read(store, job.id), RetryAsked())

    assert await claim(store, now=NOW + HOUR) == []


async def test_c43_queue_can_be_paused_before_it_has_jobs(store):
    await pause(store, "later")
    await enqueue(store, a_job(queue="later"))

    assert await claim(store, queues={"later": 5}) == []


async def test_c43_pause_and_resume_may_be_repeated(store):
    await enqueue(store, a_job())
    for _ in range(2):
        await pause(store)
    for _ in range(2):
        await resume(store)

    assert len(await claim(store)) == 1


async def test_c43_pause_is_shown(store):
    await pause(store, "a")
    await enqueue(store, a_job(queue="b"))

    assert {queue.name: queue.paused for queue in await store.queues(NAMESPACE)} == {"a": True, "b": False}


async def test_c43_nothing_is_claimed_after_the_pause_is_acked_while_others_claim(store):
    await enqueue(store, *(a_job() for _ in range(300)))
    acked = False
    late: list[str] = []

    async def claim_on(worker: str) -> None:
        for _ in range(20):
            began_after = acked
            batch = await claim(store, n=1, worker=worker)
            late.extend(job.id for job in batch if began_after)

    async def pause_soon() -> None:
        nonlocal acked
        await asyncio.sleep(0)
        await pause(store)
        acked = True

    await asyncio.gather(pause_soon(), *(claim_on(f"w{number}") for number in range(4)))

    assert acked
    assert late == []


async def test_c43_pause_survives_a_restart(persistent_url):
    store = await opened_store(persistent_url)
    await enqueued(store)
    await pause(store)
    await store.close()

    again = await opened_store(persistent_url)
    found = await claim(again, now=NOW + HOUR)
    await again.close()

    assert found == []

"""Fair and bounded queues on Redis: what others do between a look and its commit."""

import asyncio
from functools import partial

import pytest

from headrace.errors import QueueFull
from headrace.stores.open import open_store
from headrace.stores.redis.keys import Keys
from tests.builders import NAMESPACE, NOW, QUEUE, a_job, claim, enqueue, enqueued, read
from tests.contract.fair import of
from tests.contract.test_queue_length import dropped, dropping, insert, room
from tests.stores.redis.meanwhile import Meanwhile

INSISTENCE = Keys("headrace", NAMESPACE).insistence


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    return Meanwhile(monkeypatch)


# ------------------------------------------------------------ bounded queues


async def test_c8_job_that_comes_between_count_and_insert_takes_the_last_place(store, rival, meanwhile):
    await enqueued(store)
    meanwhile(lambda: enqueue(rival, a_job()))

    with pytest.raises(QueueFull) as caught:
        await insert(store, a_job(), given=room(2))

    assert (caught.value.waiting, caught.value.coming) == (2, 1)
    assert len(await claim(store)) == 2


async def test_c8_claim_between_count_and_insert_leaves_more_room(store, rival, meanwhile):
    await enqueue(store, a_job(), a_job())
    given = await dropping(store, 2)
    meanwhile(lambda: claim(rival, n=1))

    await insert(store, a_job(), given=given)

    assert meanwhile.done
    assert await dropped(store) == 0
    assert len(await claim(store)) == 2


async def test_job_that_starts_between_look_and_drop_does_not_give_way(store, rival, meanwhile):
    first = await enqueued(store, a_job(priority=9))
    await enqueue(store, a_job(), a_job())
    given = await dropping(store, 2)

    async def start_one_and_add_another() -> None:
        await claim(rival, n=1)
        await enqueue(rival, a_job())

    meanwhile(start_one_and_add_another)
    await insert(store, a_job(), given=given)

    assert (await read(store, first.id)).placement.worker is not None
    assert await dropped(store) == 2
    assert len(await claim(store)) == 2


async def test_parked_jobs_of_other_queues_are_not_counted(store, rival, meanwhile):
    """Where some job is parked, the tallies are what is counted by."""
    await enqueue(store, a_job(type="nobody-knows-it"), a_job(queue="other"), a_job(queue=f"{QUEUE}2"))
    assert await claim(store, n=1) == []
    assert [one.lane for one in await store.parked(NAMESPACE)] == ["type:nobody-knows-it"]

    await insert(store, a_job(), given=room(2))

    with pytest.raises(QueueFull) as caught:
        await insert(store, a_job(), given=room(2))
    assert caught.value.waiting == 2


# ------------------------------------------------------------ fair queues


async def test_job_of_the_same_tenant_that_comes_between_look_and_insert_gets_the_tag(
    store, rival, meanwhile
):
    await enqueue(store, of("a"))
    meanwhile(lambda: enqueue(rival, of("a")))

    last = await enqueued(store, of("a"))

    assert last.placement.rank == 2
    assert sorted(job.placement.rank for job in await claim(store, n=9)) == [0, 1, 2]


async def test_mark_of_a_queue_that_another_one_writes_keeps_nobody_waiting(store, rival, meanwhile):
    """Both move the marks of the queue on; for another tenant nobody has to start over."""
    meanwhile(lambda: enqueue(rival, *(of("b") for _ in range(100))))

    await enqueue(store, *(of("a") for _ in range(100)))

    assert meanwhile.commits == 2
    assert len(await claim(store, n=300)) == 200


async def test_producers_of_several_processes_all_get_their_turn(url, store):
    stores = [store, *[await open_store(url) for _ in range(3)]]

    async def produce(one) -> None:
        for _ in range(25):
            await enqueue(one, of("a"))

    await asyncio.gather(*(produce(one) for one in stores for _ in range(2)))
    ranks = sorted(job.placement.rank for job in await claim(store, n=300))
    await asyncio.gather(*(one.close() for one in stores[1:]))

    assert ranks == list(range(200))


async def test_insert_that_starts_over_too_often_is_waited_for_by_the_others(store, rival, meanwhile, client):
    """Three times another one is first; the fourth time it has to wait."""
    held: list[asyncio.Task[object]] = []

    async def another() -> None:
        await enqueue(rival, of("a"))

    async def another_in_vain() -> None:
        assert client.get(INSISTENCE) is not None
        held.append(asyncio.create_task(enqueue(rival, of("a"))))
        while meanwhile.commits < 8:  # the fourth of ours, and one of the rival's that is refused
            await asyncio.sleep(0)

    nothing = asyncio.sleep
    meanwhile(
        another,
        partial(nothing, 0),
        another,
        partial(nothing, 0),
        another,
        partial(nothing, 0),
        another_in_vain,
    )
    await enqueue(store, of("a"))
    await asyncio.gather(*held)

    assert client.get(INSISTENCE) is None
    assert sorted(job.placement.rank for job in await claim(store, n=99)) == [0, 1, 2, 3, 4]


async def test_one_who_died_insisting_keeps_nobody_waiting_for_long(store, client):
    client.set(INSISTENCE, "somebody", px=20)

    await enqueue(store, of("a"))

    assert client.get(INSISTENCE) is None
    assert len(await claim(store, now=NOW)) == 1

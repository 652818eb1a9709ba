"""The tallies are the sum of what was folded and of the moves that nobody has folded yet."""

import asyncio

import pytest

from headrace.core.outcomes import Succeeded
from headrace.core.states import State
from headrace.stores.postgres import reading, tallying
from tests.builders import NAMESPACE, NOW, QUEUE, a_job, claim, enqueue, settle
from tests.contract.reads import recounted, tallied
from tests.stores.postgres import alongside


async def moves(url) -> int:
    return (await alongside.rows(url, "select count(*) from headrace.move"))[0][0]


async def busy_day(store) -> None:
    await enqueue(store, *(a_job(queue=queue) for queue in "ab" for _ in range(10)))
    for job in await claim(store, queues={"a": 4, "b": 4}, n=8):
        await settle(store, job)


async def test_folding_changes_no_number(store, url):
    await busy_day(store)
    before = await tallied(store)

    folded = await tallying.fold(store._database)

    assert folded > 0
    assert await moves(url) == 0
    assert await tallied(store) == before == await recounted(store)


async def test_moves_are_folded_on_top_of_what_was_folded_before(store):
    await busy_day(store)
    await tallying.fold(store._database)
    await busy_day(store)
    await tallying.fold(store._database)

    assert await tallied(store) == await recounted(store)


async def test_nothing_is_folded_twice_by_many_at_once(store, rival, url, monkeypatch):
    monkeypatch.setattr(tallying, "FOLD_AT_ONCE", 3)
    await busy_day(store)
    waiting = await moves(url)

    folded = await asyncio.gather(*(tallying.fold(one._database) for _ in range(4) for one in (store, rival)))

    assert sum(folded) + await moves(url) == waiting
    assert await tallied(store) == await recounted(store)


async def test_fold_is_bounded(store, url, monkeypatch):
    monkeypatch.setattr(tallying, "FOLD_AT_ONCE", 2)
    await busy_day(store)
    waiting = await moves(url)

    folded = await tallying.fold(store._database, rounds=3)

    assert (folded, await moves(url)) == (6, waiting - 6)


async def test_fold_does_not_wait_for_another_one(store, url):
    await busy_day(store)
    async with alongside.session(url) as other:
        await other.execute(store._database.statements["lock_moves"])

        folded = await tallying.fold(store._database)

    assert folded == 0


async def test_moves_written_meanwhile_are_neither_lost_nor_counted_twice(store, rival):
    stop = False

    async def read_always() -> list[int]:
        seen = []
        while not stop:
            counts = await tallied(rival)
            seen.append(sum(counts.values()))
            await tallying.fold(rival._database)
        return seen

    reading_ = asyncio.create_task(read_always())
    for _ in range(20):
        await enqueue(store, *(a_job() for _ in range(5)))
        for job in await claim(store, n=3):
            await settle(store, job, Succeeded())
    stop = True
    seen = await reading_

    assert seen == sorted(seen)
    assert all(count % 5 == 0 for count in seen)
    assert await tallied(store) == await recounted(store)


async def test_queue_that_is_empty_by_now_is_still_known_after_folding(store):
    await enqueue(store, a_job())
    for job in await claim(store):
        await settle(store, job)
    await store.erase(now=NOW * 2, limit=10)
    await tallying.fold(store._database)

    assert [queue.name for queue in await store.queues(NAMESPACE)] == [QUEUE]
    assert await tallied(store) == {}


async def test_erasing_folds_as_it_comes_by(store, url):
    await busy_day(store)

    await store.erase(now=NOW, limit=10)

    assert await moves(url) == 0


@pytest.mark.parametrize("read", ["tallies", "queues"])
async def test_reader_that_meets_many_moves_folds_them(store, url, monkeypatch, read):
    monkeypatch.setattr(reading, "MANY_MOVES", 3)
    await busy_day(store)

    await getattr(store, read)(NAMESPACE)

    assert await moves(url) == 0


@pytest.mark.parametrize("read", ["tallies", "queues"])
async def test_reader_is_answered_even_if_folding_fails(store, url, monkeypatch, read):
    monkeypatch.setattr(reading, "MANY_MOVES", 3)
    await busy_day(store)
    await alongside.rows(url, "alter table headrace.tally add constraint full_up check (count < 0) not valid")

    answer = await getattr(store, read)(NAMESPACE)

    assert len(answer) >= 2
    assert await moves(url) > 0


async def test_tallies_of_other_namespaces_are_folded_apart(store):
    await enqueue(store, a_job(namespace="one"), a_job(namespace="one"))
    await enqueue(store, a_job(namespace="two"))
    await tallying.fold(store._database)

    assert sum((await tallied(store, namespace="one")).values()) == 2
    assert sum((await tallied(store, namespace="two")).values()) == 1
    assert {state for _, _, state in await tallied(store, namespace="two")} == {State.PENDING}

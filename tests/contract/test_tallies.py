import random

import pytest

from headrace.core.outcomes import CancelAsked, Rescued, RetryAsked, Snoozed, Stopped, Succeeded
from headrace.core.states import State
from headrace.core.unique import OnConflict, Unique
from headrace.errors import IllegalMove
from headrace.stores.protocol import Tally
from tests.builders import (
    HOUR,
    MINUTE,
    NAMESPACE,
    NOW,
    QUEUE,
    TYPE,
    a_failure,
    a_job,
    claim,
    enqueue,
    happen,
    settle,
)
from tests.contract.reads import everything, recounted, tallied

OUTCOMES = [Succeeded(), a_failure(), Snoozed(delay_ms=0), Stopped()]
QUEUES = ("a", "b")
TYPES = ("mail", "image")


async def queues_of(store):
    return {queue.name: queue for queue in await store.queues(NAMESPACE)}


async def test_c3_tallies_name_queue_type_and_state(store):
    await enqueue(store, a_job(), a_job(), a_job(queue="mail", type="send", state=State.BLOCKED))

    found = [tally for tally in await store.tallies(NAMESPACE) if tally.count]

    assert sorted(found, key=lambda tally: tally.queue) == [
        Tally(queue=QUEUE, type=TYPE, state=State.PENDING, count=2),
        Tally(queue="mail", type="send", state=State.BLOCKED, count=1),
    ]


async def test_tallies_of_an_empty_store_are_all_zero(store):
    assert await tallied(store) == {}


@pytest.mark.parametrize("seed", range(4))
async def test_c3_tallies_equal_a_recount_after_whatever_happened(store, seed):
    chance = random.Random(seed)
    for step in range(40):
        now = NOW + step * MINUTE
        await something_happens(store, chance, now)

        assert await tallied(store) == await recounted(store)


async def something_happens(store, chance: random.Random, now: int) -> None:
    match chance.choice(
        ["enqueue", "enqueue", "claim", "settle", "settle", "cancel", "retry", "rescue", "erase", "park"]
    ):
        case "enqueue":
            key = Unique(
                key=chance.choice("xyz"), on_conflict=chance.choice([OnConflict.EXISTING, OnConflict.REPLACE])
            )
            await enqueue(
                store,
                *(
                    a_job(queue=chance.choice(QUEUES), type=chance.choice(TYPES), created_at=now)
                    for _ in range(4)
                ),
                a_job(queue=chance.choice(QUEUES), type="mail", unique=key, created_at=now),
                now=now,
            )
        case "claim":
            await claim(store, n=3, now=now, queues=dict.fromkeys(QUEUES, 3), types=frozenset(TYPES))
        case "park":
            await claim(store, n=1, now=now, queues=dict.fromkeys(QUEUES, 1), types=frozenset({"mail"}))
        case "settle":
            for job in await of_state(store, State.PROCESSING):
                await settle(store, job, chance.choice(OUTCOMES), now=now)
        case "erase":
            await store.erase(now=now + 2 * HOUR, limit=3)
            await store.erase_beyond(NAMESPACE, "mail", State.FAILED, keep=1, limit=2)
        case word:
            event = {"cancel": CancelAsked(), "retry": RetryAsked(), "rescue": Rescued()}[word]
            for job in chance.sample(await everything(store), k=min(3, len(await everything(store)))):
                try:
                    await happen(store, job, event, now=now)
                except IllegalMove:
                    continue


async def of_state(store, state: State):
    return [job for job in await everything(store) if job.state is state]


async def test_queue_shows_how_deep_it_is(store):
    await enqueue(store, a_job(), a_job(due_at=NOW + HOUR), a_job(type="other"), a_job(state=State.BLOCKED))
    await claim(store, n=1)

    queue = (await queues_of(store))[QUEUE]

    assert {state: count for state, count in queue.counts.items() if count} == {
        State.PENDING: 2, State.PROCESSING: 1, State.BLOCKED: 1,
    }  # fmt: skip


async def test_queue_shows_since_when_its_head_has_waited(store):
    now = await store.now()
    await enqueue(
        store, a_job(due_at=now - 5), a_job(due_at=now - 7, priority=-1), a_job(due_at=now + HOUR, rank=1)
    )

    assert (await queues_of(store))[QUEUE].oldest_due_at == now - 7


async def test_queue_without_waiting_jobs_has_no_head(store):
    await enqueue(store, a_job())
    await claim(store)

    assert (await queues_of(store))[QUEUE].oldest_due_at is None


async def test_queues_are_listed_by_name_also_when_they_are_empty_by_now(store):
    await enqueue(store, a_job(queue="b"), a_job(queue="a"), a_job(queue="c"))
    for job in await claim(store, queues={"b": 1}):
        await settle(store, job)
    await store.erase(now=NOW + 2 * HOUR, limit=10)

    assert [queue.name for queue in await store.queues(NAMESPACE)] == ["a", "b", "c"]

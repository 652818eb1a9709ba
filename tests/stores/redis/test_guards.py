"""Guards that only show where something unusual comes together."""

import asyncio

from headrace.stores.open import open_store
from headrace.stores.protocol import InsertKind, Receipt
from tests.builders import HOUR, NAMESPACE, NOW, SECOND, a_job, claim, claimed, enqueue, holder
from tests.contract.reads import everything
from tests.servers.behaviours import BlackHole, Direction, Pass
from tests.servers.proxy import Proxy
from tests.servers.resp import RespCommands

TURNS = 50


def a_receipt(key: str, until: int) -> Receipt:
    return Receipt(key=key, body="body", until=until)


async def test_c16_job_that_a_clock_ahead_has_made_ready_is_not_claimed_before_it_is_due(store):
    first, second = a_job(due_at=NOW + SECOND), a_job(due_at=NOW + SECOND)
    await enqueue(store, first, second)
    ahead = await claim(store, n=1, now=NOW + 2 * SECOND)

    early = await claim(store, n=1, now=NOW + SECOND - 1)
    there = await claim(store, n=1, now=NOW + SECOND)

    assert [job.id for job in ahead] == [first.facts.id]
    assert early == []
    assert [job.id for job in there] == [second.facts.id]


async def test_c39_best_of_several_queues_are_claimed_where_not_all_may_be(store):
    low = [a_job(queue="a", priority=1) for _ in range(2)]
    high = [a_job(queue="b", priority=2) for _ in range(2)]
    await enqueue(store, *low, *high)

    found = await claim(store, n=2, queues={"a": 2, "b": 2})

    assert [job.id for job in found] == [new.facts.id for new in high]


async def test_c31_receipt_whose_window_is_over_answers_nobody_beside_a_parent(store):
    over = NOW + HOUR
    parent = await claimed(store)
    await enqueue(store, a_job(receipt=a_receipt("order", over)))
    new = a_job(receipt=a_receipt("order", over + HOUR), created_at=over)

    (answer,) = await store.insert(NAMESPACE, [new], now=over, parent=holder(parent))

    assert (answer.kind, answer.job_id) == (InsertKind.INSERTED, new.facts.id)


async def test_c31_trim_takes_what_is_over_and_leaves_what_is_good(store):
    over, good = a_job(receipt=a_receipt("over", NOW + 1)), a_job(receipt=a_receipt("good", NOW + HOUR))
    await enqueue(store, over, good)

    count = await store.trim(now=NOW + 2, limit=100)
    (answer,) = await enqueue(store, a_job(receipt=a_receipt("good", NOW + HOUR)), now=NOW + 2)

    assert count == 1
    assert (answer.kind, answer.job_id) == (InsertKind.EXISTING, good.facts.id)


async def test_answer_to_a_call_that_was_given_up_is_taken_by_nobody_else(url):
    with Proxy(url, framing=RespCommands) as proxy:
        store = await open_store(f"{proxy.url}?pool=2")
        await store.migrate()
        await enqueue(store, a_job())
        proxy.set(BlackHole(directions=frozenset({Direction.TO_CLIENT})))
        given_up = asyncio.create_task(store.now())
        for _ in range(TURNS):  # the question is sent, and the answer cannot come
            await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait([given_up])
        proxy.set(Pass())

        found = await everything(store)
        await store.close()

    assert len(found) == 1

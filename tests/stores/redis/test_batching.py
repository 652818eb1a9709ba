"""Batches of more members than one script looks at."""

from headrace.core.filters import JobFilter
from headrace.core.outcomes import CancelAsked, RetryAsked
from headrace.core.states import State
from tests.builders import HOUR, NAMESPACE, NOW, a_job, decided, enqueue
from tests.contract.reads import everything

BATCH = "batch_1_0123456789abcdef"
COUNT = 4_300


async def a_large_batch(store):
    """All members but the last were cancelled, one after the other; in order."""
    await enqueue(store, *(a_job(batch_id=BATCH, state=State.BLOCKED) for _ in range(COUNT)))
    members = (await everything(store, JobFilter(batch_id=BATCH)))[::-1]
    for first in range(0, COUNT - 1, 1_000):
        some = members[first : min(first + 1_000, COUNT - 1)]
        await store.apply([decided(one, CancelAsked(), now=NOW + one.seq) for one in some], now=NOW)
    return members


async def test_c36_members_of_a_large_batch_are_all_counted(store):
    await a_large_batch(store)

    counts = await store.batch_counts(NAMESPACE, [BATCH, "no-such-batch"])

    assert counts == {BATCH: {State.CANCELLED: COUNT - 1, State.BLOCKED: 1}, "no-such-batch": {}}
    assert await store.live_batches(NAMESPACE, [BATCH, "no-such-batch"]) == {BATCH}


async def test_first_in_line_is_found_however_far_it_stands(store):
    members = await a_large_batch(store)

    found = await store.first_in_line(NAMESPACE, BATCH, f"batch:{BATCH}")

    assert found is not None
    assert found.id == members[-1].id
    assert await store.first_in_line(NAMESPACE, "no-such-batch", "batch:no-such-batch") is None


async def test_whether_a_member_ended_since_is_told_by_those_that_are_ended_now(store):
    members = await a_large_batch(store)
    earlier, latest = members[-3:-1]
    at = NOW + latest.seq

    before = [await store.ended_since(NAMESPACE, BATCH, one) for one in (at + 1, at, at - HOUR)]
    (ended,) = (await store.get(NAMESPACE, [latest.id])).values()
    await store.apply([decided(ended, RetryAsked())], now=NOW)

    assert before == [False, True, True]
    assert not await store.ended_since(NAMESPACE, BATCH, at)
    assert await store.ended_since(NAMESPACE, BATCH, NOW + earlier.seq)

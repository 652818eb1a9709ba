import pytest

from headrace.core.job import MAX_PRIORITY, MIN_PRIORITY
from headrace.core.outcomes import Released, Snoozed
from headrace.core.states import State
from tests.builders import HOUR, NOW, a_failure, a_job, claim, enqueue, enqueued, settle


async def order_of(store, *, now=NOW, n=1) -> list[str]:
    """The payloads in the order in which claims of ``n`` return them."""
    found: list[str] = []
    while batch := await claim(store, n=n, now=now):
        found.extend(job.facts.payload for job in batch)
    return found


@pytest.mark.parametrize("n", [1, 2, 100])
async def test_c39_higher_priority_comes_first(store, n):
    levels = (0, 7, -3, 100, MIN_PRIORITY, MAX_PRIORITY)
    await enqueue(store, *(a_job(priority=level, payload=str(level)) for level in levels))

    assert await order_of(store, n=n) == [str(MAX_PRIORITY), "100", "7", "0", "-3", str(MIN_PRIORITY)]


@pytest.mark.parametrize("n", [1, 2, 100])
async def test_c39_earlier_due_time_comes_first_within_a_priority(store, n):
    await enqueue(store, *(a_job(due_at=NOW - wait, payload=str(wait)) for wait in (5, 9, 1, 7)))

    assert await order_of(store, n=n) == ["9", "7", "5", "1"]


@pytest.mark.parametrize("n", [1, 2, 100])
async def test_c39_enqueue_order_decides_when_all_else_is_equal(store, n):
    await enqueue(store, *(a_job(payload=str(number)) for number in range(20)))

    assert await order_of(store, n=n) == [str(number) for number in range(20)]


async def test_c39_enqueue_order_is_that_of_the_store_and_not_of_the_ids(store):
    late, early = a_job(payload="1"), a_job(payload="2")
    await enqueue(store, early)
    await enqueue(store, late)

    assert late.facts.id < early.facts.id
    assert await order_of(store) == ["2", "1"]


async def test_c39_rank_decides_and_not_the_due_time(store):
    await enqueue(store, a_job(payload="1", rank=NOW - 1), a_job(payload="2", due_at=NOW - HOUR, rank=NOW))

    assert await order_of(store) == ["1", "2"]


async def test_c39_future_job_at_a_higher_priority_blocks_nothing(store):
    await enqueue(store, *(a_job(priority=50, due_at=NOW + HOUR) for _ in range(200)), a_job(payload="now"))

    assert await order_of(store) == ["now"]


@pytest.mark.parametrize("n", [1, 2, 10])
async def test_c39_many_levels_of_future_jobs_block_nothing_and_change_no_order(store, n):
    await enqueue(store, *(a_job(priority=level, due_at=NOW + HOUR) for level in range(1, 201)))
    await enqueue(
        store, *(a_job(priority=-level, due_at=NOW - level, payload=str(level)) for level in (2, 0, 1))
    )

    assert await order_of(store, n=n) == ["0", "1", "2"]


async def test_c39_many_levels_of_due_jobs_come_in_order(store):
    await enqueue(store, *(a_job(priority=level % 150, payload=str(level % 150)) for level in range(300)))

    found = await order_of(store, n=7)

    assert found == sorted(found, key=int, reverse=True)
    assert len(found) == 300


async def test_c39_higher_priority_that_comes_later_is_not_missed(store):
    await enqueue(store, *(a_job(payload="low") for _ in range(5)))
    await claim(store, n=2)
    await enqueue(store, a_job(payload="high", priority=1))

    assert await order_of(store) == ["high", "low", "low", "low"]


async def test_c39_earlier_rank_that_comes_later_is_not_missed(store):
    await enqueue(store, *(a_job(payload="new") for _ in range(3)))
    await claim(store, n=1)
    await enqueue(store, a_job(payload="old", due_at=NOW - HOUR))

    assert await order_of(store) == ["old", "new", "new"]


async def test_c39_job_given_back_at_once_keeps_its_place(store):
    await enqueue(store, *(a_job(payload=str(number)) for number in range(3)))
    (first,) = await claim(store, n=1)
    await settle(store, first, Released(reason="shutdown"), now=NOW + HOUR)

    assert await order_of(store, now=NOW + HOUR) == ["0", "1", "2"]


@pytest.mark.parametrize("outcome", [a_failure(), Snoozed(delay_ms=10_000)], ids=["retry", "snooze"])
async def test_c39_job_that_comes_back_later_is_ranked_by_its_new_due_time(store, outcome):
    await enqueue(store, *(a_job(payload=str(number)) for number in range(3)))
    (first,) = await claim(store, n=1)
    await settle(store, first, outcome)
    await enqueue(store, a_job(payload="later", due_at=NOW + 10_001))

    assert await order_of(store, now=NOW + HOUR) == ["1", "2", "0", "later"]


async def test_c39_queues_keep_an_order_of_their_own(store):
    await enqueue(store, *(a_job(queue=queue, priority=level) for level in range(5) for queue in ("a", "b")))

    found = await claim(store, n=10, queues={"a": 5, "b": 5})

    for queue in ("a", "b"):
        assert [job.placement.priority for job in found if job.facts.queue == queue] == [4, 3, 2, 1, 0]


async def test_c16_unknown_type_at_a_higher_priority_is_no_obstacle(store):
    await enqueue(store, *(a_job(type="other", priority=9) for _ in range(100)), *(a_job() for _ in range(3)))

    found = []
    for _ in range(5):
        found += await claim(store, n=3)

    assert len(found) == 3


async def test_c39_blocked_job_holds_nobody_back(store):
    await enqueued(store, a_job(state=State.BLOCKED, priority=9))
    await enqueue(store, a_job(payload="free"))

    assert await order_of(store) == ["free"]

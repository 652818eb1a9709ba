"""The chores of fair queues: how often they look, and what they do when they are not alone."""

from collections.abc import AsyncIterator

import pytest

from headrace.clock import ManualClock
from headrace.core.fairness import LINES, TAGS_BELOW
from headrace.stores.open import open_store
from headrace.stores.protocol import Store
from headrace.upkeep.chore import ChoreResult
from headrace.upkeep.queues import AT_ONCE, NONE_MS, ForgetLines, PutInLine
from tests.builders import NAMESPACE, NOW, SECOND, a_job, claim, enqueue, read
from tests.contract.fair import of


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    opened = await open_store("sqlite://")
    yield opened
    await opened.close()


async def test_without_fair_queues_there_is_one_look_in_five_seconds(store):
    await enqueue(store, a_job())

    assert await PutInLine(store, ManualClock(NOW)).run_once() == ChoreResult(again_in_ms=NONE_MS)


async def test_more_than_can_be_done_at_once_are_done_at_once_after_it(store):
    await enqueue(store, of("a"))
    await enqueue(store, *(of("a", due_at=NOW + 1) for _ in range(AT_ONCE + 3)))
    chore = PutInLine(store, ManualClock(NOW + 1))

    first, second, third = [await chore.run_once() for _ in range(3)]

    assert (first.done, first.more) == (AT_ONCE, True)
    assert (second.done, second.more) == (3, False)
    assert third.done == 0


async def test_job_that_is_claimed_meanwhile_is_left_alone(store, monkeypatch):
    await enqueue(store, of("a"))
    (waiting,) = await enqueue(store, of("b", due_at=NOW + 1))
    heads = store.heads

    async def slow_heads(*given):
        await claim(store, now=NOW + 1)
        return await heads(*given)

    monkeypatch.setattr(store, "heads", slow_heads)

    result = await PutInLine(store, ManualClock(NOW + 1)).run_once()

    job = await read(store, waiting.job_id)
    assert result.done == 0
    assert (job.placement.rank, job.placement.worker) == (NOW + 1, "worker-1")


async def test_parked_jobs_are_looked_at_every_five_seconds(store, monkeypatch):
    looks = []
    parked = store.parked_out_of_line

    async def counted(*given, **more):
        looks.append(more["now"])
        return await parked(*given, **more)

    monkeypatch.setattr(store, "parked_out_of_line", counted)
    await enqueue(store, of("a"))
    clock = ManualClock(NOW)
    chore = PutInLine(store, clock)
    for _ in range(8):
        await chore.run_once()
        clock.advance(1)

    assert looks == [NOW, NOW + 5 * SECOND]


async def test_lines_that_are_used_are_not_looked_at(store):
    await enqueue(store, of("a"))

    assert await ForgetLines(store, ManualClock(NOW + SECOND)).run_once() == ChoreResult(done=0)

    (line,) = await store.scan(NAMESPACE, f"{LINES}:")
    assert int(line.value) < TAGS_BELOW

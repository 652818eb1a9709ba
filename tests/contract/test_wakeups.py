"""Wake-ups are hints. Time-outs here are only how long a broken store would make the tests hang."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from headrace.stores.protocol import Store
from tests.builders import NAMESPACE, QUEUE, a_job, claim, enqueue

LONG_MS = 5_000
ONE = frozenset({QUEUE})


@pytest.fixture
async def store(store: Store) -> Store:
    """A store that hears others already: when one begins to, it wakes everybody who has waited."""
    await store.check()
    return store


async def test_c47_hint_wakes_who_waits(store):
    waiting = asyncio.create_task(store.woken(NAMESPACE, ONE, timeout_ms=LONG_MS))
    await asyncio.sleep(0)

    store.wake(NAMESPACE, ONE)

    assert await waiting is True


async def test_c47_hint_between_two_calls_is_not_lost(store):
    await store.woken(NAMESPACE, ONE, timeout_ms=1)
    store.wake(NAMESPACE, ONE)

    assert await store.woken(NAMESPACE, ONE, timeout_ms=LONG_MS) is True


@pytest.mark.parametrize("timeout_ms", [0, 5])
async def test_c47_wait_ends_with_its_time_out_when_nobody_hints(store, timeout_ms):
    assert await store.woken(NAMESPACE, ONE, timeout_ms=timeout_ms) is False


async def test_c47_hint_is_used_up_by_the_wait_it_ended(store):
    store.wake(NAMESPACE, ONE)
    await store.woken(NAMESPACE, ONE, timeout_ms=LONG_MS)

    found = [await store.woken(NAMESPACE, ONE, timeout_ms=1) for _ in range(60)]

    assert found[-1] is False


async def test_c47_hint_for_another_queue_wakes_nobody(store):
    await store.woken(NAMESPACE, ONE, timeout_ms=1)

    store.wake(NAMESPACE, frozenset({"other"}))

    assert await store.woken(NAMESPACE, ONE, timeout_ms=5) is False


async def test_c46_hint_in_another_namespace_wakes_nobody(store):
    await store.woken(NAMESPACE, ONE, timeout_ms=1)

    store.wake("other", ONE)

    assert await store.woken(NAMESPACE, ONE, timeout_ms=5) is False


async def test_c47_who_waits_for_any_queue_is_woken_by_each(store):
    await store.woken(NAMESPACE, None, timeout_ms=1)

    store.wake(NAMESPACE, frozenset({"whatever"}))

    assert await store.woken(NAMESPACE, None, timeout_ms=LONG_MS) is True


async def test_c47_one_hint_wakes_everybody_who_waits(store):
    waiting = [asyncio.create_task(store.woken(NAMESPACE, ONE, timeout_ms=LONG_MS)) for _ in range(3)]
    await asyncio.sleep(0)

    store.wake(NAMESPACE, ONE)

    assert await asyncio.gather(*waiting) == [True, True, True]


async def test_c47_hint_reaches_a_loop_in_another_thread(store):
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()

    def wait_elsewhere() -> bool:
        async def wait() -> bool:
            loop.call_soon_threadsafe(ready.set)
            return await store.woken(NAMESPACE, ONE, timeout_ms=LONG_MS)

        return asyncio.run(wait())

    with ThreadPoolExecutor(1) as pool:
        waiting = loop.run_in_executor(pool, wait_elsewhere)
        await ready.wait()
        store.wake(NAMESPACE, ONE)

        assert await waiting is True


async def test_c47_wake_may_be_called_from_a_thread_without_a_loop(store):
    waiting = asyncio.create_task(store.woken(NAMESPACE, ONE, timeout_ms=LONG_MS))
    await asyncio.sleep(0)

    await asyncio.get_running_loop().run_in_executor(None, store.wake, NAMESPACE, ONE)

    assert await waiting is True


async def test_c47_job_is_claimed_without_any_hint(store):
    await enqueue(store, a_job())

    assert len(await claim(store)) == 1


async def test_c47_duplicate_hints_are_harmless(store):
    for _ in range(100):
        store.wake(NAMESPACE, ONE)
    await enqueue(store, a_job())

    assert await store.woken(NAMESPACE, ONE, timeout_ms=LONG_MS) is True
    assert len(await claim(store)) == 1
    assert await claim(store) == []


async def test_cancelled_wait_leaves_nothing_behind(store):
    waiting = asyncio.create_task(store.woken(NAMESPACE, ONE, timeout_ms=LONG_MS))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    store.wake(NAMESPACE, ONE)

    assert await store.woken(NAMESPACE, ONE, timeout_ms=LONG_MS) is True

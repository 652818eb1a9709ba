"""Wake-ups between processes: who hears what, how often is sent, and who hears nothing."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from headrace.stores.open import open_store
from tests.builders import a_job, claim, enqueue
from tests.stores.hearing import AT_ONCE_MS, LONG_MS, NAMESPACE, ONE, ManualTiming, child, hears, sent

WAKE_AND_LEAVE = """
import asyncio, sys
from headrace.stores.open import open_store

async def main():
    store = await open_store(sys.argv[1])
    store.wake("default", frozenset({"one"}))
    await store.close()

asyncio.run(main())
"""

WAIT = """
import asyncio, sys
from headrace.stores.open import open_store

async def main():
    store = await open_store(sys.argv[1])
    assert (await store.check()).details["wakeups"] == "listening"
    waiting = asyncio.create_task(store.woken("default", frozenset({"one"}), timeout_ms=60_000))
    await asyncio.sleep(0)
    print("waiting", flush=True)
    print(await waiting, flush=True)

asyncio.run(main())
"""


# ------------------------------------------------------------ who hears what


async def test_c47_hint_of_another_store_wakes_who_waits(server, url):
    async with server.wakeups(url) as here, server.wakeups(url) as there:
        await hears(there)
        waiting = asyncio.create_task(there.woken(NAMESPACE, ONE, LONG_MS))
        await asyncio.sleep(0)

        here.wake(NAMESPACE, ONE)

        assert await waiting is True
        assert there.heard


async def test_hint_of_a_process_that_leaves_at_once_is_heard(server, url):
    async with server.wakeups(url) as here:
        await hears(here)
        waiting = asyncio.create_task(here.woken(NAMESPACE, ONE, LONG_MS))

        ended = await asyncio.to_thread(child(WAKE_AND_LEAVE, url).communicate, timeout=60)

        assert await waiting is True
        assert ended == ("", "")


async def test_waiting_process_is_woken_and_leaves_without_a_word_when_its_loop_ends(server, url):
    """It never closes its store: -W error makes every forgotten connection and task speak on stderr."""
    other = child(WAIT, url)
    async with server.wakeups(url) as here:
        assert await asyncio.to_thread(other.stdout.readline) == "waiting\n"
        here.wake(NAMESPACE, ONE)

        out, err = await asyncio.to_thread(other.communicate, timeout=60)

    assert (out, err, other.returncode) == ("True\n", "", 0)


async def test_hint_for_another_queue_or_namespace_wakes_nobody(server, url):
    async with server.wakeups(url) as here, server.wakeups(url) as there:
        await hears(there)
        last = asyncio.create_task(there.woken(NAMESPACE, frozenset({"last"}), LONG_MS))
        await asyncio.sleep(0)

        here.wake(NAMESPACE, frozenset({"other"}))
        here.wake("elsewhere", ONE)
        await sent(here)
        here.wake(NAMESPACE, frozenset({"last"}))
        await last

        assert await there.woken(NAMESPACE, ONE, AT_ONCE_MS) is False


async def test_process_passes_over_its_own_notices(server, url):
    async with server.wakeups(url) as here, server.wakeups(url) as there:
        await hears(here)
        here.wake(NAMESPACE, ONE)
        assert await here.woken(NAMESPACE, ONE, LONG_MS) is True
        await sent(here)
        last = asyncio.create_task(here.woken(NAMESPACE, frozenset({"last"}), LONG_MS))
        await asyncio.sleep(0)

        there.wake(NAMESPACE, frozenset({"last"}))  # comes behind the own notice
        await last

        assert await here.woken(NAMESPACE, ONE, AT_ONCE_MS) is False


async def test_hint_reaches_a_loop_in_another_thread(server, url):
    async with server.wakeups(url) as here, server.wakeups(url) as there:
        await hears(there)
        waiting = threading.Event()

        async def wait() -> bool:
            asyncio.get_running_loop().call_soon(waiting.set)
            return await there.woken(NAMESPACE, ONE, LONG_MS)

        with ThreadPoolExecutor(1) as thread:
            elsewhere = thread.submit(asyncio.run, wait())
            await asyncio.to_thread(waiting.wait)
            here.wake(NAMESPACE, ONE)

            assert await asyncio.wrap_future(elsewhere) is True


# ------------------------------------------------------------ how often is sent


async def test_notices_of_a_busy_queue_become_fewer(server, url):
    timing = ManualTiming()
    expected = [0, 5, 15, 35, 75, 125]
    at: list[int] = []
    async with server.wakeups(url, timing=timing) as here, server.overheard(url) as heard:
        for millisecond in range(125):
            here.wake(NAMESPACE, ONE)
            await sent(here)
            at += [millisecond] * (len(await heard()) - len(at))
            timing.advance(0.001)
        await sent(here)
        at += [125] * (len(await heard()) - len(at))
        timing.advance(1)
        await sent(here)

        assert at == expected
        assert len(await heard()) == len(expected)


# ------------------------------------------------------------ switched off


async def test_notify_off_sends_nothing_hears_nothing_and_still_wakes_this_process(server, url):
    async with server.wakeups(f"{url}?notify=off") as here, server.overheard(url) as heard:
        here.wake(NAMESPACE, ONE)
        await sent(here)

        assert await here.woken(NAMESPACE, ONE, LONG_MS) is True
        assert await heard() == []
        assert await here.described() == "polling: notify=off"
        assert here.heard is False


async def test_c47_job_is_found_by_polling_when_no_hint_is_heard(server, url):
    producer, worker = await open_store(f"{url}?notify=off"), await open_store(f"{url}?{server.deaf}")
    await worker.woken("n", None, timeout_ms=1)
    await enqueue(producer, a_job())

    assert await worker.woken("n", None, timeout_ms=1) is False
    assert len(await claim(worker)) == 1
    await producer.close()
    await worker.close()

"""Wake-ups between processes: who hears what, how often is sent, and what happens when the line is cut."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from headrace.stores.coalescing import Coalescer
from headrace.stores.notice import read
from headrace.stores.open import open_store
from tests.builders import a_job, claim, enqueue
from tests.stores.postgres.hearing import (
    AT_ONCE_MS,
    LONG_MS,
    NAMESPACE,
    ONE,
    ManualTiming,
    child,
    hears,
    overheard,
    sent,
    wakeups,
)

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


async def test_c47_hint_of_another_store_wakes_who_waits(url):
    async with wakeups(url) as here, wakeups(url) as there:
        await hears(there)
        waiting = asyncio.create_task(there.woken(NAMESPACE, ONE, LONG_MS))
        await asyncio.sleep(0)

        here.wake(NAMESPACE, ONE)

        assert await waiting is True
        assert there.heard


async def test_hint_of_a_process_that_leaves_at_once_is_heard(url):
    async with wakeups(url) as here:
        await hears(here)
        waiting = asyncio.create_task(here.woken(NAMESPACE, ONE, LONG_MS))

        ended = await asyncio.to_thread(child(WAKE_AND_LEAVE, url).communicate, timeout=60)

        assert await waiting is True
        assert ended == ("", "")


async def test_waiting_process_is_woken_and_leaves_without_a_word_when_its_loop_ends(url):
    """It never closes its store: -W error makes every forgotten connection and task speak on stderr."""
    other = child(WAIT, url)
    async with wakeups(url) as here:
        assert await asyncio.to_thread(other.stdout.readline) == "waiting\n"
        here.wake(NAMESPACE, ONE)

        out, err = await asyncio.to_thread(other.communicate, timeout=60)

    assert (out, err, other.returncode) == ("True\n", "", 0)


async def test_hint_for_another_queue_or_namespace_wakes_nobody(url):
    async with wakeups(url) as here, wakeups(url) as there:
        await hears(there)
        last = asyncio.create_task(there.woken(NAMESPACE, frozenset({"last"}), LONG_MS))
        await asyncio.sleep(0)

        here.wake(NAMESPACE, frozenset({"other"}))
        here.wake("elsewhere", ONE)
        await sent(here)
        here.wake(NAMESPACE, frozenset({"last"}))
        await last

        assert await there.woken(NAMESPACE, ONE, AT_ONCE_MS) is False


async def test_other_schema_of_the_same_database_hears_nothing(url):
    async with wakeups(url) as here, overheard(f"{url}?schema=other") as heard:
        here.wake(NAMESPACE, ONE)
        await sent(here)

        assert await heard() == []


async def test_process_passes_over_its_own_notices(url):
    async with wakeups(url) as here, wakeups(url) as there:
        await hears(here)
        here.wake(NAMESPACE, ONE)
        assert await here.woken(NAMESPACE, ONE, LONG_MS) is True
        await sent(here)
        last = asyncio.create_task(here.woken(NAMESPACE, frozenset({"last"}), LONG_MS))
        await asyncio.sleep(0)

        there.wake(NAMESPACE, frozenset({"last"}))  # comes behind the own notice
        await last

        assert await here.woken(NAMESPACE, ONE, AT_ONCE_MS) is False


async def test_hint_reaches_a_loop_in_another_thread(url):
    async with wakeups(url) as here, wakeups(url) as there:
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


async def test_notices_of_a_busy_queue_become_fewer(url):
    timing = ManualTiming()
    expected = [0, 5, 15, 35, 75, 125]
    at: list[int] = []
    async with wakeups(url, timing=timing) as here, overheard(url) as heard:
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


async def test_queues_that_wait_for_their_turn_go_together(url):
    timing = ManualTiming()
    names = frozenset(f"queue-{number}" for number in range(10))
    async with wakeups(url, timing=timing) as here, overheard(url) as heard:
        here.wake(NAMESPACE, names)
        await sent(here)
        for name in names:
            here.wake(NAMESPACE, frozenset({name}))
        timing.advance(0.05)
        await sent(here)

        payloads = await heard()

    assert [read(payload).places for payload in payloads] == [{(NAMESPACE, name) for name in names}] * 2


async def test_queue_that_was_quiet_does_not_wait_for_a_busy_one(url):
    timing = ManualTiming()
    async with wakeups(url, timing=timing) as here, overheard(url) as heard:
        here.wake(NAMESPACE, frozenset({"busy"}))
        await sent(here)
        timing.advance(0.001)
        here.wake(NAMESPACE, frozenset({"busy", "quiet"}))
        await sent(here)

        payloads = await heard()

    assert [read(payload).places for payload in payloads] == [{(NAMESPACE, "busy")}, {(NAMESPACE, "quiet")}]


def test_coalescer_takes_each_place_once_in_its_gap():
    coalescer = Coalescer()
    coalescer.add([("a", "x"), ("a", "y"), ("a", "x")], 10.0)

    first = coalescer.take(10.0)
    coalescer.add([("a", "x"), ("b", "x")], 10.002)
    second = coalescer.take(10.002)

    assert first == {("a", "x"), ("a", "y")}
    assert second == {("b", "x")}
    assert coalescer.next_at() == pytest.approx(10.005)
    assert coalescer.take(10.006) == {("a", "x")}
    assert coalescer.next_at() is None
    assert coalescer.take_all() == frozenset()


def sent_at(every: int, *, until: int) -> list[int]:
    """When a place is sent that has work so often; all in milliseconds."""
    coalescer, sent = Coalescer(), []
    for millisecond in range(until):
        now = millisecond / 1000
        if millisecond % every == 0:
            coalescer.add([("a", "x")], now)
        if coalescer.take(now):
            sent.append(millisecond)
    return sent


def test_flood_is_announced_less_and_less_often():
    assert sent_at(1, until=300) == pytest.approx([0, 5, 15, 35, 75, 125, 175, 225, 275], abs=5)


def test_work_that_comes_now_and_then_is_announced_at_once():
    assert sent_at(16, until=200) == list(range(0, 200, 16))


def test_queue_that_was_flooded_is_quick_again_after_a_pause():
    coalescer = Coalescer()
    for millisecond in range(200):
        coalescer.add([("a", "x")], millisecond / 1000)
        coalescer.take(millisecond / 1000)

    coalescer.take(1.0)
    coalescer.add([("a", "x")], 2.0)
    coalescer.take(2.0)
    coalescer.add([("a", "x")], 2.001)

    assert coalescer.next_at() == pytest.approx(2.005)


# ------------------------------------------------------------ what is said


async def test_long_notice_wakes_everybody(url):
    async with wakeups(url) as here, wakeups(url) as there:
        await hears(there)
        assert await there.woken(NAMESPACE, ONE, AT_ONCE_MS) is False
        waiting = asyncio.create_task(there.woken(NAMESPACE, ONE, LONG_MS))
        await asyncio.sleep(0)

        here.wake(NAMESPACE, frozenset(f"{'q' * 60}-{number}" for number in range(200)))

        assert await waiting is True


# ------------------------------------------------------------ switched off


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("notify=off", "notify=off"),
        ("listen=off", "listen=off"),
        ("pooler=transaction", "a pooler forgets who listens, and no listen= names the server itself"),
    ],
)
async def test_who_does_not_listen_polls_and_says_why(url, run_sql, option, reason):
    async with wakeups(f"{url}?{option}&application_name=quiet") as here:
        assert await here.woken(NAMESPACE, ONE, 1) is False
        assert await here.described() == f"polling: {reason}"
        assert here.heard is False
    assert run_sql(url, "select 1 from pg_stat_activity where application_name = 'quiet'") == []


async def test_notify_off_sends_nothing_and_still_wakes_this_process(url):
    async with wakeups(f"{url}?notify=off") as here, overheard(url) as heard:
        here.wake(NAMESPACE, ONE)
        await sent(here)

        assert await here.woken(NAMESPACE, ONE, LONG_MS) is True
        assert await heard() == []


async def test_c47_job_is_found_by_polling_when_no_hint_is_heard(url):
    producer, worker = await open_store(f"{url}?notify=off"), await open_store(f"{url}?listen=off")
    await worker.woken("n", None, timeout_ms=1)
    await enqueue(producer, a_job())

    assert await worker.woken("n", None, timeout_ms=1) is False
    assert len(await claim(worker)) == 1
    await producer.close()
    await worker.close()

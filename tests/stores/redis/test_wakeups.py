"""Wake-ups between processes over publish and subscribe: who hears what, and when the line is cut."""

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

from headrace.stores.notice import Notice, read, written
from headrace.stores.open import open_store
from headrace.stores.redis.channel import channel_of
from headrace.stores.redis.location import parse
from tests.builders import a_job, claim, enqueue
from tests.servers.behaviours import BlackHole, numbered
from tests.servers.proxy import Proxy
from tests.servers.resp import RespCommands
from tests.stores.postgres.hearing import ManualTiming, child
from tests.stores.redis.conftest import connected_by
from tests.stores.redis.hearing import (
    AT_ONCE_MS,
    LONG_MS,
    NAMESPACE,
    ONE,
    QUICK,
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


async def test_other_prefix_and_other_database_of_the_same_server_hear_nothing(url):
    number = parse(url).database
    elsewhere = (f"{url}?prefix=other", f"{url.removesuffix(f'/{number}')}/{number - 1}")
    async with wakeups(url) as here, overheard(elsewhere[0]) as prefix, overheard(elsewhere[1]) as database:
        here.wake(NAMESPACE, ONE)
        await sent(here)

        assert await prefix() == await database() == []


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


async def test_what_another_program_says_on_the_channel_wakes_everybody(url, client):
    async with wakeups(url) as there:
        await hears(there)
        assert await there.woken(NAMESPACE, ONE, AT_ONCE_MS) is False
        waiting = asyncio.create_task(there.woken(NAMESPACE, ONE, LONG_MS))
        await asyncio.sleep(0)

        client.publish(channel_of(parse(url)), "nonsense")

        assert await waiting is True


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


async def test_notice_says_who_speaks_and_where_there_is_work(url):
    async with wakeups(url) as here, overheard(url) as heard:
        here.wake(NAMESPACE, frozenset({"a", "b"}))
        await sent(here)

        (payload,) = await heard()

    assert read(payload).places == {(NAMESPACE, "a"), (NAMESPACE, "b")}
    assert written(Notice(sender=read(payload).sender, places=read(payload).places)) == payload


# ------------------------------------------------------------ switched off


async def test_notify_off_sends_nothing_hears_nothing_and_still_wakes_this_process(url):
    async with wakeups(f"{url}?notify=off") as here, overheard(url) as heard:
        here.wake(NAMESPACE, ONE)
        await sent(here)

        assert await here.woken(NAMESPACE, ONE, LONG_MS) is True
        assert await heard() == []
        assert await here.described() == "polling: notify=off"
        assert here.heard is False


async def test_c47_job_is_found_by_polling_when_no_hint_is_heard(url):
    producer, worker = await open_store(f"{url}?notify=off"), await open_store(f"{url}?notify=off")
    await worker.woken("n", None, timeout_ms=1)
    await enqueue(producer, a_job())

    assert await worker.woken("n", None, timeout_ms=1) is False
    assert len(await claim(worker)) == 1
    await producer.close()
    await worker.close()


async def test_user_without_the_right_to_the_channel_polls_and_says_why(start_valkey):
    server = start_valkey()
    server.run("ACL SETUSER", "app", "on", ">secret", "~*", "resetchannels", "+@all")
    async with wakeups(server.url().replace("://", "://app:secret@")) as here:
        said = await here.described()
        here.wake(NAMESPACE, ONE)
        await sent(here)

        assert said.startswith("polling: ")
        assert "NOPERM" in said or "permission" in said.lower()
        assert here._notifier.trouble.latest is not None


# ------------------------------------------------------------ when the line is cut


async def test_listener_that_the_server_ends_comes_back_and_wakes_once(start_valkey):
    server = start_valkey()
    async with wakeups(server.url()) as here, wakeups(f"{server.url()}?client_name=ear") as there:
        await hears(there)
        waiting = asyncio.create_task(there.woken(NAMESPACE, ONE, LONG_MS))
        await asyncio.sleep(0)

        assert server.run("CLIENT KILL", "TYPE", "pubsub") == 1
        assert await waiting is True  # there may have been hints that nobody heard
        await hears(there)
        assert await there.woken(NAMESPACE, ONE, AT_ONCE_MS) is False
        waiting = asyncio.create_task(there.woken(NAMESPACE, ONE, LONG_MS))
        await asyncio.sleep(0)
        here.wake(NAMESPACE, ONE)

        assert await waiting is True


async def test_listener_comes_back_after_a_restart_of_the_server(start_valkey):
    server = start_valkey()
    async with wakeups(server.url()) as here, wakeups(server.url()) as there:
        await hears(there)
        server.kill()
        server.restart()
        await hears(there)
        while await there.woken(NAMESPACE, ONE, AT_ONCE_MS):
            pass
        waiting = asyncio.create_task(there.woken(NAMESPACE, ONE, LONG_MS))
        await asyncio.sleep(0)

        here.wake(NAMESPACE, ONE)

        assert await waiting is True


async def test_half_open_listener_notices_that_it_hears_nothing(url):
    with Proxy(url, framing=RespCommands) as proxy:
        async with wakeups(url) as here, wakeups(proxy.url, heartbeat=QUICK) as there:
            await hears(there)
            waiting = asyncio.create_task(there.woken(NAMESPACE, ONE, LONG_MS))
            await asyncio.sleep(0)

            assert proxy.lose_server() == 1
            assert await waiting is True
            await hears(there)
            waiting = asyncio.create_task(there.woken(NAMESPACE, ONE, LONG_MS))
            await asyncio.sleep(0)
            here.wake(NAMESPACE, ONE)

            assert await waiting is True
            assert proxy.accepted >= 2


async def test_black_hole_is_no_listener(url):
    """A connection that opens and then says nothing is given up, and the next one is tried."""
    with Proxy(url, framing=RespCommands) as proxy:
        proxy.set(BlackHole(), numbered(1))
        async with wakeups(f"{proxy.url}?connect_timeout=0.2", heartbeat=QUICK) as there:
            await hears(there)

            assert proxy.accepted >= 2


async def test_hint_that_cannot_be_sent_is_noted_and_does_no_harm(url):
    with Proxy(url, framing=RespCommands) as proxy:
        timing = ManualTiming()
        async with wakeups(proxy.url, timing=timing) as here, overheard(url) as heard:
            proxy.down()
            here.wake(NAMESPACE, ONE)
            await sent(here)
            trouble = here._notifier.trouble.latest
            tries = proxy.accepted
            for _ in range(100):
                here.wake(NAMESPACE, ONE)
                timing.advance(0.005)
                await sent(here)
            proxy.up()
            timing.advance(1)
            await sent(here)

            assert trouble is not None
            assert proxy.accepted - tries == 1
            assert here._notifier.trouble.latest is None
            assert len(await heard()) == 1


# ------------------------------------------------------------ loops that come and go


async def test_next_loop_takes_over_when_the_one_that_listened_has_ended(url):
    async with wakeups(url) as here, wakeups(url) as there:
        with ThreadPoolExecutor(1) as thread:
            await asyncio.wrap_future(thread.submit(asyncio.run, hears(there)))
        assert there.heard is False

        await hears(there)
        waiting = asyncio.create_task(there.woken(NAMESPACE, ONE, LONG_MS))
        await asyncio.sleep(0)
        here.wake(NAMESPACE, ONE)

        assert await waiting is True


async def test_close_from_another_loop_ends_the_listening(start_valkey):
    server = start_valkey()
    listening, leave = threading.Event(), threading.Event()
    async with wakeups(f"{server.url()}?client_name=ear") as here:

        async def listen() -> None:
            await hears(here)
            listening.set()
            await asyncio.to_thread(leave.wait)

        with ThreadPoolExecutor(1) as thread:
            elsewhere = thread.submit(asyncio.run, listen())
            await asyncio.to_thread(listening.wait)

            await here.close()

            assert here.heard is False
            leave.set()
            await asyncio.wrap_future(elsewhere)
        assert await here.woken(NAMESPACE, ONE, 1) is False  # and nobody begins again
        assert here.heard is False
    while connected_by(server, "ear"):
        await asyncio.sleep(0.001)
    gc.collect()


async def test_closing_the_store_closes_all_its_connections(start_valkey):
    server = start_valkey()
    store = await open_store(f"{server.url()}?client_name=mine")
    await store.check()
    await asyncio.gather(*(store.now() for _ in range(5)))
    assert len(connected_by(server, "mine")) >= 2

    await store.close()

    while connected_by(server, "mine"):
        await asyncio.sleep(0.001)

"""Wake-ups when the line is cut, the server ends a connection, or an event loop comes and goes."""

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from tests.servers.behaviours import BlackHole, numbered
from tests.stores.hearing import AT_ONCE_MS, LONG_MS, NAMESPACE, ONE, QUICK, ManualTiming, hears, sent


@pytest.fixture
def ear() -> str:
    """A name for the connections of one store."""
    return f"ear-{uuid4().hex}"


async def test_listener_that_the_server_ends_comes_back_and_wakes_once(server, url, ear):
    with_ear = server.heard_at(url, server.named(url, ear))
    async with server.wakeups(url) as here, server.wakeups(with_ear) as there:
        await hears(there)
        waiting = asyncio.create_task(there.woken(NAMESPACE, ONE, LONG_MS))
        await asyncio.sleep(0)

        assert await asyncio.to_thread(server.cut, url, ear) == 1
        assert await waiting is True  # there may have been hints that nobody heard
        await hears(there)
        assert await there.woken(NAMESPACE, ONE, AT_ONCE_MS) is False
        waiting = asyncio.create_task(there.woken(NAMESPACE, ONE, LONG_MS))
        await asyncio.sleep(0)
        here.wake(NAMESPACE, ONE)

        assert await waiting is True


async def test_half_open_listener_notices_that_it_hears_nothing(server, url):
    with server.proxy(url) as proxy:
        by_proxy = server.heard_at(url, proxy.url)
        async with server.wakeups(url) as here, server.wakeups(by_proxy, heartbeat=QUICK) as there:
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


async def test_black_hole_is_no_listener(server, url):
    """A connection that opens and then says nothing is given up, and the next one is tried."""
    with server.proxy(url) as proxy:
        proxy.set(BlackHole(), numbered(1))
        by_proxy = server.heard_at(url, f"{proxy.url}?connect_timeout=1")
        async with server.wakeups(by_proxy, heartbeat=QUICK) as there:
            await hears(there)

            assert proxy.accepted >= 2


async def test_hint_that_cannot_be_sent_is_noted_and_does_no_harm(server, url):
    with server.proxy(url) as proxy:
        timing = ManualTiming()
        async with server.wakeups(proxy.url, timing=timing) as here, server.overheard(url) as heard:
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


async def test_next_loop_takes_over_when_the_one_that_listened_has_ended(server, url):
    async with server.wakeups(url) as here, server.wakeups(url) as there:
        with ThreadPoolExecutor(1) as thread:
            await asyncio.wrap_future(thread.submit(asyncio.run, hears(there)))
        assert there.heard is False

        await hears(there)
        waiting = asyncio.create_task(there.woken(NAMESPACE, ONE, LONG_MS))
        await asyncio.sleep(0)
        here.wake(NAMESPACE, ONE)

        assert await waiting is True


async def test_close_from_another_loop_ends_the_listening(server, url, ear):
    listening, leave = threading.Event(), threading.Event()
    async with server.wakeups(server.heard_at(url, server.named(url, ear))) as here:

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
    while await asyncio.to_thread(server.connected, url, ear):
        await asyncio.sleep(0.001)
    gc.collect()

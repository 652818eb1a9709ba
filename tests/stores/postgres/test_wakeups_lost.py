"""Wake-ups when the line is cut, the server ends a session, or an event loop comes and goes."""

import asyncio
import gc
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import asyncpg

from tests.servers.behaviours import BlackHole, numbered
from tests.servers.proxy import Proxy
from tests.stores.postgres.hearing import (
    AT_ONCE_MS,
    LONG_MS,
    NAMESPACE,
    ONE,
    QUICK,
    ManualTiming,
    hears,
    overheard,
    sent,
    wakeups,
)

TERMINATE = """
select pg_terminate_backend(pid, 10000) from pg_stat_activity where application_name = 'ear'
"""


async def test_listener_that_the_server_ends_comes_back_and_wakes_once(url, run_sql):
    with_ear = f"{url}?listen={url.replace('?', '%3F')}%3Fapplication_name%3Dear"
    async with wakeups(url) as here, wakeups(with_ear) as there:
        await hears(there)
        waiting = asyncio.create_task(there.woken(NAMESPACE, ONE, LONG_MS))
        await asyncio.sleep(0)

        ended = await asyncio.to_thread(run_sql, url, TERMINATE)
        assert [row[0] for row in ended] == [True]
        assert await waiting is True  # there may have been hints that nobody heard
        await hears(there)
        assert await there.woken(NAMESPACE, ONE, AT_ONCE_MS) is False
        waiting = asyncio.create_task(there.woken(NAMESPACE, ONE, LONG_MS))
        await asyncio.sleep(0)
        here.wake(NAMESPACE, ONE)

        assert await waiting is True


async def test_half_open_listener_notices_that_it_hears_nothing(url):
    with Proxy(url) as proxy:
        listen = proxy.url.replace("?", "%3F")
        async with wakeups(url) as here, wakeups(f"{url}?listen={listen}", heartbeat=QUICK) as there:
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
    with Proxy(url) as proxy:
        proxy.set(BlackHole(), numbered(1))
        listen = proxy.url.replace("?", "%3F")
        async with wakeups(f"{url}?listen={listen}%3Fconnect_timeout%3D1", heartbeat=QUICK) as there:
            await hears(there)

            assert proxy.accepted >= 2


async def test_hint_that_cannot_be_sent_is_noted_and_does_no_harm(url):
    with Proxy(url) as proxy:
        timing = ManualTiming()
        async with wakeups(f"{proxy.url}?listen=off", timing=timing) as here, overheard(url) as heard:
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


async def test_server_without_the_channel_for_us_is_a_reason_to_poll(url):
    async with wakeups(f"{url}?listen=postgresql://nobody@127.0.0.1:1/x") as here:
        said = await here.described()

        assert said.startswith("polling: ")
        assert "127.0.0.1" in said


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


async def test_close_from_another_loop_ends_the_listening(url, run_sql):
    with_ear = f"{url}?listen={url.replace('?', '%3F')}%3Fapplication_name%3Dear"
    listening, leave = threading.Event(), threading.Event()
    async with wakeups(with_ear) as here:

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
    await _gone(url, "ear")
    gc.collect()


async def test_hint_from_a_thread_without_a_loop_stays_in_the_process(url):
    async with wakeups(url) as here, overheard(url) as heard:
        waiting = asyncio.create_task(here.woken(NAMESPACE, ONE, LONG_MS))
        await asyncio.sleep(0)

        await asyncio.to_thread(here.wake, NAMESPACE, ONE)

        assert await waiting is True
        assert [json.loads(said).get("to") for said in await heard()] in ([], [None])


async def _gone(url: str, name: str) -> None:
    """Returns when the server has no connection of this name."""
    connection = await asyncpg.connect(url)
    while await connection.fetchval(
        "select count(*) from pg_stat_activity where application_name = $1", name
    ):
        await asyncio.sleep(0.001)
    await connection.close()

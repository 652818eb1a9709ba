"""Wake-ups over publish and subscribe, beside what every server does."""

import asyncio

from headrace.stores.notice import Notice, read, written
from headrace.stores.open import open_store
from headrace.stores.redis.channel import channel_of
from headrace.stores.redis.location import parse
from tests.stores.hearing import AT_ONCE_MS, LONG_MS, NAMESPACE, ONE, hears, sent
from tests.stores.redis.conftest import connected_by
from tests.stores.redis.hearing import overheard, wakeups


async def test_other_prefix_and_other_database_of_the_same_server_hear_nothing(url):
    number = parse(url).database
    elsewhere = (f"{url}?prefix=other", f"{url.removesuffix(f'/{number}')}/{number - 1}")
    async with wakeups(url) as here, overheard(elsewhere[0]) as prefix, overheard(elsewhere[1]) as database:
        here.wake(NAMESPACE, ONE)
        await sent(here)

        assert await prefix() == await database() == []


async def test_what_another_program_says_on_the_channel_wakes_everybody(url, client):
    async with wakeups(url) as there:
        await hears(there)
        assert await there.woken(NAMESPACE, ONE, AT_ONCE_MS) is False
        waiting = asyncio.create_task(there.woken(NAMESPACE, ONE, LONG_MS))
        await asyncio.sleep(0)

        client.publish(channel_of(parse(url)), "nonsense")

        assert await waiting is True


async def test_notice_says_who_speaks_and_where_there_is_work(url):
    async with wakeups(url) as here, overheard(url) as heard:
        here.wake(NAMESPACE, frozenset({"a", "b"}))
        await sent(here)

        (payload,) = await heard()

    assert read(payload).places == {(NAMESPACE, "a"), (NAMESPACE, "b")}
    assert written(Notice(sender=read(payload).sender, places=read(payload).places)) == payload


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


async def test_closing_the_store_closes_all_its_connections(start_valkey):
    server = start_valkey()
    store = await open_store(f"{server.url()}?client_name=mine")
    await store.check()
    await asyncio.gather(*(store.now() for _ in range(5)))
    assert len(connected_by(server, "mine")) >= 2

    await store.close()

    while connected_by(server, "mine"):
        await asyncio.sleep(0.001)

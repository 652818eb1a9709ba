"""Wake-ups of one process after another, for the tests that look at them closely."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from typing import Any

from headrace.stores.listening import Heartbeat
from headrace.stores.redis.channel import PubSubChannel, channel_of
from headrace.stores.redis.database import Database
from headrace.stores.redis.location import parse
from headrace.stores.waking import Wakeups
from tests.servers.valkey import client_of

NAMESPACE = "default"
ONE = frozenset({"one"})
LONG_MS = 60_000
"""How long a broken store would make a test hang."""
AT_ONCE_MS = 0

QUICK = Heartbeat(every=0.02, answer_within=0.2)


@asynccontextmanager
async def wakeups(url: str, **how: Any) -> AsyncGenerator[Wakeups]:
    database = Database(parse(url))
    made = Wakeups(PubSubChannel(database), **how)
    try:
        yield made
    finally:
        await made.close()
        await database.close()


async def hears(made: Wakeups) -> None:
    """Returns when this process hears the others."""
    while await made.described() != "listening":
        await asyncio.sleep(0.001)


async def sent(made: Wakeups) -> None:
    """Returns when nothing is on its way to the server."""
    while made._notifier._sending is not None:
        await asyncio.sleep(0)


@asynccontextmanager
async def overheard(url: str) -> AsyncGenerator[Callable[[], Any]]:
    """All payloads that the server passed on so far, asked of it in order."""
    plain = f"{url.partition('?')[0]}?protocol=2"  # with the newer protocol an answer to a ping is no message
    with closing(client_of(plain, decode_responses=True)) as client, closing(client.pubsub()) as subscribed:
        subscribed.subscribe(channel_of(parse(url)))
        assert subscribed.get_message(timeout=LONG_MS / 1000)["type"] == "subscribe"
        heard: list[str] = []

        async def so_far() -> list[str]:
            subscribed.ping()  # its answer comes behind all that was said before
            while (message := await asyncio.to_thread(subscribed.get_message, timeout=LONG_MS / 1000))[
                "type"
            ] != "pong":
                heard.append(message["data"])
            return list(heard)

        yield so_far

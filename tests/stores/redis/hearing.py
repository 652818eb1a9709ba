"""Wake-ups over publish and subscribe."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from typing import Any

from headrace.stores.redis.channel import PubSubChannel, channel_of
from headrace.stores.redis.database import Database
from headrace.stores.redis.location import parse
from headrace.stores.waking import Wakeups
from tests.servers.proxy import Proxy
from tests.servers.resp import RespCommands
from tests.servers.shared_valkey import SHARED_VALKEY
from tests.servers.valkey import client_of
from tests.stores.hearing import LONG_MS, Heard, HearingServer, wakeups_by


def wakeups(url: str, **how: Any) -> AbstractAsyncContextManager[Wakeups]:
    database = Database(parse(url))
    return wakeups_by(PubSubChannel(database), database, **how)


@asynccontextmanager
async def overheard(url: str) -> AsyncGenerator[Heard]:
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


def _connected(url: str, name: str) -> int:
    with closing(client_of(url, decode_responses=True)) as client:
        return sum(seen["name"] == name for seen in client.client_list())


def _cut(url: str, name: str) -> int:
    with closing(client_of(url, decode_responses=True)) as client:
        ears = [seen["id"] for seen in client.client_list(_type="pubsub") if seen["name"] == name]
        return sum(client.client_kill_filter(_id=ear) for ear in ears)


ON_REDIS = HearingServer(
    name="redis",
    url=lambda _: SHARED_VALKEY.fresh_url(),
    wakeups=wakeups,
    overheard=overheard,
    proxy=lambda url: Proxy(url, framing=RespCommands),
    heard_at=lambda _, address: address,
    named=lambda url, name: f"{url}?client_name={name}",
    connected=_connected,
    cut=_cut,
    deaf="notify=off",
)

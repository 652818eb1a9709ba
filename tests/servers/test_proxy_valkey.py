import asyncio

import pytest
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tests.servers.behaviours import BlackHole, CutAfter, Direction, Pass, saying
from tests.servers.proxy import Proxy
from tests.servers.resp import RespCommands
from tests.servers.shared_valkey import SHARED_VALKEY


def client_of(url: str) -> redis.asyncio.Redis:
    return redis.asyncio.from_url(url, retry=Retry(NoBackoff(), 0))


def pushes(message: bytes) -> bool:
    return b"RPUSH" in message


@pytest.mark.parametrize(("delivered", "kept"), [(True, [b"1", b"2"]), (False, [b"1"])])
async def test_client_cannot_know_whether_its_write_was_done(delivered: bool, kept: list[bytes]):
    url = SHARED_VALKEY.fresh_url()
    direct = client_of(url)
    with Proxy(url, framing=RespCommands) as proxy:
        client = client_of(proxy.url)
        proxy.set(CutAfter(messages=2, counts=pushes, delivered=delivered))

        await client.rpush("kept", 1)
        with pytest.raises(redis.ConnectionError):
            await client.rpush("kept", 2)
        await client.aclose()

    assert await direct.lrange("kept", 0, -1) == kept
    await direct.aclose()


async def test_pipeline_breaks_between_its_commands():
    url = SHARED_VALKEY.fresh_url()
    direct = client_of(url)
    with Proxy(url, framing=RespCommands) as proxy:
        client = client_of(proxy.url)
        proxy.set(CutAfter(messages=3, counts=pushes))
        pipeline = client.pipeline(transaction=False)
        for n in range(5):
            pipeline.rpush("kept", n)

        with pytest.raises(redis.ConnectionError):
            await pipeline.execute()
        await client.aclose()

    assert await direct.lrange("kept", 0, -1) == [b"0", b"1", b"2"]
    await direct.aclose()


async def test_subscribed_connection_alone_goes_deaf():
    url = SHARED_VALKEY.fresh_url()
    with Proxy(url, framing=RespCommands) as proxy:
        client = client_of(proxy.url)
        listener = client.pubsub(ignore_subscribe_messages=True)
        await listener.subscribe("news")
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        listening = asyncio.create_task(listen(listener, heard))
        await client.publish("news", "1")
        assert await heard.get() == b"1"

        proxy.set(BlackHole(directions=frozenset({Direction.TO_CLIENT})), saying(b"SUBSCRIBE"))
        await client.publish("news", "2")
        assert await client.ping()
        assert heard.empty()

        proxy.set(Pass())
        assert await heard.get() == b"2"
        listening.cancel()
        await asyncio.wait([listening])
        await listener.aclose()
        await client.aclose()


async def listen(listener, heard: asyncio.Queue[bytes]) -> None:
    async for message in listener.listen():
        heard.put_nowait(message["data"])


async def test_outage_and_return():
    with Proxy(SHARED_VALKEY.fresh_url(), framing=RespCommands) as proxy:
        client = client_of(proxy.url)
        await client.rpush("kept", 1)

        proxy.down()
        with pytest.raises(redis.ConnectionError):
            await client.rpush("kept", 2)

        proxy.up()
        await client.rpush("kept", 3)
        assert await client.lrange("kept", 0, -1) == [b"1", b"3"]
        await client.aclose()

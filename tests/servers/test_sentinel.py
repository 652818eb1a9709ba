from collections.abc import Iterator

import pytest
import redis.asyncio

from tests.servers.sentinel import Sentinel
from tests.servers.valkey import ValkeyServer


@pytest.fixture
def pair(start_valkey) -> tuple[ValkeyServer, ValkeyServer]:
    primary = start_valkey()
    return primary, start_valkey(replica_of=primary)


@pytest.fixture
def sentinel(pair) -> Iterator[Sentinel]:
    with Sentinel.start(pair[0], replicas=1) as sentinel:
        yield sentinel


async def test_clients_are_sent_to_the_primary_and_after_its_death_to_the_promoted_replica(pair, sentinel):
    primary, replica = pair

    assert await counted(sentinel) == 1
    replica.wait_until_following(primary)
    primary.kill()
    sentinel.wait_until_primary(replica)

    assert await counted(sentinel) == 2
    assert replica.run("GET", "count") == b"2"


async def counted(sentinel: Sentinel) -> int:
    """What a counter is after a client that finds its server by Sentinel has raised it."""
    finder = redis.asyncio.Sentinel(sentinel.hosts())
    client = finder.master_for(sentinel.name)
    try:
        return await client.incr("count")
    finally:
        for one in (client, *finder.sentinels):
            await one.aclose()


def test_old_primary_that_comes_back_is_told_to_follow(pair, sentinel):
    primary, replica = pair
    primary.kill()
    sentinel.wait_until_primary(replica)

    primary.restart()
    primary.wait_until_following(replica)

    with pytest.raises(redis.ReadOnlyError):
        primary.run("SET", "kept", "1")


def test_paused_primary_is_given_up_too(pair, sentinel):
    primary, replica = pair

    primary.pause()
    sentinel.wait_until_primary(replica)

    replica.run("SET", "kept", "1")
    primary.resume()
    primary.wait_until_following(replica)
    assert primary.run("GET", "kept") == b"1"


def test_restarted_sentinel_knows_what_it_knew(pair, sentinel):
    primary, _ = pair

    sentinel.kill()
    with pytest.raises(redis.ConnectionError):
        sentinel.primary_port()
    sentinel.restart()

    assert sentinel.primary_port() == primary.port

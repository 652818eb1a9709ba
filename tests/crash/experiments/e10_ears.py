"""Listeners for wake-ups, as far from the store as those of another program."""

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import asyncpg
import redis.asyncio as redis

from headrace.stores.postgres.channel import channel_of
from headrace.stores.redis.channel import channel_of as redis_channel_of
from headrace.stores.redis.location import parse
from tests.crash.kit.experiment import Scene
from tests.crash.kit.target import REDIS

POSTGRES_CHANNEL: Final = channel_of("headrace")
MEBI: Final = 2**20
DROPPED_BEYOND: Final = 8 * MEBI
"""What a server keeps for a subscriber that does not read, before it drops it, as it comes."""


@dataclass(slots=True)
class Ears:
    """When the first of many listeners has heard something."""

    heard: list[float] = field(default_factory=list[float])

    def hear(self, *_: object) -> None:
        """One notice."""
        self.heard.append(time.monotonic())


class Sleeper(Protocol):
    """A listener that does not listen any more, and of which the server does not know that."""

    @abstractmethod
    async def used(self) -> float:
        """Which share of the room for what was not heard is taken."""


class PostgresSleeper:
    """In an open transaction: what was sent cannot be thrown away."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def used(self) -> float:
        return await self._connection.fetchval("select pg_notification_queue_usage()")


class RedisSleeper:
    """Does not read: the server keeps for it what it cannot send."""

    def __init__(self, client: redis.Redis, name: str) -> None:
        self._client = client
        self._name = name

    async def used(self) -> float:
        clients: Sequence[dict[str, str]] = await self._client.client_list()
        (mine,) = (one for one in clients if one["name"] == self._name)
        return int(mine["omem"]) / DROPPED_BEYOND


@asynccontextmanager
async def listening(scene: Scene, count: int) -> AsyncIterator[Ears]:
    """So many listeners. All but the first only make the server's work as large as it would be."""
    ears = Ears()
    async with AsyncExitStack() as ends:
        for number in range(count):
            hear = ears.hear if number == 0 else _deaf
            if scene.target.name == REDIS.name:
                await ends.enter_async_context(_redis_ear(scene.target.url, hear))
            else:
                connection: Any = await asyncpg.connect(scene.target.url)
                ends.push_async_callback(connection.close)
                await connection.add_listener(POSTGRES_CHANNEL, hear)
        yield ears


@asynccontextmanager
async def sleeper(scene: Scene) -> AsyncIterator[Sleeper]:
    """One that has fallen asleep."""
    if scene.target.name == REDIS.name:
        async with redis.from_url(scene.target.url, decode_responses=True) as client:
            deaf = redis.from_url(scene.target.url, client_name="sleeper").pubsub()
            await deaf.subscribe(redis_channel_of(parse(scene.target.url)))
            yield RedisSleeper(client, "sleeper")
            await deaf.aclose()
        return
    connection: Any = await asyncpg.connect(scene.target.url)
    await connection.add_listener(POSTGRES_CHANNEL, _deaf)
    transaction = connection.transaction()
    await transaction.start()
    await connection.fetch("select 1")
    yield PostgresSleeper(connection)
    await transaction.rollback()
    await connection.close()


@asynccontextmanager
async def _redis_ear(url: str, hear: Any) -> AsyncIterator[None]:
    async with redis.from_url(url) as client, client.pubsub(ignore_subscribe_messages=True) as ear:
        await ear.subscribe(**{redis_channel_of(parse(url)): hear})
        listening = asyncio.create_task(ear.run())
        try:
            yield
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


def _deaf(*_: object) -> None:
    """Hears nothing."""

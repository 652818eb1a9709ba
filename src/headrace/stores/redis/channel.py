"""Wake-ups over publish and subscribe."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

from headrace.stores.redis.database import Database
from headrace.stores.redis.driving import Raw, connection
from headrace.stores.redis.faults import translated
from headrace.stores.redis.location import Location


def channel_of(location: Location) -> str:
    """The channel of the processes with the same keys: all databases of a server share its channels."""
    return f"{location.prefix}:wakeups:{location.database}"


class PubSubChannel:
    """Keeps ``headrace.stores.channel.Channel`` for the processes of one prefix."""

    logger = "headrace.redis"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._name = channel_of(database.location)

    @property
    def speaks(self) -> bool:
        return self._database.location.notify

    @property
    def why_deaf(self) -> str | None:
        return None if self._database.location.notify else "notify=off"

    async def say(self, payload: str) -> None:
        await self._database.call("PUBLISH", self._name, payload)

    @asynccontextmanager
    async def listen(self, hear: Callable[[str], None]) -> AsyncGenerator["_Ear"]:
        location = self._database.location
        async with connection(location, location.connect_within) as raw:
            ear = _Ear(raw, hear)
            await ear.subscribe(self._name, location.connect_within)
            reading = asyncio.create_task(ear.read(), name="headrace-hear")
            try:
                yield ear
            finally:
                reading.cancel()
                with suppress(asyncio.CancelledError):
                    await reading

    def translated(self, error: Exception) -> Exception:
        return translated(error, self._database.location.name, sent=False)

    def refuse_closed(self) -> None:
        self._database.line()


class _Ear:
    """Keeps ``headrace.stores.channel.Ear`` on a connection that has subscribed to a channel."""

    def __init__(self, raw: Raw, hear: Callable[[str], None]) -> None:
        self.lost = asyncio.Event()
        self._raw = raw
        self._hear = hear
        self._answered = asyncio.Event()

    async def subscribe(self, channel: str, within: float) -> None:
        """Returns when the server has agreed, so that nothing is missed from then on."""
        async with asyncio.timeout(within):
            await self._raw.send_command("SUBSCRIBE", channel, check_health=False)
            await self._raw.read_response()

    async def read(self) -> None:
        """Hands on whatever comes until the connection ends."""
        try:
            while True:
                match await self._raw.read_response():
                    case ["message", _, str(payload)]:
                        self._hear(payload)
                    case ["pong", str(payload)]:
                        self._hear(payload)
                        self._answered.set()
                    case _:  # nothing else was asked for
                        continue
        finally:
            self.lost.set()
            self._answered.set()

    async def beat(self, payload: str, within: float) -> None:
        self._answered.clear()
        async with asyncio.timeout(within):
            await self._raw.send_command("PING", payload, check_health=False)
            await self._answered.wait()

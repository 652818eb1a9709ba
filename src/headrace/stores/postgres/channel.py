"""Wake-ups over PostgreSQL's notifications."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from headrace.stores.postgres.connecting import open_for
from headrace.stores.postgres.database import Database
from headrace.stores.postgres.faults import translated
from headrace.stores.postgres.location import Pooler


def channel_of(schema: str) -> str:
    """The channel of a schema's processes."""
    return f"headrace_{schema}"


class NotifyChannel:
    """Keeps ``headrace.stores.channel.Channel`` for the processes of one schema."""

    logger = "headrace.postgres"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._name = channel_of(database.location.schema)

    @property
    def speaks(self) -> bool:
        return self._database.location.notify

    @property
    def why_deaf(self) -> str | None:
        location = self._database.location
        if not location.notify:
            return "notify=off"
        if location.listen is not None:
            return None
        if location.pooler is Pooler.NONE:
            return "listen=off"
        return "a pooler forgets who listens, and no listen= names the server itself"

    async def say(self, payload: str) -> None:
        await self._database.alone(lambda session: session.row("notify", self._name, payload))

    @asynccontextmanager
    async def listen(self, hear: Callable[[str], None]) -> AsyncGenerator["_Ear"]:
        location = self._database.location
        place = replace(location, server=location.listen or location.server, pooler=Pooler.NONE)
        async with open_for(place) as connection:
            ear = _Ear(connection, self._name, self._database.statements["notify"], hear)
            connection.add_termination_listener(ear.end)
            await connection.add_listener(self._name, ear.take)
            yield ear

    def translated(self, error: Exception) -> Exception:
        return translated(error, self._database.location.name, sent=False)

    def refuse_closed(self) -> None:
        self._database.line()


class _Ear:
    """Keeps ``headrace.stores.channel.Ear`` on a connection that listens."""

    def __init__(
        self,
        connection: Any,  # noqa: ANN401 - the driver has no types
        channel: str,
        notify: str,
        hear: Callable[[str], None],
    ) -> None:
        self.lost = asyncio.Event()
        self._connection = connection
        self._channel = channel
        self._notify = notify
        self._hear = hear

    def take(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        """What the driver calls for each notification."""
        self._hear(payload)

    def end(self, _connection: object) -> None:
        """What the driver calls when the connection has ended."""
        self.lost.set()

    async def beat(self, payload: str, within: float) -> None:
        await self._connection.fetch(self._notify, self._channel, payload, timeout=within)
        # what a connection tells itself comes before the answer, and is handed on in the loop's next turn
        await asyncio.sleep(0)

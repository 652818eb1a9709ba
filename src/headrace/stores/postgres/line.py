"""The connections of one event loop.

The driver binds a connection to the loop it was opened in, so every loop that uses the store has a
pool of its own, opened at its first call and closed with the loop.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, cast

import asyncpg

from headrace.stores.postgres.connecting import opened
from headrace.stores.postgres.location import Location
from headrace.stores.postgres.schema import refuse_unready
from headrace.stores.postgres.statements import Statements

_CLOSE_WITHIN: Final = 5.0


async def connected(location: Location) -> Any:  # noqa: ANN401 - the driver has no types
    """A connection of its own, for whoever must not wait for others."""
    return await opened(location)


class Line:
    """A pool, closed when its loop shuts down or by ``close``."""

    def __init__(self, location: Location, statements: Statements) -> None:
        self._location = location
        self._statements = statements
        self.loop: Final = asyncio.get_running_loop()
        self._pool: Any = cast("Any", asyncpg).create_pool(
            min_size=0,
            max_size=location.pool,
            max_queries=1_000_000_000,
            reset=_leave_as_it_is,
            connect=self._connect,
        )
        self._opening: asyncio.Task[None] | None = None
        self._end: AsyncGenerator[None] | None = None

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Any]:
        """A connection that is nobody else's for as long as the block lasts."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        if not self._opening.done():
            await asyncio.shield(self._opening)
        connection = await self._pool.acquire(timeout=self._location.server.connect_within)
        try:
            yield connection
        except (TimeoutError, asyncpg.InterfaceError, asyncpg.ActiveSQLTransactionError):
            # What it waits for may still come, and must not be taken for an answer; a lost one is gone; and
            # one that another op has left inside a transaction is of no use to anybody.
            with suppress(asyncpg.InterfaceError):
                connection.terminate()
            raise
        except asyncpg.ReadOnlySQLTransactionError:
            await self._pool.expire_connections()  # this server is no primary any more: find the one that is
            raise
        finally:
            await self._pool.release(connection)

    async def close(self) -> None:
        """Closes the pool; calls under way have five seconds to end."""
        if self._opening is None:
            return
        try:
            async with asyncio.timeout(_CLOSE_WITHIN):
                await self._pool.close()
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._pool.terminate()
        end, self._end = self._end, None
        if end is not None:
            with suppress(RuntimeError):  # it is the caller
                await end.aclose()

    async def _connect(self, *_: object, **_driver: object) -> Any:  # noqa: ANN401 - the driver has no types
        connection = await opened(self._location)
        try:
            await refuse_unready(connection, self._location, self._statements)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _open(self) -> None:
        await self._pool
        # An asynchronous generator is closed when its loop shuts down, while the loop still turns.
        self._end = self._closed_with_loop()
        await anext(self._end)

    async def _closed_with_loop(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            self._end = None
            await self.close()


async def _leave_as_it_is(_connection: object) -> None:
    """No query of ours leaves anything behind in a session, so nothing need be reset between two."""

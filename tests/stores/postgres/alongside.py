"""Another program's session on the store's database, to hold locks and to see who waits for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

HANGS = 30

WAITING = """
select count(*)
from pg_stat_activity
where datname = current_database()
  and wait_event_type = 'Lock'
"""


@asynccontextmanager
async def session(url: str) -> AsyncIterator[Any]:
    """A connection with an open transaction, which is undone by the end unless it was ended before."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("begin")
        yield connection
        await connection.execute("rollback")
    finally:
        connection.terminate()


async def until_waiting(url: str, count: int = 1) -> None:
    """Returns once so many sessions wait for a lock. The time-out is for what hangs."""
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(HANGS):
            while await connection.fetchval(WAITING) < count:
                await asyncio.sleep(0)
    finally:
        await connection.close()


async def rows(url: str, sql: str, *values: object) -> list[Any]:
    """The rows of one statement, which is committed."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(sql, *values)
    finally:
        await connection.close()

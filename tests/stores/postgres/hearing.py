"""Wake-ups over PostgreSQL's own notices."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import quote

import asyncpg

from headrace.stores.postgres.channel import NotifyChannel, channel_of
from headrace.stores.postgres.database import Database
from headrace.stores.postgres.location import parse
from headrace.stores.waking import Wakeups
from tests.servers.proxy import Proxy
from tests.servers.shared import SHARED
from tests.stores.hearing import Heard, HearingServer, wakeups_by
from tests.stores.postgres.conftest import database_of

LISTENING = "select pid from pg_stat_activity where application_name = $1"


def wakeups(url: str, **how: Any) -> AbstractAsyncContextManager[Wakeups]:
    database = Database(parse(url))
    return wakeups_by(NotifyChannel(database), database, **how)


@asynccontextmanager
async def overheard(url: str) -> AsyncGenerator[Heard]:
    """All payloads that the server passed on so far, asked of it in order."""
    location = parse(url)
    connection = await asyncpg.connect(location.server.dsn)
    heard: list[str] = []
    await connection.add_listener(channel_of(location.schema), lambda *said: heard.append(said[3]))

    async def so_far() -> list[str]:
        await connection.fetchval("select 1")  # what was committed before comes before this answer
        await asyncio.sleep(0)
        return list(heard)

    yield so_far
    await connection.close()


def _connected(url: str, name: str) -> int:
    return len(SHARED.databases.run_sql(database_of(url), LISTENING, name))


def _cut(url: str, name: str) -> int:
    ended = f"select pg_terminate_backend(pid, 10000) from ({LISTENING}) ears"
    return sum(row[0] for row in SHARED.databases.run_sql(database_of(url), ended, name))


ON_POSTGRES = HearingServer(
    name="postgres",
    url=SHARED.url,
    wakeups=wakeups,
    overheard=overheard,
    proxy=Proxy,
    heard_at=lambda url, address: f"{url}?listen={quote(address, safe='')}",
    named=lambda url, name: f"{url}?application_name={name}",
    connected=_connected,
    cut=_cut,
    deaf="listen=off",
)

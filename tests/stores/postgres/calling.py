"""One face for the connections of all libraries: each begins and ends a transaction in its own way."""

import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg
import django
import psycopg
import sqlalchemy
from django.conf import settings
from django.db import connections, transaction
from django.utils.connection import ConnectionProxy
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

Send = Callable[[str], Any]


@dataclass(slots=True)
class Transaction:
    """An open transaction: the connection to hand over, and a way to send a statement of the program's."""

    tx: Any
    send: Send


class Undo(Exception):
    """Leaves the block of a transaction by undoing it."""


def sqlalchemy_url(url: str, driver: str) -> str:
    return url.replace("postgresql://", f"postgresql+{driver}://", 1)


@asynccontextmanager
async def by_asyncpg(url: str) -> AsyncIterator[Transaction]:
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            yield Transaction(connection, connection.execute)
    finally:
        await connection.close()


@asynccontextmanager
async def by_asyncpg_pool(url: str) -> AsyncIterator[Transaction]:
    async with (
        asyncpg.create_pool(url, min_size=1, max_size=1, init=_with_json) as pool,
        pool.acquire() as connection,
        connection.transaction(),
    ):
        yield Transaction(connection, connection.execute)


async def _with_json(connection: Any) -> None:
    """As many programs do: JSON comes and goes as objects."""
    await connection.set_type_codec("json", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


@asynccontextmanager
async def by_psycopg(url: str) -> AsyncIterator[Transaction]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        yield Transaction(connection, _sync(connection.execute))


@asynccontextmanager
async def by_psycopg_block(url: str) -> AsyncIterator[Transaction]:
    with psycopg.connect(url, autocommit=True) as connection, connection.transaction():
        yield Transaction(connection, _sync(connection.execute))


@asynccontextmanager
async def by_psycopg_raw_cursors(url: str) -> AsyncIterator[Transaction]:
    with psycopg.connect(url, cursor_factory=psycopg.RawCursor) as connection:
        yield Transaction(connection, _sync(connection.execute))


@asynccontextmanager
async def by_async_psycopg(url: str) -> AsyncIterator[Transaction]:
    async with await psycopg.AsyncConnection.connect(url, row_factory=dict_row) as connection:
        yield Transaction(connection, connection.execute)


@asynccontextmanager
async def by_sqlalchemy(url: str) -> AsyncIterator[Transaction]:
    engine = sqlalchemy.create_engine(sqlalchemy_url(url, "psycopg"), poolclass=NullPool)
    with engine.begin() as connection:
        yield Transaction(connection, _sync(connection.exec_driver_sql))


@asynccontextmanager
async def by_sqlalchemy_session(url: str) -> AsyncIterator[Transaction]:
    engine = sqlalchemy.create_engine(sqlalchemy_url(url, "psycopg"), poolclass=NullPool)
    with Session(engine) as session, session.begin():
        yield Transaction(session, _sync(lambda sql: session.execute(sqlalchemy.text(sql))))


@asynccontextmanager
async def by_async_sqlalchemy(url: str) -> AsyncIterator[Transaction]:
    engine = create_async_engine(sqlalchemy_url(url, "asyncpg"), poolclass=NullPool)
    async with engine.begin() as connection:
        yield Transaction(connection, connection.exec_driver_sql)


@asynccontextmanager
async def by_async_sqlalchemy_over_psycopg(url: str) -> AsyncIterator[Transaction]:
    engine = create_async_engine(sqlalchemy_url(url, "psycopg"), poolclass=NullPool)
    async with engine.begin() as connection:
        yield Transaction(connection, connection.exec_driver_sql)


@asynccontextmanager
async def by_async_sqlalchemy_session(url: str) -> AsyncIterator[Transaction]:
    engine = create_async_engine(sqlalchemy_url(url, "asyncpg"), poolclass=NullPool)
    async with AsyncSession(engine) as session, session.begin():
        yield Transaction(session, lambda sql: session.execute(sqlalchemy.text(sql)))


ALIAS = "jobs"


@contextmanager
def django_database(url: str) -> Iterator[Any]:
    """``connections["jobs"]`` of Django, for this database."""
    if not settings.configured:
        settings.configure(DATABASES={"default": {}}, USE_TZ=True)
        django.setup()
    parts = urlsplit(url)
    own = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": parts.hostname,
        "PORT": parts.port,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "NAME": parts.path[1:],
    }
    connections.settings[ALIAS] = connections.configure_settings({"default": {}, ALIAS: own})[ALIAS]
    # a test's loop runs in this thread; Django would not work there unless told so
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    try:
        yield connections[ALIAS]
    finally:
        connections[ALIAS].close()
        del connections[ALIAS], connections.settings[ALIAS], os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@asynccontextmanager
async def by_django(url: str) -> AsyncIterator[Transaction]:
    with django_database(url) as connection, transaction.atomic(using=ALIAS):
        yield Transaction(connection, _sync(lambda sql: _django_execute(connection, sql)))


@asynccontextmanager
async def by_django_proxy(url: str) -> AsyncIterator[Transaction]:
    with django_database(url) as connection, transaction.atomic(using=ALIAS):
        proxy = ConnectionProxy(connections, ALIAS)
        yield Transaction(proxy, _sync(lambda sql: _django_execute(connection, sql)))


def _django_execute(connection: Any, sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def _sync(send: Callable[[str], Any]) -> Send:
    async def sent(sql: str) -> None:
        send(sql)

    return sent


WAYS: dict[str, Callable[[str], AbstractAsyncContextManager[Transaction]]] = {
    "asyncpg": by_asyncpg,
    "asyncpg pool": by_asyncpg_pool,
    "psycopg": by_psycopg,
    "psycopg block": by_psycopg_block,
    "psycopg raw cursors": by_psycopg_raw_cursors,
    "psycopg async": by_async_psycopg,
    "sqlalchemy": by_sqlalchemy,
    "sqlalchemy session": by_sqlalchemy_session,
    "sqlalchemy async": by_async_sqlalchemy,
    "sqlalchemy async psycopg": by_async_sqlalchemy_over_psycopg,
    "sqlalchemy async session": by_async_sqlalchemy_session,
    "django": by_django,
    "django proxy": by_django_proxy,
}

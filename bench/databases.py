"""Databases on one PostgreSQL server: templates that are filled once, and a copy of one for each turn.

A copy has the same rows, statistics and dead tuples every time, so rounds can be compared, and one turn
leaves nothing behind for the next. Templates are vacuumed and analysed, as autovacuum would have done to
tables that old; every turn starts when all of that is on the disk, so that none pays for what others have
written.
"""

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg

T = TypeVar("T")

COLUMNS = """
select array_agg(attname::text order by attnum)
from pg_attribute
where attrelid = $1::text::regclass
    and attnum > 0
    and not attisdropped
    and attgenerated = ''
    and attidentity = ''
"""


class Databases:
    """What a scenario makes on a server. ``url`` belongs to a superuser."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._templates: dict[str, str] = {}
        self._numbers = itertools.count(1)

    @contextmanager
    def copy(self, name: str, fill: Callable[[str], object]) -> Iterator[str]:
        """The URL of a fresh copy of the template ``name``, which ``fill`` makes when first asked for."""
        if name not in self._templates:
            self._templates[name] = self._filled(fill)
        copy = self._created(self._templates[name])
        try:
            execute(self.url, "checkpoint")
            os.sync()
            yield self.of(copy)
        finally:
            self._drop(copy)

    @contextmanager
    def empty(self) -> Iterator[str]:
        """The URL of a database with nothing in it."""
        name = self._created("template1")
        try:
            yield self.of(name)
        finally:
            self._drop(name)

    def of(self, name: str) -> str:
        """The URL of a database."""
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def about(self) -> str:
        """The server's version and those settings that decide about speed."""
        names = ("fsync", "synchronous_commit", "shared_buffers", "max_connections")
        version, *values = [fetch(self.url, f"show {name}") for name in ("server_version", *names)]
        told = ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
        return f"PostgreSQL {version} ({told})"

    def close(self) -> None:
        """Drops the templates."""
        while self._templates:
            self._drop(self._templates.popitem()[1])

    def _filled(self, fill: Callable[[str], object]) -> str:
        name = self._created("template1")
        try:
            fill(self.of(name))
            execute(self.of(name), "vacuum (analyze)")
        except BaseException:
            self._drop(name)
            raise
        return name

    def _created(self, template: str) -> str:
        name = f"headrace_bench_{os.getpid()}_{next(self._numbers)}"
        # Since version 15 the default writes the whole copy to the log, page by page.
        how = "" if int(fetch(self.url, "show server_version_num")) < 150_000 else " strategy file_copy"
        execute(self.url, f"create database {name} template {template}{how}")
        return name

    def _drop(self, name: str) -> None:
        execute(self.url, f"drop database if exists {name} with (force)")


def execute(url: str, *statements: str) -> None:
    """Runs statements, one after the other, on a connection of their own."""

    async def work(connection: asyncpg.Connection) -> None:
        for statement in statements:
            await connection.execute(statement)

    _connected(url, work)


def fetch(url: str, query: str, *arguments: object) -> Any:  # noqa: ANN401 - whatever the query selects
    """The first value that a query returns."""

    async def work(connection: asyncpg.Connection) -> object:
        return await connection.fetchval(query, *arguments)

    return _connected(url, work)


def multiply(url: str, table: str, times: int, *, keys: Mapping[str, str]) -> None:
    """Adds ``times`` copies of every row of a table. ``keys`` says how the columns that tell rows apart are
    made; an empty text leaves a column to its default."""
    columns = [name for name in fetch(url, COLUMNS, table) if keys.get(name, name)]
    into = ", ".join(f'"{name}"' for name in columns)
    values = ", ".join(keys.get(name, f'old."{name}"') for name in columns)
    execute(
        url, f"insert into {table} ({into}) select {values} from {table} old, generate_series(1, {times})"
    )


def _connected(url: str, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    async def connected() -> T:
        connection = await asyncpg.connect(url)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(connected())

"""The databases of a server: their URLs, making and dropping them, and SQL from synchronous code."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

T = TypeVar("T")

PATIENCE = 60

Prepare = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Databases:
    """What the server at ``admin_url`` holds. All of this may be called while a loop runs in this thread."""

    admin_url: str
    copying: str = ""

    def url(self, name: str) -> str:
        return urlsplit(self.admin_url)._replace(path=f"/{name}").geturl()

    def create(self, name: str, *, template: str = "template1") -> None:
        """Makes a database; nobody may be connected to its template."""
        self._admin(f'create database "{name}" template "{template}" {self.copying}')

    def drop(self, name: str) -> None:
        """Drops a database if it is there, and ends all connections to it."""
        self._admin(f'drop database if exists "{name}" with (force)')

    def run_sql(self, database: str, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of one statement."""
        return in_own_loop(_rows(self.url(database), sql, arguments))

    def run_script(self, database: str, sql: str) -> None:
        """Runs any number of statements, in one transaction unless they say otherwise."""
        in_own_loop(_script(self.url(database), sql))

    def _admin(self, sql: str) -> None:
        in_own_loop(_script(self.admin_url, sql))


class Copies:
    """A fresh copy of one prepared database for everyone who asks.

    The template is prepared when the first copy is wanted. A copy belongs to a folder: once that is gone, the
    copy is dropped before the next one is made. ``drop`` drops them all.
    """

    def __init__(self, databases: Databases, prepare: Prepare) -> None:
        self._databases = databases
        self._prepare = prepare
        self._template: str | None = None
        self._folders: dict[str, Path] = {}

    def url(self, folder: Path) -> str:
        """The URL of a new copy for this folder."""
        self._drop([name for name, owner in self._folders.items() if not owner.exists()])
        template = self._prepared()
        name = _new_name()
        self._databases.create(name, template=template)
        self._folders[name] = folder
        return self._databases.url(name)

    def drop(self) -> None:
        """Drops every copy; the template stays."""
        self._drop(list(self._folders))

    def close(self) -> None:
        """Drops every copy and the template."""
        self.drop()
        if self._template is not None:
            self._databases.drop(self._template)
            self._template = None

    def _prepared(self) -> str:
        if self._template is None:
            name = _new_name()
            self._databases.create(name)
            try:
                in_own_loop(_awaited(self._prepare(self._databases.url(name))))
            except BaseException:
                self._databases.drop(name)
                raise
            self._template = name
        return self._template

    def _drop(self, names: list[str]) -> None:
        for name in names:
            self._databases.drop(name)
            del self._folders[name]


def in_own_loop(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end in a thread and loop of its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def _awaited(work: Awaitable[None]) -> None:
    await work


async def _rows(url: str, sql: str, arguments: tuple[object, ...]) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url, command_timeout=PATIENCE)
    try:
        return await connection.fetch(sql, *arguments)
    finally:
        await connection.close()


async def _script(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url, command_timeout=PATIENCE)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def _new_name() -> str:
    return f"headrace_test_{uuid4().hex}"

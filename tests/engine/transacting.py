"""One body of a transaction for all stores: async, and driven without a loop where a plain one is due."""

from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import apsw

from headrace import App
from headrace.engine.job_type import JobType
from headrace.engine.transactions import drive
from tests.contract.conftest import STORES
from tests.servers.shared import SHARED
from tests.servers.valkey import client_of

Body = Callable[["Inside"], Awaitable[Any]]

LEDGER = "ledger"
SQL_STORES = tuple(kind for kind in STORES if kind.name != "redis")


class Inside:
    """A transaction as a body sees it: SQL without parameters where there is any, and enqueues."""

    def __init__(self, connection: Any, *, waits: bool, has_sql: bool = True) -> None:
        self.connection = connection
        self._waits = waits
        self._has_sql = has_sql

    async def sql(self, text: str) -> list[tuple[Any, ...]]:
        if self._waits:
            return [tuple(row) for row in await self.connection.fetch(text)]
        return self.connection.execute(text).fetchall()

    async def note(self, what: str, table: str = LEDGER) -> None:
        if self._has_sql:
            await self.sql(f"insert into {table} (what) values ('{what}')")
        else:
            self.connection.rpush(table, what)

    async def forget(self, what: str) -> None:
        if self._has_sql:
            await self.sql(f"delete from ledger where what = '{what}'")
        else:
            self.connection.lrem(LEDGER, 0, what)

    async def enqueue(self, job_type: JobType[..., Any], *args: Any, **options: Any) -> Any:
        using = job_type.using(tx=self.connection, **options)
        return await using.enqueue(*args) if self._waits else using.enqueue_sync(*args)


@dataclass(frozen=True, slots=True)
class Program:
    """An app on one of the stores, with a ledger of its own in the same database."""

    app: App
    waits: bool
    has_sql: bool = True

    @classmethod
    def on(cls, store: str, app: App) -> "Program":
        """The app on the store of that name."""
        return cls(app, waits=not store.startswith("sqlite"), has_sql=store != "redis")

    def work(self, body: Body) -> Callable[[Any], Any]:
        """The body as the function that this store takes."""
        if self.waits:

            async def work(connection: Any) -> Any:
                return await body(Inside(connection, waits=True, has_sql=self.has_sql))

            return work
        return lambda connection: drive(body(Inside(connection, waits=False)))

    async def transaction(self, body: Body) -> Any:
        return await self.app.transaction(self.work(body))

    async def ledger(self) -> list[str]:
        async def read(tx: Inside) -> list[str]:
            if not self.has_sql:
                await tx.connection.watch(LEDGER)
                return sorted(await tx.connection.lrange(LEDGER, 0, -1))
            return [what for (what,) in await tx.sql("select what from ledger order by what")]

        return await self.transaction(read)

    async def make_ledger(self) -> None:
        async def make(tx: Inside) -> None:
            await tx.sql("create table ledger (what text)")

        if self.has_sql:
            await self.transaction(make)


@dataclass(frozen=True, slots=True)
class Rows:
    """A table of a program's, or a list where there is no SQL, from outside of the program."""

    url: str
    name: str = LEDGER

    @property
    def has_sql(self) -> bool:
        return not self.url.startswith("redis")

    def make(self, columns: str = "what text") -> None:
        if self.has_sql:
            run_sql(self.url, f"create table {self.name} ({columns})")

    def add(self, what: str) -> None:
        if self.has_sql:
            run_sql(self.url, f"insert into {self.name} (what) values ('{what}')")
        else:
            with closing(client_of(self.url)) as client:
                client.rpush(self.name, what)

    def all(self, column: str = "what") -> list[str]:
        if self.has_sql:
            return sorted(what for (what,) in run_sql(self.url, f"select {column} from {self.name}"))
        with closing(client_of(self.url, decode_responses=True)) as client:
            return sorted(client.lrange(self.name, 0, -1))


def postgres_url(folder: Path) -> str:
    return SHARED.url(folder)


def run_sql(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Rows of one statement from outside of the program."""
    if url.startswith("postgres"):
        return [tuple(row) for row in SHARED.databases.run_sql(urlsplit(url).path[1:], sql)]
    db = apsw.Connection(url.removeprefix("sqlite:///"))
    db.set_busy_timeout(10_000)
    try:
        return list(db.execute(sql))
    finally:
        db.close()

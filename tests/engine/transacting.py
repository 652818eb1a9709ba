"""One body of a transaction for all stores: async, and driven without a loop where a plain one is due."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import apsw

from headrace import App
from headrace.engine.job_type import JobType
from headrace.engine.transactions import drive
from tests.servers.shared import SHARED

Body = Callable[["Inside"], Awaitable[Any]]


class Inside:
    """A transaction as a body sees it: SQL without parameters, and enqueues."""

    def __init__(self, connection: Any, *, waits: bool) -> None:
        self.connection = connection
        self._waits = waits

    async def sql(self, text: str) -> list[tuple[Any, ...]]:
        if self._waits:
            return [tuple(row) for row in await self.connection.fetch(text)]
        return self.connection.execute(text).fetchall()

    async def note(self, what: str) -> None:
        await self.sql(f"insert into ledger (what) values ('{what}')")

    async def enqueue(self, job_type: JobType[..., Any], *args: Any, **options: Any) -> Any:
        using = job_type.using(tx=self.connection, **options)
        return await using.enqueue(*args) if self._waits else using.enqueue_sync(*args)


@dataclass(frozen=True, slots=True)
class Program:
    """An app on one of the stores, with a ledger of its own in the same database."""

    app: App
    waits: bool

    def work(self, body: Body) -> Callable[[Any], Any]:
        """The body as the function that this store takes."""
        if self.waits:

            async def work(connection: Any) -> Any:
                return await body(Inside(connection, waits=True))

            return work
        return lambda connection: drive(body(Inside(connection, waits=False)))

    async def transaction(self, body: Body) -> Any:
        return await self.app.transaction(self.work(body))

    async def ledger(self) -> list[str]:
        async def read(tx: Inside) -> list[str]:
            return [what for (what,) in await tx.sql("select what from ledger order by what")]

        return await self.transaction(read)

    async def make_ledger(self) -> None:
        async def make(tx: Inside) -> None:
            await tx.sql("create table ledger (what text)")

        await self.transaction(make)


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

"""One connection while an op runs: the only place where queries are sent."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

from headrace.stores.gating import Returned
from headrace.stores.postgres.statements import Statements

_SAVEPOINT: Final = "savepoint headrace_step"
_UNDO: Final = "rollback to savepoint headrace_step"
_RELEASE: Final = "release savepoint headrace_step"

Row = Sequence[Any]
"""A row of a result: by position, in the order of the query's columns."""


class Connection(Protocol):
    """What a session needs of a driver's connection."""

    async def fetch(self, query: str, *values: object) -> list[Row]:
        """All rows."""
        ...

    async def fetchrow(self, query: str, *values: object) -> Row | None:
        """The first row, or None."""
        ...

    async def execute(self, query: str, *values: object) -> str:
        """The command tag, such as ``UPDATE 3``."""
        ...


class Session:
    """Runs this store's queries, by name, on one connection.

    ``brought_back`` are the jobs that an op has brought back from lanes, which is told once it is committed.
    """

    def __init__(self, connection: Connection, statements: Statements) -> None:
        self.connection = connection
        self.brought_back: list[Returned] = []
        self._statements = statements

    @property
    def schema(self) -> str:
        """The schema its queries are written for."""
        return self._statements.schema

    async def rows(self, query: str, *values: object) -> list[Row]:
        """All rows."""
        return await self.connection.fetch(self._statements[query], *values)

    async def row(self, query: str, *values: object) -> Row | None:
        """The first row, or None."""
        return await self.connection.fetchrow(self._statements[query], *values)

    async def run(self, query: str, *values: object) -> int:
        """Runs a writing query; returns how many rows its last part changed."""
        tag = await self.connection.execute(self._statements[query], *values)
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    @asynccontextmanager
    async def undone_on_error(self) -> AsyncGenerator[None]:
        """A step of a transaction: if it raises, it is undone and the transaction can go on."""
        await self.connection.execute(_SAVEPOINT)
        try:
            yield
        except BaseException:
            await self.connection.execute(_UNDO)
            await self.connection.execute(_RELEASE)
            raise
        await self.connection.execute(_RELEASE)

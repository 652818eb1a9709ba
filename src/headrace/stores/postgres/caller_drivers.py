"""The connections of other libraries as a session needs them.

No library is imported: whoever hands in its connection has loaded it. A synchronous one is used in the
calling thread, and the coroutines over it never suspend, so that they can be driven without an event loop.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from headrace.errors import MisuseError
from headrace.stores.postgres.session import Row

_NUMBERED: Final = re.compile(r"\$(\d+)")
_COMMENT: Final = re.compile(r"^\s*--[^\n]*\n?", re.MULTILINE)

Given = Mapping[str, object] | Sequence[object]
Style = Callable[[str, Sequence[object]], tuple[str, Given]]
"""A query with its values, as a driver wants them."""


def numbered(query: str, values: Sequence[object]) -> tuple[str, Given]:
    """``$1``, as PostgreSQL itself has it."""
    return query, values


def by_name(query: str, values: Sequence[object]) -> tuple[str, Given]:
    """``%(p1)s``, as psycopg has it."""
    return named(query), {f"p{number}": one for number, one in enumerate(values, start=1)}


def by_place(query: str, values: Sequence[object]) -> tuple[str, Given]:
    """``%s``, a value for each time that it is used."""
    text, order = placed(query)
    return text, tuple(values[number - 1] for number in order)


@cache
def named(query: str) -> str:
    """The query with ``%(p1)s`` for ``$1``."""
    return _NUMBERED.sub(r"%(p\1)s", without_comments(query).replace("%", "%%"))


@cache
def placed(query: str) -> tuple[str, tuple[int, ...]]:
    """The query with ``%s`` for each ``$n``, and the numbers in their order."""
    text = without_comments(query).replace("%", "%%")
    return _NUMBERED.sub("%s", text), tuple(int(found[1]) for found in _NUMBERED.finditer(text))


@cache
def without_comments(query: str) -> str:
    """The query as a driver may read it that looks for parameters everywhere."""
    return _COMMENT.sub("", query)


class AsyncpgDriver:
    """asyncpg: its connection is what a session was made for."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - the driver has no types
        self.fetch: Final = connection.fetch
        self.fetchrow: Final = connection.fetchrow
        self.execute: Final = connection.execute


class PsycopgDriver:
    """psycopg's Connection: with cursors of its plainest kind, whatever the program has set."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - the library is not imported
        self._connection = connection
        self._kind: Any = sys.modules["psycopg"].Cursor

    async def fetch(self, query: str, *values: object) -> list[Row]:
        with self._kind(self._connection, row_factory=_tuples) as cursor:
            cursor.execute(*by_name(query, values))
            return cursor.fetchall()

    async def fetchrow(self, query: str, *values: object) -> Row | None:
        return next(iter(await self.fetch(query, *values)), None)

    async def execute(self, query: str, *values: object) -> str:
        with self._kind(self._connection) as cursor:
            cursor.execute(*by_name(query, values))
            return f"done {cursor.rowcount}"


class AsyncPsycopgDriver:
    """psycopg's AsyncConnection."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - the library is not imported
        self._connection = connection
        self._kind: Any = sys.modules["psycopg"].AsyncCursor

    async def fetch(self, query: str, *values: object) -> list[Row]:
        async with self._kind(self._connection, row_factory=_tuples) as cursor:
            await cursor.execute(*by_name(query, values))
            return await cursor.fetchall()

    async def fetchrow(self, query: str, *values: object) -> Row | None:
        return next(iter(await self.fetch(query, *values)), None)

    async def execute(self, query: str, *values: object) -> str:
        async with self._kind(self._connection) as cursor:
            await cursor.execute(*by_name(query, values))
            return f"done {cursor.rowcount}"


class DjangoDriver:
    """A connection of Django, over psycopg or psycopg2."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - the library is not imported
        self._connection = connection

    async def fetch(self, query: str, *values: object) -> list[Row]:
        with self._connection.cursor() as cursor:
            cursor.execute(*by_name(query, values))
            return cursor.fetchall()

    async def fetchrow(self, query: str, *values: object) -> Row | None:
        return next(iter(await self.fetch(query, *values)), None)

    async def execute(self, query: str, *values: object) -> str:
        with self._connection.cursor() as cursor:
            cursor.execute(*by_name(query, values))
            return f"done {cursor.rowcount}"


class SqlalchemyDriver:
    """SQLAlchemy's Connection, over any driver whose parameters we can write."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - the library is not imported
        self._send: Final = connection.exec_driver_sql
        self._style = style_of(connection)

    async def fetch(self, query: str, *values: object) -> list[Row]:
        return self._run(query, values).fetchall()

    async def fetchrow(self, query: str, *values: object) -> Row | None:
        return next(iter(await self.fetch(query, *values)), None)

    async def execute(self, query: str, *values: object) -> str:
        return f"done {self._run(query, values).rowcount}"

    def _run(self, query: str, values: Sequence[object]) -> Any:  # noqa: ANN401
        text, given = self._style(query, values)
        return self._send(text, given if isinstance(given, Mapping) else tuple(given))


class AsyncSqlalchemyDriver:
    """SQLAlchemy's AsyncConnection."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - the library is not imported
        self._send: Final = connection.exec_driver_sql
        self._style = style_of(connection)

    async def fetch(self, query: str, *values: object) -> list[Row]:
        return (await self._run(query, values)).fetchall()

    async def fetchrow(self, query: str, *values: object) -> Row | None:
        return next(iter(await self.fetch(query, *values)), None)

    async def execute(self, query: str, *values: object) -> str:
        return f"done {(await self._run(query, values)).rowcount}"

    async def _run(self, query: str, values: Sequence[object]) -> Any:  # noqa: ANN401
        text, given = self._style(query, values)
        return await self._send(text, given if isinstance(given, Mapping) else tuple(given))


def style_of(connection: Any) -> Style:  # noqa: ANN401 - the library is not imported
    """How SQLAlchemy's driver wants its parameters. Raises MisuseError for one that we cannot serve."""
    match connection.dialect.paramstyle:
        case "pyformat":
            return by_name
        case "format":
            return by_place
        case "numeric_dollar":
            return numbered
        case other:
            raise MisuseError(
                f"SQLAlchemy's driver {connection.dialect.driver!r} has parameters of the style {other!r}: "
                "use app.insert_statement(...), or the driver psycopg or asyncpg"
            )


def _tuples(_cursor: object) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    return tuple

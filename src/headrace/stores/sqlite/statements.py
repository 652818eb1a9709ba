"""Queries from ``.sql`` files, and the few ways they are run."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final

import apsw

from headrace.stores.queries import queries as queries_of

Row = Sequence[object]
Values = Mapping[str, object]

_PACKAGE: Final = "headrace.stores.sqlite"
_ROWS: Final = "values (:row)"

# A step gives up the interpreter lock, and beside a busy event loop it may take long to get it back:
# one statement of 200 rows is one step. It also costs a third of 200 executions. 200 rows of the
# widest statement stay below the length up to which apsw keeps statements prepared.
_SIZES: Final = (200, 16, 1)


def queries(name: str) -> Mapping[str, str]:
    """The queries of one file of this store by name."""
    return queries_of(_PACKAGE, name)


def run(db: apsw.Connection, query: str, values: Row | Values = ()) -> apsw.Cursor:
    """Runs a query up to its first row, or to its end if it has none."""
    return db.execute(query, values)  # pyright: ignore[reportUnknownMemberType, reportArgumentType] - stub


def pragma(db: apsw.Connection, name: str, value: int | str | None = None) -> Any:  # noqa: ANN401 - each pragma has its own type
    """The value of a pragma; sets it before, if one is given."""
    given = () if value is None else (value,)
    return db.pragma(name, *given)  # pyright: ignore[reportUnknownMemberType] - stub


def first(db: apsw.Connection, query: str, values: Values) -> tuple[Any, ...] | None:
    """The first row, or None."""
    return next(run(db, query, values), None)


def rows(db: apsw.Connection, query: str, values: Values) -> list[tuple[Any, ...]]:
    """All rows."""
    return list(run(db, query, values))


def write(db: apsw.Connection, query: str, values: Values) -> int:
    """Runs a writing query; returns how many rows it changed."""
    run(db, query, values)
    return db.changes()


def write_rows(db: apsw.Connection, query: str, given: Sequence[Row]) -> int:
    """Runs a query that has ``values (:row)`` for all rows; returns how many rows it changed."""
    changed = start = 0
    for size in _SIZES:
        while len(given) - start >= size:
            chunk = given[start : start + size]
            run(db, with_rows(query, len(chunk[0]), size), tuple(chain.from_iterable(chunk)))
            changed += db.changes()
            start += size
    return changed


@cache
def with_rows(query: str, width: int, count: int) -> str:
    """The query with room for ``count`` rows of ``width`` values."""
    row = f"({','.join('?' * width)})"
    return query.replace(_ROWS, f"values {','.join([row] * count)}")


def texts(given: Iterable[str]) -> object:
    """Texts as one parameter for ``carray``; there must be at least one."""
    return apsw.carray(tuple(given))  # pyright: ignore[reportUnknownMemberType] - stub


def integers(given: Iterable[int]) -> object:
    """Integers as one parameter for ``carray``; there must be at least one."""
    return apsw.carray(array("q", given))  # pyright: ignore[reportUnknownMemberType] - stub

"""Queries from ``.sql`` files, and the few ways they are run."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import apsw

if TYPE_CHECKING:
    from apsw import Binding

Value = int | str | None
Row = Sequence[Value]

_NAMED: Final = re.compile(r"^-- :(\w+)(?: .*)?$", re.MULTILINE)
_PART: Final = re.compile(r"\{(\w+)\}")
_ROWS: Final = "values (:row)"

# A step gives up the interpreter lock, and beside a busy event loop it may take long to get it back:
# one statement of 200 rows is one step. It also costs a third of 200 executions. 200 rows of the
# widest statement stay below the length up to which apsw keeps statements prepared.
_SIZES: Final = (200, 16, 1)


def queries(name: str) -> Mapping[str, str]:
    """The queries of one file by name.

    Each begins with a line ``-- :name what it promises``; ``{name}`` stands for another one's text.
    """
    text = files(__package__).joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")
    split = _NAMED.split(text)
    found = {key: query.strip().rstrip(";") for key, query in zip(split[1::2], split[2::2], strict=True)}
    return {key: _PART.sub(lambda part: found[part[1]], query) for key, query in found.items()}


def first(db: apsw.Connection, query: str, values: "Mapping[str, Binding]") -> tuple[Any, ...] | None:
    """The first row, or None."""
    return next(db.execute(query, values), None)


def rows(db: apsw.Connection, query: str, values: "Mapping[str, Binding]") -> list[tuple[Any, ...]]:
    """All rows."""
    return list(db.execute(query, values))


def write(db: apsw.Connection, query: str, values: "Mapping[str, Binding]") -> int:
    """Runs a writing query; returns how many rows it changed."""
    db.execute(query, values)
    return db.changes()


def write_rows(db: apsw.Connection, query: str, given: Sequence[Row]) -> int:
    """Runs a query that has ``values (:row)`` for all rows; returns how many rows it changed."""
    changed = start = 0
    for size in _SIZES:
        while len(given) - start >= size:
            chunk = given[start : start + size]
            db.execute(with_rows(query, len(chunk[0]), size), tuple(chain.from_iterable(chunk)))
            changed += db.changes()
            start += size
    return changed


@cache
def with_rows(query: str, width: int, count: int) -> str:
    """The query with room for ``count`` rows of ``width`` values."""
    row = f"({','.join('?' * width)})"
    return query.replace(_ROWS, f"values {','.join([row] * count)}")


def array(texts: Sequence[str]) -> "Binding":
    """Texts as one parameter for ``carray``; there must be at least one."""
    return apsw.carray(tuple(texts))

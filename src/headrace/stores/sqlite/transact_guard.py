"""The connection that a program's function is given while it runs inside a write transaction of ours."""

import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Final, Self

import apsw

from headrace.errors import MisuseError

_NAMES_OF_OURS: Final = frozenset({"op", "application"})
_HARMLESS_PRAGMAS: Final = frozenset(
    {
        "defer_foreign_keys",
        "foreign_key_check",
        "foreign_key_list",
        "index_info",
        "index_list",
        "index_xinfo",
        "table_info",
        "table_list",
        "table_xinfo",
    }
)


class TransactionConnection:
    """Runs SQL inside the transaction, for as long as the function runs and in its thread alone.

    Savepoints are free to use, as SQL or by ``with connection:``. Commit, rollback and begin are refused.
    ``execute`` and ``executemany`` work as those of an apsw connection.
    """

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._thread = threading.get_ident()
        self._open = True
        self._cursors: list[apsw.Cursor] = []
        self.after_commit: list[Callable[[], None]] = []

    def execute(self, sql: str, bindings: Any = None) -> "TransactionCursor":  # noqa: ANN401 - as apsw's
        """Runs one or more statements; the cursor gives their rows."""
        cursor = self._cursor()
        cursor.execute(sql, bindings)  # pyright: ignore[reportUnknownMemberType] - stub
        return TransactionCursor(self, cursor)

    def executemany(self, sql: str, sequence: Iterable[Any]) -> "TransactionCursor":
        """Runs a statement once for each set of bindings."""
        cursor = self._cursor()
        cursor.executemany(sql, sequence)  # pyright: ignore[reportUnknownMemberType] - stub
        return TransactionCursor(self, cursor)

    def changes(self) -> int:
        """How many rows the last statement changed."""
        return self.driver_connection().changes()

    def last_insert_rowid(self) -> int:
        """The rowid of the row inserted last."""
        return self.driver_connection().last_insert_rowid()

    def __enter__(self) -> Self:
        self.driver_connection().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self.driver_connection().__exit__(kind, error, trace)

    def driver_connection(self) -> apsw.Connection:
        """The connection itself. Raises MisuseError once the function has ended, or in another thread."""
        if not self._open:
            raise MisuseError("this connection was good only inside the function that it was given to")
        if threading.get_ident() != self._thread:
            raise MisuseError("the connection of a transaction is used in the thread of its function only")
        return self._db

    def close(self) -> None:
        """After the function has ended: nothing of it reads on."""
        self._open = False
        for cursor in self._cursors:
            cursor.close(True)  # noqa: FBT003 - positional in apsw
        self._cursors.clear()

    def _cursor(self) -> apsw.Cursor:
        cursor = self.driver_connection().cursor()
        self._cursors.append(cursor)
        return cursor


class TransactionCursor:
    """Rows of a statement, as long as its transaction is open."""

    def __init__(self, connection: TransactionConnection, cursor: apsw.Cursor) -> None:
        self._connection = connection
        self._cursor = cursor

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self

    def __next__(self) -> tuple[Any, ...]:
        self._connection.driver_connection()
        return next(self._cursor)

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row, or None."""
        return next(self, None)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left."""
        return list(self)


class Guard:
    """Refuses what would end the transaction, or change the connection for those who use it next."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def __enter__(self) -> TransactionConnection:
        self._connection = TransactionConnection(self._db)
        self._db.authorizer = _authorize
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._db.authorizer = None
        self._connection.close()


def _authorize(
    operation: int, first: str | None, second: str | None, database: str | None, trigger: str | None
) -> int:
    del database, trigger
    match operation:
        case apsw.SQLITE_TRANSACTION:
            raise MisuseError(
                f"{first} is refused here: the transaction commits when the function returns, "
                "and is undone when it raises; for a part of it use a savepoint"
            )
        case apsw.SQLITE_SAVEPOINT if second in _NAMES_OF_OURS:
            raise MisuseError(f"the savepoint {second!r} is not yours: give yours another name")
        case apsw.SQLITE_ATTACH | apsw.SQLITE_DETACH:
            raise MisuseError("databases cannot be attached inside a transaction of the store")
        case apsw.SQLITE_PRAGMA if second is not None and first not in _HARMLESS_PRAGMAS:
            raise MisuseError(f"pragma {first} is refused here: others use this connection too")
        case _:
            return apsw.SQLITE_OK

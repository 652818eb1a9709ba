"""Jobs inserted through a connection of the program's own: apsw's, to the same file."""

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

import apsw

from headrace.errors import MisuseError
from headrace.stores.lining import Room
from headrace.stores.sqlite.descriptors import file_id
from headrace.stores.sqlite.faults import translated
from headrace.stores.sqlite.inserting import Insertion
from headrace.stores.sqlite.location import Location
from headrace.stores.sqlite.statements import run
from headrace.stores.sqlite.transact_guard import TransactionConnection
from headrace.stores.sqlite.transaction import Write, write_moves
from headrace.stores.transactions import SECOND_LIBRARY, Library, library_of, refused
from headrace.stores.values import Inserted, NewJob

_ACCEPTED: Final = "app.transaction(fn), or an apsw connection to the same file"


def caller_of(connection: object, location: Location) -> "SqliteCaller":
    """The transaction that is open on a connection. Raises MisuseError for a connection that will not do."""
    match library_of(connection):
        case Library.OURS if isinstance(connection, TransactionConnection):
            return SqliteCaller(connection.driver_connection(), location.name, connection.after_commit)
        case Library.APSW:
            own = cast("apsw.Connection", connection)
            _refuse_elsewhere(own, location)
            if not own.in_transaction:
                msg = "no transaction is open on this connection: begin one, so that the job commits with it"
                raise MisuseError(msg)
            return SqliteCaller(own, location.name)
        case Library.SQLITE3:
            raise MisuseError(SECOND_LIBRARY)
        case _ if _dialect(connection) == "sqlite":
            raise MisuseError(SECOND_LIBRARY)
        case _:
            raise refused(connection, f"the SQLite file {location.name}", _ACCEPTED)


class SqliteCaller:
    """Keeps ``headrace.stores.protocol.Caller``. Inserts happen in the calling thread.

    The commit is noticed by everybody who waits for work on the file, so that nobody need be told of it,
    except after a transaction of the store's own.
    """

    def __init__(
        self, db: apsw.Connection, name: str, after_commit: list[Callable[[], None]] | None = None
    ) -> None:
        self.suspends: Final = False
        self._db = db
        self._name = name
        self._after_commit = after_commit

    async def insert(
        self, namespace: str, jobs: Sequence[NewJob], *, now: int, room: Room | None = None
    ) -> Sequence[Inserted]:
        insertion = Insertion(namespace=namespace, jobs=jobs, now=now, room=room)
        # the moves are written here and now: a savepoint that is undone undoes them with the jobs
        write = Write(self._db, Counter())
        with _plain_rows(self._db), self._undone_by_itself():
            answers = insertion(write)
            write_moves(self._db, write.moves)
        return answers

    def after_commit(self, call: Callable[[], None]) -> bool:
        if self._after_commit is None:
            return False
        self._after_commit.append(call)
        return True

    @contextmanager
    def _undone_by_itself(self) -> Generator[None]:
        """What fails in here leaves the program's own writes as they are."""
        try:
            run(self._db, "savepoint headrace_insert")
            try:
                yield
            except BaseException:
                if self._db.in_transaction:
                    run(self._db, "rollback to headrace_insert")
                    run(self._db, "release headrace_insert")
                raise
            run(self._db, "release headrace_insert")
        except apsw.Error as error:
            raise translated(error, self._name) from error


@contextmanager
def _plain_rows(db: apsw.Connection) -> Generator[None]:
    """The program may have its rows made into something else; ours are tuples."""
    own: Any = db
    traces = own.row_trace, own.exec_trace
    own.row_trace = own.exec_trace = None
    try:
        yield
    finally:
        own.row_trace, own.exec_trace = traces


def _refuse_elsewhere(db: apsw.Connection, location: Location) -> None:
    if location.path is None:
        raise MisuseError("a database in memory is reached by no second connection: use app.transaction(fn)")
    if file_id(db.filename) != file_id(location.name):
        where = db.filename or "a database in memory"
        raise MisuseError(f"this connection is to {where}, the app's jobs are in {location.name}")


def _dialect(connection: object) -> str | None:
    """What SQLAlchemy or Django stand on, where they tell without asking the database."""
    for of in (connection, getattr(connection, "bind", None)):
        dialect = getattr(getattr(of, "dialect", None), "name", None)
        if isinstance(dialect, str):
            return dialect
    vendor = getattr(connection, "vendor", None)
    return vendor if isinstance(vendor, str) else None

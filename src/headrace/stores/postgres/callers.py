"""Jobs inserted through a connection of the program's own, inside its own transaction (C7).

The statements run between a savepoint and its release, so that an insert that fails leaves the transaction as
it was, and so that it can be tried again where another transaction has just taken a unique key.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final
from weakref import WeakSet

import asyncpg

from headrace.errors import HeadraceError, InvalidInput, MisuseError, StoreUnavailable, StoreUnusable
from headrace.stores.lining import Room
from headrace.stores.postgres import caller_drivers as drivers
from headrace.stores.postgres.caller_hooks import Hook, hook_of
from headrace.stores.postgres.database import Again, Database
from headrace.stores.postgres.inserting import Insertion
from headrace.stores.postgres.lining import refuse_full
from headrace.stores.postgres.session import Connection, Session
from headrace.stores.postgres.transact_guard import TransactionConnection
from headrace.stores.transactions import Library, library_of, refused
from headrace.stores.values import Inserted, NewJob

_TRIES: Final = 10
_SAVEPOINT: Final = "savepoint headrace_insert"
_UNDO: Final = "rollback to savepoint headrace_insert"
_RELEASE: Final = "release savepoint headrace_insert"
_ACCEPTED: Final = (
    "a connection of asyncpg, psycopg, SQLAlchemy or Django to its database, or app.transaction(fn)"
)

# The SQLSTATEs that are ours to explain; all others are the program's, as its driver tells them.
_NO_TRANSACTION: Final = "25P01"
_NO_TABLES: Final = frozenset({"3F000", "42703", "42883", "42P01"})
_NOT_ALLOWED: Final = "42501"
_UNKEEPABLE: Final = "22"

_at_the_right_place: Final[WeakSet[Any]] = WeakSet()


class Callers:
    """Makes callers for the store of one database."""

    def __init__(self, database: Database, written: Callable[[Sequence[NewJob]], None]) -> None:
        self._database = database
        self._written = written

    def of(self, connection: Any) -> "PostgresCaller":  # noqa: ANN401 - the libraries are not imported
        """The transaction that is open on a connection. Raises MisuseError for one that will not do."""
        driver, suspends = _driver_of(connection, self._database.location.name)
        return PostgresCaller(
            self._database,
            connection,
            driver=driver,
            suspends=suspends,
            hook=hook_of(connection),
            written=self._written,
        )


class PostgresCaller:
    """Keeps ``headrace.stores.protocol.Caller``."""

    def __init__(  # noqa: PLR0913 - a caller is made of exactly these
        self,
        database: Database,
        connection: Any,  # noqa: ANN401 - the libraries are not imported
        *,
        driver: "Driver",
        suspends: bool,
        hook: Hook | None,
        written: Callable[[Sequence[NewJob]], None],
    ) -> None:
        self._database = database
        self._connection = connection
        self._driver = driver
        self._hook = hook
        self._written = written
        self.suspends: Final = suspends

    async def insert(
        self, namespace: str, jobs: Sequence[NewJob], *, now: int, room: Room | None = None
    ) -> Sequence[Inserted]:
        insertion = _Within(namespace=namespace, jobs=jobs, now=now, room=room)
        connection = await self._driver()
        session = Session(connection, self._database.statements)
        try:
            await self._refuse_elsewhere(session)
            for _ in range(_TRIES):
                with suppress(Again):
                    answers = await _undone_by_itself(connection, session, insertion)
                    self.after_commit(lambda: self._written(jobs))
                    return answers
        except Exception as error:  # boundary: each driver has errors of its own
            raise _translated(error, self._database.location.name) from error
        raise StoreUnavailable(f"{self._database.location.name} is busy with other writers of the same keys")

    def after_commit(self, call: Callable[[], None]) -> bool:
        if self._hook is None:
            return False
        self._hook(call)
        return True

    async def _refuse_elsewhere(self, session: Session) -> None:
        """Looks, once for each connection, whether this is the database of the jobs."""
        with suppress(TypeError):  # of this kind no weak reference can be made: then look each time
            if self._connection in _at_the_right_place:
                return
        location = self._database.location
        database, has_tables = await session.row("caller_place") or ("", False)
        wanted = location.server.database
        if not has_tables or (wanted and database != wanted):
            raise MisuseError(
                f"this connection is to the database {database!r}, the app's jobs are in schema "
                f"{location.schema!r} of {location.name}"
            )
        with suppress(TypeError):
            _at_the_right_place.add(self._connection)


class _Within(Insertion):
    """An insertion that holds nothing others wait for, since the program may take long to commit.

    Fair jobs are put in line once they are committed; bounded queues are looked at and not held.
    """

    async def ready(self, session: Session, jobs: Sequence[NewJob]) -> Sequence[NewJob]:
        """The jobs. Raises QueueFull."""
        if self.room is not None:
            await refuse_full(session, self.namespace, jobs, self.room)
        return jobs


Driver = Callable[[], Any]
"""Gives, awaited, what a session runs its queries on."""


async def _undone_by_itself(
    connection: Connection, session: Session, insertion: Insertion
) -> Sequence[Inserted]:
    await connection.execute(_SAVEPOINT)
    try:
        answers = await insertion.within(session)
    except BaseException:
        with suppress(Exception):  # the connection may be gone, and the transaction with it
            await connection.execute(_UNDO)
            await connection.execute(_RELEASE)
        raise
    await connection.execute(_RELEASE)
    return answers


def _driver_of(connection: Any, name: str) -> tuple[Driver, bool]:  # noqa: ANN401, C901 - one case a library
    match library_of(connection):
        case Library.OURS if isinstance(connection, TransactionConnection):
            return _ready(drivers.AsyncpgDriver(connection.driver_connection())), True
        case Library.ASYNCPG:
            if not connection.is_in_transaction():
                raise _no_transaction("async with connection.transaction():")
            return _ready(drivers.AsyncpgDriver(connection)), True
        case Library.PSYCOPG:
            _refuse_autocommit(connection)
            return _ready(drivers.PsycopgDriver(connection)), False
        case Library.PSYCOPG_ASYNC:
            _refuse_autocommit(connection)
            return _ready(drivers.AsyncPsycopgDriver(connection)), True
        case Library.DJANGO if connection.vendor == "postgresql":
            if connection.get_autocommit():
                raise _no_transaction("with transaction.atomic():")
            return _ready(drivers.DjangoDriver(connection)), False
        case Library.SQLALCHEMY if connection.dialect.name == "postgresql":
            return _ready(drivers.SqlalchemyDriver(connection)), False
        case Library.SQLALCHEMY_ASYNC if connection.dialect.name == "postgresql":
            return _ready(drivers.AsyncSqlalchemyDriver(connection)), True
        case Library.SQLALCHEMY_SESSION:
            return _of_session(connection, name), False
        case Library.SQLALCHEMY_ASYNC_SESSION:
            return _of_async_session(connection, name), True
        case _:
            raise refused(connection, name, _ACCEPTED)


def _ready(connection: Connection) -> Driver:
    async def driver() -> Connection:
        return connection

    return driver


def _of_session(session: Any, name: str) -> Driver:  # noqa: ANN401 - the library is not imported
    async def driver() -> Connection:
        connection = session.connection()
        if connection.dialect.name != "postgresql":
            raise refused(connection, name, _ACCEPTED)
        return drivers.SqlalchemyDriver(connection)

    return driver


def _of_async_session(session: Any, name: str) -> Driver:  # noqa: ANN401 - the library is not imported
    async def driver() -> Connection:
        connection = await session.connection()
        if connection.dialect.name != "postgresql":
            raise refused(connection, name, _ACCEPTED)
        return drivers.AsyncSqlalchemyDriver(connection)

    return driver


def _refuse_autocommit(connection: Any) -> None:  # noqa: ANN401 - the library is not imported
    """In autocommit mode a block of ``connection.transaction()`` is a transaction all the same."""
    idle = 0
    if connection.autocommit and connection.info.transaction_status == idle:
        raise _no_transaction("with connection.transaction():")


def _no_transaction(how: str) -> MisuseError:
    return MisuseError(
        "no transaction is open on this connection, so the job would be there at once, whatever becomes of "
        f"your other writes: begin one ({how}), or leave tx= away"
    )


def _translated(error: Exception, name: str) -> Exception:
    """The error a caller sees: ours where it is about the jobs, else its own driver's."""
    if isinstance(error, HeadraceError):
        return error
    state = _sqlstate(error) or ""
    if state == _NO_TRANSACTION:
        return _no_transaction("with its begin(), not in autocommit mode")
    if state in _NO_TABLES:
        return MisuseError(f"this connection does not reach the tables of {name}: {error}")
    if state == _NOT_ALLOWED:
        return StoreUnusable(f"the role of this connection may not write the jobs of {name}: {error}")
    if state.startswith(_UNKEEPABLE) or isinstance(error, (UnicodeEncodeError, asyncpg.DataError)):
        return InvalidInput(f"a value cannot be kept: {error}")
    return error


def _sqlstate(error: BaseException | None) -> str | None:
    """The SQLSTATE, wherever a library has put it."""
    while error is not None:
        for told in (error, getattr(error, "orig", None)):
            state = getattr(told, "sqlstate", None) or getattr(told, "pgcode", None)
            if isinstance(state, str):
                return state
        error = error.__cause__
    return None

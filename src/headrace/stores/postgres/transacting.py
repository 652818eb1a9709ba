"""A program's async function inside a transaction, and what is written with it.

These transactions have connections of their own, so that functions that take long keep none of the store's.
The row of a job is touched by the last statement before the commit: until then nobody waits for the function.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Final
from uuid import uuid4
from weakref import WeakKeyDictionary

import asyncpg

from headrace.errors import MisuseError
from headrace.stores.gating import Returned
from headrace.stores.postgres.applying import Application
from headrace.stores.postgres.database import Database
from headrace.stores.postgres.faults import translated
from headrace.stores.postgres.location import Location, Pooler
from headrace.stores.postgres.session import Session
from headrace.stores.postgres.transact_guard import TransactionConnection
from headrace.stores.transactions import (
    DECIDE_AGAIN,
    Decide,
    Work,
    changes_too_fast,
    require_async,
    settled,
    worked,
)

_ALL_ITS_TIME: Final = 0
"""PostgreSQL's word for no limit, in milliseconds."""


@dataclass(frozen=True, slots=True)
class _Open:
    connection: Any
    mark: str


class Transactor:
    """Runs functions in transactions; as many at a time, in one loop, as the store has connections.

    ``on_return`` is told of jobs that came back from lanes because a job was completed.
    """

    def __init__(self, location: Location) -> None:
        self._database = Database(replace(location, tuned=False))
        self.on_return: Callable[[Sequence[Returned]], None] = _tell_nobody
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    async def run(self, work: Work, decide: Decide | None = None) -> Any:  # noqa: ANN401 - what it returns
        """What the function returned, after the commit."""
        require_async(work)
        async with self._turn(), self._transaction() as opened:
            guard = TransactionConnection(opened.connection)
            try:
                value = await worked(work, guard, "PostgreSQL")
            finally:
                guard.close_guard()
            back = await self._last(opened, decide, value)
        if back:
            self.on_return(back)
        for call in guard.after_commit:
            call()
        return value

    async def close(self) -> None:
        """Closes the connections. Idempotent."""
        await self._database.close()

    def _turn(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        turn = self._turns.get(loop)
        if turn is None:
            turn = self._turns[loop] = asyncio.Semaphore(self._database.location.pool)
        return turn

    @asynccontextmanager
    async def _transaction(self) -> AsyncGenerator[_Open]:
        """A transaction that commits at the end of the block. What the block raises is raised as it is."""
        database = self._database
        async with _Connected(database) as connection:
            transaction = connection.transaction(isolation="read_committed")
            mark = await self._begun(transaction, connection)
            try:
                try:
                    yield _Open(connection, mark)
                except BaseException:
                    with suppress(Exception):  # the connection may be gone, and the transaction with it
                        await transaction.rollback()
                    raise
                try:
                    await transaction.commit()
                except Exception as error:  # boundary: the driver's errors become the store's
                    raise _commit_failed(error, database.location.name) from error
            finally:
                await self._forget_session(connection)

    async def _begun(self, transaction: Any, connection: Any) -> str:  # noqa: ANN401 - the driver has no types
        """Begins, sets the limits, and leaves a mark by which this very transaction is known at its end."""
        location = self._database.location
        mark = uuid4().hex
        limit = str(_ALL_ITS_TIME if location.timeout is None else round(location.timeout * 1000))
        try:
            await transaction.start()
            await Session(connection, self._database.statements).row("mark_transaction", limit, mark)
        except Exception as error:  # boundary: the driver's errors become the store's
            raise translated(error, location.name, sent=False) from error
        return mark

    async def _last(self, opened: _Open, decide: Decide | None, value: object) -> Sequence[Returned]:
        """Writes what is written last; returns which jobs it brought back from lanes."""
        session = Session(opened.connection, self._database.statements)
        try:
            row = await session.row("transaction_mark")
            if row is None or row[0] != opened.mark:
                raise MisuseError(
                    "the function ended the transaction by itself: it must leave that to its caller"
                )
            if decide is not None:
                await _settle(session, decide, value)
        except asyncpg.InFailedSQLTransactionError as error:
            raise MisuseError(
                "a statement failed and the function went on, but nothing of this transaction can be kept: "
                "let the error out, or put what may fail into a savepoint"
            ) from error
        except Exception as error:  # boundary: the driver's errors become the store's
            raise translated(error, self._database.location.name, sent=False) from error
        return session.brought_back

    async def _forget_session(self, connection: Any) -> None:  # noqa: ANN401 - the driver has no types
        """What the function set for its session is not there for the next one."""
        if self._database.location.pooler is Pooler.TRANSACTION:
            return
        try:
            await connection.reset(timeout=self._database.location.timeout)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            with suppress(asyncpg.InterfaceError):  # a lost connection has left the pool by itself
                connection.terminate()


class _Connected:
    """A connection of the running loop; that there is none is told in the store's words."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __aenter__(self) -> Any:  # noqa: ANN401 - the driver has no types
        self._holding = self._database.line().connection()
        try:
            return await self._holding.__aenter__()
        except Exception as error:  # boundary: the driver's errors become the store's
            raise translated(error, self._database.location.name, sent=False) from error

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._holding.__aexit__(kind, error, trace)


async def _settle(session: Session, decide: Decide, value: object) -> None:
    """Completes the job: the last that is written."""
    transition = decide(value, None)
    for _ in range(DECIDE_AGAIN):
        (answer,) = await Application((transition,)).within(session)
        fresh = settled(transition, answer)
        if fresh is None:
            return
        transition = decide(value, fresh)
    raise changes_too_fast(transition)


def _tell_nobody(jobs: Sequence[Returned]) -> None:
    del jobs


def _commit_failed(error: Exception, name: str) -> Exception:
    """A rule of the program's own that is checked at the commit speaks for itself; a lost reply does not."""
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        return error
    return translated(error, name, sent=True)

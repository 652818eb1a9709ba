"""A PostgreSQL database as the store's ops see it: sessions, transactions, snapshots."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

from headrace.errors import StoreUnavailable
from headrace.stores.gating import Returned
from headrace.stores.per_loop import PerLoop
from headrace.stores.postgres.faults import REPEATABLE, translated
from headrace.stores.postgres.line import Line
from headrace.stores.postgres.location import Location, Pooler
from headrace.stores.postgres.session import Session
from headrace.stores.postgres.statements import Statements

T = TypeVar("T")
Op = Callable[[Session], Awaitable[T]]

_TRIES: Final = 10
_PAUSE: Final = 0.005


class Again(Exception):
    """Raised by an op whose assumptions another transaction broke: it is undone and run once more."""


class Database:
    """Usable from all event loops of one process, and not from its forked children.

    ``on_return`` is told of jobs that ops have brought back from lanes.
    """

    def __init__(self, location: Location) -> None:
        self.location = location
        self.statements = Statements(location.schema)
        self.on_return: Callable[[Sequence[Returned]], None] = _tell_nobody
        self._lines = PerLoop(lambda: Line(location, self.statements), location.name)

    async def alone(self, op: Op[T]) -> T:
        """The result of an op that sends one writing statement, which is its own transaction."""
        if self.location.pooler is Pooler.TRANSACTION:
            return await self.together(op)
        return await self._repeated(op, self._single)

    async def together(self, op: Op[T]) -> T:
        """The result of an op of several statements, all of which happen or none."""
        return await self._repeated(op, self._transaction)

    async def read(self, op: Op[T]) -> T:
        """The result of an op that sends one reading statement."""
        if self.location.pooler is Pooler.TRANSACTION:
            return await self.snapshot(op)
        async with self._translating(sent=False), self.line().connection() as connection:
            return await op(Session(connection, self.statements))

    async def snapshot(self, op: Op[T]) -> T:
        """The result of an op of several reading statements, all on one snapshot."""
        return await self._repeated(op, self._reading)

    def line(self) -> Line:
        """The running loop's connections."""
        return self._lines.here()

    async def close(self) -> None:
        """Closes all connections of all loops. Idempotent."""
        await self._lines.close()

    async def _repeated(self, op: Op[T], way: Callable[[Op[T]], Awaitable[T]]) -> T:
        for attempt in range(_TRIES):
            try:
                return await way(op)
            except (Again, *REPEATABLE):
                await asyncio.sleep(random.uniform(0, _PAUSE * 2**attempt))
        msg = f"{self.location.name} is busy with other writers of the same rows"
        raise StoreUnavailable(msg)

    async def _reading(self, op: Op[T]) -> T:
        try:
            async with (
                self.line().connection() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                return await op(Session(connection, self.statements))
        except (Again, *REPEATABLE):
            raise
        except Exception as error:  # boundary: the driver's errors become ours
            raise translated(error, self.location.name, sent=False) from error

    async def _single(self, op: Op[T]) -> T:
        # a lost connection is noticed either while one is taken, when nothing was sent, or after that
        sent = False
        try:
            async with self.line().connection() as connection:
                sent = True
                result = await op(Session(connection, self.statements))
                if connection.is_in_transaction():
                    raise Again  # one that was left open: it is undone when the connection goes back
                return result
        except (Again, *REPEATABLE):
            raise
        except Exception as error:  # boundary: the driver's errors become ours
            raise translated(error, self.location.name, sent=sent) from error

    async def _transaction(self, op: Op[T]) -> T:
        ending = False
        try:
            async with self.line().connection() as connection:
                transaction = connection.transaction()
                await transaction.start()
                session = Session(connection, self.statements)
                try:
                    result = await op(session)
                except BaseException:
                    await _undo(transaction)
                    raise
                ending = True
                await transaction.commit()
            if session.brought_back:
                self.on_return(session.brought_back)
            return result
        except (Again, *REPEATABLE):
            raise
        except Exception as error:  # boundary: the driver's errors become ours
            raise translated(error, self.location.name, sent=ending) from error

    @asynccontextmanager
    async def _translating(self, *, sent: bool) -> AsyncGenerator[None]:
        try:
            yield
        except Exception as error:  # boundary: the driver's errors become ours
            raise translated(error, self.location.name, sent=sent) from error


def _tell_nobody(jobs: Sequence[Returned]) -> None:
    del jobs


async def _undo(transaction: Any) -> None:  # noqa: ANN401 - the driver has no types
    # The connection may be gone, and the transaction with it; the reason is told by the first error.
    with suppress(Exception):
        await transaction.rollback()

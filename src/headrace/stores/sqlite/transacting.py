"""A program's function inside a write transaction of ours, and what is written with it.

No write transaction is open while anybody waits for anything: the function is a short plain one and runs on
the writer thread, in a commit of its own.
"""

import contextvars
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headrace.errors import MisuseError
from headrace.stores.sqlite.applying import Application
from headrace.stores.sqlite.database import Database
from headrace.stores.sqlite.transact_guard import Guard, TransactionConnection
from headrace.stores.sqlite.transact_limit import TimeLimit
from headrace.stores.sqlite.transaction import Write
from headrace.stores.sqlite.writer import GROUP_ROWS
from headrace.stores.transactions import (
    DECIDE_AGAIN,
    Decide,
    InsideTransaction,
    Work,
    changes_too_fast,
    require_plain,
    settled,
)


class _Raised(Exception):
    """Carries what the function raised past those who translate SQLite's errors into the store's."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


@dataclass(frozen=True, slots=True)
class _Ended:
    value: object
    after_commit: list[Callable[[], None]]


@dataclass(frozen=True, slots=True)
class Transaction:
    """A function, and what its value makes of the job that it completes (None: it completes none)."""

    work: Work
    decide: Decide | None = None

    async def run(self, database: Database) -> Any:  # noqa: ANN401 - what the function returns
        """What the function returned, once all of it is committed."""
        require_plain(self.work)
        context = contextvars.copy_context()

        def op(write: Write) -> _Ended:
            return context.run(self, write)

        try:
            ended = await database.write(op, rows=GROUP_ROWS)
        except _Raised as raised:
            error = raised.error
            raise error from error.__cause__
        for call in ended.after_commit:
            call()
        return ended.value

    def __call__(self, write: Write) -> _Ended:
        """Does it, inside a write transaction."""
        with InsideTransaction(), Guard(write.db) as connection:
            value = self._worked(write, connection)
            calls = connection.after_commit
        if self.decide is not None:
            _settle(write, self.decide, value)
        return _Ended(value, calls)

    def _worked(self, write: Write, connection: TransactionConnection) -> object:
        try:
            value = TimeLimit(write.db).run(lambda: self.work(connection))
            if inspect.isawaitable(value):
                _discard(value)
                raise MisuseError(
                    "on SQLite the function of a transaction is a plain one: it must not be awaited"
                )
            if not write.db.in_transaction:
                raise MisuseError("a statement undid the transaction (insert or rollback?): nothing is kept")
            return value
        except BaseException as error:  # boundary: the function may raise anything, and the writer must live
            raise _Raised(error) from error


def _settle(write: Write, decide: Decide, value: object) -> None:
    """Completes the job: the last that is written."""
    try:
        transition = decide(value, None)
        for _ in range(DECIDE_AGAIN):
            (answer,) = Application((transition,))(write)
            fresh = settled(transition, answer)
            if fresh is None:
                return
            transition = decide(value, fresh)
    except Exception as error:  # boundary: the function's value may not be one that can be kept
        raise _Raised(error) from error
    raise changes_too_fast(transition)


def _discard(value: object) -> None:
    if inspect.iscoroutine(value):
        value.close()

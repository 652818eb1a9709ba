"""Who tells when a program's own transaction has committed."""

import importlib
from collections.abc import Callable
from typing import Any, Final

from headrace.stores.postgres.transact_guard import TransactionConnection
from headrace.stores.transactions import Library, library_of

Hook = Callable[[Callable[[], None]], object]
"""Has something called after the commit."""

_CALLS: Final = "headrace_after_commit"


def hook_of(connection: Any) -> Hook | None:  # noqa: ANN401 - the libraries are not imported
    """The hook of a connection's library; None where it has none: then the work is found by polling."""
    match library_of(connection):
        case Library.OURS if isinstance(connection, TransactionConnection):
            return connection.after_commit.append
        case Library.DJANGO:
            return connection.on_commit if connection.in_atomic_block else None
        case Library.SQLALCHEMY_SESSION:
            return _of_session(connection() if callable(connection) else connection)
        case Library.SQLALCHEMY_ASYNC_SESSION:
            return _of_session(connection.sync_session)
        case _:
            return None


def _of_session(session: Any) -> Hook:  # noqa: ANN401 - the library is not imported
    """SQLAlchemy tells of its sessions' commits, also those of savepoints; of its connections' too early."""

    def hook(call: Callable[[], None]) -> None:
        if _CALLS not in session.info:
            session.info[_CALLS] = []
            importlib.import_module("sqlalchemy.event").listen(session, "after_commit", _committed)
            importlib.import_module("sqlalchemy.event").listen(session, "after_rollback", _undone)
        session.info[_CALLS].append(call)

    return hook


def _committed(session: Any) -> None:  # noqa: ANN401 - the library is not imported
    if session.in_nested_transaction():
        return
    calls, session.info[_CALLS] = session.info[_CALLS], []
    for call in calls:
        call()


def _undone(session: Any) -> None:  # noqa: ANN401 - the library is not imported
    if not session.in_nested_transaction():
        session.info[_CALLS] = []

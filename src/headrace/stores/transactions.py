"""What the stores have in common where a program's writes and its jobs commit together."""

import inspect
import threading
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from functools import partial
from typing import Any, Final

from headrace.core.job import Job, Transition
from headrace.errors import LeaseLost, MisuseError, StoreUnavailable
from headrace.stores.values import Already, Applied, ApplyAnswer, Conflict, Lost, Stale

Work = Callable[[Any], Any]
"""A program's function: it is given the connection of an open transaction."""

Decide = Callable[[object, Job | None], Transition]
"""What the returned value makes of the job (None: as it was claimed). Raises LeaseLost if it moved on."""

DECIDE_AGAIN: Final = 20


class Library(Enum):
    """Whose a connection is."""

    OURS = auto()
    APSW = auto()
    ASYNCPG = auto()
    DJANGO = auto()
    PSYCOPG = auto()
    PSYCOPG_ASYNC = auto()
    REDIS = auto()
    REDIS_ASYNC = auto()
    SQLALCHEMY = auto()
    SQLALCHEMY_ASYNC = auto()
    SQLALCHEMY_SESSION = auto()
    SQLALCHEMY_ASYNC_SESSION = auto()
    SQLITE3 = auto()
    UNKNOWN = auto()


_KNOWN: Final = {
    ("apsw", "Connection"): Library.APSW,
    ("asyncpg", "Connection"): Library.ASYNCPG,
    ("asyncpg", "PoolConnectionProxy"): Library.ASYNCPG,
    ("django", "BaseDatabaseWrapper"): Library.DJANGO,
    ("django", "ConnectionProxy"): Library.DJANGO,
    ("headrace", "TransactionConnection"): Library.OURS,
    ("headrace", "TransactionPipeline"): Library.OURS,
    ("psycopg", "Connection"): Library.PSYCOPG,
    ("psycopg", "AsyncConnection"): Library.PSYCOPG_ASYNC,
    ("redis", "Pipeline"): Library.REDIS,
    ("redis.asyncio.client", "Pipeline"): Library.REDIS_ASYNC,
    ("sqlalchemy", "Connection"): Library.SQLALCHEMY,
    ("sqlalchemy", "AsyncConnection"): Library.SQLALCHEMY_ASYNC,
    ("sqlalchemy", "Session"): Library.SQLALCHEMY_SESSION,
    ("sqlalchemy", "scoped_session"): Library.SQLALCHEMY_SESSION,
    ("sqlalchemy", "AsyncSession"): Library.SQLALCHEMY_ASYNC_SESSION,
    ("sqlalchemy", "async_scoped_session"): Library.SQLALCHEMY_ASYNC_SESSION,
    ("aiosqlite", "Connection"): Library.SQLITE3,
    ("sqlite3", "Connection"): Library.SQLITE3,
}

SECOND_LIBRARY: Final = (
    "this connection belongs to another SQLite library (the module sqlite3, below it or directly). Two"
    " SQLite libraries on one file destroy each other's locks, and acknowledged writes are lost; so enqueue"
    " through app.transaction(fn), or through an apsw connection to the same file"
)


def library_of(connection: object) -> Library:
    """Whose a connection is, by the names of its classes: no library is imported for it."""
    for kind in type(connection).__mro__:
        for module in (kind.__module__, kind.__module__.partition(".")[0]):
            found = _KNOWN.get((module, kind.__name__))
            if found is not None:
                return found
    return Library.UNKNOWN


def refused(connection: object, store: str, accepted: str) -> MisuseError:
    """What is raised for a connection that cannot take jobs of this store."""
    return MisuseError(
        f"a connection of type {type(connection).__qualname__} cannot take jobs of {store}: use {accepted}"
    )


def settled(transition: Transition, answer: ApplyAnswer) -> Job | None:
    """None where the transition was written, else the job to decide on again. Raises LeaseLost."""
    match answer:
        case Applied():
            return None
        case Stale(job=fresh):
            return fresh
        case Already() | Lost() | Conflict():
            raise LeaseLost(transition.job.id, transition.job.fence)


def changes_too_fast(transition: Transition) -> StoreUnavailable:
    """What is raised when a job changes before every write."""
    return StoreUnavailable(f"job {transition.job.id} changes too fast to be completed; try again")


def require_plain(work: Work) -> None:
    """Raises MisuseError for an async function."""
    if _is_async(work):
        raise MisuseError(
            "on SQLite the function of a transaction is a short plain one, def and not async def: "
            "no write transaction may wait for anything"
        )


def require_async(work: Work, store: str = "PostgreSQL") -> None:
    """Raises MisuseError for a plain function. A lambda is judged by what it returns."""
    if not (_is_async(work) or getattr(work, "__name__", "") == "<lambda>"):
        raise MisuseError(f"on {store} the function of a transaction is async: async def fn(connection)")


async def worked(work: Work, connection: object, store: str) -> object:
    """What an async function returns. Raises MisuseError for one that only seemed to be one."""
    awaited = work(connection)
    if not inspect.isawaitable(awaited):
        raise MisuseError(f"on {store} the function of a transaction returns something to await")
    under_way: Awaitable[object] = awaited
    return await under_way


def _is_async(work: Work) -> bool:
    while isinstance(work, partial):
        work = work.func
    return inspect.iscoroutinefunction(work) or inspect.iscoroutinefunction(getattr(work, "__call__", None))  # noqa: B004 - asks what a call would run


class _Inside(threading.local):
    busy = False


_inside: Final = _Inside()


class InsideTransaction:
    """While it lasts, this thread holds a store's write transaction and must not wait for the store."""

    def __enter__(self) -> None:
        _inside.busy = True

    def __exit__(self, *_: object) -> None:
        _inside.busy = False


def refuse_inside_transaction() -> None:
    """Raises MisuseError in a thread that runs the function of a transaction: it would wait for itself."""
    if _inside.busy:
        raise MisuseError(
            "this would wait for the transaction in which it is called: inside the function of a transaction "
            "enqueue with .using(tx=connection).enqueue_sync(...), and do everything else before or after it"
        )

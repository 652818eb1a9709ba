"""How a connection to the server is opened."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import asyncpg

from headrace.stores.postgres.location import Location, Pooler
from headrace.stores.urls import Host

_connect: Final[Any] = cast("Any", asyncpg).connect  # the driver has no types
_errors = asyncpg.exceptions

CLOSE_WITHIN: Final = 5.0
HEAD_START: Final = 0.5
"""How many seconds a host has before the next one is tried beside it."""

_KEPT_ALIVE: Final = {
    "idle_in_transaction_session_timeout": "30s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}

# Our statements are written for nested loops over indexes. A generic plan that was made while the
# tables were empty would join and scan by other means, and be kept when they have grown.
_SETTINGS: Final = _KEPT_ALIVE | {
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "plan_cache_mode": "force_generic_plan",
}


async def opened(location: Location) -> Any:  # noqa: ANN401 - the driver has no types
    """A connection to the first host that answers and takes writes.

    A host that is switched off says nothing at all, so the next one is tried beside it before it has failed.
    """
    hosts = location.server.hosts
    if len(hosts) <= 1:
        return await _opened_at(location, hosts[0] if hosts else None)
    waiting, trying, failed = list(hosts), set[asyncio.Task[Any]](), list[BaseException]()
    try:
        while waiting or trying:
            if waiting:
                trying.add(asyncio.create_task(_opened_at(location, waiting.pop(0))))
            patience = HEAD_START if waiting else None
            await asyncio.wait(trying, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in trying if task.done()]:
                trying.discard(task)
                error = task.exception()
                if error is None:
                    return task.result()
                failed.append(error)
    finally:
        await _drop(trying)
    raise _most_telling(failed)


@asynccontextmanager
async def open_for(location: Location) -> AsyncGenerator[Any]:
    """A connection that is closed at the end of the block."""
    connection = await opened(location)
    try:
        yield connection
    except Exception:
        connection.terminate()  # one that broke would keep us waiting for its farewell
        raise
    finally:
        await _close(connection)


async def _opened_at(location: Location, host: Host | None) -> Any:  # noqa: ANN401
    """A connection to one host. A pooler allows neither settings nor prepared statements."""
    pooled = location.pooler is Pooler.TRANSACTION
    server = location.server
    return await _connect(
        dsn=server.dsn,
        host=None if host is None else host.name,
        port=None if host is None else host.port,
        # a pooler does not say what its server is, and finds the right one by itself
        target_session_attrs="any" if pooled else server.target,
        timeout=server.connect_within,
        command_timeout=location.timeout,
        statement_cache_size=0 if pooled else 256,
        max_cached_statement_lifetime=0,
        server_settings=None if pooled else _SETTINGS if location.tuned else _KEPT_ALIVE,
    )


async def _drop(tasks: set[asyncio.Task[Any]]) -> None:
    """Ends attempts that nobody waits for any more, and closes what they may have opened."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled() and task.exception() is None:
            task.result().terminate()


def _most_telling(errors: list[BaseException]) -> BaseException:
    """That a host is away or only a standby is no news where another one refuses to let us in."""
    away = (OSError, _errors.TargetServerAttributeNotMatched)
    return next((error for error in errors if not isinstance(error, away)), errors[-1])


async def _close(connection: Any) -> None:  # noqa: ANN401 - the driver has no types
    try:
        await connection.close(timeout=CLOSE_WITHIN)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()

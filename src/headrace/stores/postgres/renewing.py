"""Renewals, on a connection of their own: they wait neither for a free connection nor for a locked row."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import asyncpg

from headrace.core.place import CLAIMED
from headrace.stores.postgres.connecting import opened
from headrace.stores.postgres.database import Database
from headrace.stores.postgres.faults import translated
from headrace.stores.postgres.rows import arrays
from headrace.stores.postgres.session import Session
from headrace.stores.texts import possible
from headrace.stores.values import Holder, Renewal

ANSWER_WITHIN: Final = 5.0
_CLOSE_WITHIN: Final = 1.0


@asynccontextmanager
async def open_renewer(database: Database) -> "AsyncGenerator[ConnectedRenewer]":
    """A renewer for the running event loop. After an error it is of no more use: open another one."""
    database.line()  # refuses a closed store, and one that was carried over a fork
    location = database.location
    within = min(location.timeout or ANSWER_WITHIN, ANSWER_WITHIN)
    try:
        connection = await opened(replace(location, timeout=within))
    except Exception as error:  # boundary: the driver's errors become ours
        raise translated(error, location.name, sent=False) from error
    try:
        yield ConnectedRenewer(Session(connection, database.statements), location.name)
    except BaseException:
        connection.terminate()
        raise
    try:
        await connection.close(timeout=_CLOSE_WITHIN)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()


class ConnectedRenewer:
    """Keeps ``headrace.stores.protocol.Renewer``."""

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self._name = name

    async def renew(self, holders: Sequence[Holder], *, now: int, lease_until: int) -> Renewal:
        """Moves the leases of those who still hold their jobs; rows that others have locked are busy."""
        del now
        ids = {holder.job_id for holder in holders}
        there = frozenset(possible(list(ids)))
        given = [(holder.job_id, holder.fence) for holder in holders if holder.job_id in there]
        if not given:
            return Renewal(lost=frozenset(ids))
        try:
            found = await self._session.rows("renew", *arrays(given), CLAIMED.value, lease_until)
        except Exception as error:  # boundary: the driver's errors become ours
            # A renewal that was done without our knowing may be done again, so nobody need wonder.
            raise translated(error, self._name, sent=False) from error
        held = frozenset(job_id for job_id, is_held, _, _ in found if is_held)
        busy = frozenset(job_id for job_id, _, _, is_busy in found if is_busy) - held
        return Renewal(
            lost=frozenset(ids) - held - busy,
            cancel_asked=frozenset(job_id for job_id, is_held, asked, _ in found if is_held and asked),
            busy=busy,
        )

"""Where a waiting job stands in its queue."""

import apsw

from headrace.core.limits import Standing
from headrace.stores.sqlite.database import Database
from headrace.stores.sqlite.statements import first, queries

_SQL = queries("standing")


class TellsStanding:
    """The part of the store that keeps ``StandingReader``."""

    _database: Database

    async def ahead(self, namespace: str, queue: str, standing: Standing, *, now: int, limit: int) -> int:
        given = {
            "namespace": namespace,
            "queue": queue,
            "priority": standing.priority,
            "rank": standing.rank,
            "seq": standing.seq,
            "now": now,
            "limit": limit,
        }

        def read(db: apsw.Connection) -> int:
            (count,) = first(db, _SQL["ahead"], given) or (0,)
            return count

        return await self._database.read(read)

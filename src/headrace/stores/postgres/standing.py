"""Where a waiting job stands in its queue."""

from headrace.core.limits import Standing
from headrace.stores.postgres.database import Database
from headrace.stores.postgres.session import Session


class TellsStanding:
    """The part of the store that keeps ``StandingReader``."""

    _database: Database

    async def ahead(self, namespace: str, queue: str, standing: Standing, *, now: int, limit: int) -> int:
        place = (standing.priority, standing.rank, standing.seq)

        async def read(session: Session) -> int:
            row = await session.row("ahead", namespace, queue, *place, now, limit)
            return 0 if row is None else row[0]

        return await self._database.read(read)

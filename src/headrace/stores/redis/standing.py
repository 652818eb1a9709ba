"""Where a waiting job stands in its queue."""

from headrace.core.limits import Standing
from headrace.stores.redis.database import Database
from headrace.stores.redis.rows import place_text


class TellsStanding:
    """The part of the store that keeps ``StandingReader``."""

    _database: Database

    async def ahead(self, namespace: str, queue: str, standing: Standing, *, now: int, limit: int) -> int:
        before = f"{place_text(standing.priority, standing.rank)}{standing.seq:016}"
        return await self._database.look(self._database.keys(namespace), "ahead", queue, before, now, limit)

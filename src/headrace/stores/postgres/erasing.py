"""Ended jobs leave, with all that belongs to them."""

from dataclasses import dataclass

from headrace.core.states import State
from headrace.stores.postgres.database import Database
from headrace.stores.postgres.session import Session


async def erase(session: Session, now: int, limit: int) -> int:
    """Deletes jobs whose ``erase_at`` has come; returns how many."""
    (count,) = await session.row("erase", now, limit) or (0,)
    return count


@dataclass(frozen=True, slots=True, kw_only=True)
class Surplus:
    """The ended jobs of a type and state that are older than the newest ``keep``."""

    namespace: str
    type: str
    state: State
    keep: int
    limit: int

    async def run(self, database: Database) -> int:
        """Deletes the oldest of them; returns how many.

        They are found before they are locked: where another eraser is at work on some of them, nothing
        newer takes their place.
        """
        seqs = await database.read(self._find)
        if not seqs:
            return 0
        return await database.alone(lambda session: self._erase(session, seqs))

    async def _find(self, session: Session) -> list[int]:
        query = "surplus_of_ended" if self.state is State.COMPLETED else "surplus_of_otherwise"
        found = await session.rows(query, self.namespace, self.type, self.state.value, self.keep, self.limit)
        return [row[0] for row in found]

    async def _erase(self, session: Session, seqs: list[int]) -> int:
        (count,) = await session.row("erase_these", self.namespace, seqs, self.state.value) or (0,)
        return count

"""Ended jobs leave, with all that belongs to them.

Jobs for which others wait, or did, are locked first and looked at again by a later statement: the one that
locks them may have begun before a child was inserted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.core.job import WAITED_ON
from headrace.core.states import State
from headrace.stores.postgres.database import Database
from headrace.stores.postgres.rows import arrays
from headrace.stores.postgres.session import Row, Session


async def erase(database: Database, now: int, limit: int) -> int:
    """Deletes jobs whose ``erase_at`` has come; returns how many."""

    async def plain(session: Session) -> int:
        return _count(await session.row("erase", now, limit, WAITED_ON))

    async def parents(session: Session) -> int:
        locked = await session.rows("lock_erasable_parents", now, limit - count, WAITED_ON)
        return await _erase_parents(session, locked)

    count = await database.alone(plain)
    return count if count == limit else count + await database.together(parents)


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
        count = await database.alone(lambda session: self._erase(session, seqs))
        if count == len(seqs):
            return count
        return count + await database.together(lambda session: self._erase_parents(session, seqs))

    async def _find(self, session: Session) -> list[int]:
        query = "surplus_of_ended" if self.state is State.COMPLETED else "surplus_of_otherwise"
        found = await session.rows(query, self.namespace, self.type, self.state.value, self.keep, self.limit)
        return [row[0] for row in found]

    async def _erase(self, session: Session, seqs: list[int]) -> int:
        return _count(await session.row("erase_these", self.namespace, seqs, self.state.value, WAITED_ON))

    async def _erase_parents(self, session: Session, seqs: list[int]) -> int:
        locked = await session.rows("lock_surplus_parents", self.namespace, seqs, self.state.value, WAITED_ON)
        return await _erase_parents(session, locked)


async def _erase_parents(session: Session, locked: Sequence[Row]) -> int:
    if not locked:
        return 0
    return _count(await session.row("erase_parents", *arrays([tuple(row) for row in locked])))


def _count(row: Row | None) -> int:
    return 0 if row is None else row[0]

"""The part of the SQLite store that keeps flows."""

from collections.abc import Sequence

from headrace.core.flow import Edge, Parent, ReadyChild
from headrace.stores.flowing import ReadyPage, WaitingPage
from headrace.stores.sqlite import flowing
from headrace.stores.sqlite.database import Database


class KeepsFlows:
    """Keeps ``headrace.stores.flowing.FlowStore``."""

    _database: Database

    async def ready_children(
        self, namespace: str, parents: Sequence[str], *, after: int, limit: int
    ) -> ReadyPage:
        return await self._database.read(lambda db: flowing.children(db, namespace, parents, after, limit))

    async def ready_among(self, namespace: str, children: Sequence[str]) -> Sequence[ReadyChild]:
        return await self._database.read(lambda db: flowing.among(db, namespace, children))

    async def waiting_children(self, *, after: int, limit: int) -> WaitingPage:
        return await self._database.read(lambda db: flowing.waiting(db, after, limit))

    async def end_waiting(self, children: Sequence[int]) -> int:
        return await self._database.write(lambda at: flowing.end_waiting(at, children), rows=len(children))

    async def parents(self, namespace: str, job_id: str, *, after: int, limit: int) -> Sequence[Parent]:
        return await self._database.read(lambda db: flowing.parents(db, namespace, job_id, after, limit))

    async def edges(self, namespace: str, jobs: Sequence[str], *, limit: int) -> Sequence[Edge]:
        return await self._database.read(lambda db: flowing.edges(db, namespace, jobs, limit))

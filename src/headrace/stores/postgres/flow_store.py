"""The part of the PostgreSQL store that keeps flows."""

from collections.abc import Sequence

from headrace.core.flow import Edge, Parent, ReadyChild
from headrace.stores.flowing import ReadyPage, WaitingPage
from headrace.stores.postgres import flowing
from headrace.stores.postgres.database import Database


class KeepsFlows:
    """Keeps ``headrace.stores.flowing.FlowStore``."""

    _database: Database

    async def ready_children(
        self, namespace: str, parents: Sequence[str], *, after: int, limit: int
    ) -> ReadyPage:
        return await self._database.snapshot(
            lambda session: flowing.children(session, namespace, parents, after, limit)
        )

    async def ready_among(self, namespace: str, children: Sequence[str]) -> Sequence[ReadyChild]:
        return await self._database.snapshot(lambda session: flowing.among(session, namespace, children))

    async def waiting_children(self, *, after: int, limit: int) -> WaitingPage:
        return await self._database.read(lambda session: flowing.waiting(session, after, limit))

    async def end_waiting(self, children: Sequence[int]) -> int:
        if not children:
            return 0
        return await self._database.alone(lambda session: flowing.end_waiting(session, children))

    async def parents(self, namespace: str, job_id: str, *, after: int, limit: int) -> Sequence[Parent]:
        return await self._database.read(
            lambda session: flowing.parents(session, namespace, job_id, after, limit)
        )

    async def edges(self, namespace: str, jobs: Sequence[str], *, limit: int) -> Sequence[Edge]:
        return await self._database.snapshot(
            lambda session: flowing.edges_of(session, namespace, jobs, limit)
        )

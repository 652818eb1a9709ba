"""The part of the PostgreSQL store that keeps lanes."""

from collections.abc import Mapping, Sequence

from headrace.core.limits import LaneState
from headrace.stores.gating import Opening, Returned
from headrace.stores.lanes import BroughtBack, LaneFigures
from headrace.stores.postgres import lanes
from headrace.stores.postgres.claiming import Claims
from headrace.stores.postgres.database import Database
from headrace.stores.postgres.session import Session
from headrace.stores.sweeping import START, brought_back, sweep
from headrace.stores.waking import Wakeups


class KeepsLanes:
    """Keeps ``headrace.stores.lanes.LaneStore``."""

    _database: Database
    _claims: Claims
    _wakeups: Wakeups
    _forgotten_up_to = START

    async def lane_states(self, namespace: str, keys: Sequence[str]) -> Mapping[str, LaneState]:
        return await self._database.read(lambda session: lanes.lane_states(session, namespace, keys))

    async def set_lane(self, namespace: str, state: LaneState) -> None:
        await self._database.alone(lambda session: lanes.set_lane(session, namespace, state))

    async def open_lanes(self, namespace: str, keys: Sequence[str], *, now: int) -> BroughtBack:
        limits = self._claims.remembered.limits

        async def op(session: Session) -> tuple[Sequence[Returned], Sequence[Opening]]:
            openings = await lanes.open_lanes(session, namespace, keys, now, limits)
            return session.brought_back, openings

        return brought_back(*await self._database.together(op))

    async def unpark_free(self, *, now: int, limit: int) -> BroughtBack:
        return await sweep(self, now, limit)

    async def lanes_waited_for(self, after: tuple[str, str], limit: int) -> list[tuple[str, str]]:
        return await self._database.read(lambda session: lanes.lanes_waited_for(session, after, limit))

    async def lane_figures(self, namespace: str, keys: Sequence[str]) -> Mapping[str, LaneFigures]:
        return await self._database.snapshot(lambda session: lanes.figures(session, namespace, keys))

    async def forget_lanes(self, *, now: int, limit: int) -> int:
        after = self._forgotten_up_to
        count, self._forgotten_up_to = await self._database.together(
            lambda session: lanes.forget(session, after, now, limit)
        )
        return count

    def _returned(self, jobs: Sequence[Returned]) -> None:
        """Jobs have come back from lanes: no mark may stand behind them, and somebody may wait for them."""
        self._claims.marks.came_back(jobs)
        for namespace in {job.namespace for job in jobs}:
            queues = frozenset(job.queue for job in jobs if job.namespace == namespace)
            self._wakeups.wake(namespace, queues)

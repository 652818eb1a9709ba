"""The part of the SQLite store that keeps lanes."""

from collections.abc import Mapping, Sequence

from headrace.core.limits import LaneState
from headrace.stores.lanes import BroughtBack, LaneFigures
from headrace.stores.sqlite import lanes
from headrace.stores.sqlite.database import Database
from headrace.stores.sqlite.gate import Gates
from headrace.stores.sqlite.transaction import Write
from headrace.stores.sweeping import START, brought_back, sweep


class KeepsLanes:
    """Keeps ``headrace.stores.lanes.LaneStore``."""

    _database: Database
    _gates: Gates
    _forgotten_up_to = START

    async def lane_states(self, namespace: str, keys: Sequence[str]) -> Mapping[str, LaneState]:
        return await self._database.read(lambda db: lanes.lane_states(db, namespace, keys))

    async def set_lane(self, namespace: str, state: LaneState) -> None:
        await self._database.write(lambda at: lanes.set_lane(at, namespace, state))

    async def open_lanes(self, namespace: str, keys: Sequence[str], *, now: int) -> BroughtBack:
        def op(at: Write) -> BroughtBack:
            known = lanes.known_limits(at.db, namespace, self._gates.limits)
            back, openings = lanes.open_lanes(at.db, namespace, keys, known.limits, now)
            at.brought_back(back)
            return brought_back(back, openings)

        return await self._database.write(op, rows=len(keys))

    async def unpark_free(self, *, now: int, limit: int) -> BroughtBack:
        return await sweep(self, now, limit)

    async def lanes_waited_for(self, after: tuple[str, str], limit: int) -> list[tuple[str, str]]:
        return await self._database.read(lambda db: lanes.lanes_waited_for(db, after, limit))

    async def lane_figures(self, namespace: str, keys: Sequence[str]) -> Mapping[str, LaneFigures]:
        return await self._database.read(lambda db: lanes.figures(db, namespace, keys))

    async def forget_lanes(self, *, now: int, limit: int) -> int:
        after = self._forgotten_up_to
        count, self._forgotten_up_to = await self._database.write(
            lambda at: lanes.forget(at, after, now, limit), rows=limit
        )
        return count

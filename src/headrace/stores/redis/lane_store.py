"""The part of the Redis store that keeps lanes."""

from collections.abc import Mapping, Sequence

from headrace.core.limits import LaneState
from headrace.stores.known_limits import KnownLimits
from headrace.stores.lanes import BroughtBack, LaneFigures
from headrace.stores.openings import Openings
from headrace.stores.redis import lanes
from headrace.stores.redis.database import Database
from headrace.stores.sweeping import START, brought_back, sweep


class KeepsLanes:
    """Keeps ``headrace.stores.lanes.LaneStore``."""

    _database: Database
    _limits: KnownLimits
    _openings: Openings
    _forgotten_up_to = START

    async def lane_states(self, namespace: str, keys: Sequence[str]) -> Mapping[str, LaneState]:
        return await lanes.lane_states(self._database, namespace, keys)

    async def set_lane(self, namespace: str, state: LaneState) -> None:
        await lanes.set_lane(self._database, namespace, state)

    async def open_lanes(self, namespace: str, keys: Sequence[str], *, now: int) -> BroughtBack:
        return brought_back(*await lanes.opened(self._database, namespace, keys, now, self._limits))

    async def open_lanes_ahead(self, namespace: str, keys: Sequence[str], *, now: int) -> None:
        """As ``open_lanes``; and claims of this process look again when the rest may start."""
        back = await lanes.open_lanes(self._database, namespace, keys, now, self._limits)
        self._openings.remember(namespace, back, now)
        self._openings.arm(now)

    async def unpark_free(self, *, now: int, limit: int) -> BroughtBack:
        return await sweep(self, now, limit)

    async def lanes_waited_for(self, after: tuple[str, str], limit: int) -> list[tuple[str, str]]:
        return await lanes.lanes_waited_for(self._database, after, limit)

    async def lane_figures(self, namespace: str, keys: Sequence[str]) -> Mapping[str, LaneFigures]:
        return await lanes.figures(self._database, namespace, keys)

    async def forget_lanes(self, *, now: int, limit: int) -> int:
        after = self._forgotten_up_to
        count, self._forgotten_up_to = await lanes.forget(self._database, after, now, limit)
        return count

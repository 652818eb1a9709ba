"""Lanes in several partitions: that of a key is in one of them, the others have a share in each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from headrace.core.limits import LaneState, Standing
from headrace.stores.lanes import HOLDERS_NAMED, BroughtBack, LaneFigures
from headrace.stores.redis.partitions.parts import Parts


class KeepsLanes:
    """Keeps ``headrace.stores.lanes.LaneStore``, as part of the store."""

    _parts: Parts

    async def lane_states(self, namespace: str, keys: Sequence[str]) -> Mapping[str, LaneState]:
        """What a breaker has written is in all partitions; of a rate, the part that is furthest ahead."""
        found: dict[str, LaneState] = {}
        for some in await self._parts.each(namespace, lambda one: one.lane_states(namespace, keys)):
            for key, state in some.items():
                known = found.get(key)
                found[key] = state if known is None else replace(known, tat=_later(known.tat, state.tat))
        return found

    async def set_lane(self, namespace: str, state: LaneState) -> None:
        await self._parts.each(namespace, lambda one: one.set_lane(namespace, state))

    async def open_lanes(self, namespace: str, keys: Sequence[str], *, now: int) -> BroughtBack:
        return _together(
            await self._parts.each(namespace, lambda one: one.open_lanes(namespace, keys, now=now))
        )

    async def unpark_free(self, *, now: int, limit: int) -> BroughtBack:
        return _together(await self._parts.everywhere(lambda one: one.unpark_free(now=now, limit=limit)))

    async def lane_figures(self, namespace: str, keys: Sequence[str]) -> Mapping[str, LaneFigures]:
        parts = await self._parts.each(namespace, lambda one: one.lane_figures(namespace, keys))
        found = {key: [some[key] for some in parts if key in some] for key in keys}
        return {
            key: LaneFigures(
                holders=sum(one.holders for one in figures),
                parked=sum(one.parked for one in figures),
                held_by=tuple(job_id for one in figures for job_id in one.held_by)[:HOLDERS_NAMED],
                first_parked=await self._first(namespace, [one.first_parked for one in figures]),
            )
            for key, figures in found.items()
            if figures
        }

    async def forget_lanes(self, *, now: int, limit: int) -> int:
        return sum(await self._parts.everywhere(lambda one: one.forget_lanes(now=now, limit=limit)))

    async def _first(self, namespace: str, ids: Sequence[str | None]) -> str | None:
        """The best of the jobs that are first in their partitions."""
        wanted = [one for one in ids if one is not None]
        if len(wanted) <= 1:
            return wanted[0] if wanted else None
        jobs = [job for number in range(len(ids)) for job in await self._of(namespace, number, wanted)]
        return min(jobs)[1] if jobs else None

    async def _of(
        self, namespace: str, number: int, ids: Sequence[str]
    ) -> list[tuple[tuple[int, int, int], str]]:
        found = await self._parts.store(number).get(namespace, ids)
        return [
            (Standing(priority=job.placement.priority, rank=job.placement.rank, seq=job.seq).order, job.id)
            for job in found.values()
        ]


def _later(one: int | None, other: int | None) -> int | None:
    return max((tat for tat in (one, other) if tat is not None), default=None)


def _together(parts: Sequence[BroughtBack]) -> BroughtBack:
    return BroughtBack(
        count=sum(one.count for one in parts),
        places=frozenset(place for one in parts for place in one.places),
        next_opening=min((one.next_opening for one in parts if one.next_opening is not None), default=None),
        more=any(one.more for one in parts),
    )

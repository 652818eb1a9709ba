"""Lanes in several partitions: that of a key is in one of them, the others have a share in each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from headrace.core.limits import LaneState, Standing
from headrace.errors import StoreError
from headrace.stores.lanes import HOLDERS_NAMED, BroughtBack, LaneFigures
from headrace.stores.redis.partitions.circulating import Circulation
from headrace.stores.redis.partitions.parts import Parts
from headrace.stores.redis.partitions.sharing import all_lanes, is_shared


class KeepsLanes:
    """Keeps ``headrace.stores.lanes.LaneStore``, as part of the store."""

    _parts: Parts
    _circulation: Circulation

    async def lane_states(self, namespace: str, keys: Sequence[str]) -> Mapping[str, LaneState]:
        """What a breaker has written is in all partitions; of a rate, the part that is furthest ahead."""
        parts = await self._parts.each(namespace, lambda one: one.lane_states(namespace, keys))
        found = all_of(without_share(kept) for some in parts for kept in some.values())
        return {key: state for key, state in found.items() if not is_shared(key) or state.tat is not None}

    async def set_lane(self, namespace: str, state: LaneState) -> None:
        await self._parts.each(namespace, lambda one: one.set_lane(namespace, state))

    async def open_lanes(self, namespace: str, keys: Sequence[str], *, now: int) -> BroughtBack:
        await self._circulation.circulate(namespace, [key for key in keys if is_shared(key)], now)
        return _together(
            await self._parts.each(namespace, lambda one: one.open_lanes(namespace, keys, now=now))
        )

    async def unpark_free(self, *, now: int, limit: int) -> BroughtBack:
        """Besides, it brings right what partitions share, and each has its turn though nobody claims.

        What a namespace shares waits for a partition that cannot be reached, and nothing else does: the first
        error is raised at the end.
        """
        failures: list[StoreError] = []
        for namespace in await self._parts.home_database.namespaces():
            try:
                await self._shared(namespace, now)
            except StoreError as error:
                failures.append(error)
        found = _together(await self._parts.everywhere(lambda one: one.unpark_free(now=now, limit=limit)))
        if failures:
            raise failures[0]
        return found

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

    async def _shared(self, namespace: str, now: int) -> None:
        if await self._parts.counts.widest(namespace) > 1:
            await self._parts.mend(namespace)
            lanes = all_lanes(await self._parts.read_limits(namespace))
            await self._circulation.repay(namespace, lanes)
            await self._circulation.reconcile(namespace, lanes)
            await self._circulation.circulate(namespace, lanes, now)

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


def all_of(states: Iterable[LaneState]) -> dict[str, LaneState]:
    """Lanes by key, out of those of all partitions."""
    found: dict[str, LaneState] = {}
    for state in states:
        known = found.get(state.key)
        found[state.key] = state if known is None else replace(known, tat=_later(known.tat, state.tat))
    return found


def without_share(state: LaneState) -> LaneState:
    """A lane as all partitions have it: the cap of a limit's lane is what one of them has of it."""
    return replace(state, cap=None) if is_shared(state.key) else state


def _later(one: int | None, other: int | None) -> int | None:
    return max((tat for tat in (one, other) if tat is not None), default=None)


def _together(parts: Sequence[BroughtBack]) -> BroughtBack:
    return BroughtBack(
        count=sum(one.count for one in parts),
        places=frozenset(place for one in parts for place in one.places),
        next_opening=min((one.next_opening for one in parts if one.next_opening is not None), default=None),
        more=any(one.more for one in parts),
    )

"""Limits over a store: their definitions by compare-and-set of one register, and their lanes in numbers."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Final

from headrace.clock import Clock
from headrace.core.limit_names import (
    ALL,
    LIMIT_LANE,
    OF_QUEUE,
    checked_limit,
    lane_of_limit,
    limit_of_lane,
    name_of_type,
    type_of_limit,
)
from headrace.core.limit_register import KEY, Definitions, Keep
from headrace.core.limits import Lane, LaneState, Limit, Rate, next_opening
from headrace.engine.limit_operations import LaneView, LimitDetails, LimitView
from headrace.engine.published import PublishedTypes
from headrace.engine.registry import Registry
from headrace.errors import InvalidInput, StoreUnavailable
from headrace.stores.protocol import Store, Swap

LANES_SHOWN: Final = 50
_TRIES: Final = 20


class DefinedLimits:
    """The limits of one namespace."""

    def __init__(
        self, store: Store, clock: Clock, *, namespace: str, published: PublishedTypes, registry: Registry
    ) -> None:
        self._store = store
        self._clock = clock
        self._namespace = namespace
        self._published = published
        self._registry = registry

    async def all(self) -> Sequence[LimitView]:
        """All limits, by name."""
        known, _ = await self._read()
        parked = Counter[str]()
        for lane, count in (await self._parked()).items():
            parked[limit_of_lane(lane)] += count
        return [_view(known, name, parked[name]) for name in sorted(known.in_force)]

    async def one(self, name: str) -> LimitDetails:
        """One limit with its busiest lanes. Raises LimitNotFound."""
        known, _ = await self._read()
        limit = known.get(name)
        parked = {lane: n for lane, n in (await self._parked()).items() if limit_of_lane(lane) == name}
        keys = sorted(parked, key=lambda lane: (-parked[lane], lane))[:LANES_SHOWN]
        if (shared := lane_of_limit(name)) not in keys:
            keys.append(shared)
        lanes = await self._lanes(limit, keys)
        return LimitDetails(
            view=_view(known, name, sum(parked.values())), lanes=lanes, lanes_parked=len(parked)
        )

    async def set(self, name: str, slots: int | Keep | None, rate: Rate | Keep | None) -> Limit:
        """Sets a limit, or a part of it. Raises InvalidInput."""
        await self._refuse_unused(checked_limit(name))
        after = await self._change(lambda known: known.after_set(name, slots, rate))
        await self._open(lambda limit: limit == name)
        return after.get(name)

    async def reset(self, name: str) -> Limit | None:
        """Takes back what an operator set; returns what counts now. Raises LimitNotFound."""
        after = await self._change(lambda known: known.after_reset(name))
        await self._open(lambda limit: limit == name)
        return after.in_force.get(name)

    async def declare(self, limits: Collection[Limit], types: Collection[str]) -> None:
        """Puts what a program declares that knows these job types. Raises InvalidInput, StoreError."""
        before, _ = await self._read()
        after = await self._change(lambda known: known.declared(limits, types))
        old, new = before.in_force, after.in_force
        changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
        if changed:
            await self._open(lambda limit: limit in changed)

    async def _lanes(self, limit: Limit, keys: Sequence[str]) -> tuple[LaneView, ...]:
        now = self._clock.now()
        figures = await self._store.lane_figures(self._namespace, keys)
        states = await self._store.lane_states(self._namespace, keys)
        views: list[LaneView] = []
        for key in keys:
            found = figures.get(key)
            holders, parked = (0, 0) if found is None else (found.holders, found.parked)
            lane = Lane(state=states.get(key, LaneState(key=key)), limit=limit, holders=holders)
            views.append(LaneView(key=key, holders=holders, parked=parked, opens_at=next_opening(lane, now)))
        return tuple(views)

    async def _parked(self) -> dict[str, int]:
        """How many jobs wait on each lane of a limit."""
        count = Counter[str]()
        for one in await self._store.parked(self._namespace):
            if one.lane.startswith(LIMIT_LANE):
                count[one.lane] += one.count
        return count

    async def _open(self, concerns: Callable[[str], bool]) -> None:
        """Has the jobs looked at again that wait for these limits: they may start by now."""
        lanes = sorted(lane for lane in await self._parked() if concerns(limit_of_lane(lane)))
        if lanes:
            await self._store.open_lanes(self._namespace, lanes, now=self._clock.now())

    async def _refuse_unused(self, name: str) -> None:
        """Raises InvalidInput for a name that would limit nothing: it is likely misspelt."""
        plain_type = type_of_limit(name)
        if name == ALL or name.startswith(OF_QUEUE) or (plain_type and name == name_of_type(plain_type)):
            return
        known, _ = await self._read()
        infos = [*await self._published.all(), *(one.info for one in self._registry.all())]
        named = {rule.name for info in infos if info.keys is not None for rule in info.keys.limits}
        if name in known.in_force or name in named:
            return
        there = ", ".join(sorted(named | known.in_force.keys())) or "none"
        msg = f"no job type names a limit {name[:80]!r}; there are all, queue:NAME, type:NAME and: {there}"
        raise InvalidInput(msg, field="limit")

    async def _read(self) -> tuple[Definitions, int]:
        found = (await self._store.read(self._namespace, (KEY,))).get(KEY)
        return (Definitions(), 0) if found is None else (Definitions.loads(found.value), found.revision)

    async def _change(self, change: Callable[[Definitions], Definitions]) -> Definitions:
        for _ in range(_TRIES):
            known, revision = await self._read()
            wanted = change(known)
            swap = Swap(key=KEY, revision=revision, value=wanted.dumps())
            if wanted == known or await self._store.swap(self._namespace, (swap,)):
                return wanted
        msg = "the limits change too fast to decide on; try again"
        raise StoreUnavailable(msg)


def _view(known: Definitions, name: str, parked: int) -> LimitView:
    return LimitView(limit=known.get(name), declared=known.code.get(name), parked=parked)

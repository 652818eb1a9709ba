"""Circuit breakers over a store: their states by compare-and-set, and the lanes that claims look at."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from headrace.clock import Clock
from headrace.core.breaker import (
    KIND,
    LANE,
    Answer,
    BreakerInfo,
    BreakerState,
    Seen,
    after,
    answer_of,
    closed,
    lane_of_breaker,
    opened,
)
from headrace.core.breaker_rule import MAX_MS, BreakerRule
from headrace.core.ids import checked_name
from headrace.core.job import Job
from headrace.core.limits import LaneState
from headrace.core.outcomes import Failed, Outcome
from headrace.engine.published import PublishedTypes
from headrace.engine.registry import Registry
from headrace.errors import BreakerNotFound, InvalidInput, StoreError, StoreUnavailable
from headrace.stores.protocol import Register, Store, Swap

_TRIES: Final = 20
_PAUSE_S: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An attempt of a job of a breaker, as its holder knows the job, and how it ended."""

    rule: BreakerRule
    job: Job
    outcome: Outcome


class Breakers:
    """The breakers of one namespace."""

    def __init__(
        self, store: Store, clock: Clock, *, namespace: str, published: PublishedTypes, registry: Registry
    ) -> None:
        self._store = store
        self._clock = clock
        self._namespace = namespace
        self._published = published
        self._registry = registry
        self._rng = random.Random()
        self._troubled: set[str] = set()

    async def all(self) -> Sequence[BreakerInfo]:
        """All breakers that job types name or that were ever touched, by name."""
        kept = [BreakerState.loads(one.value) for one in await self._store.scan(self._namespace, LANE)]
        states = {name: BreakerState(name=name) for name in await self._named()}
        states |= {state.name: state for state in kept}
        waiting = await self._waiting()
        return [self._info(states[name], waiting) for name in sorted(states)]

    async def one(self, name: str) -> BreakerInfo:
        """One breaker. Raises BreakerNotFound."""
        state, _ = await self._read(name)
        return self._info(state or await self._untouched(name), await self._waiting())

    async def open(self, name: str, for_ms: int | None) -> BreakerInfo:
        """Opens it. Raises BreakerNotFound, InvalidInput."""
        if for_ms is not None and not 1 <= for_ms <= MAX_MS:
            raise InvalidInput("a breaker is opened for at most 31 days, or until it is closed", field="for")
        await self.one(name)
        await self._change(name, lambda state, now: opened(state, now, for_ms=for_ms))
        return await self.one(name)

    async def close(self, name: str) -> BreakerInfo:
        """Closes it. Raises BreakerNotFound."""
        await self.one(name)
        await self._change(name, lambda state, _: closed(state))
        return await self.one(name)

    async def ended(self, attempts: Sequence[Ended]) -> None:
        """Notes how attempts have ended. A good answer costs nothing as long as all is well.

        What the store does not take is let go: more will come.
        """
        seen: dict[BreakerRule, list[Seen]] = {}
        for one in attempts:
            answer = answer_of(one.rule, one.outcome)
            if answer is not None and self._matters(one, answer):
                seen.setdefault(one.rule, []).append(_seen(one, answer))
        for rule, outcomes in seen.items():
            with suppress(StoreError):
                await self._change(rule.name, _noting(rule, outcomes))

    async def heal(self) -> int:
        """Sets right lanes that do not fit their breaker, as a crash between the two leaves them.

        Returns how many there were.
        """
        registers = await self._store.scan(self._namespace, LANE)
        states = [BreakerState.loads(one.value) for one in registers]
        for state in states:
            self._remember(state)
        if not states:
            return 0
        lanes = await self._store.lane_states(self._namespace, [state.lane.key for state in states])
        wrong = [state for state in states if not _fits(state, lanes.get(state.lane.key))]
        for state in wrong:
            await self._set_lane(state)
        return len(wrong)

    def _matters(self, one: Ended, answer: Answer) -> bool:
        """Whether it can change the breaker: a good answer does nothing while all is well.

        A job that held a slot may have been a probe of a breaker that another process has opened.
        """
        held_slot = one.job.placement.slot_key is not None
        return answer is Answer.FAILURE or held_slot or one.rule.name in self._troubled

    async def _change(self, name: str, change: Callable[[BreakerState, int], BreakerState]) -> None:
        for _ in range(_TRIES):
            known, register = await self._read(name)
            before = known or BreakerState(name=name)
            wanted = change(before, self._clock.now())
            if wanted == before or await self._written(name, wanted, register):
                self._remember(wanted)
                if wanted.lane != before.lane:
                    await self._set_lane(wanted)
                return
            await asyncio.sleep(self._rng.uniform(0, _PAUSE_S))
        msg = f"breaker {name!r} changes too fast to decide on; try again"
        raise StoreUnavailable(msg)

    async def _written(self, name: str, state: BreakerState, register: Register | None) -> bool:
        revision = 0 if register is None else register.revision
        swap = Swap(key=lane_of_breaker(name), revision=revision, value=state.dumps())
        return await self._store.swap(self._namespace, (swap,))

    async def _set_lane(self, state: BreakerState) -> None:
        """Tells claims. Of several that change it at once, the last one has read the latest state."""
        await self._store.set_lane(self._namespace, state.lane)
        current, _ = await self._read(state.name)
        if current is not None and current.lane != state.lane:
            await self._store.set_lane(self._namespace, current.lane)
        await self._store.open_lanes(self._namespace, (state.lane.key,), now=self._clock.now())

    async def _read(self, name: str) -> tuple[BreakerState | None, Register | None]:
        key = lane_of_breaker(checked_name(name, KIND))
        found = (await self._store.read(self._namespace, (key,))).get(key)
        return (None, None) if found is None else (BreakerState.loads(found.value), found)

    async def _untouched(self, name: str) -> BreakerState:
        if name not in await self._named():
            raise BreakerNotFound(name)
        return BreakerState(name=name)

    async def _named(self) -> set[str]:
        """The breakers that job types name."""
        infos = [*await self._published.all(), *(one.info for one in self._registry.all())]
        return {info.policy.breaker.name for info in infos if info.policy.breaker is not None}

    async def _waiting(self) -> Mapping[str, int]:
        counts: dict[str, int] = {}
        for one in await self._store.parked(self._namespace):
            if one.lane.startswith(LANE):
                counts[one.lane] = counts.get(one.lane, 0) + one.count
        return counts

    def _info(self, state: BreakerState, waiting: Mapping[str, int]) -> BreakerInfo:
        return BreakerInfo(
            state=state,
            status=state.status(self._clock.now()),
            waiting=waiting.get(lane_of_breaker(state.name), 0),
        )

    def _remember(self, state: BreakerState) -> None:
        if state.troubled:
            self._troubled.add(state.name)
        else:
            self._troubled.discard(state.name)


def _seen(one: Ended, answer: Answer) -> Seen:
    error = one.outcome.error.type if isinstance(one.outcome, Failed) else None
    return Seen(answer=answer, claimed_at=one.job.placement.started_at or 0, error=error)


def _noting(rule: BreakerRule, outcomes: Sequence[Seen]) -> Callable[[BreakerState, int], BreakerState]:
    return lambda state, now: after(state, rule, outcomes, now)


def _fits(state: BreakerState, lane: LaneState | None) -> bool:
    wanted, found = state.lane, lane or LaneState(key=state.lane.key)
    return (found.opens_at, found.cap) == (wanted.opens_at, wanted.cap)

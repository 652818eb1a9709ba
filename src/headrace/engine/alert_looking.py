"""What alert rules look at, read from a store: each look costs one cheap read."""

from collections.abc import Mapping, Sequence

from headrace.core.alert_readings import QueueSight, of_breakers, of_deaths, of_idle, of_schedules, of_waiting
from headrace.core.alerts import AlertState, Reading, Stillness, When
from headrace.core.breaker import LANE, BreakerState
from headrace.core.scheduled import KIND as SCHEDULES
from headrace.core.scheduled import Schedule, loads
from headrace.core.states import TERMINAL, State
from headrace.core.unreadable import UNREADABLE
from headrace.stores.protocol import Register, Store


class Looks:
    """Looks at one namespace."""

    def __init__(self, store: Store, namespace: str) -> None:
        self._store = store
        self._namespace = namespace

    async def readings(
        self, state: AlertState, now: int
    ) -> tuple[Sequence[Reading], Mapping[str, Stillness]]:
        """What the rule reads now, and what it is to remember of queues."""
        condition = state.rule.condition
        match condition.when:
            case When.DEAD | When.PERMANENT | When.GROWING:
                deaths = await self._store.deaths_since(self._namespace, now - condition.within_ms)
                return of_deaths(condition, deaths), {}
            case When.WAITING:
                return of_waiting(condition, await self._queues(), now), {}
            case When.IDLE:
                return of_idle(condition, await self._queues(), state.still, now)
            case When.MISSED:
                found = await self._store.scan(self._namespace, f"{SCHEDULES}:")
                schedules = [one for one in map(_schedule, found) if one is not None]
                return of_schedules(condition, schedules, now), {}
            case When.BREAKER:
                found = await self._store.scan(self._namespace, LANE)
                return of_breakers([BreakerState.loads(one.value) for one in found], now), {}

    async def _queues(self) -> Sequence[QueueSight]:
        return [
            QueueSight(
                name=one.name,
                paused=one.paused,
                oldest_due_at=one.oldest_due_at,
                ended=sum(one.counts.get(state, 0) for state in TERMINAL),
                running=one.counts.get(State.PROCESSING, 0),
            )
            for one in await self._store.queues(self._namespace)
        ]


def _schedule(register: Register) -> Schedule | None:
    """The schedule of a register; None for one that only another version can read."""
    try:
        return loads(register.value)
    except UNREADABLE:
        return None

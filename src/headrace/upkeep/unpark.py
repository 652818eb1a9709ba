"""Lets jobs start that waited for a worker who knows their type."""

from headrace.clock import Clock
from headrace.stores.protocol import Store
from headrace.upkeep.chore import ChoreResult


class Unpark:
    """Heals what a crash between a worker's hello and the unparking can leave."""

    name = "unpark"

    def __init__(self, store: Store, clock: Clock, *, every_ms: int = 5_000) -> None:
        self.every_ms = every_ms
        self._store = store
        self._clock = clock

    async def run_once(self) -> ChoreResult:
        return ChoreResult(done=await self._store.unpark_known(now=self._clock.now()))

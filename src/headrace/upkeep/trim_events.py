"""Deletes events that are older, or more, than their namespaces keep."""

from typing import Final

from headrace.clock import Clock
from headrace.stores.protocol import Store
from headrace.upkeep.chore import ChoreResult

CHUNK: Final = 5_000


class TrimEvents:
    """Trims the logs of events of all namespaces (C44), a chunk of each at a time."""

    name = "trim_events"

    def __init__(self, store: Store, clock: Clock, *, every_ms: int = 60_000) -> None:
        self.every_ms = every_ms
        self._store = store
        self._clock = clock

    async def run_once(self) -> ChoreResult:
        trimmed = await self._store.trim_events(now=self._clock.now(), limit=CHUNK)
        return ChoreResult(done=trimmed, more=trimmed >= CHUNK)

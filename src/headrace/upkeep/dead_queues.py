"""Puts jobs on dead-letter queues for those that failed for good."""

from typing import Final

from headrace.clock import Clock
from headrace.engine.dead_queues import DeadLetterQueues
from headrace.engine.published import PublishedTypes
from headrace.stores.protocol import Store
from headrace.upkeep.chore import ChoreResult

AT_ONCE: Final = 200
WHOLE_MS: Final = 600_000
"""So often all dead letters are gone through; in between those that died so long before the last pass."""


class FillDeadLetterQueues:
    """Goes through dead letters, a stretch a run; costs a small read where there is no such queue."""

    name = "dead_letter_queues"

    def __init__(self, store: Store, clock: Clock, *, namespace: str, every_ms: int = 5_000) -> None:
        self.every_ms = every_ms
        self._clock = clock
        published = PublishedTypes(store, namespace, clock)
        self._queues = DeadLetterQueues(store, clock, published, namespace)
        self._cursor: str | None = None
        self._since = 0
        self._whole_at: int | None = None
        self._begun_at = 0

    async def run_once(self) -> ChoreResult:
        """Goes on where the last run ended, or begins a new pass."""
        if self._cursor is None:
            self._begin(self._clock.now())
        put, self._cursor = await self._queues.sweep(self._since, self._cursor, AT_ONCE)
        return ChoreResult(done=put, more=self._cursor is not None)

    def _begin(self, now: int) -> None:
        if self._whole_at is None or now - self._whole_at >= WHOLE_MS:
            self._since, self._whole_at = 0, now
        else:
            # a death may be seen later than it was dated, but not by that much
            self._since = self._begun_at - WHOLE_MS
        self._begun_at = now

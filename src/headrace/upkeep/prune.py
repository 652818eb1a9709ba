"""Deletes what nobody needs any more: ended jobs by age and by count, and records whose time is up."""

from typing import Final

from headrace.clock import Clock
from headrace.core.states import State
from headrace.engine.published import PublishedTypes
from headrace.stores.protocol import Store
from headrace.upkeep.chore import ChoreResult

CHUNK: Final = 500


class PruneJobs:
    """Erases ended jobs whose time has come (C44), a chunk at a time."""

    name = "prune_jobs"

    def __init__(self, store: Store, clock: Clock, *, every_ms: int = 30_000) -> None:
        self.every_ms = every_ms
        self._store = store
        self._clock = clock

    async def run_once(self) -> ChoreResult:
        erased = await self._store.erase(now=self._clock.now(), limit=CHUNK)
        return ChoreResult(done=erased, more=erased == CHUNK)


class PruneBeyondCount:
    """Erases ended jobs beyond the number that their job type keeps."""

    name = "prune_beyond_count"

    def __init__(self, store: Store, clock: Clock, *, namespace: str, every_ms: int = 60_000) -> None:
        self.every_ms = every_ms
        self._store = store
        self._namespace = namespace
        self._published = PublishedTypes(store, namespace, clock)

    async def run_once(self) -> ChoreResult:
        erased = 0
        more = False
        for name, state, keep in await self._limits():
            count = await self._store.erase_beyond(self._namespace, name, state, keep=keep, limit=CHUNK)
            erased += count
            more = more or count == CHUNK
        return ChoreResult(done=erased, more=more)

    async def _limits(self) -> list[tuple[str, State, int]]:
        """Type, state and number kept; the newest version of a type speaks for all of them."""
        latest = {info.name: info.policy.retention for info in await self._published.all()}
        wanted = [
            (name, state, keep)
            for name, retention in latest.items()
            for state, keep in (
                (State.COMPLETED, retention.completed_count),
                (State.FAILED, retention.failed_count),
            )
        ]
        return [(name, state, keep) for name, state, keep in wanted if keep is not None]


class TrimRecords:
    """Deletes receipts and other records whose time is up."""

    name = "trim_records"

    def __init__(self, store: Store, clock: Clock, *, every_ms: int = 60_000) -> None:
        self.every_ms = every_ms
        self._store = store
        self._clock = clock

    async def run_once(self) -> ChoreResult:
        trimmed = await self._store.trim(now=self._clock.now(), limit=CHUNK)
        return ChoreResult(done=trimmed, more=trimmed == CHUNK)

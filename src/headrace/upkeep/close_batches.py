"""Closes batches whose last member ended without anybody looking at them afterwards, and forgets old ones."""

from typing import Final

from headrace.clock import Clock
from headrace.core.batch_wire import load
from headrace.core.filters import JobFilter, Page
from headrace.core.policy import DAY_MS
from headrace.engine.batch_closing import Closing
from headrace.stores.protocol import Store, Swap
from headrace.upkeep.chore import ChoreResult

AT_ONCE: Final = 200
KIND: Final = "batch"
KEPT_MS: Final = DAY_MS


class CloseBatches:
    """Heals what a crash leaves between the end of a member and the look at its batch (C37)."""

    name = "close_batches"

    def __init__(self, store: Store, clock: Clock, *, every_ms: int = 5_000) -> None:
        self.every_ms = every_ms
        self._store = store
        self._clock = clock

    async def run_once(self) -> ChoreResult:
        due = await self._store.due(KIND, now=self._clock.now(), limit=AT_ONCE)
        by_namespace: dict[str, list[str]] = {}
        for namespace, register in due:
            by_namespace.setdefault(namespace, []).append(register.key.partition(":")[2])
        closed = 0
        for namespace, batches in by_namespace.items():
            closing = Closing(self._store, self._clock, namespace=namespace)
            await closing.check(batches)
            closed += await closing.look_later(batches)
        return ChoreResult(done=closed, more=len(due) == AT_ONCE)


class ForgetBatches:
    """Removes batches that closed a day ago and whose members have all been erased since."""

    name = "forget_batches"

    def __init__(self, store: Store, clock: Clock, *, namespace: str, every_ms: int = 3_600_000) -> None:
        self.every_ms = every_ms
        self._store = store
        self._clock = clock
        self._namespace = namespace
        self._cursor: str | None = None

    async def run_once(self) -> ChoreResult:
        """Looks at one page of batches; the next run goes on where this one ended."""
        page = Page(limit=AT_ONCE, before=self._cursor)
        registers, self._cursor = await self._store.newest_batches(self._namespace, page)
        before = self._clock.now() - KEPT_MS
        forgotten = 0
        for register in registers:
            batch = load(register.value)
            if batch.closed_at is None or batch.closed_at > before or await self._has_members(batch.id):
                continue
            removal = Swap(key=register.key, revision=register.revision, value=None)
            forgotten += await self._store.swap(self._namespace, (removal,))
        return ChoreResult(done=forgotten, more=self._cursor is not None)

    async def _has_members(self, batch_id: str) -> bool:
        page = await self._store.find(self._namespace, JobFilter(batch_id=batch_id), Page(limit=1))
        return bool(page.jobs)

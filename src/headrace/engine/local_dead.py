"""The operations on dead letters, as ``LocalOperations`` passes them on."""

from collections.abc import Mapping

from headrace.core.dead import Bulk, DeadFilter, DeadLetterView, DeadQueue, DeathCount
from headrace.core.filters import Page
from headrace.core.job import Job
from headrace.core.wire import Json
from headrace.engine.dead_letters import DeadLetters
from headrace.engine.dead_operations import AT_ONCE
from headrace.engine.dead_queues import DeadLetterQueues
from headrace.stores.protocol import JobPage


class LocalDeadLetters:
    """Passes on to the parts; what each call promises stands at ``DeadLetterOperations``."""

    dead_engine: DeadLetters
    dead_queues: DeadLetterQueues

    async def dead_letters(self, wanted: DeadFilter, page: Page) -> JobPage:
        return await self.dead_engine.page(wanted, page)

    async def dead_letter_counts(self) -> tuple[DeathCount, ...]:
        return await self.dead_engine.counts()

    async def dead_letter(self, job_id: str) -> DeadLetterView:
        return await self.dead_engine.view(job_id)

    async def redrive(
        self, job_id: str, *, payload: Json = None, priority: int | None = None, delay_ms: int = 0
    ) -> Job:
        return await self.dead_engine.redrive(job_id, payload=payload, priority=priority, delay_ms=delay_ms)

    async def redrive_many(
        self,
        wanted: DeadFilter,
        *,
        per_second: float | None = None,
        limit: int = AT_ONCE,
        cursor: str | None = None,
    ) -> Bulk:
        return await self.dead_engine.redrive_many(wanted, per_second=per_second, limit=limit, cursor=cursor)

    async def discard(self, job_id: str, *, reason: str = "") -> Job:
        return await self.dead_engine.discard(job_id, reason=reason)

    async def discard_many(
        self, wanted: DeadFilter, *, reason: str = "", limit: int = AT_ONCE, cursor: str | None = None
    ) -> Bulk:
        return await self.dead_engine.discard_many(wanted, reason=reason, limit=limit, cursor=cursor)

    async def dead_letter_queues(self) -> Mapping[str, DeadQueue]:
        return await self.dead_queues.of_queues()

    async def set_dead_letter_queue(self, queue: str, target: DeadQueue | None) -> None:
        await self.dead_queues.set(queue, target)

"""The operations that a part of the engine of its own answers: batches, schedules, loops."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace

from headrace.core.batch_request import NewBatch
from headrace.core.batch_wire import BatchView
from headrace.core.filters import Page
from headrace.core.loop import LoopInfo
from headrace.core.request import EnqueueRequest
from headrace.core.schedule import Timing
from headrace.core.scheduled import Schedule
from headrace.engine.batches import Batches
from headrace.engine.loops import Loops
from headrace.engine.schedules import Schedules
from headrace.stores.protocol import Inserted


class LocalParts:
    """Passes on to the parts; what each call promises stands at ``Operations``."""

    batch_engine: Batches
    schedule_engine: Schedules
    loop_engine: Loops

    @abstractmethod
    async def enqueue(self, requests: Sequence[EnqueueRequest]) -> Sequence[Inserted]:
        """Enqueues all requests or none, in order."""

    async def create_batch(self, new: NewBatch) -> BatchView:
        return await self.batch_engine.create(new)

    async def add_to_batch(self, batch_id: str, requests: Sequence[EnqueueRequest]) -> Sequence[Inserted]:
        return await self.enqueue([replace(one, batch_id=batch_id) for one in requests])

    async def seal_batch(self, batch_id: str) -> None:
        await self.batch_engine.seal(batch_id)

    async def batch(self, batch_id: str) -> BatchView:
        return await self.batch_engine.get(batch_id)

    async def batches(self, page: Page) -> tuple[Sequence[BatchView], str | None]:
        return await self.batch_engine.page(page)

    async def wait_for_batch(self, batch_id: str, *, timeout_ms: int | None) -> BatchView:
        return await self.batch_engine.wait(batch_id, timeout_ms=timeout_ms)

    async def cancel_batch(self, batch_id: str) -> int:
        return await self.batch_engine.cancel(batch_id)

    async def retry_batch(self, batch_id: str) -> int:
        return await self.batch_engine.retry(batch_id)

    async def put_schedule(self, schedule_id: str, timing: Timing, request: EnqueueRequest) -> Schedule:
        return await self.schedule_engine.put(schedule_id, timing, request)

    async def schedules(self) -> Sequence[Schedule]:
        return await self.schedule_engine.all()

    async def schedule(self, schedule_id: str) -> Schedule:
        return await self.schedule_engine.get(schedule_id)

    async def pause_schedule(self, schedule_id: str) -> Schedule:
        return await self.schedule_engine.pause(schedule_id)

    async def resume_schedule(self, schedule_id: str) -> Schedule:
        return await self.schedule_engine.resume(schedule_id)

    async def trigger_schedule(self, schedule_id: str) -> Inserted:
        return await self.schedule_engine.trigger(schedule_id)

    async def remove_schedule(self, schedule_id: str) -> None:
        await self.schedule_engine.remove(schedule_id)

    async def loops(self) -> Sequence[LoopInfo]:
        return await self.loop_engine.all()

    async def loop(self, name: str) -> LoopInfo | None:
        return await self.loop_engine.status(name)

    async def ping_loop(self, name: str) -> LoopInfo | None:
        return await self.loop_engine.ping(name)

    async def stop_loop(self, name: str) -> LoopInfo | None:
        return await self.loop_engine.stop(name)

    async def start_loop(self, name: str) -> LoopInfo | None:
        return await self.loop_engine.start(name)

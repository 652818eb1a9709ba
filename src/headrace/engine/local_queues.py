"""The operations on whole queues and on circuit breakers, over a store."""

from collections.abc import Collection, Mapping, Sequence

from headrace.core.batch import is_batch_id
from headrace.core.breaker import BreakerInfo
from headrace.core.fairness import FairQueue
from headrace.core.job import Transition
from headrace.core.queue_rules import Overflow, QueueRules
from headrace.engine.aftermath import Aftermath
from headrace.engine.batches import Batches
from headrace.engine.breakers import Breakers
from headrace.engine.queue_operations import BoundView
from headrace.engine.queues import Queues


class LocalQueues:
    """Passes on to queues and breakers; what each call promises stands at their operations."""

    aftermath: Aftermath
    batch_engine: Batches
    breaker_engine: Breakers
    queue_engine: Queues

    def gave_way(self, dropped: Sequence[Transition]) -> None:
        """Tells of waiting jobs that were dropped for newer ones."""
        self.aftermath.tell_of_parents(dropped)
        self.aftermath.settled(dropped)
        batches = [name for one in dropped if is_batch_id(name := one.job.facts.batch_id)]
        if batches:
            self.batch_engine.checks.ask(batches)

    async def queue_bounds(self) -> Sequence[BoundView]:
        return await self.queue_engine.bounds()

    async def set_queue_bound(
        self, queue: str, max_length: int | None, *, overflow: Overflow = Overflow.REJECT
    ) -> None:
        await self.queue_engine.set_bound(queue, max_length, overflow)

    async def reset_queue_bound(self, queue: str) -> None:
        await self.queue_engine.reset_bound(queue)

    async def shares(self, queue: str) -> FairQueue | None:
        return await self.queue_engine.shares(queue)

    async def set_weight(self, queue: str, tenant: str, weight: float | None) -> FairQueue:
        return await self.queue_engine.set_weight(queue, tenant, weight)

    async def declare_queues(
        self, rules: QueueRules, weights: Mapping[str, Mapping[str, float]], fair: Collection[str]
    ) -> None:
        await self.queue_engine.declare(rules, weights, fair)

    async def breakers(self) -> Sequence[BreakerInfo]:
        return await self.breaker_engine.all()

    async def breaker(self, name: str) -> BreakerInfo:
        return await self.breaker_engine.one(name)

    async def open_breaker(self, name: str, *, for_ms: int | None = None) -> BreakerInfo:
        return await self.breaker_engine.open(name, for_ms)

    async def close_breaker(self, name: str) -> BreakerInfo:
        return await self.breaker_engine.close(name)

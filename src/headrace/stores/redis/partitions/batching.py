"""Batches whose members are in several partitions. Their registers are in the home.

Whoever makes a member live writes the register in the same op, and owes the member to its partition. So what
is owed is done before members are looked at: else a batch would be closed that has a live one on its way.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from headrace.core.filters import Page
from headrace.core.job import Job
from headrace.core.states import State
from headrace.stores.redis.partitions.intents import Intents
from headrace.stores.redis.partitions.parts import Parts
from headrace.stores.redis.partitions.places import HOME
from headrace.stores.values import Register


class ReadsBatches:
    """Keeps ``headrace.stores.batching.BatchReader``, as part of the store."""

    _parts: Parts
    _intents: Intents

    async def batch_counts(self, namespace: str, batches: Sequence[str]) -> Mapping[str, Mapping[State, int]]:
        await self._intents.settle(namespace, HOME)
        parts = await self._parts.each(namespace, lambda one: one.batch_counts(namespace, batches))
        counts: dict[str, Counter[State]] = {}
        for some in parts:
            for batch, of_batch in some.items():
                counts.setdefault(batch, Counter()).update(of_batch)
        return {batch: dict(of_batch) for batch, of_batch in counts.items()}

    async def live_batches(self, namespace: str, batches: Sequence[str]) -> frozenset[str]:
        await self._intents.settle(namespace, HOME)
        parts = await self._parts.each(namespace, lambda one: one.live_batches(namespace, batches))
        return frozenset(batch for some in parts for batch in some)

    async def first_in_line(self, namespace: str, batch: str, lane: str) -> Job | None:
        """The first by when its id was made, which is as good an order as several partitions have."""
        await self._intents.settle(namespace, HOME)
        found = await self._parts.each(namespace, lambda one: one.first_in_line(namespace, batch, lane))
        return min((job for job in found if job is not None), key=lambda job: job.id, default=None)

    async def ended_since(self, namespace: str, batch: str, at: int) -> bool:
        return any(await self._parts.each(namespace, lambda one: one.ended_since(namespace, batch, at)))

    async def newest_batches(self, namespace: str, page: Page) -> tuple[Sequence[Register], str | None]:
        return await self._parts.home.newest_batches(namespace, page)

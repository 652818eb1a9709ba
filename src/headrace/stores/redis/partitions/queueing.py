"""Queues that are spread: their jobs together, and what is set for them in all partitions."""

from collections import Counter
from collections.abc import Mapping, Sequence

from headrace.core.job import Job
from headrace.core.limits import Standing
from headrace.core.states import State
from headrace.stores.lining import Level
from headrace.stores.redis.partitions.lines import heads
from headrace.stores.redis.partitions.parts import Parts, gathered
from headrace.stores.values import ParkedCount, QueueState, Tally


class KeepsQueues:
    """Part of the store: counts are sums of what the partitions say one after the other."""

    _parts: Parts

    async def tallies(self, namespace: str) -> Sequence[Tally]:
        counts: Counter[tuple[str, str, State]] = Counter()
        for some in await self._parts.each(namespace, lambda one: one.tallies(namespace)):
            counts.update({(one.queue, one.type, one.state): one.count for one in some})
        return [Tally(queue=q, type=t, state=s, count=n) for (q, t, s), n in sorted(counts.items()) if n]

    async def parked(self, namespace: str) -> Sequence[ParkedCount]:
        counts: Counter[tuple[str, str]] = Counter()
        for some in await self._parts.each(namespace, lambda one: one.parked(namespace)):
            counts.update({(one.lane, one.queue): one.count for one in some})
        return [ParkedCount(queue=q, lane=lane, count=n) for (lane, q), n in sorted(counts.items())]

    async def queues(self, namespace: str) -> Sequence[QueueState]:
        states: dict[str, QueueState] = {}
        for some in await self._parts.each(namespace, lambda one: one.queues(namespace)):
            for one in some:
                known = states.get(one.name)
                states[one.name] = one if known is None else _both(known, one)
        return [states[name] for name in sorted(states)]

    async def set_paused(self, namespace: str, queue: str, *, paused: bool) -> None:
        """Acknowledged once all partitions of the queue know it."""
        counts = await self._parts.counts.keep(namespace, (queue,))
        await self._parts.count(namespace)
        await gathered(
            self._parts.store(number).set_paused(namespace, queue, paused=paused)
            for number in range(counts[queue])
        )

    async def ahead(self, namespace: str, queue: str, standing: Standing, *, now: int, limit: int) -> int:
        parts = await self._parts.each(
            namespace, lambda one: one.ahead(namespace, queue, standing, now=now, limit=limit)
        )
        return min(sum(parts), limit)

    async def heads(
        self, namespace: str, levels: Sequence[Level], lanes: Sequence[str]
    ) -> Mapping[Level, int]:
        return await heads(self._parts, namespace, levels, lanes)

    async def out_of_line(self, namespace: str, queue: str, *, now: int, limit: int) -> Sequence[Job]:
        parts = await self._parts.each(
            namespace, lambda one: one.out_of_line(namespace, queue, now=now, limit=limit)
        )
        return sorted((job for some in parts for job in some), key=_order)[:limit]

    async def parked_out_of_line(self, namespace: str, queue: str, *, now: int, limit: int) -> Sequence[Job]:
        parts = await self._parts.each(
            namespace, lambda one: one.parked_out_of_line(namespace, queue, now=now, limit=limit)
        )
        return sorted((job for some in parts for job in some), key=_order)[:limit]

    async def oldest_waiting(self, namespace: str, queue: str, *, limit: int) -> Sequence[Job]:
        parts = await self._parts.each(
            namespace, lambda one: one.oldest_waiting(namespace, queue, limit=limit)
        )
        return sorted((job for some in parts for job in some), key=lambda job: job.seq)[:limit]


def _both(one: QueueState, other: QueueState) -> QueueState:
    counts = Counter(one.counts)
    counts.update(other.counts)
    since = [at for at in (one.oldest_due_at, other.oldest_due_at) if at is not None]
    return QueueState(
        name=one.name,
        paused=one.paused or other.paused,
        counts=dict(counts),
        oldest_due_at=min(since, default=None),
    )


def _order(job: Job) -> tuple[int, int, int]:
    return -job.placement.priority, job.placement.rank, job.seq

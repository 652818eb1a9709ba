"""Claims from queues that are spread: each begins with another partition, and asks the next for the rest."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count

from headrace.core.job import Job
from headrace.errors import StoreError
from headrace.stores.chunking import ChunkFound, ChunkRequest
from headrace.stores.redis.partitions.parts import Parts
from headrace.stores.values import ClaimRequest


class Claiming:
    """Claims for one process."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._turns = count()

    async def claim(self, request: ClaimRequest) -> Sequence[Job]:
        """Jobs in order of priority, rank and seq; of each partition the first, not of all.

        A partition that cannot be reached does not keep the others from being served.
        """
        found: list[Job] = []
        failure: StoreError | None = None
        served = 0
        for number, queues in await self._round(request.namespace, request.queues):
            rest = _rest(request, queues, found)
            if not rest.queues or rest.limit <= 0:
                continue
            try:
                found += await self._parts.store(number).claim(rest)
                served += 1
            except StoreError as error:
                failure = error
        if failure is not None and not served:
            raise failure
        self._parts.learn(found)
        return sorted(found, key=_order) if served > 1 else found

    async def claim_chunk(self, request: ChunkRequest) -> ChunkFound:
        """A chunk out of one partition: messages are counted in each of them."""
        waiting: list[int] = []
        for number, queues in await self._round(
            request.namespace, dict.fromkeys(request.queues, request.most)
        ):
            found = await self._parts.store(number).claim_chunk(replace(request, queues=tuple(queues)))
            if found.jobs:
                self._parts.learn(found.jobs)
                return found
            waiting += () if found.oldest_due_at is None else (found.oldest_due_at,)
        return ChunkFound(oldest_due_at=min(waiting, default=None))

    async def _round(self, namespace: str, queues: Mapping[str, int]) -> list[tuple[int, dict[str, int]]]:
        """The partitions in which the queues have jobs, in the order of this turn."""
        await self._parts.count(namespace)
        counts = {queue: await self._parts.counts.of(namespace, queue) for queue in queues}
        most = max(counts.values(), default=1)
        first = next(self._turns) % most
        numbers = [*range(first, most), *range(first)]
        return [
            (number, {queue: wanted for queue, wanted in queues.items() if counts[queue] > number})
            for number in numbers
        ]


def _rest(request: ClaimRequest, queues: Mapping[str, int], found: Sequence[Job]) -> ClaimRequest:
    """What is still wanted, in these queues."""
    came = Counter(job.facts.queue for job in found)
    left = {queue: most - came[queue] for queue, most in queues.items() if most > came[queue]}
    prompt = None if request.prompt is None else max(0, request.prompt - len(found))
    return replace(request, queues=left, limit=request.limit - len(found), prompt=prompt)


def _order(job: Job) -> tuple[int, int, int]:
    return -job.placement.priority, job.placement.rank, job.seq

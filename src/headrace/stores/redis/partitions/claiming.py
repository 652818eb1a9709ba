"""Claims from queues that are spread: each begins with another partition, and asks the next for the rest."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count

from headrace.core.job import Job
from headrace.errors import StoreError
from headrace.stores.chunking import ChunkFound, ChunkRequest
from headrace.stores.redis.partitions.circulating import Circulation
from headrace.stores.redis.partitions.parts import Parts
from headrace.stores.redis.partitions.sharing import lanes_of
from headrace.stores.values import ClaimRequest


class Claiming:
    """Claims for one process."""

    def __init__(self, parts: Parts, circulation: Circulation) -> None:
        self._parts = parts
        self._circulation = circulation
        self._turns = count()

    async def claim(self, request: ClaimRequest) -> Sequence[Job]:
        """Jobs in order of priority, rank and seq; of each partition the first, not of all.

        A partition that cannot be reached does not keep the others from being served. Where jobs wait for
        what other partitions have of a limit, it is brought there, and they are asked once more.
        """
        found: list[Job] = []
        places = await self._round(request.namespace, request.queues)
        served = await self._served(request, places, found)
        for _ in range(len(places) + 1):
            came = await self._brought(request) if _is_short(request, found) else ()
            if not came:
                break
            again = [(number, queues) for number, queues in places if number in came]
            served += await self._served(request, again, found)
        self._parts.learn(found)
        return sorted(found, key=_order) if served > 1 else found

    async def _served(
        self, request: ClaimRequest, places: Sequence[tuple[int, Mapping[str, int]]], found: list[Job]
    ) -> int:
        """Adds what partitions have for a claim; how many were asked. Raises StoreError if none answered."""
        failure: StoreError | None = None
        served = 0
        for number, queues in places:
            rest = _rest(request, queues, found)
            if not rest.queues or rest.limit <= 0:
                continue
            try:
                found += await self._parts.store(number).claim(rest)
                served += 1
            except StoreError as error:
                failure = error
        if failure is not None and not served and not found:
            raise failure
        return served

    async def _brought(self, request: ClaimRequest) -> set[int]:
        """The partitions to which something of a limit was brought, for jobs that wait for it."""
        lanes = lanes_of(self._parts.known_limits(request.namespace), request.queues, request.types)
        return await self._circulation.bring(request.namespace, lanes, request.now) if lanes else set()

    async def claim_chunk(self, request: ChunkRequest) -> ChunkFound:
        """A chunk out of one partition: messages are counted in each of them."""
        places = await self._round(request.namespace, dict.fromkeys(request.queues, request.most))
        found = await self._chunk(request, places)
        if not found.jobs and (came := await self._brought(request.claim_of(request.queues[0]))):
            again = await self._chunk(request, [place for place in places if place[0] in came])
            found = again if again.jobs else found
        self._parts.learn(found.jobs)
        return found

    async def _chunk(
        self, request: ChunkRequest, places: Sequence[tuple[int, Mapping[str, int]]]
    ) -> ChunkFound:
        waiting: list[int] = []
        for number, queues in places:
            found = await self._parts.store(number).claim_chunk(replace(request, queues=tuple(queues)))
            if found.jobs:
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


def _is_short(request: ClaimRequest, found: Sequence[Job]) -> bool:
    """Whether jobs of some queue are still wanted."""
    rest = _rest(request, request.queues, found)
    return bool(rest.queues) and rest.limit > 0


def _order(job: Job) -> tuple[int, int, int]:
    return -job.placement.priority, job.placement.rank, job.seq

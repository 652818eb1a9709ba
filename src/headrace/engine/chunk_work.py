"""Chunks as a worker claims them."""

from dataclasses import dataclass
from typing import Protocol

from headrace.clock import Clock
from headrace.core.chunk import ChunkRule
from headrace.core.job import Job
from headrace.engine.aftermath import Aftermath
from headrace.stores.chunking import ChunkFound, ChunkRequest
from headrace.stores.protocol import Store

__all__ = ["ChunkClaim", "ChunkFound", "ClaimsChunks", "LocalChunkWork"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkClaim:
    """What a worker asks for: a chunk of one type, of the first of these queues that has one."""

    worker: str
    queues: tuple[str, ...]
    type: str
    rule: ChunkRule
    lease_ms: int


class ClaimsChunks(Protocol):
    """The part of a ``WorkSource`` that gives chunks."""

    async def claim_chunk(self, claim: ChunkClaim) -> ChunkFound:
        """Claims a chunk if there is one, and touches nothing if there is not."""
        ...


class LocalChunkWork:
    """The part of ``LocalWork`` that gives chunks."""

    _store: Store
    _clock: Clock
    _namespace: str
    _claimed: dict[str, Job]
    _aftermath: Aftermath

    async def claim_chunk(self, claim: ChunkClaim) -> ChunkFound:
        """Claims a chunk if there is one, and remembers its messages until they are reported."""
        now = self._clock.now()
        found = await self._store.claim_chunk(
            ChunkRequest(
                namespace=self._namespace,
                worker=claim.worker,
                queues=claim.queues,
                type=claim.type,
                most=claim.rule.max_size,
                at_least=claim.rule.max_size,
                or_oldest_before=now - claim.rule.max_wait_ms,
                now=now,
                lease_until=now + claim.lease_ms,
            )
        )
        self._claimed.update((job.facts.id, job) for job in found.jobs)
        if found.jobs and self._aftermath.claimed.heard:
            self._aftermath.claimed(found.jobs)
        return found

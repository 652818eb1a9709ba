"""Claims of chunks: messages of one type that are handed to their handler together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from headrace.core.job import Job
from headrace.stores.values import ClaimRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkRequest:
    """What a worker asks for: up to ``most`` messages of one type, all of one of these queues.

    Only if there are ``at_least`` so many that are due, or if the oldest of those that are has been due
    since ``or_oldest_before`` or longer. ``at_least`` is not above ``most``.
    """

    namespace: str
    worker: str
    queues: tuple[str, ...]
    type: str
    most: int
    at_least: int
    or_oldest_before: int
    now: int
    lease_until: int

    def ripe(self, count: int, oldest_due_at: int | None) -> bool:
        """Whether so many messages may be handed out, of which the oldest is due since that instant."""
        if oldest_due_at is None:
            return False
        return count >= self.at_least or oldest_due_at <= self.or_oldest_before

    def claim_of(self, queue: str) -> ClaimRequest:
        """The claim that takes the chunk from one queue."""
        return ClaimRequest(
            namespace=self.namespace,
            worker=self.worker,
            queues={queue: self.most},
            types=frozenset({self.type}),
            limit=self.most,
            now=self.now,
            lease_until=self.lease_until,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkFound:
    """A chunk, or nothing; then ``oldest_due_at`` says since when the oldest message waits, if any does."""

    jobs: Sequence[Job] = ()
    oldest_due_at: int | None = None


class ChunkStore(Protocol):
    """Claims of chunks."""

    async def claim_chunk(self, request: ChunkRequest) -> ChunkFound:
        """Marks and returns a chunk, or nothing at all, from the first of the queues that has one.

        - It is claimed as by ``claim``: in order, each message under a fence of its own (C10, C16, C17, C39).
        - A message that must wait for more is not touched: no lease, no fence, no change.
        - Of two claims of a type one comes first, and the other counts what it left: no two workers ever
          hold a part each of what would have been one chunk.
        - Limits go before the number: of messages that a limit refuses, fewer than ``at_least`` may come.
        """
        ...

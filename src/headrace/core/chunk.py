"""Chunks: up to so many jobs of one type, its messages, in one call of their handler. The rules, pure.

Each message is a job of its own. What makes a chunk is only the claim that takes several of them at once,
and this page says when it may, and which of the messages it took are called together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headrace.core.job import Isolation, Job
from headrace.errors import InvalidInput

MAX_SIZE: Final = 1_000
MAX_WAIT_MS: Final = 24 * 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkRule:
    """When a chunk is handed out: with ``max_size`` messages at once, with fewer after ``max_wait_ms``.

    The wait is that of the oldest message, from the instant it was due. Raises InvalidInput for a size that
    is not from 1 to 1,000, or a wait that is not from 0 to a day.
    """

    max_size: int
    max_wait_ms: int

    def __post_init__(self) -> None:
        if not 1 <= self.max_size <= MAX_SIZE:
            msg = f"a chunk has 1 to {MAX_SIZE} messages: max_size={self.max_size} is no such number"
            raise InvalidInput(msg, field="maxSize")
        if not 0 <= self.max_wait_ms <= MAX_WAIT_MS:
            msg = f"max_wait must lie between 0 and {MAX_WAIT_MS // 1000} seconds"
            raise InvalidInput(msg, field="maxWait")

    def ripe_from(self, oldest_due_at: int) -> int:
        """The instant from which on fewer messages than ``max_size`` are handed out, given the oldest."""
        return oldest_due_at + self.max_wait_ms


def calls(messages: Sequence[Job]) -> Sequence[Sequence[Job]]:
    """Which claimed messages are called together, in their order.

    A message that must not harm others, or that others must not harm, is called by itself: one whose attempt
    was lost with its worker (C22), and one that failed before and has its last attempt, so that it ends
    failed by its own doing only.
    """
    together = [message for message in messages if not _by_itself(message)]
    alone = [(message,) for message in messages if _by_itself(message)]
    return [together, *alone] if together else alone


def call_limit_ms(messages: Sequence[Job]) -> int | None:
    """The time limit of a call: the longest of its messages' limits; none if one of them has none."""
    limits = [message.placement.timeout_ms for message in messages]
    known = [limit for limit in limits if limit is not None]
    return max(known) if len(known) == len(limits) and known else None


def _by_itself(message: Job) -> bool:
    placement = message.placement
    if placement.crashes > 0 or placement.isolation is not Isolation.NONE:
        return True
    return placement.failures > 0 and placement.failures + 1 >= message.facts.max_attempts

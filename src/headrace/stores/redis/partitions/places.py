"""In which partition a job lives: by its key, else by its id. A job's seq tells where it is."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from headrace.core.ids import checked_name
from headrace.core.job import Job
from headrace.core.limit_names import LIMIT_LANE, ORDER_LANE
from headrace.core.wishes import Wishes
from headrace.errors import InvalidInput
from headrace.stores.values import NewJob

MOST: Final = 64
"""So many partitions a queue may have: a seq is a multiple of it and the partition (lua/parts/seqs.lua)."""

HOME: Final = 0
"""The partition that every namespace has, with all that belongs to no queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How many partitions queues get that have none yet: by name, and all others."""

    others: int = 1
    by_queue: Mapping[str, int] = field(default_factory=dict[str, int])

    def of(self, queue: str) -> int:
        """How many partitions a new queue gets."""
        return self.by_queue.get(queue, self.others)

    @property
    def most(self) -> int:
        """The largest of these numbers."""
        return max(self.others, *self.by_queue.values(), 1)


def wanted(text: str) -> Wanted:
    """Reads such as ``4``, or ``emails:4,reports:2``. Raises InvalidInput."""
    if _is_count(text):
        return Wanted(others=int(text))
    by_queue: dict[str, int] = {}
    for one in text.split(","):
        queue, _, count = one.rpartition(":")
        if not queue or not _is_count(count):
            msg = f"partitions= is a number from 1 to {MOST}, or such as emails:4,reports:2"
            raise InvalidInput(msg, field="url")
        by_queue[checked_name(queue, "queue")] = int(count)
    return Wanted(by_queue=by_queue)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and 1 <= int(text) <= MOST


def partition_of(job: Job) -> int:
    """Where a job is."""
    return job.seq % MOST


def hashed(key: str, count: int) -> int:
    """The partition of a key, out of so many. The same in every process and version."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) % count


def key_of(new: NewJob) -> str | None:
    """What the partition of a job is the hash of, if not of its id. Raises InvalidInput for two of them.

    A unique key, an ordering key and the key of a limit may be given together where they are the same text.
    An idempotency key counts where there is no other.
    """
    facts = new.facts
    keys = {lock for lock in (new.placement.unique_lock, facts.unique_key) if lock is not None}
    if facts.lane is not None:
        wishes = Wishes.loads(facts.lane)
        lanes = wishes.lanes if wishes.order is None else (*wishes.lanes, wishes.order)
        keys.update(key for lane in lanes if (key := key_of_lane(lane)) is not None)
    if len(keys) > 1:
        msg = (
            "a job of a queue with partitions has one key: its unique key, its ordering key and the keys of"
            f" its limits must be the same, and are {', '.join(map(repr, sorted(keys)))}"
        )
        raise InvalidInput(msg, field="uniqueKey")
    if keys:
        return keys.pop()
    return None if new.receipt is None else new.receipt.key


def key_of_lane(lane: str) -> str | None:
    """The key of a lane that belongs to one key of a limit or an order."""
    if not lane.startswith((LIMIT_LANE, ORDER_LANE)):
        return None
    return lane.partition("/")[2] or None

"""From a job of BullMQ to a request of ours. Pure: what cannot be kept is told by raising InvalidInput."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from headrace.core import wire
from headrace.core.backoff import MAX_DELAY_MS, Backoff, Jitter, Shape
from headrace.core.ids import checked_name
from headrace.core.job import Priority
from headrace.core.policy import DAY_MS, MAX_ATTEMPTS
from headrace.core.request import EnqueueRequest
from headrace.core.unique import Unique, body_digest
from headrace.core.wire import Json
from headrace.errors import InvalidInput
from headrace.importing.bull import BullJob, BullQueue
from headrace.stores.protocol import Receipt

TAG: Final = "bullmq:"
RECEIPT_MS: Final = 366 * DAY_MS
"""For so long a repeat takes nothing in twice."""
OTHERS: Final = "*"
"""Stands in a mapping for all names that it does not name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """How jobs of a queue become ours. A name that ``types`` does not map is a job type's own.

    ``queue`` None: each job goes to the queue of its type.
    """

    source: BullQueue
    types: Mapping[str, str] = field(default_factory=dict[str, str])
    queue: str | None = None

    def type_of(self, name: str) -> str:
        """The job type that a name stands for."""
        return self.types.get(name) or self.types.get(OTHERS) or name

    def request(self, job: BullJob, *, prioritized: bool) -> EnqueueRequest:
        """The request. ``prioritized``: jobs of this queue have priorities, and those without come first.

        Raises InvalidInput.
        """
        own = job.own_id or job.deduplication
        return EnqueueRequest(
            type=self.type_of(job.name),
            payload=payload_of(job.data),
            queue=self.queue,
            priority=Priority.from_bullmq(job.priority) if prioritized else None,
            due_at=job.entry.due_at,
            max_attempts=attempts_of(job.options, job.attempts_made),
            backoff=backoff_of(job.options.get("backoff")),
            unique=None if own is None else Unique(key=f"{self.source.name}:{own}"),
            tags=(self.tag(job),),
        )

    def tag(self, job: BullJob) -> str:
        """By what the job is found again: its id, or a digest of one that cannot stand in a tag."""
        tag = TAG + job.entry.id
        try:
            return checked_name(tag, "tag")
        except InvalidInput:
            return TAG + body_digest(job.entry.id)[:24]

    def receipt(self, job: BullJob, now: int) -> Receipt:
        """What keeps a repeat from taking the job in again.

        The instant it was added tells it from one that got its number after the queue had been emptied.
        """
        digest = body_digest(self.source.prefix, self.source.name, job.entry.id, job.timestamp)
        return Receipt(key=TAG + digest, until=now + RECEIPT_MS)


def payload_of(data: str) -> Json:
    """A payload. Raises InvalidInput for data that is no JSON object."""
    found = wire.decode(data, what="data")
    if not isinstance(found, dict):
        raise InvalidInput("its data is no JSON object, which every payload is", field="data")
    return found


def attempts_of(options: Mapping[str, Json], made: int) -> int | None:
    """How many attempts are left; None, as the job type says, where the program said nothing."""
    asked = options.get("attempts")
    if not isinstance(asked, int | float) or asked < 1:
        return None
    return min(max(1, int(asked) - made), MAX_ATTEMPTS)


def backoff_of(given: Json) -> Backoff | None:
    """The back-off; None, as the job type says, for none and for one that was a function of the program."""
    if isinstance(given, int | float) and not isinstance(given, bool):
        given = {"type": "fixed", "delay": given}
    if not isinstance(given, dict):
        return None
    delay = given.get("delay")
    base = min(round(delay), MAX_DELAY_MS) if isinstance(delay, int | float) and delay > 0 else 0
    jitter = _jitter(given.get("jitter"))
    match given.get("type"):
        case "fixed":
            return Backoff(shape=Shape.FIXED, base_ms=base, jitter=jitter)
        case "exponential":
            return Backoff(shape=Shape.EXPONENTIAL, base_ms=base, factor=2.0, jitter=jitter)
        case _:
            return None


def _jitter(given: Json) -> Jitter:
    """The nearest of ours: BullMQ draws from between d·(1 − jitter) and d."""
    share = given if isinstance(given, int | float) else 0
    nearest = {0.0: Jitter.NONE, 0.5: Jitter.EQUAL, 1.0: Jitter.FULL}
    return nearest[min(nearest, key=lambda one: abs(one - share))]

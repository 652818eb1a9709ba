"""Dead letters: failed jobs that nobody has dealt with. What is asked of them, and what is told of them.

A dead letter is the failed job itself, with ``erase_at`` null. Whoever deals with it gives it an
``erase_at``: by discarding it, by a new job that takes its place, or by putting it on a dead-letter queue.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, cast

from headrace.core.ids import checked_name
from headrace.core.job import AttemptOutcome, Job
from headrace.core.policy import ErrorClass
from headrace.core.states import State
from headrace.core.wire import Json, to_iso
from headrace.errors import InvalidInput, TooLarge

DEAD_LETTER_TYPE: Final = "dead-letter"
"""The job type of what is put on a dead-letter queue, where no other is named."""

DEAD_LETTER_TAG: Final = "dead-letter-of:"
"""With the id of the failed job behind it, a tag of the job on the dead-letter queue."""

REDRIVE_TAG: Final = "redrive-of:"
"""With the id of the failed job behind it, a tag of the job that runs instead with an edited payload."""

PERMANENT_MARK: Final = f'"class": "{ErrorClass.PERMANENT}"'
"""Stands in the JSON text of each permanent error, and of no other: within texts the quotes are escaped."""

COUNTED_AT_MOST: Final = 100_000
MAX_REASON_CHARS: Final = 1_000
MAX_TEXT_CHARS: Final = 200
NO_END: Final = 2**62


class Why(StrEnum):
    """Why a job failed for good."""

    PERMANENT = "permanent"
    ATTEMPTS = "attempts used up"
    TIMEOUT = "timed out"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptError:
    """The last error of a job, as it is kept."""

    type: str
    message: str
    error_class: ErrorClass

    @classmethod
    def of(cls, job: Job) -> "KeptError":
        """The error of a failed job."""
        raw = cast("Mapping[str, str]", json.loads(job.placement.error or "{}"))
        return cls(
            type=raw.get("type", ""),
            message=raw.get("message", ""),
            error_class=ErrorClass(raw.get("class", ErrorClass.TRANSIENT)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadFilter:
    """Which dead letters: every field that is set must fit.

    ``text`` is looked for in the error's type and message, whatever its case. The job died at
    ``died_after`` or later, and before ``died_before`` (epoch milliseconds).
    """

    types: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    batch_id: str | None = None
    error_type: str | None = None
    error_class: ErrorClass | None = None
    text: str | None = None
    died_after: int = 0
    died_before: int = NO_END

    def __post_init__(self) -> None:
        if self.text is not None and not 1 <= len(self.text) <= MAX_TEXT_CHARS:
            msg = f"the text to look for must be 1 to {MAX_TEXT_CHARS} characters"
            raise InvalidInput(msg, field="text")

    @property
    def reads_errors(self) -> bool:
        """Whether the error of each job decides, which a store does not look into."""
        return any(one is not None for one in (self.error_type, self.error_class, self.text))

    def fits(self, job: Job) -> bool:
        """Whether a dead letter that a store found also has the error that is asked for."""
        if not self.reads_errors:
            return True
        error = KeptError.of(job)
        return (
            (self.error_type is None or error.type == self.error_type)
            and (self.error_class is None or error.error_class is self.error_class)
            and (self.text is None or self.text.casefold() in f"{error.type}: {error.message}".casefold())
        )

    def before(self, instant: int) -> "DeadFilter":
        """The same, of those that died before an instant too."""
        return replace(self, died_before=min(self.died_before, instant))

    def after(self, instant: int) -> "DeadFilter":
        """The same, of those that died at an instant or later."""
        return replace(self, died_after=max(self.died_after, instant))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeathCount:
    """How many jobs of one type and queue failed for good, ``permanent`` of them by a permanent error.

    ``last_id`` is the one that did so last.
    """

    type: str
    queue: str
    count: int
    permanent: int
    first_at: int
    last_at: int
    last_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadQueue:
    """Where failed jobs go: the queue, and the type of the jobs that are put there for them."""

    queue: str
    type: str = DEAD_LETTER_TYPE

    def __post_init__(self) -> None:
        checked_name(self.queue, "deadLetterQueue")
        checked_name(self.type, "deadLetterType")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """What the handler of a dead-letter queue receives as ``letter``: the failed job and its last error.

    ``payload`` is as the store kept it; a codec may have encrypted it.
    """

    job_id: str
    generation: int
    type: str
    version: int
    queue: str
    payload: dict[str, Any]
    why: str
    error_type: str
    error_class: str
    error: str
    attempts: int
    failed_at: datetime
    batch_id: str | None = None
    tags: tuple[str, ...] = ()


def is_dead_letter(job: Job) -> bool:
    """Whether a job failed for good and nobody has dealt with it."""
    return job.state is State.FAILED and job.placement.erase_at is None


def why(job: Job) -> Why:
    """Why a failed job is not tried again."""
    match KeptError.of(job).error_class:
        case ErrorClass.PERMANENT:
            return Why.PERMANENT
        case ErrorClass.TIMEOUT:
            return Why.TIMEOUT
        case ErrorClass.TRANSIENT | ErrorClass.RESOURCE:
            lost = job.placement.outcome in {AttemptOutcome.CRASHED, AttemptOutcome.RESCUED}
            return Why.CRASHED if lost else Why.ATTEMPTS


def letter_id(job: Job) -> str:
    """The id of the job on the dead-letter queue (a UUID, version 8): the same however often it is asked."""
    told = f"dead-letter\n{job.facts.namespace}\n{job.id}\n{job.placement.generation}"
    digest = hashlib.sha256(told.encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"


def letter_payload(job: Job) -> str:
    """The payload of the job on the dead-letter queue, as a JSON text."""
    facts, error = job.facts, KeptError.of(job)
    letter: dict[str, Json] = {
        "job_id": facts.id,
        "generation": job.placement.generation,
        "type": facts.type,
        "version": facts.version,
        "queue": facts.queue,
        "payload": json.loads(facts.payload),
        "why": why(job).value,
        "error_type": error.type,
        "error_class": error.error_class.value,
        "error": error.message,
        "attempts": job.attempts,
        "failed_at": to_iso(job.placement.ended_at),
        "batch_id": facts.batch_id,
        "tags": list(facts.tags),
    }
    return json.dumps({"letter": letter}, ensure_ascii=False, separators=(",", ":"))


def dead_to_json(job: Job) -> dict[str, Json]:
    """A dead letter as every door lists it."""
    facts, error = job.facts, KeptError.of(job)
    return {
        "id": facts.id,
        "type": facts.type,
        "queue": facts.queue,
        "why": why(job).value,
        "errorType": error.type,
        "errorClass": error.error_class.value,
        "error": error.message,
        "attempts": job.attempts,
        "generation": job.placement.generation,
        "batchId": facts.batch_id,
        "tags": list(facts.tags),
        "createdAt": to_iso(facts.created_at),
        "failedAt": to_iso(job.placement.ended_at),
    }


def count_to_json(count: DeathCount) -> dict[str, Json]:
    """The number of dead letters of one type and queue as every door shows it."""
    return {
        "type": count.type,
        "queue": count.queue,
        "count": count.count,
        "permanent": count.permanent,
        "oldest": to_iso(count.first_at),
        "newest": to_iso(count.last_at),
        "newestId": count.last_id,
    }


def checked_reason(reason: str) -> str:
    """The reason if it can be kept. Raises TooLarge, InvalidInput."""
    if len(reason) > MAX_REASON_CHARS:
        msg = f"a reason has at most {MAX_REASON_CHARS} characters"
        raise TooLarge(msg, field="reason")
    if not reason.isprintable():
        msg = "a reason is one line of printable characters"
        raise InvalidInput(msg, field="reason")
    return reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded:
    """That somebody discarded a dead letter, when and why."""

    at: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterView:
    """A failed job with what became of it: why it was discarded, the ids of the jobs that took its place."""

    job: Job
    discarded: Discarded | None
    replaced_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """What was done to one stretch of dead letters: how many, which were refused and why.

    ``cursor`` goes on behind them; None: there are no more.
    """

    done: int
    refused: Mapping[str, str]
    cursor: str | None


def view_to_json(view: DeadLetterView) -> dict[str, Json]:
    """A failed job with what became of it, as every door shows it."""
    discarded = view.discarded
    return {
        **dead_to_json(view.job),
        "payload": json.loads(view.job.facts.payload),
        "state": view.job.state.value,
        "waits": is_dead_letter(view.job),
        "discardedAt": None if discarded is None else to_iso(discarded.at),
        "reason": None if discarded is None else discarded.reason,
        "replacedBy": list(view.replaced_by),
    }

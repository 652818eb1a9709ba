"""What a caller asks for when enqueueing, checked before anything is written (C8)."""

from typing import Final

from headrace.core.backoff import Backoff
from headrace.core.flow import MAX_PARENTS, OnParentFailure
from headrace.core.ids import checked_name, is_id
from headrace.core.job import MAX_PRIORITY, MIN_PRIORITY, Priority
from headrace.core.policy import MAX_ATTEMPTS, MAX_DURATION_MS
from headrace.core.unique import OnConflict, Unique, checked_key
from headrace.core.value import value
from headrace.core.wire import Json, checked_instant
from headrace.core.wishes import Wishes
from headrace.errors import InvalidInput, TooLarge

MAX_TAGS: Final = 32
MAX_BULK: Final = 10_000
DEFAULT_QUEUE: Final = "default"
IDEMPOTENCY_WINDOW_MS: Final = 24 * 3_600_000


@value
class EnqueueRequest:
    """One job to enqueue. What is None comes from the job type.

    The job waits for those that ``after`` names: jobs that are there, by their ids, and earlier requests of
    the same call, by their positions in it. ``on_parent_failure`` says what it does where one of them fails.

    ``payload`` is a JSON value, or the JSON text that the job type made of a typed call
    (``encoded=True``). ``delay_ms`` counts from store time; give it or ``due_at``, not both. ``wishes`` are
    the lanes of the job; None: as the rules of its type find them in the payload.
    """

    type: str
    payload: Json | str = None
    encoded: bool = False
    queue: str | None = None
    priority: int | None = None
    delay_ms: int | None = None
    due_at: int | None = None
    max_attempts: int | None = None
    backoff: Backoff | None = None
    timeout_ms: int | None = None
    unique: Unique | None = None
    idempotency_key: str | None = None
    batch_id: str | None = None
    tags: tuple[str, ...] = ()
    wishes: Wishes | None = None
    after: tuple[str | int, ...] = ()
    on_parent_failure: OnParentFailure | None = None

    def __post_init__(self) -> None:
        checked_name(self.type, "type")
        for tag in self.tags:
            checked_name(tag, "tag")
        if self.queue is not None:
            checked_name(self.queue, "queue")
        if self.batch_id is not None:
            checked_name(self.batch_id, "batchId")
        if self.idempotency_key is not None:
            checked_key(self.idempotency_key, "idempotencyKey")
        if len(self.tags) > MAX_TAGS:
            msg = f"a job has at most {MAX_TAGS} tags"
            raise TooLarge(msg, field="tags")
        self._check_numbers()
        if self.after:
            self._check_parents()
        self._check_pairs()

    def _check_parents(self) -> None:
        if len(self.after) > MAX_PARENTS:
            msg = f"a job waits for at most {MAX_PARENTS} others; put them into a batch, which calls back"
            raise TooLarge(msg, field="after")
        if any(not is_id(one) if isinstance(one, str) else one < 0 for one in self.after):
            msg = "after names jobs by their ids, or earlier requests by their positions"
            raise InvalidInput(msg, field="after")
        if len(set(self.after)) < len(self.after):
            raise InvalidInput("after names the same job twice", field="after")
        if self.unique is not None and self.unique.on_conflict is OnConflict.REPLACE:
            msg = "a job that waits for others cannot replace one that is due: leave on_conflict=replace away"
            raise InvalidInput(msg, field="onConflict")

    def _check_numbers(self) -> None:
        if self.priority is not None and not MIN_PRIORITY <= self.priority <= MAX_PRIORITY:
            msg = f"priority must lie between {MIN_PRIORITY} and {MAX_PRIORITY} (higher runs first)"
            raise InvalidInput(msg, field="priority")
        if self.max_attempts is not None and not 1 <= self.max_attempts <= MAX_ATTEMPTS:
            msg = f"maxAttempts must lie between 1 and {MAX_ATTEMPTS}"
            raise InvalidInput(msg, field="maxAttempts")
        if self.delay_ms is not None and not 0 <= self.delay_ms <= MAX_DURATION_MS:
            msg = "delay must lie between 0 and 1,000 years"
            raise InvalidInput(msg, field="delay")
        if self.timeout_ms is not None and not 0 < self.timeout_ms <= MAX_DURATION_MS:
            msg = "timeout must be positive, and at most 1,000 years"
            raise InvalidInput(msg, field="timeout")
        if self.due_at is not None:
            checked_instant(self.due_at, "scheduledFor")

    def _check_pairs(self) -> None:
        if self.delay_ms is not None and self.due_at is not None:
            msg = "give delay or scheduledFor, not both"
            raise InvalidInput(msg, field="delay")
        if self.idempotency_key is not None and self.unique is not None and self.unique.period_ms is not None:
            msg = "give an idempotency key or a unique key with a period, not both"
            raise InvalidInput(msg, field="idempotencyKey")


def priority_named(text: str) -> int:
    """The number of a tier's name such as ``high``. Raises InvalidInput."""
    try:
        return Priority[text.upper()].value
    except KeyError as error:
        names = ", ".join(tier.name.lower() for tier in Priority)
        msg = f"unknown priority {text[:40]!r}; use a number (higher runs first) or one of {names}"
        raise InvalidInput(msg, field="priority") from error

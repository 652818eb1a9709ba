"""The values that describe a job: its facts, its placement, its attempts.

All instants are integer milliseconds since the epoch in store time, all durations integer
milliseconds. Payload, result, error, progress and checkpoint are JSON texts that stores keep as
they are.
"""

from enum import IntEnum, StrEnum
from typing import Final

from headrace.core.states import LIVE, TERMINAL, State
from headrace.core.value import value

MIN_PRIORITY: Final = -2_097_152
MAX_PRIORITY: Final = 2_097_152

WAITED_ON: Final = 1 << 30
"""What the revision of a job is raised by when the first other job begins to wait for it.

So it cannot be missed by whoever decides on the job: under an older revision the decision is stale.
"""


class Priority(IntEnum):
    """Named tiers of priority. Any integer between -2,097,152 and 2,097,152 is allowed; higher runs first."""

    CRITICAL = 100
    HIGH = 50
    NORMAL = 0
    LOW = -50
    BACKGROUND = -100

    @staticmethod
    def from_bullmq(number: int) -> int:
        """Converts "lower number first" (1 … 2,097,152) into our "higher runs first"."""
        return 1001 - number


class Isolation(IntEnum):
    """How the next attempt must run, because earlier ones took their worker down."""

    NONE = 0
    CHILD = 1
    ALONE = 2


class AttemptOutcome(StrEnum):
    """How one attempt ended. ``RESCUED`` is written by a rescuer, all others by the holder."""

    SUCCEEDED = "succeeded"
    ERRORED = "errored"
    TIMED_OUT = "timed_out"
    SNOOZED = "snoozed"
    RELEASED = "released"
    CRASHED = "crashed"
    STOPPED = "stopped"
    RESCUED = "rescued"


@value
class Facts:
    """What is fixed when a job is inserted (``replace`` may exchange payload and tags before the start)."""

    id: str
    namespace: str
    type: str
    version: int = 1
    queue: str
    payload: str
    created_at: int
    max_attempts: int
    max_crashes: int = 3
    timeout_ms: int | None = None
    backoff: str | None = None
    unique_key: str | None = None
    lock_after_claim: str | None = None
    lane: str | None = None
    batch_id: str | None = None
    parent_id: str | None = None
    tags: tuple[str, ...] = ()


@value
class Placement:
    """The complete set of lifecycle columns. A store writes all of them at each transition.

    Predicates are columns: ``due_at`` set = may be claimed from then on; ``lease_until`` set = is
    running; ``unique_lock`` set = holds its unique key; ``slot_key`` set = holds a slot;
    ``parked_on`` set = refused for now by that lane; ``erase_at`` set = may be erased from then on.
    ``started_at`` is set while ``worker`` … ``error`` describe the latest attempt that is not yet
    in the trail of earlier attempts.
    """

    state: State
    priority: int
    rank: int
    due_at: int | None = None
    lease_until: int | None = None
    unique_lock: str | None = None
    slot_key: str | None = None
    parked_on: str | None = None
    erase_at: int | None = None
    cancel_asked_at: int | None = None
    timeout_ms: int | None = None
    isolation: Isolation = Isolation.NONE
    generation: int = 1
    starts: int = 0
    failures: int = 0
    crashes: int = 0
    releases: int = 0
    snoozes: int = 0
    worker: str | None = None
    started_at: int | None = None
    ended_at: int | None = None
    outcome: AttemptOutcome | None = None
    error: str | None = None
    result: str | None = None

    @property
    def live(self) -> bool:
        """Whether the job is blocked, pending or processing."""
        return self.state in LIVE

    @property
    def terminal(self) -> bool:
        """Whether the job has ended."""
        return self.state in TERMINAL


@value
class Job:
    """A job as a store holds it.

    ``fence`` grows with every claim and is what a holder shows; ``revision`` grows with every
    change except notes. ``seq`` is the order of insertion that the store assigned.
    """

    facts: Facts
    placement: Placement
    seq: int
    fence: int = 0
    revision: int = 0
    progress: str | None = None
    checkpoint: str | None = None
    timed_out_at: int | None = None

    @property
    def id(self) -> str:
        """The job's id, a UUIDv7 in its usual text form."""
        return self.facts.id

    @property
    def state(self) -> State:
        """The job's state."""
        return self.placement.state

    @property
    def attempts(self) -> int:
        """Starts that ran or run a handler and were not lost: starts - releases - crashes."""
        placement = self.placement
        return placement.starts - placement.releases - placement.crashes

    @property
    def attempt(self) -> int:
        """The number of the running attempt, from 1: one more than the failures and crashes so far."""
        return self.placement.failures + self.placement.crashes + 1

    @property
    def waited_on(self) -> bool:
        """Whether other jobs wait for this one, or did."""
        return self.revision >= WAITED_ON


@value
class Attempt:
    """One start of a job and how it ended. ``outcome`` is None while it runs."""

    fence: int
    generation: int
    worker: str
    started_at: int
    ended_at: int | None
    outcome: AttemptOutcome | None
    error: str | None


@value
class History:
    """All attempts in order: the first 10 and the last 40 whole, those between counted by outcome."""

    attempts: tuple[Attempt, ...]
    folded: tuple[tuple[AttemptOutcome, int], ...] = ()


@value
class Transition:
    """One decided change. ``job`` is the job it was decided for: its fence and revision guard the write.

    ``attempt`` is set when the job goes on after an attempt that ended, and must then be added to
    the job's earlier attempts in the same write. ``expired_before`` is set by a rescue: the write
    also requires that the lease ended before that instant, because a renewal changes no revision.
    """

    job: Job
    placement: Placement
    attempt: Attempt | None = None
    expired_before: int | None = None

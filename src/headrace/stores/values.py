"""The values that pass between the engine and a store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from headrace.core.job import AttemptOutcome, Facts, Job, Placement
from headrace.core.states import State
from headrace.core.steps import Step
from headrace.core.unique import OnConflict
from headrace.core.value import value


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A record that outlives its job: the key maps to the job's id until ``until``.

    ``body`` is the digest the repeat must bring too; None accepts any body (period uniqueness).
    """

    key: str
    until: int
    body: str | None = None


@value
class NewJob:
    """A job to insert. ``placement.unique_lock`` is the key it takes, ``on_conflict`` what if it is held."""

    facts: Facts
    placement: Placement
    on_conflict: OnConflict = OnConflict.EXISTING
    receipt: Receipt | None = None


class InsertKind(StrEnum):
    """What became of one new job."""

    INSERTED = "inserted"
    EXISTING = "existing"
    REPLACED = "replaced"


@value
class Inserted:
    """The answer for one new job: what happened, and the id of the job that now stands for it."""

    kind: InsertKind
    job_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a job: its id and the fence of the claim."""

    job_id: str
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """A compare-and-set of one register. ``revision`` 0 expects it absent; ``value`` None removes it."""

    key: str
    revision: int
    value: str | None
    due_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRequest:
    """What a worker asks for.

    ``queues`` gives per queue how many jobs at most; ``limit`` bounds the sum. ``types`` are the
    job types registered here. Jobs of other types are left where some live worker (see ``hello``)
    knows the type, else parked on the lane ``type:<name>``. Versions are not looked at.

    ``prompt`` is how many jobs can start at once; None: all. Jobs of a lane with a rate are claimed only as
    long as there is room among these, and stay due beyond that: then a claim comes back short although there
    is more, and is to be repeated once a job can start.
    """

    namespace: str
    worker: str
    queues: Mapping[str, int]
    types: frozenset[str]
    limit: int
    now: int
    lease_until: int
    prompt: int | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """The transition was written."""


@dataclass(frozen=True, slots=True)
class Already:
    """This fence's attempt had its outcome before; this is it. Nothing was written now."""

    outcome: AttemptOutcome


@dataclass(frozen=True, slots=True)
class Stale:
    """The job changed since it was read, and the attempt is still open: decide again with this one."""

    job: Job


@dataclass(frozen=True, slots=True)
class Lost:
    """The fence has moved on, the attempt was rescued, or the job is gone. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """The transition would take a unique key that the job ``existing`` holds. Nothing was written."""

    existing: str


ApplyAnswer = Applied | Already | Stale | Lost | Conflict


LINES_KEPT: Final = 1_000
"""Of each job the latest so many log lines are kept."""

LINE_CHARS: Final = 4_000
"""A longer message is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line a handler logged. ``data`` is a JSON object as text."""

    at: int
    level: str
    message: str
    data: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a holder notes about its running job; fields that are None stay as they are.

    A step of ``steps`` is kept, or, where one of its number is, written over it.
    """

    holder: Holder
    progress: str | None = None
    checkpoint: str | None = None
    timed_out_at: int | None = None
    lines: tuple[LogLine, ...] = ()
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """The answer to a renewal: which holders lost their lease, and which are asked to cancel.

    ``busy`` are those the store could not reach just now (locked rows): try again soon.
    """

    lost: frozenset[str] = frozenset()
    cancel_asked: frozenset[str] = frozenset()
    busy: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """Part of a listing, newest first; ``cursor`` is None at the end."""

    jobs: tuple[Job, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many jobs of one queue and type are in a state."""

    queue: str
    type: str
    state: State
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedCount:
    """How many jobs of a queue wait parked on a lane."""

    queue: str
    lane: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """A named value with the revision a swap must name."""

    key: str
    value: str
    revision: int
    due_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A keyed JSON text of some kind: a file's metadata, a receipt, later audit entries and tokens."""

    key: str
    at: int
    body: str
    until: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """A queue: whether it is paused, how deep it is, since when its head has waited (due jobs only)."""

    name: str
    paused: bool
    counts: Mapping[State, int]
    oldest_due_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerHello:
    """What a worker says of itself, and again at every beat.

    ``types`` are names it has handlers for, and the later versions of them that it runs
    (``core.lanes.known_version``).
    """

    namespace: str
    worker: str
    host: str
    pid: int
    queues: tuple[str, ...] | None
    types: frozenset[str]
    started_at: int
    seen_at: int
    running: int = 0
    details: Mapping[str, str] = field(default_factory=dict[str, str])


class Tier(StrEnum):
    """What an acknowledged write survives."""

    POWER_LOSS = "survives power loss"
    PROCESS_DEATH = "survives the death of any process"
    NOTHING = "lost with the process"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The store as it is: read from the live store, not from settings."""

    store: str
    version: str
    schema: int
    tier: Tier
    warnings: tuple[str, ...] = ()
    details: Mapping[str, str] = field(default_factory=dict[str, str])

"""What can be watched of a worker. A worker that nobody watches makes none of these."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from headrace.core.job import Job
from headrace.core.outcomes import Outcome
from headrace.core.states import State


@dataclass(frozen=True, slots=True)
class Claimed:
    """Jobs were claimed and wait for a slot."""

    jobs: tuple[Job, ...]


@dataclass(frozen=True, slots=True)
class Started:
    """A handler is about to run."""

    job: Job


@dataclass(frozen=True, slots=True)
class Finished:
    """An outcome was settled: ``state`` is where the job is now, None if only the repeat was confirmed."""

    job: Job
    outcome: Outcome
    state: State | None


@dataclass(frozen=True, slots=True)
class Renewed:
    """Leases were renewed."""

    job_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class LeaseGone:
    """A job has another holder by now; its handler is told to stop and nothing is written."""

    job: Job


@dataclass(frozen=True, slots=True)
class StopAsked:
    """A running handler is told to stop, and why."""

    job: Job
    reason: str


@dataclass(frozen=True, slots=True)
class Overdue:
    """A handler is past its time limit and still runs; the job keeps its slot until it ends."""

    job: Job


@dataclass(frozen=True, slots=True)
class LoopBlocked:
    """The event loop did not turn for ``seconds``. ``job`` is the one whose handler blocks it, if known."""

    seconds: float
    job: Job | None
    stack: str


@dataclass(frozen=True, slots=True)
class StoreLost:
    """The store could not do what was asked; the worker tries again in ``retry_in`` seconds."""

    doing: str
    error: Exception
    retry_in: float


@dataclass(frozen=True, slots=True)
class Polled:
    """The feed looked for work and found ``claimed`` jobs."""

    claimed: int


WorkerEvent: TypeAlias = (
    Claimed
    | Started
    | Finished
    | Renewed
    | LeaseGone
    | StopAsked
    | Overdue
    | LoopBlocked
    | StoreLost
    | Polled
)
OnEvent: TypeAlias = Callable[[WorkerEvent], None]

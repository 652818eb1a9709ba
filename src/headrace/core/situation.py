"""What is known of a job and of what surrounds it, as the facts that explain why it has not run."""

from dataclasses import dataclass
from typing import Final

from headrace.core.batch import BatchState
from headrace.core.breaker import BreakerState
from headrace.core.chunk import ChunkRule
from headrace.core.flow import Parent
from headrace.core.job import Attempt, Job
from headrace.core.lanes import ALIVE_MS, known_version
from headrace.core.limits import Lane
from headrace.core.steps import Kept

AHEAD_COUNTED: Final = 1_000
"""Of the jobs that come before another one so many are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSeen:
    """A worker as its last hello told: ``queues`` None means all, ``types`` are what it knows."""

    name: str
    queues: tuple[str, ...] | None
    types: frozenset[str]
    seen_at: int

    def serves(self, queue: str) -> bool:
        """Whether it claims jobs of that queue."""
        return self.queues is None or queue in self.queues

    def knows(self, job: Job) -> bool:
        """Whether it has a handler for the job, and for that version of its payload."""
        facts = job.facts
        versioned = facts.version == 1 or known_version(facts.type, facts.version) in self.types
        return facts.type in self.types and versioned


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSeen:
    """The lane of a limit, an ordering key or a breaker on which the job waits.

    ``held_by`` are the first of the jobs that hold it, ``parked`` is how many wait on it and ``first_parked``
    the one of them that comes first.
    """

    lane: Lane
    parked: int = 0
    held_by: tuple[str, ...] = ()
    first_parked: str | None = None
    breaker: BreakerState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A job at the instant ``now``, and what decides on whether it runs.

    ``last`` is its latest attempt. ``ahead`` is how many due jobs of its queue come before it, counted up to
    ``AHEAD_COUNTED``; None where that was not asked. What does not concern the job is left empty.
    """

    job: Job
    now: int
    paused: bool = False
    workers: tuple[WorkerSeen, ...] = ()
    last: Attempt | None = None
    kept: Kept | None = None
    lane: LaneSeen | None = None
    parents: tuple[Parent, ...] = ()
    batch: BatchState | None = None
    chunk: ChunkRule | None = None
    ahead: int | None = None

    @property
    def alive(self) -> tuple[WorkerSeen, ...]:
        """The workers that have said hello lately."""
        return tuple(one for one in self.workers if one.seen_at >= self.now - ALIVE_MS)

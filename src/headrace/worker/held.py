"""The jobs a worker holds, from the claim until their outcome is settled."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from headrace.core.holding import must_start_at_once
from headrace.core.job import Job
from headrace.engine.operations import Runs
from headrace.engine.registry import Registered
from headrace.engine.work import Holder
from headrace.worker.link import Link


class Why(StrEnum):
    """Why a handler is told to stop."""

    CANCEL = "cancel asked"
    TIMEOUT = "time limit passed"
    SHUTDOWN = "worker stops"
    LOST = "lease lost"
    LAPSED = "lease could not be renewed"
    LATE = "claimed too long ago for its rate"


@dataclass(slots=True)
class Pool:
    """The slots of one kind of handler: async tasks, threads or child processes.

    ``emptied_at`` is when one was free last and nobody waited for it.
    """

    runs: Runs
    size: int
    free: int
    waiting: int = 0
    low: int = 0
    emptied_at: float = 0.0


@dataclass(slots=True)
class QueueSlots:
    """How many jobs of a queue run here; ``limit`` is how many may."""

    name: str
    limit: int
    running: int = 0
    emptied_at: float = 0.0


@dataclass(slots=True, eq=False)
class Line:
    """Claimed jobs of one queue for one pool that wait for a slot, oldest first; and how fast they go."""

    queue: QueueSlots
    pool: Pool
    waiting: "deque[Held]"
    done: int = 0
    rate: float = 0.0
    measured_at: float = 0.0
    measured_done: int = 0


class Held:
    """A claimed job on its way through the worker.

    Changed on the worker's loop only, but for ``link``, ``deadline`` and ``started_at``, which the
    thread sets that runs the handler. ``deadline`` is infinite until a handler with a limit begins.
    """

    __slots__ = (
        "abandoned",
        "begun",
        "claimed_at",
        "deadline",
        "forced",
        "job",
        "kind",
        "lease_until",
        "line",
        "link",
        "noted_overdue",
        "renewed_at",
        "runs",
        "started_at",
        "stop_since",
        "stopping",
        "task",
    )

    def __init__(self, job: Job, kind: Registered, runs: Runs) -> None:
        self.job = job
        self.kind = kind
        self.runs = runs
        self.lease_until = job.placement.lease_until or 0
        self.claimed_at = self.renewed_at = time.monotonic()
        self.started_at: int | None = None
        self.begun = False
        self.deadline: float | None = None
        self.stopping: Why | None = None
        self.stop_since = 0.0
        self.forced = 0
        self.noted_overdue = False
        self.abandoned = False
        self.line: Line | None = None
        self.task: asyncio.Task[None] | None = None
        self.link: Link | None = None

    @property
    def prompt(self) -> bool:
        """Whether it must start at once or be given back, because a lane of it has a rate (C42)."""
        return must_start_at_once(self.job.placement.slot_key)

    @property
    def holder(self) -> Holder:
        """Who holds the job."""
        return Holder(job_id=self.job.facts.id, fence=self.job.fence)

    @property
    def parts(self) -> "Sequence[Held]":
        """The jobs that an end of this one ends: itself; of a call for several messages, those."""
        return (self,)


class Holdings:
    """All jobs held, shared between the worker's loop and the pulse."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, Held] = {}

    def __len__(self) -> int:
        return len(self._held)

    def get(self, job_id: str) -> Held | None:
        """The job of that id, if held."""
        return self._held.get(job_id)

    def add(self, batch: Sequence[Held]) -> list[Held]:
        """Adds claimed jobs; returns those that they supersede (held under an older fence)."""
        with self._lock:
            older = [old for held in batch if (old := self._held.get(held.job.facts.id)) is not None]
            self._held.update((held.job.facts.id, held) for held in batch)
        return older

    def remove(self, batch: Iterable[Held]) -> None:
        """Forgets jobs that are settled or lost."""
        with self._lock:
            for held in batch:
                if self._held.get(held.job.facts.id) is held:
                    del self._held[held.job.facts.id]

    def all(self) -> list[Held]:
        """A snapshot."""
        with self._lock:
            return list(self._held.values())

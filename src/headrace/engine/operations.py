"""What every face can do. HTTP, CLI, dashboard and MCP speak to this and to nothing below it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from headrace.core.filters import JobFilter, Page
from headrace.core.job import History, Job
from headrace.core.policy import Policy
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.stores.protocol import (
    Health,
    Inserted,
    JobPage,
    LogLine,
    ParkedCount,
    QueueState,
    Tally,
    WorkerHello,
)


class CancelAnswer(StrEnum):
    """What a cancel did: ended a waiting job, or asked a running one to stop."""

    ENDED = "ended"
    REQUESTED = "requested"


class Runs(StrEnum):
    """Where a handler runs."""

    ASYNC = "async"
    THREAD = "thread"
    PROCESS = "process"


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeInfo:
    """A job type as it can be shown and decided with, without its code.

    ``schema`` is the payload's JSON Schema.
    """

    name: str
    version: int
    queue: str
    priority: int
    runs: Runs
    policy: Policy
    schema: Mapping[str, Any]
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Numbers of jobs, from tallies kept with every transition."""

    tallies: tuple[Tally, ...]

    def count(self, *states: State) -> int:
        """How many jobs are in these states; all jobs if none is named."""
        return sum(one.count for one in self.tallies if not states or one.state in states)


class Operations(Protocol):
    """The engine as a face sees it, bound to one namespace."""

    @property
    def namespace(self) -> str:
        """The namespace all operations work in."""
        ...

    def now(self) -> int:
        """Store time in epoch milliseconds."""
        ...

    async def enqueue(self, requests: Sequence[EnqueueRequest]) -> Sequence[Inserted]:
        """Enqueues all requests or none, in order.

        Raises InvalidInput (InvalidPayload, UnknownJobType, TooLarge), DuplicateJob,
        IdempotencyMismatch, StoreError.
        """
        ...

    async def job(self, job_id: str) -> Job:
        """The job. Raises JobNotFound."""
        ...

    async def jobs(self, wanted: JobFilter, page: Page) -> JobPage:
        """A page of jobs, newest first."""
        ...

    async def history(self, job_id: str) -> History:
        """All attempts. Raises JobNotFound."""
        ...

    async def log_lines(self, job_id: str) -> Sequence[LogLine]:
        """What the job's handlers logged. Raises JobNotFound."""
        ...

    async def cancel(self, job_id: str) -> CancelAnswer:
        """Cancels a waiting job, asks a running one to stop. Raises JobNotFound, IllegalMove."""
        ...

    async def retry(self, job_id: str) -> Job:
        """Runs a failed or cancelled job again. Raises JobNotFound, IllegalMove, DuplicateJob."""
        ...

    async def wait(self, job_id: str, *, timeout_ms: int | None) -> Job:
        """The job once it has ended. Raises JobNotFound, WaitTimeout."""
        ...

    async def stats(self) -> Stats:
        """How many jobs there are by queue, type and state."""
        ...

    async def queues(self) -> Sequence[QueueState]:
        """All queues."""
        ...

    async def parked(self) -> Sequence[ParkedCount]:
        """What holds jobs back."""
        ...

    async def pause(self, queue: str) -> None:
        """No job of the queue starts until ``resume``; running ones go on."""
        ...

    async def resume(self, queue: str) -> None:
        """Lets the queue's jobs start again."""
        ...

    async def workers(self) -> Sequence[WorkerHello]:
        """The workers that are there."""
        ...

    async def job_types(self) -> Sequence[TypeInfo]:
        """Every job type that is registered here or was published by a worker, by name."""
        ...

    async def health(self) -> Health:
        """The store's state. Raises StoreError if it cannot serve."""
        ...

"""What every face can do. HTTP, CLI, dashboard and MCP speak to this and to nothing below it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from headrace.core.batch_request import NewBatch
from headrace.core.batch_wire import BatchView
from headrace.core.chunk import ChunkRule
from headrace.core.filters import JobFilter, Page
from headrace.core.job import History, Job
from headrace.core.limit_keys import KeyRules
from headrace.core.loop import LoopInfo
from headrace.core.policy import Policy
from headrace.core.request import EnqueueRequest
from headrace.core.schedule import Timing
from headrace.core.scheduled import Schedule
from headrace.core.states import State
from headrace.core.steps import Kept
from headrace.core.wire import Json
from headrace.engine.alert_operations import AlertOperations
from headrace.engine.audit_operations import AuditOperations
from headrace.engine.breaker_operations import BreakerOperations
from headrace.engine.dead_operations import DeadLetterOperations
from headrace.engine.event_operations import EventOperations
from headrace.engine.explain_operations import ExplainOperations
from headrace.engine.flow_operations import FlowOperations
from headrace.engine.limit_operations import LimitOperations
from headrace.engine.queue_operations import QueueOperations
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

    ``schema`` is the payload's JSON Schema. ``chunk`` is set for a type whose jobs are handed out in chunks.
    ``keys`` are the rules by which its jobs find their lanes; None for a type without any.
    """

    name: str
    version: int
    queue: str
    priority: int
    runs: Runs
    policy: Policy
    schema: Mapping[str, Any]
    description: str = ""
    chunk: ChunkRule | None = None
    keys: KeyRules | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Numbers of jobs, from tallies kept with every transition."""

    tallies: tuple[Tally, ...]

    def count(self, *states: State) -> int:
        """How many jobs are in these states; all jobs if none is named."""
        return sum(one.count for one in self.tallies if not states or one.state in states)


class Operations(
    AuditOperations,
    EventOperations,
    ExplainOperations,
    AlertOperations,
    BreakerOperations,
    DeadLetterOperations,
    FlowOperations,
    LimitOperations,
    QueueOperations,
    Protocol,
):
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
        IdempotencyMismatch, QueueFull, StoreError.
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

    async def steps(self, job_id: str) -> Kept:
        """What the job has kept of its steps, and the signals sent to it. Raises JobNotFound."""
        ...

    async def forget_steps(self, job_id: str) -> int:
        """Forgets the steps of a failed or cancelled job, so that a retry does all again.

        Returns how many there were. Its signals stay. Raises JobNotFound, IllegalMove.
        """
        ...

    async def signal(self, job_id: str, name: str, payload: Json = None, *, key: str | None = None) -> None:
        """Sends a signal to a job, and wakes it if it waits for one of that name.

        It is kept until the job waits for it. Of two with the same ``key`` the first stands, so that a repeat
        does no harm. Raises JobNotFound, IllegalMove for a job that has ended, InvalidInput, TooLarge.
        """
        ...

    async def replay(self, job_id: str, *, from_step: str | None = None) -> str:
        """Enqueues a new job that does again what an ended one did; returns its id.

        It begins with the steps that the old one kept before ``from_step`` (such as ``charge`` or
        ``page#2``), and carries the tag ``replay-of:<old id>``. Raises JobNotFound, IllegalMove for a job
        that has not ended, InvalidInput for a step that was not kept, DuplicateJob.
        """
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

    async def create_batch(self, new: NewBatch) -> BatchView:
        """Makes an open batch. Raises InvalidInput (UnknownJobType, InvalidPayload) for its callbacks."""
        ...

    async def add_to_batch(self, batch_id: str, requests: Sequence[EnqueueRequest]) -> Sequence[Inserted]:
        """Enqueues members, all or none. Raises BatchNotFound, BatchSealed, and what ``enqueue`` raises."""
        ...

    async def seal_batch(self, batch_id: str) -> None:
        """Closes the batch to new members; once all have ended it calls back. Raises BatchNotFound."""
        ...

    async def batch(self, batch_id: str) -> BatchView:
        """The batch and the numbers of its members, from one snapshot (C36). Raises BatchNotFound."""
        ...

    async def batches(self, page: Page) -> tuple[Sequence[BatchView], str | None]:
        """A page of batches, newest first, and the next cursor."""
        ...

    async def wait_for_batch(self, batch_id: str, *, timeout_ms: int | None) -> BatchView:
        """The batch once it is closed. Raises BatchNotFound, WaitTimeout."""
        ...

    async def cancel_batch(self, batch_id: str) -> int:
        """Seals it, cancels members that wait and asks running ones to stop; returns how many there were.

        Raises BatchNotFound; BatchClosed if all have ended.
        """
        ...

    async def retry_batch(self, batch_id: str) -> int:
        """Runs all failed members again and returns how many; a closed batch begins a new generation (C37).

        A member whose unique key another job holds by now stays failed. Raises BatchNotFound.
        """
        ...

    async def put_schedule(self, schedule_id: str, timing: Timing, request: EnqueueRequest) -> Schedule:
        """Makes a schedule or changes it. Instants that have passed never fire because of that (C35).

        With the instants it had it goes on where it was; a pause stays. Raises InvalidInput (UnknownJobType,
        InvalidPayload), also for a new schedule that has no instant to come; StoreError.
        """
        ...

    async def schedules(self) -> Sequence[Schedule]:
        """All schedules, by id. One that only another version can read has the rule ``Unknown``."""
        ...

    async def schedule(self, schedule_id: str) -> Schedule:
        """One schedule. Raises ScheduleNotFound."""
        ...

    async def pause_schedule(self, schedule_id: str) -> Schedule:
        """Nothing fires until it is resumed; what falls into a pause never does. Raises ScheduleNotFound."""
        ...

    async def resume_schedule(self, schedule_id: str) -> Schedule:
        """It fires again, from its next instant on. Raises ScheduleNotFound."""
        ...

    async def trigger_schedule(self, schedule_id: str) -> Inserted:
        """Makes its job now. The next instant stays, and so does a pause. Raises ScheduleNotFound."""
        ...

    async def remove_schedule(self, schedule_id: str) -> None:
        """Removes it: once this has returned nothing fires (C35). Raises ScheduleNotFound."""
        ...

    async def loops(self) -> Sequence[LoopInfo]:
        """All loops that were ever pinged, by name."""
        ...

    async def loop(self, name: str) -> LoopInfo | None:
        """One loop; None for one that was never pinged."""
        ...

    async def ping_loop(self, name: str) -> LoopInfo | None:
        """Has a loop look for rows, as its program does after a commit. None for one never pinged."""
        ...

    async def stop_loop(self, name: str) -> LoopInfo | None:
        """Stops a loop: pings do nothing until it is started. None for one that was never pinged."""
        ...

    async def start_loop(self, name: str) -> LoopInfo | None:
        """Lets a stopped loop run again; does nothing to any other. None for one that was never pinged."""
        ...

    async def health(self) -> Health:
        """The store's state. Raises StoreError if it cannot serve."""
        ...

"""What every store keeps, split by who needs it.

All methods are async and batch-first, take ``now`` as an argument and may be called from any
event loop of the process that opened the store. An *op* is atomic: all of it happens or none, and
nothing is handed out before it is durable in the store's tier. Numbers such as C12 are those of
``docs/contract.md``; the tests in ``tests/contract`` are named after them.

Every store raises only errors of ``headrace.errors``: StoreUnavailable, OutcomeUnknown, StoreFull,
StoreUnusable, and those named below.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from headrace.core.filters import JobFilter, Page
from headrace.core.flow import Edge
from headrace.core.job import History, Job, Transition
from headrace.core.states import State
from headrace.core.steps import Step
from headrace.stores.batching import BatchReader
from headrace.stores.chunking import ChunkStore
from headrace.stores.dead import DeadLetterStore
from headrace.stores.eventing import EventKeep, EventStore
from headrace.stores.flowing import FlowStore
from headrace.stores.lanes import LaneStore
from headrace.stores.lining import QueueStore, Room
from headrace.stores.standing import StandingReader
from headrace.stores.stepping import StepStore
from headrace.stores.transacting import Caller, Transactions
from headrace.stores.values import (
    Already,
    Applied,
    ApplyAnswer,
    ClaimRequest,
    Conflict,
    Health,
    Holder,
    Inserted,
    InsertKind,
    JobPage,
    LogLine,
    Lost,
    NewJob,
    Note,
    ParkedCount,
    QueueState,
    Receipt,
    Record,
    Register,
    Renewal,
    Stale,
    Swap,
    Tally,
    Tier,
    WorkerHello,
)

__all__ = [
    "Already",
    "Applied",
    "ApplyAnswer",
    "BatchReader",
    "Caller",
    "ClaimRequest",
    "Conflict",
    "EventKeep",
    "Health",
    "Holder",
    "InsertKind",
    "Inserted",
    "JobPage",
    "JobReader",
    "JobStore",
    "LogLine",
    "Lost",
    "NewJob",
    "Note",
    "ParkedCount",
    "Plumbing",
    "QueueStore",
    "QueueState",
    "Receipt",
    "Record",
    "Records",
    "Register",
    "Registers",
    "Renewal",
    "Renewer",
    "Room",
    "Stale",
    "StepStore",
    "Store",
    "Swap",
    "Tally",
    "Tier",
    "Transactions",
    "WorkerHello",
]


class JobStore(Protocol):
    """Writes of jobs."""

    async def insert(  # noqa: PLR0913 - all that one op inserts
        self,
        namespace: str,
        jobs: Sequence[NewJob],
        *,
        now: int,
        parent: Holder | None = None,
        swaps: Sequence[Swap] = (),
        steps: Sequence[Step] = (),
        edges: Sequence[Edge] = (),
        room: Room | None = None,
    ) -> Sequence[Inserted]:
        """Inserts all jobs and makes all swaps, or nothing, in order (C6).

        - A key held by a live job: answered as each job's ``on_conflict`` says (C28, C30);
          ``reject`` raises DuplicateJob for the whole call. Of two equal keys in one call the
          later is the newer.
        - ``replace`` changes payload and version, tags, priority, due time and rank of a holder that
          is pending and keeps its id, batch and created time. A blocked or processing holder is
          existing, and so is one of another type, whose handler would not understand the payload.
        - A receipt that is still good answers EXISTING with its job's id, even if that job has ended
          or was erased (C31). Another body raises IdempotencyMismatch.
        - With ``parent`` nothing is written unless that fence still holds (C12), else LeaseLost.
        - A swap whose revision does not match raises StaleRegister.
        - Each job that is inserted begins with ``steps`` as kept.
        - With ``room`` no bounded queue holds more waiting jobs than it may: raises QueueFull, or drops (C8).
        - Children that are inserted wait by ``edges``, on whoever stands for their parents; the revision of
          each parent is raised to ``WAITED_ON`` (C38a). Raises JobNotFound for a parent that is not there.
        """
        ...

    async def claim(self, request: ClaimRequest) -> Sequence[Job]:
        """Marks and returns due jobs, in the order priority (higher first), rank, seq (C10, C16, C17, C39).

        Each returned job is as ``core.place.claimed`` makes it. Paused queues, jobs that are not due
        and jobs with a cancel asked are passed over.
        """
        ...

    async def apply(
        self, transitions: Sequence[Transition], *, now: int, swaps: Sequence[Swap] = ()
    ) -> Sequence[ApplyAnswer]:
        """Writes each transition whose job still has the fence and revision it was decided for.

        A transition with ``expired_before`` (a rescue) is written only if, in the same op, the lease
        ended before that instant; otherwise it is stale (C14). A lease that goes on is never shortened: a
        renewal changes no revision, so one may have come since the job was read (C13).
        One answer per transition, in order; one row's answer never changes another's (C3, C5, C12).
        The swaps, of registers of the jobs' namespace, are made in the same op whatever the answers are; one
        whose revision does not match raises StaleRegister, and nothing is written.
        """
        ...

    async def note(self, notes: Sequence[Note], *, now: int) -> frozenset[str]:
        """Writes holders' notes; never changes ``revision``. Returns the ids whose lease is lost (C12)."""
        ...

    async def expired(self, *, now: int, limit: int) -> Sequence[Job]:
        """Running jobs whose lease ended before ``now``, of all namespaces, longest expired first."""
        ...

    async def erase(self, *, now: int, limit: int) -> int:
        """Deletes up to ``limit`` ended jobs whose ``erase_at`` has come, with all they own (C44).

        Members of a batch stay until it is closed: as long as its register has a ``due_at``.
        """
        ...

    async def erase_beyond(
        self, namespace: str, job_type: str, state: State, *, keep: int, limit: int
    ) -> int:
        """Deletes up to ``limit`` ended jobs of that type and state, never the newest ``keep``."""
        ...


class Renewer(Protocol):
    """Renews leases; handed out by ``renewer()`` for a thread and event loop of its own."""

    async def renew(self, holders: Sequence[Holder], *, now: int, lease_until: int) -> Renewal:
        """Moves the leases of all holders whose fence still holds (C12, C13); changes no revision.

        Goes ahead of other waiting writes.
        """
        ...


class JobReader(Protocol):
    """Reads of jobs. Every read is one snapshot."""

    async def get(self, namespace: str, ids: Sequence[str]) -> Mapping[str, Job]:
        """The jobs that exist, by id."""
        ...

    async def find(self, namespace: str, wanted: JobFilter, page: Page) -> JobPage:
        """A page of jobs, newest first. A job that stays in the filter is shown exactly once (C48)."""
        ...

    async def tallies(self, namespace: str) -> Sequence[Tally]:
        """How many jobs there are by queue, type and state; costs O(queues x types)."""
        ...

    async def history(self, namespace: str, job_id: str) -> History:
        """All attempts of a job. Raises JobNotFound."""
        ...

    async def log_lines(self, namespace: str, job_id: str) -> Sequence[LogLine]:
        """What the job's handlers logged, oldest first. Raises JobNotFound."""
        ...

    async def parked(self, namespace: str) -> Sequence[ParkedCount]:
        """Which lanes hold how many jobs back."""
        ...


class Registers(Protocol):
    """Small named values with compare-and-set."""

    async def read(self, namespace: str, keys: Sequence[str]) -> Mapping[str, Register]:
        """The registers that exist, by key."""
        ...

    async def scan(self, namespace: str, prefix: str) -> Sequence[Register]:
        """All registers whose key begins so, in key order."""
        ...

    async def due(self, kind: str, *, now: int, limit: int) -> Sequence[tuple[str, Register]]:
        """Registers of all namespaces whose ``due_at`` has come, each with its namespace, the earliest first.

        A register's kind is what stands in its key before the first colon; without a colon, all of it.
        """
        ...

    async def swap(self, namespace: str, swaps: Sequence[Swap]) -> bool:
        """Makes all swaps or none; False if any revision did not match."""
        ...


class Records(Protocol):
    """Keyed JSON texts by kind."""

    async def append(self, namespace: str, kind: str, records: Sequence[Record]) -> None:
        """Writes the records; one with the same key is replaced."""
        ...

    async def records(self, namespace: str, kind: str, keys: Sequence[str]) -> Mapping[str, Record]:
        """The records that exist, by key."""
        ...

    async def list_records(
        self, namespace: str, kind: str, page: Page
    ) -> tuple[Sequence[Record], str | None]:
        """A page of records, newest first, and the next cursor."""
        ...

    async def remove_records(self, namespace: str, kind: str, keys: Sequence[str]) -> int:
        """Removes the records named; returns how many there were."""
        ...

    async def trim(self, *, now: int, limit: int) -> int:
        """Deletes up to ``limit`` records of all namespaces and kinds whose ``until`` has passed."""
        ...


class Plumbing(Protocol):
    """Set-up, health, queues, workers, wake-ups."""

    async def migrate(self) -> int:
        """Brings the schema up to date; returns its number. Two migrators at once are safe (C50)."""
        ...

    async def migration_plan(self) -> str:
        """The SQL that ``migrate`` would run; empty if the schema is up to date."""
        ...

    async def check(self) -> Health:
        """Reads the store's state from the live store. Raises StoreError if it cannot serve."""
        ...

    async def now(self) -> int:
        """The store's time."""
        ...

    async def incarnation(self) -> str:
        """Changes when the store comes back as another server: a restart, a new primary (C21)."""
        ...

    async def queues(self, namespace: str) -> Sequence[QueueState]:
        """Every queue that has or had jobs or settings, by name."""
        ...

    async def set_paused(self, namespace: str, queue: str, *, paused: bool) -> None:
        """Pauses or resumes a queue. After the pause is acknowledged no claim of it succeeds (C43)."""
        ...

    async def hello(self, hello: WorkerHello) -> None:
        """Notes a worker as alive, and unparks the jobs that waited for one of its types."""
        ...

    async def goodbye(self, namespace: str, worker: str) -> None:
        """Forgets a worker that has stopped."""
        ...

    async def workers(self, namespace: str) -> Sequence[WorkerHello]:
        """The workers that said hello and not goodbye, latest first."""
        ...

    async def unpark_known(self, *, now: int) -> int:
        """Unparks jobs whose unknown type a live worker (seen since ``now`` - 60 s) knows by now."""
        ...

    def wake(self, namespace: str, queues: frozenset[str]) -> None:
        """Hints that there is work on these queues. Never blocks, may be lost (C47)."""
        ...

    async def woken(self, namespace: str, queues: frozenset[str] | None, *, timeout_ms: int) -> bool:
        """Waits for a hint about one of these queues (None: any), or for the time-out; True if hinted.

        A hint given between two calls is not lost: the next call returns at once.
        """
        ...

    async def close(self) -> None:
        """Finishes what was accepted and closes. Idempotent."""
        ...


class Store(
    JobStore,
    ChunkStore,
    JobReader,
    StandingReader,
    StepStore,
    BatchReader,
    DeadLetterStore,
    EventStore,
    FlowStore,
    LaneStore,
    Registers,
    Records,
    Transactions,
    QueueStore,
    Plumbing,
    Protocol,
):
    """Everything a store does."""

    def renewer(self) -> AbstractAsyncContextManager[Renewer]:
        """A renewer for the event loop of the calling thread, with its own way to the store."""
        ...

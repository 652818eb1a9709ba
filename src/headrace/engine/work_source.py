"""What a worker asks for, what it is answered, and where its work comes from."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from headrace.clock import Clock
from headrace.core.flow import Parent
from headrace.core.job import Job
from headrace.core.outcomes import Report
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.core.steps import Kept
from headrace.core.value import value
from headrace.engine.chunk_work import ClaimsChunks
from headrace.engine.operations import TypeInfo
from headrace.engine.transactions import Completion, Work
from headrace.stores.protocol import Holder, Note, QueueState, Renewer, WorkerHello


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a worker asks for: per queue how many jobs at most, ``limit`` in all, leased for ``lease_ms``.

    ``prompt`` is how many of them could start at once; None: all. Jobs of lanes with a rate are claimed only
    for these.
    """

    worker: str
    queues: Mapping[str, int]
    types: frozenset[str]
    limit: int
    lease_ms: int
    prompt: int | None = None


@value
class Reported:
    """The answer to a report: the state the job is in by it, or that the lease was lost."""

    job_id: str
    lost: bool
    state: State | None = None
    due_at: int | None = None


class WorkSource(ClaimsChunks, Protocol):
    """Where a worker's work comes from and where its outcomes go."""

    @property
    def namespace(self) -> str:
        """The namespace the worker serves."""
        ...

    @property
    def clock(self) -> Clock:
        """Store time."""
        ...

    async def publish(self, infos: Sequence[TypeInfo]) -> None:
        """Makes the worker's job types known."""
        ...

    async def resample(self) -> int:
        """Takes a fresh sample of store time; returns by how many milliseconds the clock was behind it."""
        ...

    async def queues(self) -> Sequence[QueueState]:
        """All queues: which there are to serve, and which are paused."""
        ...

    async def claim(self, claim: Claim) -> Sequence[Job]:
        """Claims due jobs."""
        ...

    async def report(self, reports: Sequence[Report]) -> Sequence[Reported]:
        """Takes the outcomes of attempts, decides, and writes them; one answer each, in order.

        A report sent again after a lost reply gives the first answer's effect.
        """
        ...

    async def note(self, notes: Sequence[Note]) -> frozenset[str]:
        """Writes holders' notes; returns the ids whose lease is lost."""
        ...

    async def enqueue(self, parent: Holder, requests: Sequence[EnqueueRequest]) -> tuple[str, ...]:
        """Enqueues children of a running job, if its lease holds. Raises LeaseLost, InvalidInput."""
        ...

    async def parents(self, holder: Holder) -> tuple[Parent, ...]:
        """The parents of the holder's job, in the order in which it named them. Raises TooLarge."""
        ...

    async def kept(self, holder: Holder) -> Kept:
        """What the holder's job has kept of its steps, and its signals. Raises LeaseLost if it is gone."""
        ...

    async def transaction(self, holder: Holder, work: Work, completion: Completion) -> object:
        """Runs ``work`` in a transaction that also completes the holder's job; returns its value.

        Raises LeaseLost, and what ``work`` raises; then nothing was written. OutcomeUnknown: reporting the
        attempt tells. MisuseError where this source has no transactions.
        """
        ...

    def renewer(self) -> AbstractAsyncContextManager[Renewer]:
        """A renewer for the event loop of the calling thread."""
        ...

    async def hello(self, hello: WorkerHello) -> None:
        """Says that the worker is alive."""
        ...

    async def goodbye(self, worker: str) -> None:
        """Says that the worker has stopped."""
        ...

    async def woken(self, queues: frozenset[str] | None, *, timeout_ms: int) -> bool:
        """Waits for a hint of work, or for the time-out."""
        ...

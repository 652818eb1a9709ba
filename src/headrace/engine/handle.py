"""What an enqueue returns: a handle on the job."""

import json
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

from headrace.core.decide import PARENT_FAILED
from headrace.core.job import Job
from headrace.core.states import State
from headrace.engine.operations import CancelAnswer, Operations
from headrace.engine.portal import Portal
from headrace.errors import JobCancelled, JobFailed
from headrace.stores.protocol import InsertKind

if TYPE_CHECKING:
    from headrace.engine.codec import ReadsResults

R = TypeVar("R")


class HandleSource(Protocol):
    """Where a handle reaches its job."""

    @property
    def portal(self) -> Portal:
        """For the synchronous calls."""
        ...

    async def operations(self) -> Operations:
        """The engine, opened."""
        ...


class Handle(Generic[R]):
    """A job that was enqueued. ``kind`` says whether it is new, was there before, or was replaced."""

    def __init__(
        self, source: HandleSource, job_id: str, kind: InsertKind, results: "ReadsResults | None"
    ) -> None:
        self.id = job_id
        self.kind = kind
        self._source = source
        self._results = results

    def __repr__(self) -> str:
        return f"Handle({self.id!r}, {self.kind.value})"

    async def job(self) -> Job:
        """The job as it is now. Raises JobNotFound."""
        return await (await self._source.operations()).job(self.id)

    async def cancel(self) -> CancelAnswer:
        """Cancels the job, or asks it to stop if it runs. Raises IllegalMove if it has ended."""
        return await (await self._source.operations()).cancel(self.id)

    async def result(self, timeout: float | None = None) -> R:
        """What the handler returned, once it has.

        ``timeout`` is in seconds. Raises JobFailed, JobCancelled, WaitTimeout, Undecodable.
        """
        operations = await self._source.operations()
        job = await operations.wait(self.id, timeout_ms=None if timeout is None else round(timeout * 1000))
        if job.state is State.CANCELLED:
            raise JobCancelled(self.id, _reason(job))
        if job.state is State.FAILED:
            raise _failure(job)
        if self._results is None:
            return cast("R", job.placement.result)
        return self._results.decode_result(job.placement.result)

    def result_sync(self, timeout: float | None = None) -> R:
        """As ``result``, for callers without an event loop."""
        return self._source.portal.call(lambda: self.result(timeout))


def _reason(job: Job) -> str:
    """Why a job was cancelled that never ran; nothing where somebody asked for it."""
    kept: dict[str, str] = json.loads(job.placement.error or "{}")
    return kept.get("message", "") if kept.get("type") == PARENT_FAILED else ""


def _failure(job: Job) -> JobFailed:
    kept: dict[str, str] = json.loads(job.placement.error or "{}")
    return JobFailed(job.id, kept.get("type", "unknown"), kept.get("message", "no error was kept"))

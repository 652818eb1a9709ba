"""A context for a handler that runs without a worker, and what the handler told it."""

import json
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from headrace.core.request import EnqueueRequest
from headrace.engine.context import Context, JobInfo
from headrace.files.protocol import FileStore

JOB_ID = "019b7f2e-0000-7000-8000-000000000001"


@dataclass(slots=True)
class Told:
    """The worker's side: notes everything, and does at once what it is asked for."""

    cancelled: bool = False
    renewed_at: float = 0.0
    progress_notes: list[dict[str, Any]] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    checkpoints: list[Any] = field(default_factory=list)
    enqueued: list[tuple[EnqueueRequest, ...]] = field(default_factory=list)
    refuse_enqueue: BaseException | None = None

    def progress(self, progress: str) -> None:
        self.progress_notes.append(json.loads(progress))

    def log(self, level: str, message: str, data: str | None) -> None:
        self.lines.append((level, message))

    def checkpoint(self, data: str) -> "Future[None]":
        self.checkpoints.append(json.loads(data))
        return _done(None)

    def enqueue(self, requests: Sequence[EnqueueRequest]) -> "Future[tuple[str, ...]]":
        if self.refuse_enqueue is not None:
            future: Future[tuple[str, ...]] = Future()
            future.set_exception(self.refuse_enqueue)
            return future
        self.enqueued.append(tuple(requests))
        return _done(tuple(f"child-{index}" for index, _ in enumerate(requests)))

    @property
    def requests(self) -> list[EnqueueRequest]:
        return [request for chunk in self.enqueued for request in chunk]


def a_context(
    told: Told | None = None,
    *,
    job_type: str = "job",
    attempt: int = 1,
    saved: Any = None,
    files: FileStore | None = None,
) -> Context:
    job = JobInfo(
        id=JOB_ID,
        namespace="default",
        type=job_type,
        version=1,
        queue="default",
        attempt=attempt,
        max_attempts=5,
        created_at=1_767_225_600_000,
    )
    return Context(job, told or Told(), saved=saved, files=files)


def _done(value):
    future = Future()
    future.set_result(value)
    return future

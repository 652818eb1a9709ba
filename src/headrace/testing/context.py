"""A context for a handler that runs without a worker: it does at once what it is asked for, and notes it."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from headrace.core import wire
from headrace.core.flow import Parent
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.core.steps import Kept, Signal, Step, StepKind
from headrace.core.wire import Json
from headrace.engine.context import Context, JobInfo
from headrace.errors import MisuseError
from headrace.files.protocol import FileStore

T = TypeVar("T")

JOB: Final = JobInfo(
    id="00000000-0000-7000-8000-000000000001",
    namespace="default",
    type="job",
    version=1,
    queue="default",
    attempt=1,
    max_attempts=3,
    created_at=1_767_225_600_000,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line that a handler logged."""

    level: str
    message: str
    data: dict[str, Any]


def a_parent(result: Json = None, *, job_type: str = "job", error: str | None = None) -> Parent:
    """A parent for ``FakeContext(parents=[...])``: it returned ``result``, or failed with ``error``."""
    if error is not None:
        kept = json.dumps({"type": "Error", "message": error})
        return Parent(number=0, id="parent", type=job_type, state=State.FAILED, error=kept)
    text = wire.encode(result, what="result")
    return Parent(number=0, id="parent", type=job_type, state=State.COMPLETED, result=text)


class FakeContext(Context):
    """What a handler receives from ``run_job``; afterwards it tells what the handler said.

    ``attempt``, ``saved``, ``files`` and ``deps`` are what the handler finds, ``parents`` (``a_parent``) what
    its parents returned. Children that it enqueues get
    made-up ids and run nowhere. Steps, sleeps and waits behave as in a worker: see ``run_job``.
    """

    def __init__(  # noqa: PLR0913 - what a handler may find
        self,
        *,
        attempt: int = 1,
        saved: Json = None,
        files: FileStore | None = None,
        deps: object = None,
        job: JobInfo = JOB,
        parents: Sequence[Parent] = (),
    ) -> None:
        self.told = Told(now=job.created_at)
        self.told.waited_for = tuple(parents)
        super().__init__(replace(job, attempt=attempt), self.told, saved=saved, files=files, deps=deps)

    @property
    def cancelled(self) -> bool:
        """Whether the job is asked to stop. May be set, before or while the handler runs."""
        return self.told.cancelled

    @cancelled.setter
    def cancelled(self, asked: bool) -> None:
        self.told.cancelled = asked

    @property
    def progressed(self) -> list[dict[str, Any]]:
        """Every progress that was told, oldest first."""
        return self.told.progressed

    @property
    def lines(self) -> list[Line]:
        """Every line that was logged."""
        return self.told.lines

    @property
    def checkpoints(self) -> list[Any]:
        """Every checkpoint, oldest first; the next attempt would find the last one as ``saved``."""
        return self.told.checkpoints

    @property
    def enqueued(self) -> list[EnqueueRequest]:
        """The jobs that the handler enqueued with ``ctx.enqueue``."""
        return self.told.enqueued

    @property
    def steps(self) -> dict[str, Any]:
        """The values of the steps that were done, by name; the second of a name is called ``name#2``."""
        done = (step for step in self.told.steps if step.kind is StepKind.STEP)
        return {step.label: None if step.value is None else json.loads(step.value) for step in done}

    @property
    def slept(self) -> float:
        """How many seconds of made-up time have passed in sleeps and waits."""
        return (self.told.now - self.job.created_at) / 1000

    def signal(self, name: str, payload: Json = None) -> None:
        """Sends a signal to the handler, for its ``ctx.wait_for``."""
        number = len(self.told.signals) + 1
        text = wire.encode(payload, what="signal")
        self.told.signals.append(Signal(id=f"signal-{number}", name=name, at=self.told.now, payload=text))

    def wake(self, until: int) -> None:
        """Lets the made-up time pass up to an instant; the handler is about to begin anew."""
        self.told.now = max(self.told.now, until)
        self._steps = None

    def again(self) -> "FakeContext":
        """The context of the next attempt after a crash: checkpoint, steps and signals are kept."""
        saved: Json = self.told.checkpoints[-1] if self.told.checkpoints else self.saved
        job = replace(self.job, attempt=self.job.attempt + 1)
        after = FakeContext(attempt=job.attempt, saved=saved, files=self._files, deps=self.deps, job=job)
        after.told.now = self.told.now
        after.told.waited_for = self.told.waited_for
        after.told.steps += self.told.steps
        after.told.signals += self.told.signals
        return after


class Told:
    """The link of a fake context. Everything that is asked for is done when the call returns."""

    def __init__(self, *, now: int) -> None:
        self.now = now
        self.cancelled = False
        self.renewed_at = 0.0
        self.fence = 1
        self.progressed: list[dict[str, Any]] = []
        self.lines: list[Line] = []
        self.checkpoints: list[Any] = []
        self.enqueued: list[EnqueueRequest] = []
        self.steps: list[Step] = []
        self.signals: list[Signal] = []
        self.waited_for: tuple[Parent, ...] = ()

    def progress(self, progress: str) -> None:
        self.progressed.append(json.loads(progress))

    def log(self, level: str, message: str, data: str | None) -> None:
        self.lines.append(Line(level=level, message=message, data={} if data is None else json.loads(data)))

    def checkpoint(self, data: str) -> "Future[None]":
        self.checkpoints.append(json.loads(data))
        return _done(None)

    def enqueue(self, requests: Sequence[EnqueueRequest]) -> "Future[tuple[str, ...]]":
        first = len(self.enqueued) + 1
        self.enqueued += requests
        return _done(tuple(f"child-{number}" for number in range(first, first + len(requests))))

    def transaction(self, fn: Callable[[Any], Any]) -> "Future[Any]":
        del fn
        msg = "run_job has no store to write to: test ctx.transaction with drain(app), on a store of its own"
        raise MisuseError(msg)

    def parents(self) -> "Future[tuple[Parent, ...]]":
        return _done(self.waited_for)

    def kept(self) -> "Future[Kept]":
        return _done(Kept(now=self.now, steps=tuple(self.steps), signals=tuple(self.signals)))

    def keep(self, step: Step) -> "Future[None]":
        self.steps = [one for one in self.steps if one.number != step.number]
        self.steps.append(step)
        return _done(None)


def _done(value: T) -> "Future[T]":
    future: Future[T] = Future()
    future.set_result(value)
    return future

"""What a job keeps of its steps, sleeps and waits, and what follows from it for the next attempt.

A step is found again by its kind, its name and its occurrence: the how-manieth of that name it is in
the attempt. So a handler must call its steps in the same order every time, or name them apart.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from headrace.core.job import Job
from headrace.core.states import State
from headrace.core.wire import MAX_INSTANT_MS
from headrace.errors import InvalidInput, TooLarge

MAX_STEPS: Final = 10_000
"""So many steps, sleeps and waits one job may keep."""

MAX_STEP_BYTES: Final = 256 * 1024
MAX_KEPT_BYTES: Final = 16 * 1024 * 1024
"""The values of all steps of a job together: the first step of an attempt reads them all."""

MAX_SIGNALS: Final = 1_000
MAX_SIGNAL_BYTES: Final = 64 * 1024

IN_PLACE_MS: Final = 1_000
"""A shorter sleep is slept where it stands: leaving the worker and coming back would take as long."""


class StepKind(StrEnum):
    """What is kept."""

    STEP = "step"
    SLEEP = "sleep"
    WAIT = "wait"


StepKey = tuple[StepKind, str, int]
"""Kind, name, occurrence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One kept step of a job. ``number`` is the order in which they were kept, from 1.

    A step has ended when it is kept, with its ``value`` (a JSON text). A sleep is over at ``until``. A wait
    is open until ``ended_at``: ended with the payload of ``signal`` as its value, or without a value when
    ``until`` had come. ``fence`` is that of the attempt that waits.
    """

    number: int
    kind: StepKind
    name: str
    occurrence: int
    at: int
    ended_at: int | None = None
    until: int | None = None
    fence: int | None = None
    signal: str | None = None
    value: str | None = None

    @property
    def key(self) -> StepKey:
        """By what a repeated attempt finds it."""
        return self.kind, self.name, self.occurrence

    @property
    def label(self) -> str:
        """Its name; with its occurrence from the second on, such as ``page#2``."""
        return self.name if self.occurrence == 1 else f"{self.name}#{self.occurrence}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A message sent to a job. ``id`` tells two sendings apart; ``payload`` is a JSON text."""

    id: str
    name: str
    at: int
    payload: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """All that a job has kept at the instant ``now``: steps by their number, signals as they came."""

    now: int
    steps: tuple[Step, ...] = ()
    signals: tuple[Signal, ...] = ()


class Book:
    """The steps of a job as one attempt knows them: those it found, and those it keeps."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self._steps = {step.key: step for step in steps}
        self._bytes = sum(map(_size, self._steps.values()))

    def find(self, key: StepKey) -> Step | None:
        """What is kept under this key."""
        return self._steps.get(key)

    def begin(self, key: StepKey, at: int) -> Step:
        """A step that is not kept yet. Raises TooLarge if the job may keep no further one."""
        if len(self._steps) >= MAX_STEPS:
            msg = f"a job keeps at most {MAX_STEPS} steps; let one step do more, or use several jobs"
            raise TooLarge(msg, field="step")
        kind, name, occurrence = key
        return Step(number=self._next_number(), kind=kind, name=name, occurrence=occurrence, at=at)

    def keep(self, step: Step) -> Step:
        """The step under the number it is to be kept. Raises TooLarge beyond the bytes a job may keep."""
        known = self._steps.get(step.key)
        # others may have been kept since it began
        kept = replace(step, number=self._next_number() if known is None else known.number)
        size = self._bytes + _size(kept) - (0 if known is None else _size(known))
        if size > MAX_KEPT_BYTES:
            msg = f"the steps of a job keep at most {MAX_KEPT_BYTES} bytes; store large data as files"
            raise TooLarge(msg, field="step")
        self._bytes = size
        self._steps[kept.key] = kept
        return kept

    def unheard(self, signals: Sequence[Signal], name: str) -> Signal | None:
        """The first signal of that name that no wait has consumed."""
        heard = {step.signal for step in self._steps.values()}
        return next((one for one in signals if one.name == name and one.id not in heard), None)

    def _next_number(self) -> int:
        return 1 + max((step.number for step in self._steps.values()), default=0)


def deadline(now: int, timeout_ms: int | None) -> int:
    """Until when a wait or a sleep lasts; without a time-out, for as long as instants go."""
    return MAX_INSTANT_MS if timeout_ms is None else min(now + timeout_ms, MAX_INSTANT_MS)


def awaited(job: Job, kept: Kept) -> Step | None:
    """The wait for which the job has left its worker; None if it runs, or waits for anything else.

    A retry's back-off is no such wait, nor is a sleep: a signal cuts neither short.
    """
    if job.state is not State.PENDING:
        return None
    for step in reversed(kept.steps):
        if step.kind is StepKind.WAIT and step.ended_at is None and step.fence == job.fence:
            return step if step.until == job.placement.due_at else None
    return None


def has_come(kept: Kept, name: str) -> bool:
    """Whether a signal of that name is there for a wait that is still open."""
    return Book(kept.steps).unheard(kept.signals, name) is not None


def carried(kept: Kept, from_step: str | None) -> tuple[Step, ...]:
    """The steps that a replay from ``from_step`` (a label) need not do again: those kept before it.

    None: it does all again. Raises InvalidInput for a step that the job has not kept.
    """
    if from_step is None:
        return ()
    chosen = next((step for step in kept.steps if step.label == _plain(from_step)), None)
    if chosen is None:
        labels = ", ".join(step.label for step in kept.steps[:20]) or "none"
        msg = f"the job has kept no step {from_step[:80]!r}; it has kept: {labels}"
        raise InvalidInput(msg, field="fromStep")
    before = [step for step in kept.steps if step.number < chosen.number and not _open(step)]
    # signals stay with their job, whose ids mean nothing to the new one
    return tuple(
        replace(step, number=number, fence=None, signal=None) for number, step in enumerate(before, start=1)
    )


def _open(step: Step) -> bool:
    return step.kind is StepKind.WAIT and step.ended_at is None


def _plain(label: str) -> str:
    return label.removesuffix("#1")


def _size(step: Step) -> int:
    return 0 if step.value is None else len(step.value.encode())

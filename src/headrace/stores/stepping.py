"""Steps and signals in a store. They are written by holders' notes, by ``insert`` and by ``signal``."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final, Protocol

from headrace.core.steps import Kept, Signal, Step, StepKind

KINDS: Final = {kind.value: kind for kind in StepKind}

# In the order in which every SQL store writes and selects them.
step_columns: Final[Callable[[Step], tuple[object, ...]]] = attrgetter(
    "number", "kind", "name", "occurrence", "at", "ended_at", "until", "fence", "signal", "value"
)


class StepStore(Protocol):
    """What jobs have kept of their steps, and the signals sent to them. Both go when the job is erased."""

    async def kept(self, namespace: str, job_id: str, *, now: int) -> Kept:
        """Steps in the order they were kept, signals in the order they came. Raises JobNotFound."""
        ...

    async def signal(self, namespace: str, job_id: str, signal: Signal) -> None:
        """Writes a signal to a job, if there is one; of two with the same id the first stands.

        Changes no job: who sends it wakes the job afterwards.
        """
        ...

    async def forget_steps(self, namespace: str, job_id: str, *, revision: int) -> int | None:
        """Removes what an ended job has kept of its steps; signals stay. Returns how many there were.

        None: the job is not there, has not ended, or has another revision by now.
        """
        ...


def step_of(row: Sequence[Any]) -> Step:
    """The step of a row."""
    number, kind, name, occurrence, at, ended_at, until, fence, signal, value = row
    return Step(
        number=number,
        kind=KINDS[kind],
        name=name,
        occurrence=occurrence,
        at=at,
        ended_at=ended_at,
        until=until,
        fence=fence,
        signal=signal,
        value=value,
    )


def signal_of(row: Sequence[Any]) -> Signal:
    """The signal of a row: id, name, at, payload."""
    signal_id, name, at, payload = row
    return Signal(id=signal_id, name=name, at=at, payload=payload)

"""The log of what happens to jobs, and what handlers logged, read as it grows.

A namespace keeps a log of changes if somebody switched that on. While it is off its jobs cost nothing more
than they would without logs. While it is on, every op that changes a job writes the change with it: whoever
does it, in whatever program, also in the transaction of a caller.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from headrace.core.events import Change, EventFilter
from headrace.stores.rows import OUTCOMES, STATES
from headrace.stores.values import LogLine

LOOK: Final = 2_000
"""So many changes are looked at in one read, whether they fit or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventKeep:
    """How long changes are kept, in milliseconds, and how many of the newest at most."""

    keep_ms: int
    keep_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedChange:
    """A change with its cursor, after which a later read goes on."""

    cursor: str
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePage:
    """Part of a log, oldest first. ``cursor`` is how far was looked, ``at_end`` whether that was all."""

    changes: tuple[LoggedChange, ...]
    cursor: str
    at_end: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTail:
    """Log lines of a job after a number, and the number to go on with."""

    lines: tuple[LogLine, ...]
    number: int


class EventStore(Protocol):
    """The logs of changes, and the tails of jobs' own logs."""

    async def keep_events(self, namespace: str, keep: EventKeep | None) -> None:
        """Switches the namespace's log on, or changes what it keeps; None switches it off and drops it.

        Every change by an op that begins after this has returned is in the log. Raises StoreUnavailable
        where a transaction that is open keeps the store from doing so.
        """
        ...

    async def events_kept(self, namespace: str) -> EventKeep | None:
        """What the namespace's log keeps; None while it is off."""
        ...

    async def changes(self, namespace: str, after: str, wanted: EventFilter) -> ChangePage:
        """Changes after a cursor, ``now`` or ``oldest``, in order of their transactions; those that fit.

        What is read is final: no change ever comes to lie before the cursor that is returned. For ``now``
        nothing is read but its cursor. ``wanted.kinds`` is not looked at. Raises EventLogOff, CursorTooOld,
        InvalidInput for what is no cursor of this log.
        """
        ...

    async def trim_events(self, *, now: int, limit: int) -> int:
        """Deletes changes of all namespaces that are too old or too many, up to ``limit`` of each."""
        ...

    async def log_tail(self, namespace: str, job_id: str, *, after: int | None, limit: int) -> LogTail:
        """Up to ``limit`` lines after a number (None: the latest ``limit``). Raises JobNotFound."""
        ...


def change_of_row(row: Sequence[Any]) -> Change:
    """The change of a row: the columns after its number, in the order in which they are selected."""
    (
        at, job_id, queue, kind, batch_id, state, generation, charged, ended_generation, due_at, worker,
        outcome, error, progress,
    ) = row  # fmt: skip
    return Change(
        at=at,
        job_id=job_id,
        queue=queue,
        type=kind,
        batch_id=batch_id,
        state=STATES[state],
        generation=generation,
        charged=charged,
        ended_generation=ended_generation,
        due_at=due_at,
        worker=worker,
        outcome=None if outcome is None else OUTCOMES[outcome],
        error=error,
        progress=progress,
    )

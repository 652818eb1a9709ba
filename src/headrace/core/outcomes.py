"""Everything that can happen to a job after it was inserted.

A holder reports an outcome of its attempt; upkeep, operators and parents bring events. Both go
through ``headrace.core.decide``.
"""

import json
from typing import Final

from headrace.core.backoff import Backoff
from headrace.core.policy import ErrorClass
from headrace.core.states import State
from headrace.core.value import value

MAX_MESSAGE_CHARS: Final = 4_000
MAX_TRACEBACK_CHARS: Final = 16_000


@value
class ErrorInfo:
    """What is kept of an error: names and text, never an object to be rebuilt."""

    type: str
    message: str
    error_class: ErrorClass = ErrorClass.TRANSIENT
    traceback: str | None = None
    retry_after_ms: int | None = None

    def dumps(self) -> str:
        """The error as a JSON text, with message and traceback cut to their limits.

        The end of a traceback is kept, since that is where the fault is named.
        """
        fields: dict[str, object] = {
            "type": showable(self.type),
            "message": showable(self.message[:MAX_MESSAGE_CHARS]),
            "class": self.error_class.value,
        }
        if self.traceback:
            fields["traceback"] = showable(self.traceback[-MAX_TRACEBACK_CHARS:])
        return json.dumps(fields)


def showable(text: str) -> str:
    """The text with lone surrogates spelled out, which no face could encode."""
    return text.encode(errors="backslashreplace").decode()


@value
class Succeeded:
    """The handler returned. ``result`` is its value as a JSON text, None for no value."""

    result: str | None = None


@value
class Failed:
    """The handler raised, or passed its time limit (``ErrorClass.TIMEOUT``).

    ``backoff`` is set where the job type maps this very error to a back-off of its own.
    """

    error: ErrorInfo
    backoff: Backoff | None = None


@value
class Snoozed:
    """The handler asked to come back later."""

    delay_ms: int
    reason: str = ""


@value
class Suspended:
    """The handler sleeps, or waits for ``signal``, until an instant; what it did so far is kept as steps."""

    until: int
    reason: str = ""
    signal: str | None = None


@value
class Released:
    """The holder gives the job back: shutdown, pause, an outage. Costs the job nothing."""

    reason: str


@value
class Parked:
    """The holder cannot run this job, others can: it waits on ``lane`` for them. Costs the job nothing."""

    lane: str


@value
class Crashed:
    """The child process in which this job ran alone died; its parent saw it."""

    error: ErrorInfo


@value
class Stopped:
    """The handler ended because it was asked to, or because it raised ``Cancel``."""

    reason: str = ""


Outcome = Succeeded | Failed | Snoozed | Suspended | Released | Parked | Crashed | Stopped


@value
class Rescued:
    """The lease ran out and a rescuer takes the job away from its holder."""


@value
class CancelAsked:
    """Somebody asks for the job to be cancelled."""


@value
class RetryAsked:
    """Somebody asks for an ended job to run again."""


@value
class RedriveAsked:
    """Somebody asks for a dead letter to run again, with another priority or later if that is said."""

    priority: int | None = None
    delay_ms: int = 0


@value
class DealtWith:
    """Somebody discards a dead letter, or puts another job in its place."""


@value
class Dropped:
    """A newer job takes the place of a waiting one, because its queue is full."""


@value
class Unblocked:
    """What the job waited for has come."""


@value
class Signalled:
    """A signal was sent to a job that runs, or that waits for it."""


@value
class ParentFailed:
    """What the job waited for has ended, and this parent did not complete. ``state`` is the one it is in."""

    parent_id: str
    parent_type: str
    state: State


Event = (
    Outcome
    | Rescued
    | CancelAsked
    | RetryAsked
    | RedriveAsked
    | DealtWith
    | Dropped
    | Unblocked
    | ParentFailed
    | Signalled
)


@value
class Report:
    """What a holder says at the end of an attempt.

    ``started_at`` is when the handler started; None if it never did (the job was given back
    from the buffer), which is counted but not listed in the history.
    """

    job_id: str
    fence: int
    started_at: int | None
    ended_at: int
    outcome: Outcome

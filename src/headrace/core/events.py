"""Events: what happened to jobs, in words for those who follow along.

A store keeps changes as columns, this process sees decided transitions; both become a ``Change`` here, and
here alone it is said which events a change means.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never, cast

from headrace.core.filters import dump_cursor, load_cursor
from headrace.core.job import AttemptOutcome, Facts, Job, Placement, Transition
from headrace.core.states import State
from headrace.core.wire import Json, to_iso
from headrace.errors import InvalidInput


class EventKind(StrEnum):
    """What an event tells.

    ``active``: a worker has claimed the job. ``attempt_failed``: an attempt ended badly, whatever becomes of
    the job. ``retrying``: it waits for another attempt. ``stalled``: its worker was lost. ``released``: its
    worker gave it back at no cost, or it sleeps. The last three are the end of the job.
    """

    ENQUEUED = "enqueued"
    ACTIVE = "active"
    PROGRESS = "progress"
    ATTEMPT_FAILED = "attempt_failed"
    RETRYING = "retrying"
    STALLED = "stalled"
    RELEASED = "released"
    COMPLETED = State.COMPLETED.value
    FAILED = State.FAILED.value
    CANCELLED = State.CANCELLED.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of a job. ``at`` and ``due_at`` are epoch milliseconds in store time.

    ``state`` is where the job was afterwards. ``attempt`` is the number, from 1, of the attempt it tells of;
    of ``enqueued`` and ``retrying`` that of the one to come, which may start at ``due_at``. ``error`` is
    ``Type: message``. ``cursor`` goes on after this event; an event that was not read from a log has none.
    """

    kind: EventKind
    job_id: str
    type: str
    queue: str
    state: State
    at: int
    attempt: int
    batch_id: str | None = None
    worker: str | None = None
    due_at: int | None = None
    error: str | None = None
    progress: Json = None
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events: every field that is set must fit. No ``kinds`` means all."""

    kinds: frozenset[EventKind] = frozenset()
    job_id: str | None = None
    queue: str | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of a job, as columns.

    ``charged`` is the sum of failures and crashes in this ``generation``. ``ended_generation`` is set where
    an attempt ended and the job goes on. ``error`` is a JSON array of type and message, ``progress`` JSON.
    """

    at: int
    job_id: str
    queue: str
    type: str
    state: State
    generation: int
    charged: int
    batch_id: str | None = None
    ended_generation: int | None = None
    due_at: int | None = None
    worker: str | None = None
    outcome: AttemptOutcome | None = None
    error: str | None = None
    progress: str | None = None


NOW: Final = "now"
OLDEST: Final = "oldest"
"""Where to begin to read events, besides a cursor: with what happens from now on, or with the oldest kept."""

_BAD: Final = frozenset(
    {
        AttemptOutcome.ERRORED,
        AttemptOutcome.TIMED_OUT,
        AttemptOutcome.CRASHED,
        AttemptOutcome.RESCUED,
    }
)
_GIVEN_BACK: Final = frozenset({AttemptOutcome.RELEASED, AttemptOutcome.SNOOZED})
_CHARGED: Final = frozenset({EventKind.ATTEMPT_FAILED, EventKind.STALLED, EventKind.FAILED})


def kinds_named(words: Iterable[str]) -> frozenset[EventKind]:
    """The kinds of these names. Raises InvalidInput for one that is none."""
    try:
        return frozenset(map(EventKind, words))
    except ValueError as error:
        raise InvalidInput(f"{error}; the kinds are {', '.join(EventKind)}", field="kinds") from error


def checked_start(after: str) -> str:
    """A place to begin at: ``now``, ``oldest``, or the cursor of an event. Raises InvalidInput."""
    if after not in {NOW, OLDEST}:
        load_position(after)
    return after


def dump_position(epoch: int, transaction: int, number: int) -> str:
    """A place in a log, as a cursor. An epoch begins whenever the log is switched on."""
    return dump_cursor(epoch, transaction, number)


def load_position(cursor: str) -> tuple[int, int, int]:
    """Epoch, transaction and number of a place in a log. Raises InvalidInput."""
    epoch, transaction, number = load_cursor(cursor, (int, int, int))
    return cast("int", epoch), cast("int", transaction), cast("int", number)


# ------------------------------------------------------------ what a change means


def kinds_of(change: Change) -> tuple[EventKind, ...]:
    """The events that a change means, in the order in which they happened."""
    if change.progress is not None:
        return (EventKind.PROGRESS,)
    if change.ended_generation is not None:
        return _kinds_of_attempt(change, change.ended_generation)
    match change.state:
        case State.BLOCKED | State.PENDING:
            return (EventKind.ENQUEUED,) if change.generation == 1 else (EventKind.RETRYING,)
        case State.PROCESSING:
            return (EventKind.ACTIVE,)
        case State.COMPLETED:
            return (EventKind.COMPLETED,)
        case State.FAILED:
            return (*_bad_end(change), EventKind.FAILED)
        case State.CANCELLED:
            return (*_bad_end(change), EventKind.CANCELLED)
        case _:
            assert_never(change.state)


def events_of(change: Change) -> tuple[Event, ...]:
    """The events of a change."""
    return tuple(_event(kind, change) for kind in kinds_of(change))


def fits(event: Event, wanted: EventFilter) -> bool:
    """Whether somebody asked for this event."""
    return (
        (not wanted.kinds or event.kind in wanted.kinds)
        and wanted.job_id in {None, event.job_id}
        and wanted.queue in {None, event.queue}
        and wanted.type in {None, event.type}
    )


def _kinds_of_attempt(change: Change, generation: int) -> tuple[EventKind, ...]:
    """An attempt of an earlier generation was told of when its job ended; a retry only writes it down."""
    if change.outcome in _GIVEN_BACK:
        return (EventKind.RELEASED,)
    if change.outcome not in _BAD or generation != change.generation:
        return ()
    return (*_bad_end(change), EventKind.RETRYING)


def _bad_end(change: Change) -> tuple[EventKind, ...]:
    if change.outcome not in _BAD:
        return ()
    lost = (EventKind.STALLED,) if change.outcome is AttemptOutcome.RESCUED else ()
    return (*lost, EventKind.ATTEMPT_FAILED)


def _event(kind: EventKind, change: Change) -> Event:
    has_failed = kind in _CHARGED or (kind is EventKind.CANCELLED and change.outcome in _BAD)
    tells_error = has_failed or kind is EventKind.RETRYING
    return Event(
        kind=kind,
        job_id=change.job_id,
        type=change.type,
        queue=change.queue,
        state=change.state,
        at=change.at,
        attempt=max(1, change.charged) if has_failed else change.charged + 1,
        batch_id=change.batch_id,
        worker=None if kind is EventKind.RETRYING else change.worker,
        due_at=change.due_at if kind in {EventKind.ENQUEUED, EventKind.RETRYING} else None,
        error=_shown_error(change.error) if tells_error else None,
        progress=None if change.progress is None else json.loads(change.progress),
    )


def _shown_error(error: str | None) -> str | None:
    if error is None:
        return None
    kind, message = json.loads(error)
    return f"{kind}: {message}"


# ------------------------------------------------------------ what this process sees


def change_of_new(facts: Facts, placement: Placement) -> Change:
    """A job was inserted."""
    return _change(facts, placement, at=facts.created_at, due_at=placement.due_at)


def change_of_claim(job: Job) -> Change:
    """A job was claimed."""
    placement = job.placement
    return _change(job.facts, placement, at=placement.started_at or 0, worker=placement.worker)


def change_of_progress(job: Job, progress: str, at: int) -> Change:
    """A running job told its progress."""
    return _change(job.facts, job.placement, at=at, worker=job.placement.worker, progress=progress)


def change_of(transition: Transition) -> Change | None:
    """What a transition changed, as far as events tell of it."""
    job, after, attempt = transition.job, transition.placement, transition.attempt
    if after.state is job.placement.state:
        return None
    if after.ended_at is not None:
        return _change(
            job.facts,
            after,
            at=after.ended_at,
            worker=after.worker,
            outcome=after.outcome,
            error=_compact(after.error),
        )
    if job.placement.terminal:
        return _change(job.facts, after, at=after.rank, due_at=after.due_at)
    if attempt is None:
        return None
    return _change(
        job.facts,
        after,
        at=attempt.started_at if attempt.ended_at is None else attempt.ended_at,
        ended_generation=attempt.generation,
        due_at=after.due_at,
        worker=attempt.worker,
        outcome=attempt.outcome,
        error=_compact(attempt.error),
    )


def _change(  # noqa: PLR0913 - the columns in which changes differ
    facts: Facts,
    placement: Placement,
    *,
    at: int,
    ended_generation: int | None = None,
    due_at: int | None = None,
    worker: str | None = None,
    outcome: AttemptOutcome | None = None,
    error: str | None = None,
    progress: str | None = None,
) -> Change:
    return Change(
        at=at,
        job_id=facts.id,
        queue=facts.queue,
        type=facts.type,
        batch_id=facts.batch_id,
        state=placement.state,
        generation=placement.generation,
        charged=placement.failures + placement.crashes,
        ended_generation=ended_generation,
        due_at=due_at,
        worker=worker,
        outcome=outcome,
        error=error,
        progress=progress,
    )


def _compact(error: str | None) -> str | None:
    """Type and message of a kept error, without what is too long for a log."""
    if error is None:
        return None
    try:
        kept: object = json.loads(error)
    except ValueError:
        return None
    if not isinstance(kept, dict):
        return None
    fields = cast("dict[str, object]", kept)
    if "type" not in fields or "message" not in fields:
        return None
    return json.dumps([fields["type"], fields["message"]])


# ------------------------------------------------------------ how events are shown


def event_to_json(event: Event) -> dict[str, Json]:
    """An event as every face shows it."""
    return {
        "event": event.kind.value,
        "jobId": event.job_id,
        "type": event.type,
        "queue": event.queue,
        "batchId": event.batch_id,
        "state": event.state.value,
        "at": to_iso(event.at),
        "attempt": event.attempt,
        "worker": event.worker,
        "dueAt": to_iso(event.due_at),
        "error": event.error,
        "progress": event.progress,
        "cursor": event.cursor,
    }

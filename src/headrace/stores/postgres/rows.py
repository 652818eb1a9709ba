"""How a job becomes columns, and columns a job."""

import json
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Final

from headrace.core.job import AttemptOutcome, Facts, Isolation, Job, Placement
from headrace.core.place import CLAIMED
from headrace.core.states import State
from headrace.stores.postgres.session import Row

STATES: Final = {state.value: state for state in State}
OUTCOMES: Final = {outcome.value: outcome for outcome in AttemptOutcome}
ISOLATIONS: Final = {int(isolation): isolation for isolation in Isolation}

Values = tuple[object, ...]

# In the order of the arrays of the queries `insert_jobs`, `move_live` and `end_jobs`.
facts_columns: Final[Callable[[Facts], Values]] = attrgetter(
    "id", "namespace", "queue", "type", "payload", "created_at", "version", "max_attempts", "max_crashes",
    "timeout_ms", "backoff", "unique_key", "lock_after_claim", "lane", "batch_id", "parent_id",
)  # fmt: skip
new_columns: Final[Callable[[Placement], Values]] = attrgetter(
    "state", "priority", "rank", "due_at", "unique_lock", "parked_on",
)  # fmt: skip
live_columns: Final[Callable[[Placement], Values]] = attrgetter(
    "state", "priority", "rank", "due_at", "lease_until", "unique_lock", "slot_key", "parked_on",
    "cancel_asked_at", "timeout_ms", "isolation", "generation", "starts", "failures", "crashes",
    "releases", "snoozes", "worker", "started_at", "outcome", "error",
)  # fmt: skip
ended_columns: Final[Callable[[Placement], Values]] = attrgetter(
    "state", "priority", "rank", "erase_at", "cancel_asked_at", "timeout_ms", "isolation", "generation",
    "starts", "failures", "crashes", "releases", "snoozes", "worker", "started_at", "ended_at", "outcome",
    "error", "result",
)  # fmt: skip

# What `end_alike` takes once for all its jobs, and what it takes for each.
alike_columns: Final[Callable[[Placement], Values]] = attrgetter(
    "state", "erase_at", "cancel_asked_at", "timeout_ms", "isolation", "generation", "starts", "failures",
    "crashes", "releases", "snoozes", "worker", "ended_at", "outcome", "error",
)  # fmt: skip
unlike_columns: Final[Callable[[Placement], Values]] = attrgetter("priority", "rank", "started_at", "result")


def arrays(rows: Sequence[Values]) -> list[list[object]]:
    """The columns of rows, each as an array for ``unnest``."""
    return [list(column) for column in zip(*rows, strict=True)]


def job_of(row: Row) -> Job:
    """The job of a row as the queries with ``job_columns`` select it."""
    (
        seq, fence, revision,
        id_, namespace, queue, type_, unique_key, lock_after_claim, batch_id,
        payload, created_at, version, max_attempts, max_crashes, first_timeout_ms, backoff, lane,
        parent_id, tags,
        progress, checkpoint, timed_out_at,
        state, priority, rank, due_at, lease_until, unique_lock, slot_key, parked_on, erase_at,
        cancel_asked_at, timeout_ms, isolation, generation, starts, failures, crashes, releases, snoozes,
        worker, started_at, ended_at, outcome, error, result,
    ) = row  # fmt: skip
    return Job(
        facts=Facts(
            id=id_, namespace=namespace, type=type_, version=version, queue=queue, payload=payload,
            created_at=created_at, max_attempts=max_attempts, max_crashes=max_crashes,
            timeout_ms=first_timeout_ms, backoff=backoff, unique_key=unique_key,
            lock_after_claim=lock_after_claim, lane=lane, batch_id=batch_id, parent_id=parent_id,
            tags=() if tags is None else tuple(json.loads(tags)),
        ),
        placement=Placement(
            state=STATES[state], priority=priority, rank=rank, due_at=due_at, lease_until=lease_until,
            unique_lock=unique_lock, slot_key=slot_key, parked_on=parked_on, erase_at=erase_at,
            cancel_asked_at=cancel_asked_at, timeout_ms=timeout_ms, isolation=ISOLATIONS[isolation],
            generation=generation, starts=starts, failures=failures, crashes=crashes, releases=releases,
            snoozes=snoozes, worker=worker, started_at=started_at, ended_at=ended_at,
            outcome=None if outcome is None else OUTCOMES[outcome], error=error, result=result,
        ),
        seq=seq, fence=fence, revision=revision,
        progress=progress, checkpoint=checkpoint, timed_out_at=timed_out_at,
    )  # fmt: skip


def claimed_of(row: Row, *, namespace: str, worker: str, now: int, lease_until: int) -> Job:
    """The job of a row as ``claim`` returns it, as ``core.place.claimed`` leaves it."""
    (
        seq, fence, revision, id_, queue, type_, unique_key, lock_after_claim, batch_id,
        payload, created_at, version, max_attempts, max_crashes, first_timeout_ms, backoff, lane,
        parent_id, tags, progress, checkpoint,
        priority, rank, slot_key, timeout_ms, isolation, generation, starts, failures, crashes,
        releases, snoozes,
    ) = row  # fmt: skip
    return Job(
        facts=Facts(
            id=id_, namespace=namespace, type=type_, version=version, queue=queue, payload=payload,
            created_at=created_at, max_attempts=max_attempts, max_crashes=max_crashes,
            timeout_ms=first_timeout_ms, backoff=backoff, unique_key=unique_key,
            lock_after_claim=lock_after_claim, lane=lane, batch_id=batch_id, parent_id=parent_id,
            tags=() if tags is None else tuple(json.loads(tags)),
        ),
        placement=Placement(
            state=CLAIMED, priority=priority, rank=rank, lease_until=lease_until,
            unique_lock=lock_after_claim, slot_key=slot_key, timeout_ms=timeout_ms,
            isolation=ISOLATIONS[isolation], generation=generation, starts=starts, failures=failures,
            crashes=crashes, releases=releases, snoozes=snoozes, worker=worker, started_at=now,
        ),
        seq=seq, fence=fence, revision=revision, progress=progress, checkpoint=checkpoint,
    )  # fmt: skip

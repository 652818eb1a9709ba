"""How a row of a SQL store becomes a job. Every such store selects the same columns in the same order."""

import json
from collections.abc import Sequence
from typing import Any, Final

from headrace.core.job import AttemptOutcome, Facts, Isolation, Job, Placement
from headrace.core.states import State

STATES: Final = {state.value: state for state in State}
OUTCOMES: Final = {outcome.value: outcome for outcome in AttemptOutcome}
ISOLATIONS: Final = {int(isolation): isolation for isolation in Isolation}


def job_of(row: Sequence[Any]) -> Job:
    """The job of a row: its columns in the order in which they are taken apart here, tags as a JSON array."""
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

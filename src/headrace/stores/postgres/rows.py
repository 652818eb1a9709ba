"""How a job becomes columns, and columns a job."""

import json
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Final

from headrace.core.job import Facts, Job, Placement
from headrace.core.place import CLAIMED
from headrace.stores.postgres.session import Row
from headrace.stores.rows import ISOLATIONS

Values = tuple[object, ...]

# In the order of the arrays of the queries `move_jobs` and `end_jobs`.
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

# What `end_alike` takes once for all its jobs.
alike_columns: Final[Callable[[Placement], Values]] = attrgetter(
    "state", "erase_at", "cancel_asked_at", "timeout_ms", "isolation", "generation", "starts", "failures",
    "crashes", "releases", "snoozes", "worker", "ended_at", "outcome", "error",
)  # fmt: skip


def arrays(rows: Sequence[Values]) -> list[list[object]]:
    """The columns of rows, each as an array for ``unnest``."""
    return [list(column) for column in zip(*rows, strict=True)]


def shared(columns: Sequence[list[object]]) -> tuple[list[list[object]], list[object]]:
    """Columns without those whose values are all the same, and those values; else null.

    The driver looks at every element of an array, which is most of what a row costs.
    """
    alike = [column.count(column[0]) == len(column) for column in columns]
    return (
        [[] if same else column for same, column in zip(alike, columns, strict=True)],
        [column[0] if same else None for same, column in zip(alike, columns, strict=True)],
    )


def claimed_of(row: Row, *, namespace: str, worker: str, now: int, lease_until: int) -> Job:
    """The job of a row as ``claim`` returns it, as ``core.place.claimed`` leaves it.

    A first start without wishes has no ``rest``: sixteen columns that are not sent, decoded and taken apart.
    """
    (
        _, _, seq, fence, revision, id_, queue, type_, payload, created_at, version, max_attempts,
        max_crashes, first_timeout_ms, priority, rank, timeout_ms, rest,
    ) = row  # fmt: skip
    if rest is None:
        return Job(
            facts=Facts(
                id=id_, namespace=namespace, type=type_, version=version, queue=queue, payload=payload,
                created_at=created_at, max_attempts=max_attempts, max_crashes=max_crashes,
                timeout_ms=first_timeout_ms,
            ),
            placement=Placement(
                state=CLAIMED, priority=priority, rank=rank, lease_until=lease_until, timeout_ms=timeout_ms,
                starts=1, worker=worker, started_at=now,
            ),
            seq=seq, fence=fence, revision=revision,
        )  # fmt: skip
    (
        unique_key,
        lock_after_claim,
        batch_id,
        backoff,
        lane,
        parent_id,
        tags,
        progress,
        checkpoint,
        slot_key,
        isolation,
        generation,
        starts,
        failures,
        crashes,
        releases,
        snoozes,
    ) = json.loads(rest)
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

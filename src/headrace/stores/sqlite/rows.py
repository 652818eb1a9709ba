"""How a job becomes columns, and columns a job."""

import json
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final

from headrace.core.job import Facts, Job, Placement
from headrace.core.place import CLAIMED
from headrace.stores.rows import ISOLATIONS
from headrace.stores.sqlite.statements import Row

# In the order of the columns in the queries `insert_job` and `write_placement`.
placement_columns: Final[Callable[[Placement], Row]] = attrgetter(
    "state", "priority", "rank", "due_at", "lease_until", "unique_lock", "slot_key", "parked_on",
    "erase_at", "cancel_asked_at", "timeout_ms", "isolation", "generation", "starts", "failures",
    "crashes", "releases", "snoozes", "worker", "started_at", "ended_at", "outcome", "error", "result",
)  # fmt: skip
_named: Final[Callable[[Facts], Row]] = attrgetter(
    "id", "namespace", "queue", "type", "unique_key", "lock_after_claim", "batch_id"
)
_fixed: Final[Callable[[Facts], Row]] = attrgetter(
    "payload", "created_at", "version", "max_attempts", "max_crashes", "timeout_ms", "backoff", "lane",
    "parent_id",
)  # fmt: skip


def job_row(seq: int, facts: Facts, placement: Placement) -> Row:
    """A row for ``insert_job``."""
    return (seq, *_named(facts), *placement_columns(placement))


def body_row(seq: int, facts: Facts) -> Row:
    """A row for ``insert_body``."""
    return (seq, *_fixed(facts), dump_tags(facts.tags))


def dump_tags(tags: tuple[str, ...]) -> str | None:
    """Tags as a column."""
    return json.dumps(tags, ensure_ascii=False) if tags else None


def claimed_of(row: Sequence[Any], *, worker: str, now: int, lease_until: int) -> Job:
    """The job of a row as ``claimable`` selects it, as ``core.place.claimed`` leaves it.

    Built at once, not by way of the unclaimed job: that would cost the hot path a second of each value.
    """
    (
        seq, fence, revision,
        id_, namespace, queue, type_, unique_key, lock_after_claim, batch_id,
        payload, created_at, version, max_attempts, max_crashes, first_timeout_ms, backoff, lane,
        parent_id, tags, progress, checkpoint,
        _, priority, rank, slot_key, timeout_ms, isolation, generation, starts, failures, crashes,
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
            isolation=ISOLATIONS[isolation], generation=generation, starts=starts + 1, failures=failures,
            crashes=crashes, releases=releases, snoozes=snoozes, worker=worker, started_at=now,
        ),
        seq=seq, fence=fence + 1, revision=revision + 1, progress=progress, checkpoint=checkpoint,
    )  # fmt: skip

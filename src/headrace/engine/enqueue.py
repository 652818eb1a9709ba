"""From a request and its job type to the job to insert."""

import json
from collections.abc import Sequence
from typing import Final

from headrace.core.job import Facts, Placement
from headrace.core.request import DEFAULT_QUEUE, IDEMPOTENCY_WINDOW_MS, EnqueueRequest
from headrace.core.states import State
from headrace.core.unique import OnConflict, body_digest
from headrace.engine.operations import TypeInfo
from headrace.errors import DuplicateJob, IdempotencyMismatch
from headrace.stores.protocol import NewJob, Receipt

IDEMPOTENCY_PREFIX: Final = "idempotency:"
PERIOD_PREFIX: Final = "period:"


def new_job(  # noqa: PLR0913 - a job is made of exactly these
    request: EnqueueRequest,
    info: TypeInfo,
    payload: str,
    *,
    job_id: str,
    namespace: str,
    now: int,
    lane: str | None = None,
) -> NewJob:
    """The job that ``request`` asks for; what the request leaves out comes from the job type.

    ``lane`` is what ``keys.lane_of`` found.
    """
    policy = info.policy
    unique = request.unique
    timeout_ms = request.timeout_ms if request.timeout_ms is not None else policy.timeout_ms
    due_at = max(now, request.due_at or 0) if request.delay_ms is None else now + request.delay_ms
    facts = Facts(
        id=job_id,
        namespace=namespace,
        type=info.name,
        version=info.version,
        queue=request.queue or info.queue or DEFAULT_QUEUE,
        payload=payload,
        created_at=now,
        max_attempts=request.max_attempts or policy.max_attempts,
        max_crashes=policy.max_crashes,
        timeout_ms=timeout_ms,
        backoff=None if request.backoff is None else json.dumps(request.backoff.to_json()),
        unique_key=None if unique is None else unique.key,
        lock_after_claim=None if unique is None else unique.lock_after_claim,
        lane=lane,
        batch_id=request.batch_id,
        tags=request.tags,
    )
    placement = Placement(
        state=State.PENDING,
        priority=info.priority if request.priority is None else request.priority,
        rank=due_at,
        due_at=due_at,
        unique_lock=facts.unique_key,
        timeout_ms=timeout_ms,
    )
    return NewJob(
        facts=facts,
        placement=placement,
        on_conflict=OnConflict.EXISTING if unique is None else unique.on_conflict,
        receipt=_receipt(request, facts, now),
    )


def _receipt(request: EnqueueRequest, facts: Facts, now: int) -> Receipt | None:
    if request.idempotency_key is not None:
        # Only what the caller said: a default of the job type that changes makes no other body (C31).
        scheduled = request.delay_ms if request.due_at is None else request.due_at
        body = body_digest(
            facts.type,
            facts.payload,
            str(request.queue),
            str(request.priority),
            str(scheduled),
            facts.unique_key or "",
            facts.batch_id or "",
            str(request.max_attempts),
            str(request.timeout_ms),
            *_only_if_said(request),
        )
        return Receipt(
            key=IDEMPOTENCY_PREFIX + request.idempotency_key, until=now + IDEMPOTENCY_WINDOW_MS, body=body
        )
    if request.unique is not None and request.unique.period_ms is not None:
        return Receipt(key=PERIOD_PREFIX + request.unique.key, until=now + request.unique.period_ms)
    return None


def _only_if_said(request: EnqueueRequest) -> list[str]:
    """Parts that a request without them does not have: digests made before they counted stay good."""
    parts: list[str] = []
    if request.backoff is not None:
        parts.append("backoff=" + json.dumps(request.backoff.to_json(), sort_keys=True))
    if request.wishes is not None:
        parts.append(f"wishes={request.wishes.dumps()}")
    if request.tags:
        parts.append("tags=" + json.dumps(sorted(request.tags)))
    if request.after:
        parts.append(f"after={json.dumps(request.after)} {request.on_parent_failure}")
    return parts


def refused_at(error: DuplicateJob | IdempotencyMismatch, jobs: Sequence[NewJob]) -> int | None:
    """Which of ``jobs`` the store refused; None where the jobs by themselves do not tell."""
    match error:
        case DuplicateJob():
            return _rejected_at(error, jobs)
        case IdempotencyMismatch():
            return _mismatched_at(error, jobs)


def _rejected_at(error: DuplicateJob, jobs: Sequence[NewJob]) -> int | None:
    possible = [
        index
        for index in _behind(error.existing_id, jobs)
        if jobs[index].placement.unique_lock == error.unique_key
        and jobs[index].on_conflict is OnConflict.REJECT
    ]
    # a job whose idempotency key is known was answered before its unique key was looked at
    surely_first = len(possible) == 1 or (possible and jobs[possible[0]].receipt is None)
    return possible[0] if surely_first else None


def _mismatched_at(error: IdempotencyMismatch, jobs: Sequence[NewJob]) -> int | None:
    behind = _behind(error.job_id, jobs)
    first = jobs[behind.start - 1].receipt if behind.start else None
    known = first.body if first is not None and first.key == error.key else None
    possible = {
        index: receipt.body
        for index in behind
        if (receipt := jobs[index].receipt) is not None and receipt.key == error.key and receipt.body != known
    }
    # of two bodies one may be that of the first call, which only the store knows
    sure = known is not None or len(set(possible.values())) == 1
    return next(iter(possible), None) if sure else None


def _behind(job_id: str, jobs: Sequence[NewJob]) -> range:
    """The places behind the job of that id, or all if it is none of these."""
    start = next((index + 1 for index, one in enumerate(jobs) if one.facts.id == job_id), 0)
    return range(start, len(jobs))

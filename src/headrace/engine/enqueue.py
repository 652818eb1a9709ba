"""From a request and its job type to the job to insert."""

import json
from typing import Final

from headrace.core.job import Facts, Placement
from headrace.core.request import DEFAULT_QUEUE, IDEMPOTENCY_WINDOW_MS, EnqueueRequest
from headrace.core.states import State
from headrace.core.unique import OnConflict, body_digest
from headrace.engine.operations import TypeInfo
from headrace.stores.protocol import NewJob, Receipt

IDEMPOTENCY_PREFIX: Final = "idempotency:"
PERIOD_PREFIX: Final = "period:"


def new_job(  # noqa: PLR0913 - a job is made of exactly these
    request: EnqueueRequest, info: TypeInfo, payload: str, *, job_id: str, namespace: str, now: int
) -> NewJob:
    """The job that ``request`` asks for; what the request leaves out comes from the job type."""
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
        )
        return Receipt(
            key=IDEMPOTENCY_PREFIX + request.idempotency_key, until=now + IDEMPOTENCY_WINDOW_MS, body=body
        )
    if request.unique is not None and request.unique.period_ms is not None:
        return Receipt(key=PERIOD_PREFIX + request.unique.key, until=now + request.unique.period_ms)
    return None

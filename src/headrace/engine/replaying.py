"""Doing again what an ended job did: by a new job from a chosen step on, or by itself without its steps."""

from typing import Final

from headrace.core.job import Facts, Job, Placement
from headrace.core.request import MAX_TAGS
from headrace.core.states import Move, State, after
from headrace.core.unique import OnConflict
from headrace.errors import IllegalMove, JobNotFound, StoreUnavailable
from headrace.stores.protocol import NewJob, Store

_TRIES: Final = 20
REPLAY_TAG: Final = "replay-of:"
"""With the id of the old job behind it, a tag of the new one: ``headrace jobs --tag replay-of:ID``."""


def replayed(job: Job, *, job_id: str, now: int) -> NewJob:
    """The new job. It belongs to no batch, and is refused while another job holds its unique key.

    Raises IllegalMove for a job that has not ended.
    """
    if not job.placement.terminal:
        raise IllegalMove(job.id, job.state, "replay")
    old = job.facts
    kept = [tag for tag in old.tags if not tag.startswith(REPLAY_TAG)]
    facts = Facts(
        id=job_id,
        namespace=old.namespace,
        type=old.type,
        version=old.version,
        queue=old.queue,
        payload=old.payload,
        created_at=now,
        max_attempts=old.max_attempts,
        max_crashes=old.max_crashes,
        timeout_ms=old.timeout_ms,
        backoff=old.backoff,
        unique_key=old.unique_key,
        lock_after_claim=old.lock_after_claim,
        lane=old.lane,
        tags=(*kept[: MAX_TAGS - 1], f"{REPLAY_TAG}{old.id}"),
    )
    placement = Placement(
        state=State.PENDING,
        priority=job.placement.priority,
        rank=now,
        due_at=now,
        unique_lock=facts.unique_key,
        timeout_ms=facts.timeout_ms,
    )
    return NewJob(facts=facts, placement=placement, on_conflict=OnConflict.REJECT)


async def forget_steps(store: Store, namespace: str, job_id: str) -> int:
    """Forgets the steps of a job that may be retried; returns how many there were.

    Raises JobNotFound, IllegalMove.
    """
    for _ in range(_TRIES):
        found = await store.get(namespace, (job_id,))
        if job_id not in found:
            raise JobNotFound(job_id)
        job = found[job_id]
        if after(job.state, Move.REOPEN) is None:
            raise IllegalMove(job_id, job.state, "forget the steps of")
        count = await store.forget_steps(namespace, job_id, revision=job.revision)
        if count is not None:
            return count
    msg = f"job {job_id} changes too fast to forget its steps; try again"
    raise StoreUnavailable(msg)

"""Builds placements: the complete lifecycle columns after each kind of change.

Every function here keeps the rule that a terminal job has no due time, lease, lock or slot.
"""

from dataclasses import replace
from typing import Final

from headrace.core.dead import is_dead_letter
from headrace.core.job import Attempt, AttemptOutcome, Isolation, Job, Placement, Transition
from headrace.core.policy import Policy
from headrace.core.states import MOVES, Move, State
from headrace.core.value import value
from headrace.core.wire import MAX_INSTANT_MS
from headrace.errors import IllegalMove, NotADeadLetter


@value
class Ended:
    """How an attempt ended: when, since when its handler ran, and with what.

    ``reported`` says that the holder itself tells; then ``started_at`` None means that no handler
    ever started.
    """

    at: int
    started_at: int | None = None
    reported: bool = False
    outcome: AttemptOutcome | None = None
    error: str | None = None

    def with_outcome(self, outcome: AttemptOutcome, error: str | None) -> "Ended":
        """The same end with its outcome and error filled in."""
        return Ended(
            at=self.at, started_at=self.started_at, reported=self.reported, outcome=outcome, error=error
        )

    def start_of(self, job: Job) -> int | None:
        """When the handler started: as reported, else the time of the claim."""
        return self.started_at if self.reported else job.placement.started_at


def completed(job: Job, result: str | None, policy: Policy, ended: Ended) -> Transition:
    """The attempt succeeded: the job is completed, also when a cancel came too late."""
    if ended.outcome is not AttemptOutcome.SUCCEEDED:
        ended = ended.with_outcome(AttemptOutcome.SUCCEEDED, None)
    placement = _end(
        job,
        Move.COMPLETE,
        ended,
        erase_after=policy.retention.completed_age_ms,
        result=result,
    )
    return Transition(job=job, placement=placement)


def failed(job: Job, policy: Policy, ended: Ended, *, failures: int = 0, crashes: int = 0) -> Transition:
    """The job is a dead letter: it stays until dealt with, unless the retention says otherwise."""
    placement = _end(
        job, Move.FAIL, ended, erase_after=policy.retention.failed_age_ms, failures=failures, crashes=crashes
    )
    return Transition(job=job, placement=placement)


def cancelled(job: Job, policy: Policy, ended: Ended, *, failures: int = 0, crashes: int = 0) -> Transition:
    """The job is cancelled, whether it ran or waited."""
    placement = _end(
        job,
        Move.CANCEL,
        ended,
        erase_after=policy.retention.cancelled_age_ms,
        failures=failures,
        crashes=crashes,
    )
    return Transition(job=job, placement=placement)


def retrying(  # noqa: PLR0913 - each argument is one column of the new placement
    job: Job,
    ended: Ended,
    *,
    due_at: int,
    timeout_ms: int | None,
    isolation: Isolation | None = None,
    failures: int = 0,
    crashes: int = 0,
) -> Transition:
    """The job waits for another attempt, ranked by its new due time."""
    move = Move.RESCUE if crashes else Move.RETRY
    placement = _wait(
        job,
        move,
        due_at=due_at,
        rank=due_at,
        timeout_ms=timeout_ms,
        isolation=isolation,
        failures=failures,
        crashes=crashes,
        error=ended.error,
    )
    return Transition(job=job, placement=placement, attempt=_attempt(job, ended))


def released(
    job: Job, ended: Ended, *, due_at: int, isolation: Isolation | None = None, snoozes: int = 0
) -> Transition:
    """The job goes back uncharged. Given back at once it keeps its rank; a snooze ranks anew."""
    rank = min(job.placement.rank, due_at) if due_at <= ended.at else due_at
    placement = _wait(
        job,
        Move.RELEASE,
        due_at=due_at,
        rank=rank,
        timeout_ms=job.placement.timeout_ms,
        isolation=isolation,
        releases=1,
        snoozes=snoozes,
        error=job.placement.error,
    )
    return Transition(job=job, placement=placement, attempt=_attempt(job, ended))


def parked(job: Job, ended: Ended, lane: str) -> Transition:
    """The job goes back uncharged and waits on a lane, out of the way of claims; it keeps its rank."""
    back = released(job, ended, due_at=ended.at)
    return replace(back, placement=replace(back.placement, due_at=None, parked_on=lane))


def marked_for_cancel(job: Job, now: int) -> Transition:
    """The running job is asked to stop; its holder learns of it at the next renewal."""
    asked = job.placement.cancel_asked_at
    return Transition(
        job=job, placement=replace(job.placement, cancel_asked_at=now if asked is None else asked)
    )


def reopened(job: Job, now: int) -> Transition:
    """An operator's retry: a new generation with all counts at zero, which takes its unique key back."""
    old = job.placement
    placement = Placement(
        state=_moved(job, Move.REOPEN),
        priority=old.priority,
        rank=now,
        due_at=now,
        unique_lock=job.facts.unique_key,
        timeout_ms=job.facts.timeout_ms,
        generation=old.generation + 1,
    )
    attempt = None
    if old.started_at is not None and old.worker is not None:
        attempt = Attempt(
            fence=job.fence,
            generation=old.generation,
            worker=old.worker,
            started_at=old.started_at,
            ended_at=old.ended_at,
            outcome=old.outcome,
            error=old.error,
        )
    return Transition(job=job, placement=placement, attempt=attempt)


def redriven(job: Job, now: int, *, priority: int | None, delay_ms: int) -> Transition:
    """A dead letter that runs again, as a retry has it, unless asked otherwise. Raises NotADeadLetter."""
    if not is_dead_letter(job):
        raise NotADeadLetter(job.id, job.state)
    again = reopened(job, now)
    placement = again.placement
    if priority is not None:
        placement = replace(placement, priority=priority)
    if delay_ms:
        due = min(now + delay_ms, MAX_INSTANT_MS)
        placement = replace(placement, rank=due, due_at=due)
    return replace(again, placement=placement)


def dealt_with(job: Job, policy: Policy, now: int) -> Transition:
    """A dead letter that is none any more: it stays as it ended, and is erased after a while.

    Raises NotADeadLetter.
    """
    if not is_dead_letter(job):
        raise NotADeadLetter(job.id, job.state)
    placement = replace(job.placement, erase_at=now + policy.retention.discarded_age_ms)
    return Transition(job=job, placement=placement)


def unblocked(job: Job, now: int) -> Transition:
    """What the job waited for has come: it may start now, or when it was scheduled for."""
    due = max(now, job.placement.rank)
    return Transition(
        job=job, placement=replace(job.placement, state=_moved(job, Move.UNBLOCK), due_at=due, rank=due)
    )


def signalled(job: Job, now: int) -> Transition:
    """A waiting job is due at once. Of a running one only the revision changes: what is decided, is anew."""
    old = job.placement
    if job.state is State.PROCESSING:
        return Transition(job=job, placement=old)
    if job.state is not State.PENDING or old.due_at is None:
        raise IllegalMove(job.id, job.state, "signal")
    placement = replace(old, due_at=min(old.due_at, now), rank=min(old.rank, now))
    return Transition(job=job, placement=placement)


def claimed(job: Job, *, worker: str, now: int, lease_until: int) -> Job:
    """The job as a claim leaves it. A store writes the same constants in one statement."""
    old = job.placement
    placement = Placement(
        state=CLAIMED,
        priority=old.priority,
        rank=old.rank,
        lease_until=lease_until,
        unique_lock=job.facts.lock_after_claim,
        slot_key=old.slot_key,
        timeout_ms=old.timeout_ms,
        isolation=old.isolation,
        generation=old.generation,
        starts=old.starts + 1,
        failures=old.failures,
        crashes=old.crashes,
        releases=old.releases,
        snoozes=old.snoozes,
        worker=worker,
        started_at=now,
    )
    return Job(
        facts=job.facts,
        placement=placement,
        seq=job.seq,
        fence=job.fence + 1,
        revision=job.revision + 1,
        progress=job.progress,
        checkpoint=job.checkpoint,
    )


CLAIMED: Final = State.PROCESSING


def _end(  # noqa: PLR0913 - each argument is one column of the new placement
    job: Job,
    move: Move,
    ended: Ended,
    *,
    erase_after: int | None,
    failures: int = 0,
    crashes: int = 0,
    result: str | None = None,
) -> Placement:
    old = job.placement
    ran = old.started_at is not None and (not ended.reported or ended.started_at is not None)
    return Placement(
        state=_moved(job, move),
        priority=old.priority,
        rank=old.rank,
        erase_at=None if erase_after is None else ended.at + erase_after,
        cancel_asked_at=old.cancel_asked_at,
        timeout_ms=old.timeout_ms,
        isolation=old.isolation,
        generation=old.generation,
        starts=old.starts,
        failures=old.failures + failures,
        crashes=old.crashes + crashes,
        releases=old.releases if ran or old.started_at is None else old.releases + 1,
        snoozes=old.snoozes,
        worker=old.worker if ran else None,
        started_at=ended.start_of(job) if ran else None,
        ended_at=ended.at,
        outcome=ended.outcome if ran else None,
        error=ended.error if ran else old.error,
        result=result,
    )


def _wait(  # noqa: PLR0913 - each argument is one column of the new placement
    job: Job,
    move: Move,
    *,
    due_at: int,
    rank: int,
    timeout_ms: int | None,
    isolation: Isolation | None,
    failures: int = 0,
    crashes: int = 0,
    releases: int = 0,
    snoozes: int = 0,
    error: str | None,
) -> Placement:
    old = job.placement
    return Placement(
        state=_moved(job, move),
        priority=old.priority,
        rank=rank,
        due_at=due_at,
        unique_lock=old.unique_lock,
        cancel_asked_at=old.cancel_asked_at,
        timeout_ms=timeout_ms,
        isolation=old.isolation if isolation is None else isolation,
        generation=old.generation,
        starts=old.starts,
        failures=old.failures + failures,
        crashes=old.crashes + crashes,
        releases=old.releases + releases,
        snoozes=old.snoozes + snoozes,
        error=error,
    )


def _attempt(job: Job, ended: Ended) -> Attempt | None:
    """The history entry of an attempt whose handler started; None for one given back unstarted."""
    started = ended.start_of(job)
    if started is None or job.placement.worker is None:
        return None
    return Attempt(
        fence=job.fence,
        generation=job.placement.generation,
        worker=job.placement.worker,
        started_at=started,
        ended_at=ended.at,
        outcome=ended.outcome,
        error=ended.error,
    )


_SPOKEN: Final = {Move.REOPEN: "retry"}
"""Moves that people know by another name."""


def _moved(job: Job, move: Move) -> State:
    target = MOVES.get((job.placement.state, move))
    if target is None:
        raise IllegalMove(job.id, job.state, _SPOKEN.get(move, move.value))
    return target

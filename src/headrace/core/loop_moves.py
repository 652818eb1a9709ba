"""What becomes of a loop: at a ping, a start, a stop, a sweep, and at an answer of its functions.

Pure: the loop's state and its latest job come in, read in this order, and what is to be done comes out.
A decision is written only if neither has changed since; else it is made again.

No ping is lost. A loop that finds nothing first writes that it is idle and then asks once more, and what
ends its job is refused if anybody has touched the job since that was written. A ping that reads "running"
came before that writing, so the second question finds its row. A ping that reads "idle" wakes the job that
sleeps, touches the one that is about to, or makes a new one.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from headrace.core import place
from headrace.core.job import AttemptOutcome, Isolation, Job, Placement, Transition
from headrace.core.loop import (
    MIN_LOOK_MS,
    RETENTION,
    RETRIES,
    SOON_MS,
    Idle,
    LoopConfig,
    LoopDefinition,
    LoopError,
    LoopState,
    LoopStatus,
    duration_ms,
)
from headrace.core.place import Ended
from headrace.core.policy import Policy
from headrace.core.states import State
from headrace.core.wire import MAX_INSTANT_MS

POLICY: Final = Policy(max_attempts=RETRIES, retention=RETENTION)


class Act(Enum):
    """What is to be done with a loop's job."""

    LEAVE = auto()
    CREATE = auto()
    WAKE = auto()
    TOUCH = auto()
    CANCEL = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A decision: the state afterwards, what to do with the job, and for when."""

    act: Act
    state: LoopState
    due_at: int | None = None


def redefined(state: LoopState, definition: LoopDefinition | None) -> LoopState:
    """The state with what the program says today; None says nothing new."""
    if definition is None or definition == state.definition:
        return state
    return replace(state, definition=definition)


def on_ping(state: LoopState, job: Job | None, now: int) -> Step:
    """There may be new rows. Nothing happens while the loop runs or is stopped."""
    match state.status:
        case LoopStatus.STOPPED:
            return Step(act=Act.LEAVE, state=state)
        case LoopStatus.RUNNING:
            return on_sweep(state, job, now)
        case LoopStatus.IDLE:
            return _roused(state, job, now)


def _roused(state: LoopState, job: Job | None, now: int) -> Step:
    due_at = now + state.definition.config.debounce_ms
    if job is None or not job.placement.live:
        return _created(state, due_at)
    if job.state is State.PROCESSING:
        return Step(act=Act.TOUCH, state=state)
    known = job.placement.due_at
    # a job without a due time is parked: no worker knows it yet, and no ping changes that
    if known is None or known <= max(due_at, now + SOON_MS):
        return Step(act=Act.LEAVE, state=state)
    return Step(act=Act.WAKE, state=state, due_at=due_at)


def on_start(state: LoopState, job: Job | None, now: int) -> Step:
    """The loop may run again. Nothing happens unless it was stopped."""
    if state.status is not LoopStatus.STOPPED:
        return Step(act=Act.LEAVE, state=state)
    if job is not None and job.placement.live:
        # the batch that was stopped has not ended: the sweep makes the next job when it has
        return Step(act=Act.LEAVE, state=replace(state, status=LoopStatus.RUNNING))
    return _created(state, now)


def on_stop(state: LoopState, job: Job | None, now: int) -> Step:
    """The loop must not run. Its generation grows, so that a run under way finds itself superseded."""
    if state.status is LoopStatus.STOPPED:
        return on_sweep(state, job, now)
    stopped = replace(state, status=LoopStatus.STOPPED, generation=state.generation + 1)
    live = job is not None and job.placement.live
    return Step(act=Act.CANCEL if live else Act.LEAVE, state=stopped)


def on_sweep(state: LoopState, job: Job | None, now: int) -> Step:
    """Heals what an end in the middle of things left: a dead loop runs again, a stopped one has no job.

    A job that failed for good had crashed its workers again and again, so the next one waits.
    """
    live = job is not None and job.placement.live
    if state.status is LoopStatus.STOPPED and live and job is not None:
        asked = job.placement.cancel_asked_at is not None
        return Step(act=Act.LEAVE if asked else Act.CANCEL, state=state)
    if state.status is not LoopStatus.RUNNING or live:
        return Step(act=Act.LEAVE, state=state)
    failed = job is not None and job.state is State.FAILED
    due_at = now + state.definition.config.monitor_lag_ms if failed else now
    return _created(replace(state, restarts=state.restarts + 1), due_at)


def _created(state: LoopState, due_at: int) -> Step:
    return Step(act=Act.CREATE, state=replace(state, status=LoopStatus.RUNNING), due_at=due_at)


def begun(state: LoopState, job: Job) -> LoopState | None:
    """The state once a worker runs the loop: a new generation. None if it must not run."""
    if state.status is LoopStatus.STOPPED:
        return None
    return replace(
        state,
        status=LoopStatus.RUNNING,
        generation=state.generation + 1,
        job_id=job.id,
        restarts=state.restarts + (1 if job.attempt > 1 else 0),
    )


def resting(state: LoopState, now: int) -> LoopState:
    """The state of a loop that found nothing, written before it asks once more."""
    return replace(state, status=LoopStatus.IDLE, last_run_at=now)


def resumed(state: LoopState) -> LoopState:
    """The state of a loop that was about to rest and found something after all."""
    return replace(state, status=LoopStatus.RUNNING)


def broken(state: LoopState, error: LoopError) -> LoopState:
    """The state of a loop whose function raised. It stays running: its job is tried again."""
    return replace(state, status=LoopStatus.RUNNING, last_run_at=error.at, last_error=error)


def wait_ms(answer: Idle, config: LoopConfig, idle_since: int, now: int) -> int | None:
    """How long a loop that found nothing waits where it is before it asks again; None: it rests.

    It stays for the cool-down, and for a time-out so short that a rest is not worth it.
    """
    cooldown = _or(answer.cooldown, config.cooldown_ms)
    poll = max(MIN_LOOK_MS, _or(answer.poll_interval, config.poll_ms))
    timeout = None if answer.timeout is None else max(MIN_LOOK_MS, duration_ms(answer.timeout, "timeout"))
    left = idle_since + cooldown - now
    if left > 0:
        return min(poll, left) if timeout is None else min(poll, left, timeout)
    if timeout is not None and timeout <= max(SOON_MS, poll):
        return timeout
    return None


def _or(seconds: float | None, otherwise: int) -> int:
    return otherwise if seconds is None else duration_ms(seconds, "duration")


def woken(job: Job, due_at: int) -> Transition:
    """The sleeping job is due earlier."""
    return Transition(job=job, placement=replace(job.placement, due_at=due_at, rank=due_at))


def touched(job: Job) -> Transition:
    """Nothing but a new revision: whoever is about to end this attempt looks again before."""
    return Transition(job=job, placement=job.placement)


def asleep(job: Job, due_at: int, now: int) -> Transition:
    """The run goes to sleep; it costs the job nothing."""
    return place.released(job, _ended(job, now, AttemptOutcome.SNOOZED), due_at=min(due_at, MAX_INSTANT_MS))


def finished(job: Job, now: int) -> Transition:
    """The run ends, and with it the job: the next ping makes another one."""
    return place.completed(job, None, POLICY, _ended(job, now, AttemptOutcome.SUCCEEDED))


def _ended(job: Job, now: int, outcome: AttemptOutcome) -> Ended:
    return Ended(at=now, started_at=job.placement.started_at, reported=True, outcome=outcome)


def troubled(job: Job) -> bool:
    """Whether earlier runs of this job failed or took their worker down."""
    placement = job.placement
    return bool(placement.failures or placement.crashes or placement.isolation)


def forgiven(job: Job) -> Transition:
    """A run went well: what earlier ones cost is forgotten, as by an operator's retry.

    A job that lives for months must not fail in the end because its worker was lost now and then.
    """
    return Transition(job=job, placement=_forgiven(job.placement))


def relieved(job: Job, now: int) -> Transition:
    """As ``forgiven``, for a job that ran isolated: it goes back, to be run beside others again."""
    return asleep(replace(job, placement=_forgiven(job.placement)), now, now)


def _forgiven(placement: Placement) -> Placement:
    return replace(
        placement,
        generation=placement.generation + 1,
        starts=1,
        failures=0,
        crashes=0,
        releases=0,
        snoozes=0,
        isolation=Isolation.NONE,
    )

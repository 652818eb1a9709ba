"""What a store answers when a transition no longer fits its job."""

from headrace.core.history import reported_outcome
from headrace.core.job import AttemptOutcome, Job, Transition
from headrace.core.states import State


def answer_to(transition: Transition, current: Job | None, trail: str | None) -> AttemptOutcome | Job | None:
    """Why a transition was not written, given the job as it is now and its earlier attempts.

    - An outcome: the attempt that it ends was ended by its holder before, with this outcome.
    - A job: it changed; decide again with this one.
    - None: the job is gone, or the attempt is somebody else's business by now.
    """
    decided = transition.job
    if current is None:
        return None
    if not _ends_attempt(transition):
        return current
    outcome = reported_outcome(current, trail, decided.fence)
    if outcome is not None:
        return outcome
    if current.fence != decided.fence or current.state is not State.PROCESSING:
        return None
    return current


def _ends_attempt(transition: Transition) -> bool:
    return transition.job.state is State.PROCESSING and transition.placement.state is not State.PROCESSING

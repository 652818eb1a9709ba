"""The answer to a transition that was not written, the same in every store."""

from typing import Final

from headrace.core.answer import answer_to
from headrace.core.job import AttemptOutcome, Job, Transition
from headrace.stores.values import Already, Lost, Stale

_LOST: Final = Lost()


def refusal(transition: Transition, current: Job | None, trail: str | None) -> Already | Lost | Stale:
    """Why it was not written, given the job as it is now and the trail of its earlier attempts."""
    answer = answer_to(transition, current, trail)
    match answer:
        case None:
            return _LOST
        case AttemptOutcome():
            return Already(answer)
        case Job():
            return Stale(answer)

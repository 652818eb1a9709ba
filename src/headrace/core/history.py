"""A job's earlier attempts as one JSON text, bounded however often the job starts."""

import json
from typing import Final, TypedDict

from headrace.core.job import Attempt, AttemptOutcome, History, Job

FIRST_KEPT: Final = 10
LAST_KEPT: Final = 40


class _Entry(TypedDict):
    n: int
    g: int
    w: str
    s: int
    e: int | None
    o: str | None
    x: str | None


class _Trail(TypedDict):
    a: list[_Entry]
    f: dict[str, int]


def append(trail: str | None, attempt: Attempt) -> str:
    """Adds an attempt to a trail. Beyond 50 the oldest after the first 10 are folded into counts."""
    kept = _load(trail)
    entries, folded = kept["a"], kept["f"]
    entries.append(_dump(attempt))
    while len(entries) > FIRST_KEPT + LAST_KEPT:
        outcome = str(entries.pop(FIRST_KEPT)["o"])
        folded[outcome] = folded.get(outcome, 0) + 1
    return json.dumps(kept, separators=(",", ":"))


def read(job: Job, trail: str | None) -> History:
    """All attempts of a job: the trail, then the one its placement describes."""
    kept = _load(trail)
    attempts = [_parse(entry) for entry in kept["a"]]
    if (current := current_attempt(job)) is not None:
        attempts.append(current)
    folded = tuple((AttemptOutcome(outcome), count) for outcome, count in sorted(kept["f"].items()))
    return History(attempts=tuple(attempts), folded=folded)


def current_attempt(job: Job) -> Attempt | None:
    """The attempt that the placement itself describes: the running one, or the one that ended the job."""
    placement = job.placement
    if placement.started_at is None or placement.worker is None:
        return None
    return Attempt(
        fence=job.fence,
        generation=placement.generation,
        worker=placement.worker,
        started_at=placement.started_at,
        ended_at=placement.ended_at,
        outcome=placement.outcome,
        error=placement.error,
    )


def reported_outcome(job: Job, trail: str | None, fence: int) -> AttemptOutcome | None:
    """What the holder of ``fence`` reported earlier; None if it never did or a rescuer spoke for it."""
    return outcome_in(read(job, trail), fence)


def outcome_in(history: History, fence: int) -> AttemptOutcome | None:
    """As ``reported_outcome``, looked up in a history."""
    for attempt in reversed(history.attempts):
        if attempt.fence == fence:
            return None if attempt.outcome is AttemptOutcome.RESCUED else attempt.outcome
    return None


def _load(trail: str | None) -> _Trail:
    return _Trail(a=[], f={}) if trail is None else json.loads(trail)


def _dump(attempt: Attempt) -> _Entry:
    return _Entry(
        n=attempt.fence,
        g=attempt.generation,
        w=attempt.worker,
        s=attempt.started_at,
        e=attempt.ended_at,
        o=None if attempt.outcome is None else attempt.outcome.value,
        x=attempt.error,
    )


def _parse(entry: _Entry) -> Attempt:
    outcome = entry["o"]
    return Attempt(
        fence=entry["n"],
        generation=entry["g"],
        worker=entry["w"],
        started_at=entry["s"],
        ended_at=entry["e"],
        outcome=None if outcome is None else AttemptOutcome(outcome),
        error=entry["x"],
    )

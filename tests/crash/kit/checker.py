"""Compares what clients were told, what handlers did and what the store says.

I1  every acknowledged job is in the store, in a state that its history can lead to
I3  plain effects: at least one per completed job, and no more than it was started
I4  nothing starts after its job has ended
I5  holders of one job follow each other in store time, under growing fences
I6  attempts are told in order, none is missing, and the last one fits the state
I7  the tallies equal a recount

I2 (effects in the job's own transaction) and I8 (no spinning) are asked where they apply.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from headrace.core.decide import PARENT_FAILED
from headrace.core.job import AttemptOutcome, Job
from headrace.core.job import History as Attempts
from headrace.core.states import State
from tests.crash.kit.dump import Dump
from tests.crash.kit.history import History
from tests.crash.kit.ledger import Ledger, Phase, Row

ENDINGS = {
    State.COMPLETED: {AttemptOutcome.SUCCEEDED},
    State.FAILED: {
        AttemptOutcome.ERRORED,
        AttemptOutcome.TIMED_OUT,
        AttemptOutcome.CRASHED,
        AttemptOutcome.RESCUED,
    },
}


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise: its number, the job, and what was found."""

    number: str
    job: str
    found: str

    def __str__(self) -> str:
        return f"{self.number} {self.job}: {self.found}"


def checked(dump: Dump, ledger: Ledger, history: History, *, clock_error_ms: int = 0) -> list[Violation]:
    """All violations; an empty list is what every experiment hopes for.

    ``clock_error_ms`` is by how much store time as a worker knows it may differ from the host's clock,
    which the ledger notes.
    """
    rows, cancelled = ledger.by_job(), history.acked("cancel")
    found = [*_asked_and_kept(dump, history), *_tallies(dump)]
    for job in dump.jobs.values():
        found += _effects(job, rows.get(job.id, ()), clock_error_ms)
        found += _attempts(job, dump.histories[job.id])
        if job.state is State.CANCELLED and job.id not in cancelled and not _by_parent(job):
            found.append(Violation("I1", job.id, "is cancelled, and nobody asked for it"))
    return found


def _by_parent(job: Job) -> bool:
    """Whether the job says that it was cancelled because of a parent."""
    return json.loads(job.placement.error or "{}").get("type") == PARENT_FAILED


def _asked_and_kept(dump: Dump, history: History) -> Iterator[Violation]:
    for job_id in sorted(history.acked() - dump.jobs.keys()):
        yield Violation("I1", job_id, "was acknowledged and is not in the store")
    unanswered = any(call.ended == "unknown" for call in history.calls("enqueue"))
    strangers = dump.jobs.keys() - history.acked()
    if strangers and not unanswered:
        yield Violation("I1", min(strangers), f"{len(strangers)} jobs that no call was told of")


def _effects(job: Job, rows: Sequence[Row], clock_error_ms: int) -> Iterator[Violation]:
    starts = [row for row in rows if row.phase is Phase.START]
    effects = [row for row in rows if row.phase is Phase.EFFECT]
    placement = job.placement
    if job.state is State.COMPLETED and not effects:
        yield Violation("I3", job.id, "is completed without an effect")
    if len(starts) > job.fence or len(effects) > len(starts):
        told = f"{job.fence} claims in the store, {len(starts)} and {len(effects)} effects in the ledger"
        yield Violation("I3", job.id, told)
    # The claim that ended the job began before it did; only clocks could say otherwise.
    others = [row for row in starts if row.fence != job.fence]
    after = [row.at - (placement.ended_at or 0) for row in others if placement.terminal]
    if after and max(after) > clock_error_ms:
        yield Violation("I4", job.id, f"started {max(after)} ms after its end")
    begun = Counter(row.fence for row in starts)
    if begun and max(begun.values()) > 1:
        yield Violation("I5", job.id, f"one claim ran its handler twice: {dict(begun)}")
    if any(row.fence > job.fence for row in starts):
        yield Violation("I5", job.id, "a handler ran under a fence the store never gave out")


def _attempts(job: Job, told: Attempts) -> Iterator[Violation]:
    attempts, placement = told.attempts, job.placement
    fences = [attempt.fence for attempt in attempts]
    if fences != sorted(set(fences)) or (fences and fences[-1] > job.fence):
        yield Violation("I6", job.id, f"fences {fences}, the job's is {job.fence}")
    earlier = [attempt.fence for attempt in attempts if attempt.generation < placement.generation]
    listed = len(attempts) - len(earlier) + sum(count for _, count in told.folded)
    if not placement.starts - placement.releases <= listed <= placement.starts:
        msg = f"{placement.starts} starts, {placement.releases} releases, {listed} attempts"
        yield Violation("I6", job.id, msg)
    before = job.fence - placement.starts
    if before < max(earlier, default=0) or (before > 0 and placement.generation == 1):
        yield Violation("I6", job.id, f"{placement.starts} starts under fence {job.fence}")
    bound = job.facts.max_attempts + job.facts.max_crashes + placement.releases
    if placement.starts > bound:
        yield Violation("I6", job.id, f"{placement.starts} starts, at most {bound} are promised (C21)")
    for before, after in pairwise(attempts):
        if before.ended_at is None or before.ended_at > after.started_at:
            msg = f"fence {before.fence} held until {before.ended_at}, {after.fence} from {after.started_at}"
            yield Violation("I5", job.id, msg)
    yield from _ending(job, told)


def _ending(job: Job, told: Attempts) -> Iterator[Violation]:
    outcomes = [attempt.outcome for attempt in told.attempts]
    if job.state in ENDINGS and (not outcomes or outcomes[-1] not in ENDINGS[job.state]):
        yield Violation("I6", job.id, f"is {job.state} after {outcomes}")
    won = outcomes.count(AttemptOutcome.SUCCEEDED)
    if won != (job.state is State.COMPLETED):
        yield Violation("I6", job.id, f"is {job.state} and succeeded {won} times")
    held = (job.placement.due_at is not None) + (job.placement.lease_until is not None)
    waits = job.placement.parked_on is not None or job.state is State.BLOCKED
    if held != (not job.placement.terminal and not waits):
        yield Violation("I1", job.id, f"is {job.state} with due and lease {job.placement}")


def _tallies(dump: Dump) -> Iterator[Violation]:
    if dump.tallies != dump.recounted:
        yield Violation("I7", "-", f"tallies {dict(dump.tallies)}, recounted {dict(dump.recounted)}")

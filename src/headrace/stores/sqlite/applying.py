"""The apply op: guarded transitions, an answer for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import apsw

from headrace.core.history import append
from headrace.core.job import Transition
from headrace.errors import StaleRegister
from headrace.stores.gating import ended_by, freed_in, some_may_free
from headrace.stores.known_limits import KnownLimits
from headrace.stores.refusals import refusal
from headrace.stores.sqlite.lanes import free
from headrace.stores.sqlite.reading import jobs_by_seq
from headrace.stores.sqlite.registers import make_swaps
from headrace.stores.sqlite.rows import placement_columns
from headrace.stores.sqlite.statements import Row, first, integers, queries, rows, run, write_rows
from headrace.stores.sqlite.transaction import Write
from headrace.stores.values import Applied, ApplyAnswer, Conflict, Swap

_SQL = queries("jobs")
_APPLIED: Final = Applied()


@dataclass(frozen=True, slots=True)
class Application:
    """Transitions to write, for the writer, and swaps of registers of their namespace.

    What they free at the instant ``now``, by default when the last of their jobs ended, is given on.
    """

    transitions: Sequence[Transition]
    swaps: Sequence[Swap] = ()
    now: int | None = None
    limits: KnownLimits = field(default_factory=KnownLimits)

    def __call__(self, write: Write) -> Sequence[ApplyAnswer]:
        """Writes them, inside a write transaction. Raises StaleRegister, and then nothing is kept."""
        if self.swaps:
            namespace = self.transitions[0].job.facts.namespace
            if (stale := make_swaps(write.db, namespace, self.swaps)) is not None:
                raise StaleRegister(stale)
        whole = self._all_applied(write)
        answers = [_APPLIED] * len(self.transitions) if whole else self._one_by_one(write)
        if some_may_free(self.transitions):
            self._free(write, answers)
        return answers

    def _all_applied(self, write: Write) -> bool:
        """Writes all in one go if every guard holds, as it nearly always does; else nothing."""
        transitions = self.transitions
        if any(_takes_lock(transition) for transition in transitions):
            return False
        run(write.db, "savepoint application")
        written = write_rows(write.db, _SQL["write_placement"], [_row(one) for one in transitions])
        whole = written == len(transitions)
        if not whole:
            run(write.db, "rollback to application")
        run(write.db, "release application")
        if whole:
            _write_trails(write.db, transitions)
            _count(write, transitions)
        return whole

    def _free(self, write: Write, answers: Sequence[ApplyAnswer]) -> None:
        """Gives on what those held that were written."""
        written = [one for one, answer in zip(self.transitions, answers, strict=True) if answer is _APPLIED]
        for namespace, freed in freed_in(written).items():
            now = ended_by(written) if self.now is None else self.now
            write.brought_back(free(write.db, namespace, freed, now, self.limits))

    def _one_by_one(self, write: Write) -> Sequence[ApplyAnswer]:
        return [_apply_one(write, transition) for transition in self.transitions]


def _apply_one(write: Write, transition: Transition) -> ApplyAnswer:
    try:
        written = write_rows(write.db, _SQL["write_placement"], [_row(transition)])
    except apsw.ConstraintError:
        return _conflict(write.db, transition)
    if not written:
        return _refusal(write.db, transition)
    _write_trails(write.db, [transition])
    _count(write, [transition])
    return _APPLIED


def _row(transition: Transition) -> Row:
    job = transition.job
    guard = (job.seq, job.fence, job.revision, transition.expired_before)
    return (*guard, *placement_columns(transition.placement))


def _takes_lock(transition: Transition) -> bool:
    return transition.placement.unique_lock is not None and transition.job.placement.unique_lock is None


def _conflict(db: apsw.Connection, transition: Transition) -> ApplyAnswer:
    given = {"namespace": transition.job.facts.namespace, "lock": transition.placement.unique_lock}
    (existing,) = first(db, _SQL["lock_holder"], given) or ("",)
    return Conflict(existing)


def _refusal(db: apsw.Connection, transition: Transition) -> ApplyAnswer:
    seq = transition.job.seq
    current = jobs_by_seq(db, [seq]).get(seq)
    return refusal(transition, current, _trails(db, [seq]).get(seq))


def _write_trails(db: apsw.Connection, transitions: Sequence[Transition]) -> None:
    ended = {one.job.seq: one.attempt for one in transitions if one.attempt is not None}
    if ended:
        trails = _trails(db, list(ended))
        write_rows(
            db,
            _SQL["write_trail"],
            [(seq, append(trails.get(seq), attempt)) for seq, attempt in ended.items()],
        )


def _trails(db: apsw.Connection, seqs: Sequence[int]) -> Mapping[int, str]:
    return dict(rows(db, _SQL["trails"], {"seqs": integers(seqs)}))


def _count(write: Write, transitions: Sequence[Transition]) -> None:
    moves = write.moves
    for one in transitions:
        facts = one.job.facts
        moves[facts.namespace, facts.queue, facts.type, one.job.placement.state] -= 1
        moves[facts.namespace, facts.queue, facts.type, one.placement.state] += 1

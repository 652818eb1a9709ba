"""The apply op: guarded transitions, an answer for each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

import asyncpg

from headrace.core.history import append
from headrace.core.job import Transition
from headrace.core.states import LIVE, TERMINAL
from headrace.errors import StaleRegister
from headrace.stores.gating import ended_by, freed_in, gate_of, some_may_free
from headrace.stores.known_limits import KnownLimits
from headrace.stores.postgres.database import Database
from headrace.stores.postgres.lanes import free
from headrace.stores.postgres.reading import jobs_by_seq
from headrace.stores.postgres.registers import make_swaps
from headrace.stores.postgres.rows import (
    Values,
    alike_columns,
    arrays,
    ended_columns,
    live_columns,
)
from headrace.stores.postgres.session import Session
from headrace.stores.refusals import refusal
from headrace.stores.values import Applied, ApplyAnswer, Conflict, Swap

_APPLIED: Final = Applied()
_key: Final[Callable[[Transition], Values]] = attrgetter("job.facts.namespace", "job.seq")


@dataclass(frozen=True, slots=True)
class Application:
    """Transitions to write, in rounds: no round changes a job twice. And swaps of their namespace.

    What they free at the instant ``now``, by default when the last of their jobs ended, is given on.
    """

    transitions: Sequence[Transition]
    swaps: Sequence[Swap] = ()
    now: int | None = None
    limits: KnownLimits = field(default_factory=KnownLimits)

    async def run(self, database: Database) -> Sequence[ApplyAnswer]:
        """Writes them."""
        transitions = self.transitions
        plain = not some_may_free(transitions) or not freed_in(transitions)
        if plain and not self.swaps and _only_endings(transitions):
            applied = await database.alone(lambda session: _end(session, transitions))
            if len(applied) == len(transitions):
                return [_APPLIED] * len(transitions)
            return await database.snapshot(lambda session: _answers(session, transitions, applied))
        return await database.together(self.within)

    async def within(self, session: Session) -> Sequence[ApplyAnswer]:
        """Writes them inside a transaction. Raises StaleRegister, and then nothing may be kept."""
        if self.swaps:
            namespace = self.transitions[0].job.facts.namespace
            if (stale := await make_swaps(session, namespace, self.swaps)) is not None:
                raise StaleRegister(stale)
        answers: dict[int, ApplyAnswer] = {}
        for indexes in _rounds(self.transitions):
            transitions = [self.transitions[index] for index in indexes]
            answers |= zip(indexes, await _round(session, transitions), strict=True)
        if some_may_free(self.transitions):
            await self._free(session, [self.transitions[i] for i, one in answers.items() if one is _APPLIED])
        return [answers[index] for index in range(len(self.transitions))]

    async def _free(self, session: Session, written: Sequence[Transition]) -> None:
        """Gives on what those held that were written: lanes are locked after all jobs."""
        now = ended_by(written) if self.now is None else self.now
        for namespace, freed in sorted(freed_in(written).items()):
            await free(session, namespace, freed, now, self.limits)


def _only_endings(transitions: Sequence[Transition]) -> bool:
    seqs = {
        one.job.seq
        for one in transitions
        if one.placement.state in TERMINAL and one.job.placement.state in LIVE
    }
    return len(seqs) == len(transitions)


def _rounds(transitions: Sequence[Transition]) -> Sequence[Sequence[int]]:
    """Indexes of transitions, the second one of the same job in a later round."""
    rounds: list[list[int]] = []
    met: dict[int, int] = {}
    for index, one in enumerate(transitions):
        number = met.get(one.job.seq, 0)
        met[one.job.seq] = number + 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(index)
    return rounds


async def _round(session: Session, transitions: Sequence[Transition]) -> Sequence[ApplyAnswer]:
    stays = [one for one in transitions if _stays_ended(one)]
    singles = [one for one in transitions if not _stays_ended(one) and _is_single(one)]
    alone = {id(one) for one in (*singles, *stays)}
    moves = [one for one in transitions if id(one) not in alone and not _ends(one)]
    ends = [one for one in transitions if id(one) not in alone and _ends(one)]
    applied = frozenset[int]()
    if ends:
        applied |= await _end(session, ends)
    if moves:
        applied |= await _move(session, moves)
    if stays:
        applied |= await _dismiss(session, stays)
    conflicts: dict[int, Conflict] = {}
    for one in singles:
        match await _single(session, one):
            case Conflict() as conflict:
                conflicts[one.job.seq] = conflict
            case True:
                applied |= {one.job.seq}
            case False:
                pass
    return await _answers(session, transitions, applied, conflicts)


async def _end(session: Session, transitions: Sequence[Transition]) -> frozenset[int]:
    """Writes those that end a job and fit; returns their seqs. Rows are locked in the order of seq."""
    ordered = sorted(transitions, key=_key)
    if (alike := _alike(ordered)) is not None:
        ended = await session.rows("end_alike", *alike, *_unlike(ordered))
    else:
        rows = [(*_guard(one), *ended_columns(one.placement)) for one in ordered]
        ended = await session.rows("end_jobs", *arrays(rows))
    return frozenset(row[0] for row in ended)


def _alike(transitions: Sequence[Transition]) -> Values | None:
    """What all these have in common, if only the usual columns differ."""
    first = transitions[0]
    namespace, alike = first.job.facts.namespace, alike_columns(first.placement)
    for one in transitions:
        before, after = one.job.placement, one.placement
        if (
            one.expired_before is not None
            or after.rank != before.rank
            or after.priority != before.priority
            or alike_columns(after) != alike
            or one.job.facts.namespace != namespace
        ):
            return None
    return (namespace, *alike)


def _unlike(transitions: Sequence[Transition]) -> Values:
    """What `end_alike` takes of each. The driver looks at every element, so none is sent that need not be."""
    first = transitions[0].job
    fences = [one.job.fence for one in transitions]
    revisions = [one.job.revision for one in transitions]
    results = [one.placement.result for one in transitions]
    return (
        [one.job.seq for one in transitions],
        first.fence,
        first.revision,
        () if fences.count(first.fence) == len(fences) else fences,
        () if revisions.count(first.revision) == len(revisions) else revisions,
        [one.placement.started_at for one in transitions],
        () if results.count(None) == len(results) else results,
    )


async def _move(session: Session, transitions: Sequence[Transition]) -> frozenset[int]:
    """Writes those whose job lives on and that fit; returns their seqs."""
    ordered = sorted(transitions, key=_key)
    trails = await _trails(session, [one for one in ordered if one.attempt is not None and _has_trail(one)])
    rows = [(*_guard(one), *live_columns(one.placement)) for one in ordered]
    moved = frozenset(row[0] for row in await session.rows("move_jobs", *arrays(rows)))
    await _write_trails(session, [one for one in ordered if one.job.seq in moved], trails)
    return moved


async def _dismiss(session: Session, transitions: Sequence[Transition]) -> frozenset[int]:
    """Writes those whose job has ended and stays as it ended, and that fit; returns their seqs."""
    ordered = sorted(transitions, key=_key)
    rows = [
        (one.job.facts.namespace, one.job.seq, one.job.fence, one.job.revision, one.placement.erase_at)
        for one in ordered
    ]
    dismissed = await session.rows("dismiss_jobs", *arrays(rows))
    return frozenset(row[0] for row in dismissed)


async def _single(session: Session, transition: Transition) -> Conflict | bool:
    """Writes one that may meet another job's unique key: it is undone by itself if it does."""
    try:
        async with session.undone_on_error():
            return await _write_single(session, transition)
    except asyncpg.UniqueViolationError:
        facts = transition.job.facts
        row = await session.row("lock_holder", facts.namespace, transition.placement.unique_lock)
        return Conflict("" if row is None else row[0])


async def _write_single(session: Session, transition: Transition) -> bool:
    if transition.job.placement.live:
        return bool(await _move(session, [transition]))
    job = transition.job
    guard = (job.facts.namespace, job.seq, job.fence, job.revision)
    gate = gate_of(job.facts.lane)
    reopened = await session.row("reopen_job", *guard, *live_columns(transition.placement), *gate)
    if reopened is not None:
        await _write_trails(session, [transition], await _trails(session, [transition]))
    return reopened is not None


def _ends(transition: Transition) -> bool:
    return transition.placement.state in TERMINAL and transition.job.placement.state in LIVE


def _stays_ended(transition: Transition) -> bool:
    return transition.placement.state in TERMINAL and transition.job.placement.state in TERMINAL


def _is_single(transition: Transition) -> bool:
    return _takes_lock(transition) or not transition.job.placement.live


def _takes_lock(transition: Transition) -> bool:
    return transition.placement.unique_lock is not None and transition.job.placement.unique_lock is None


def _has_trail(transition: Transition) -> bool:
    placement = transition.job.placement
    return placement.starts > 1 or placement.generation > 1


def _guard(transition: Transition) -> Values:
    job = transition.job
    return (job.facts.namespace, job.seq, job.fence, job.revision, transition.expired_before)


async def _answers(
    session: Session,
    transitions: Sequence[Transition],
    applied: frozenset[int],
    conflicts: Mapping[int, Conflict] | None = None,
) -> Sequence[ApplyAnswer]:
    """An answer for each, by what was written and by what the others' jobs are now."""
    refused = [
        one
        for one in transitions
        if one.job.seq not in applied and (conflicts is None or one.job.seq not in conflicts)
    ]
    seqs = [one.job.seq for one in refused]
    current = await jobs_by_seq(session, seqs)
    trails = await _trails(session, refused)
    answers: list[ApplyAnswer] = []
    for one in transitions:
        seq = one.job.seq
        if seq in applied:
            answers.append(_APPLIED)
        elif conflicts is not None and seq in conflicts:
            answers.append(conflicts[seq])
        else:
            answers.append(refusal(one, current.get(seq), trails.get(seq)))
    return answers


async def _trails(session: Session, transitions: Sequence[Transition]) -> Mapping[int, str]:
    if not transitions:
        return {}
    found = await session.rows("trails", [one.job.seq for one in transitions])
    return {row[0]: row[1] for row in found}


async def _write_trails(
    session: Session, transitions: Sequence[Transition], trails: Mapping[int, str]
) -> None:
    ended = {one.job.seq: one.attempt for one in transitions if one.attempt is not None}
    if ended:
        texts = [append(trails.get(seq), attempt) for seq, attempt in ended.items()]
        await session.run("write_trails", list(ended), texts)

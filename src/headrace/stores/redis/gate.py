"""The gate of a claim: who of those that have limits or an ordering key may start, and who is parked.

It comes after the script that claims the others. It looks at the lanes of the candidates, decides, and writes
what was decided in one script, which refuses if any of it is not as it was seen: then all is looked at again.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from headrace.core.job import Job
from headrace.core.lanes import PARK_AT_ONCE
from headrace.errors import StoreError
from headrace.stores.gating import AHEAD, Alike, Gate, Opening, Pick, Verdict, gate, left_of
from headrace.stores.known_limits import Known
from headrace.stores.redis.database import Again, Database
from headrace.stores.redis.lane_looks import Seen, look, nothing
from headrace.stores.redis.lanes import bring_back, bring_back_turns, returned
from headrace.stores.redis.rows import claimed_jobs, priority_rank, seq_of, stamp, type_of
from headrace.stores.redis.session import Look, Session, Write
from headrace.stores.values import ClaimRequest

_ALIKE_AT_ONCE: Final = 250


@dataclass(frozen=True, slots=True)
class Candidate:
    """A job that a claim has found due: its queue, its member there, and what it wishes."""

    queue: str
    member: str
    wished: str | None

    @property
    def seq(self) -> int:
        """The job's number."""
        return seq_of(self.member)

    def pick(self) -> Pick:
        """The candidate as ``stores.gating`` knows it."""
        priority, rank = priority_rank(self.member)
        return Pick(
            seq=self.seq,
            queue=self.queue,
            type=type_of(self.member),
            priority=priority,
            rank=rank,
            wished=self.wished,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What came of it. ``moved`` says whether another look may find more."""

    jobs: Sequence[Job] = ()
    moved: bool = False
    openings: tuple[Opening, ...] = ()


async def pass_gate(  # noqa: PLR0913 - what is brought, and what was taken before
    database: Database,
    request: ClaimRequest,
    known: Known,
    candidates: Sequence[Sequence[Any]],
    *,
    taken: int = 0,
    beside: Sequence[Job] = (),
) -> Passed:
    """Admits or parks candidates of a claim, rows of queue, member and wishes in claim order.

    ``taken`` is how many jobs earlier looks of the claim have taken, ``beside`` are those of this one. Raises
    StoreUnavailable where others were in the way too often.
    """
    wanted = [Candidate(*one) for one in candidates]
    first = wanted[0].pick().order
    ahead = sum((-job.placement.priority, job.placement.rank, job.seq) < first for job in beside)
    prompt = left_of(request.prompt, request.limit, taken + ahead)
    tries = 0

    async def op(session: Session) -> Decision | None:
        nonlocal tries
        tries += 1
        there: Sequence[Candidate] | None = wanted
        if tries > 1 and (there := await _still_due(session, wanted, known)) is None:
            return None
        return await decide(session, request, known, there, prompt=prompt)

    decision = await database.together(database.keys(request.namespace), op)
    if decision is None:
        return Passed(moved=True)
    await decision.follow_up(database)
    return decision.passed()


async def decide(
    session: Session, request: ClaimRequest, known: Known, candidates: Sequence[Candidate], *, prompt: int
) -> "Decision | None":
    """Decides about candidates and commits that; None if the definitions are not those that are known.

    Raises Again if anything of it is not as it was looked at.
    """
    at = gate([one.pick() for one in candidates], known.limits, request.now)
    seen = nothing(known.limits.revision)
    if at.keys:
        seen = await look(session, at.lanes, at.orders, request.now)
    if seen.revision != known.limits.revision:
        return None
    rows = seen.rows({one.queue for one in candidates})
    verdict = at.decide(seen.states, rows, seen.orders, prompt=prompt)
    decision = Decision(request, at, seen, verdict, {one.seq: one for one in candidates})
    await decision.commit(session)
    return decision


class Decision:
    """What was decided about candidates, and its way into the store."""

    def __init__(
        self,
        request: ClaimRequest,
        at: Gate,
        seen: Seen,
        verdict: Verdict,
        candidates: Mapping[int, Candidate],
    ) -> None:
        self._request = request
        self._at = at
        self._seen = seen
        self._verdict = verdict
        self._candidates = candidates
        self._lanes = sorted({*seen.states, *at.missing(seen.states)})
        self._later = bring_back(seen, verdict.room, request.now)
        self._rows: Sequence[Any] = ()
        self._versions: Sequence[str] = ()
        self._returned: list[Any] = []

    def passed(self) -> Passed:
        """What a claim is told."""
        request = self._request
        jobs = claimed_jobs(
            request.namespace,
            self._rows,
            worker=request.worker,
            now=request.now,
            lease_until=request.lease_until,
        )
        return Passed(jobs=jobs, moved=self._verdict.moved, openings=self._verdict.openings)

    async def commit(self, session: Session) -> None:
        """Writes what must not be written unless everything is as it was seen. Raises Again if it is not."""
        if not (self._verdict.admission.admitted or self._verdict.moved):
            return
        back = bring_back_turns(self._verdict.turns, self._request.now)
        if self._later:
            back += self._later.pop(0)
        session.add(("touched", self._lanes), self._admit(), *self._checks(), *self._changes(), *back)
        self._versions, rows, *answers = await session.commit()
        self._rows = [row for row in rows if row]
        self._returned += answers[len(answers) - len(back) :]

    async def follow_up(self, database: Database) -> None:
        """Brings back what was too much for one script, and parks those that would be refused likewise.

        What cannot be done is left to the sweep and the next claims: this one has jobs to hand out.
        """
        with suppress(StoreError):
            await self._bring_back(database)
            await self._park_alike(database)

    async def _bring_back(self, database: Database) -> None:
        namespace = self._request.namespace
        try:
            for writes in self._later:
                self._returned += await database.write(database.keys(namespace), writes)
        finally:
            if back := returned(namespace, self._returned):
                database.on_return(back)

    async def _park_alike(self, database: Database) -> None:
        keys = database.keys(self._request.namespace)
        with suppress(Again):  # the lanes may let them in by now
            for alike in self._verdict.alike:
                left, parked = PARK_AT_ONCE, _ALIKE_AT_ONCE
                while left > 0 and parked == _ALIKE_AT_ONCE:
                    (parked, *_) = await database.write(keys, [self._park(alike), *self._unchanged()])
                    left -= parked

    def _admit(self) -> Write:
        request, admission = self._request, self._verdict.admission
        slots = self._verdict.slot_keys
        rows = [(self._candidates[seq].member, slots.get(seq)) for seq in admission.admitted]
        return "admit", rows, stamp(request.worker, request.now), request.now, request.lease_until

    def _checks(self) -> Iterator[Write]:
        admission = self._verdict.admission
        members: dict[str, list[str]] = {}
        for seq in (*admission.admitted, *(seq for seq, _ in admission.parked)):
            one = self._candidates[seq]
            members.setdefault(one.queue, []).append(one.member)
        yield "lanes_are", list(self._seen.versions.items())
        yield "limits_are", self._at.limits.revision
        for queue, some in members.items():
            yield "still_due", queue, some

    def _changes(self) -> Iterator[Write]:
        admission = self._verdict.admission
        for state in admission.states:
            yield "start_rate", state.key, str(state.tat)
        if admission.parked:
            parked = [(self._candidates[seq].member, lane) for seq, lane in admission.parked]
            yield "park", parked, self._request.now

    def _park(self, alike: Alike) -> Write:
        refused = (alike.queue, alike.type, alike.wished, alike.lane)
        return "park_alike", *refused, self._verdict.spared, self._request.now, AHEAD, _ALIKE_AT_ONCE

    def _unchanged(self) -> Sequence[Write]:
        left = list(zip(self._lanes, self._versions, strict=True))
        return ("lanes_are", left), ("limits_are", self._at.limits.revision)


async def _still_due(at: Look, candidates: Sequence[Candidate], known: Known) -> Sequence[Candidate] | None:
    """Those that may still be claimed; None if the definitions are not those that are known."""
    members = [(one.queue, one.member) for one in candidates]
    revision, due = await at.look("still_due", members)
    if int(revision) != known.limits.revision:
        return None
    return [one for one, is_due in zip(candidates, due, strict=True) if is_due]

"""What a gate has decided about the candidates of a claim, and its way into the store."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from headrace.core.job import Job
from headrace.core.lanes import PARK_AT_ONCE
from headrace.errors import StoreError
from headrace.stores.gating import AHEAD, Alike, Gate, Opening, Pick, Verdict, gate, wishes_of
from headrace.stores.known_limits import Known
from headrace.stores.redis.database import Again, Database
from headrace.stores.redis.lane_looks import Seen, look, nothing
from headrace.stores.redis.lanes import bring_back, bring_back_turns, returned
from headrace.stores.redis.rows import claimed_jobs, priority_rank, seq_of, stamp, type_of
from headrace.stores.redis.session import Session, Write
from headrace.stores.values import ClaimRequest

_ALIKE_AT_ONCE: Final = 500
"""So many jobs are parked in one script; a claim goes on with the next one."""

_ALIKE: Final = 5 * PARK_AT_ONCE

_Lane = tuple[str, int | bool, bool]
"""A lane as a commit looks at it: its key, its cap or False, and whether it is shut whoever holds a slot."""


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


async def decide(  # noqa: PLR0913 - what is decided about, and under what
    session: Session,
    request: ClaimRequest,
    known: Known,
    candidates: Sequence[Candidate],
    *,
    prompt: int,
    more: bool = True,
    whole: bool = False,
) -> "Decision | None":
    """Decides about candidates and commits that; None if the definitions are not those that are known.

    ``more``: others may be due behind them. Of candidates for which it is not so any more nothing is written,
    or of none at all if ``whole``. Raises Again if what is kept of a lane, or whose turn it is, has changed.
    """
    at = gate([one.pick() for one in candidates], known.limits, request.now)
    seen = nothing(known.limits.revision)
    if at.keys:
        seen = await look(session, at.lanes, at.orders, request.now)
    if seen.revision != known.limits.revision:
        return None
    rows = seen.rows({one.queue for one in candidates})
    verdict = at.decide(seen.states, rows, seen.orders, prompt=prompt)
    decision = Decision(request, at, seen, verdict, {one.seq: one for one in candidates}, more=more)
    await decision.commit(session, whole=whole)
    return decision


class Decision:
    """What was decided about candidates, and its way into the store."""

    def __init__(  # noqa: PLR0913 - what was decided about, and by what
        self,
        request: ClaimRequest,
        at: Gate,
        seen: Seen,
        verdict: Verdict,
        candidates: Mapping[int, Candidate],
        *,
        more: bool,
    ) -> None:
        self._request = request
        self._at = at
        self._verdict = verdict
        self._candidates = candidates
        self._more = more
        self._lanes = _lanes(at, seen, verdict)
        self._touched = _touched(at, seen, verdict)
        self._versions = dict(seen.versions)
        self._later = bring_back(seen, verdict.room, request.now)
        self._rows: Sequence[Any] = ()
        self._moved = False
        self._returned: list[Any] = []

    def passed(self, *, moved: bool = False) -> Passed:
        """What a claim is told; ``moved`` says whether another look may find more for what came before."""
        request = self._request
        jobs = claimed_jobs(
            request.namespace,
            self._rows,
            worker=request.worker,
            now=request.now,
            lease_until=request.lease_until,
        )
        return Passed(jobs=jobs, moved=moved or self._moved, openings=self._verdict.openings)

    async def commit(self, session: Session, *, whole: bool) -> None:
        """Writes what still is as it was seen, or all or nothing. Raises Again if more than that is not."""
        if not (self._verdict.admission.admitted or self._verdict.moved):
            return
        back = bring_back_turns(self._verdict.turns, self._request.now)
        if self._later:
            back += self._later.pop(0)
        states = self._verdict.admission.states
        rates: list[Write] = [("start_rate", state.key, str(state.tat)) for state in states]
        # tokens are taken for all that are admitted, so all of them must start
        passing = self._pass(whole=whole or bool(states), others=not whole)
        session.add(("touched", self._touched), passing, *self._unchanged(), *rates, *back)
        versions, (rows, parked, left, gone), *answers = await session.commit()
        self._moved = bool(back or parked or left or (gone and self._more))
        self._versions.update(zip(self._touched, versions, strict=True))
        self._rows = [row for row in rows if row]
        self._returned += answers[len(answers) - len(back) :]

    async def follow_up(self, database: Database) -> None:
        """Brings back what was too much for one script, and parks those that would be refused likewise.

        What cannot be done is left to the sweep and the next claims: this one has jobs to hand out.
        """
        with suppress(StoreError):
            await self._bring_back(database)
            if self._more:
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
                left, parked = _ALIKE, _ALIKE_AT_ONCE
                while left > 0 and parked == _ALIKE_AT_ONCE:
                    (parked, *_) = await database.write(keys, [self._park(alike), *self._unchanged()])
                    left -= parked

    def _pass(self, *, whole: bool, others: bool) -> Write:
        request, admission, slots = self._request, self._verdict.admission, self._verdict.slot_keys
        numbers = {key: number for number, key in enumerate(self._lanes, 1)}
        lanes = {one.seq: [numbers[key] for key in one.lanes] for one in self._at.candidates}
        admitted = [
            (*self._place(seq), lanes[seq], slots.get(seq, False), others and self._kind(seq))
            for seq in admission.admitted
        ]
        parked = [(*self._place(seq), numbers[lane]) for seq, lane in admission.parked]
        queues = sorted({queue for queue, *_ in (*admitted, *parked)})
        who = stamp(request.worker, request.now), request.now, request.lease_until
        kept, in_turn = list(self._lanes.values()), bool(self._at.orders)
        return "pass", queues, kept, admitted, parked, whole, *who, in_turn

    def _kind(self, seq: int) -> tuple[str | bool] | bool:
        """What another job must wish to start in its place; False for one that waits for its turn."""
        wished = self._candidates[seq].wished
        return wishes_of(wished).order is None and (wished or False,)

    def _place(self, seq: int) -> tuple[str, str]:
        one = self._candidates[seq]
        return one.queue, one.member

    def _park(self, alike: Alike) -> Write:
        refused = alike.queue, alike.type, alike.wished, self._lanes[alike.lane]
        return "park_alike", *refused, self._verdict.spared, AHEAD, _ALIKE_AT_ONCE

    def _unchanged(self) -> Sequence[Write]:
        return ("lanes_are", list(self._versions.items())), ("limits_are", self._at.limits.revision)


def _lanes(at: Gate, seen: Seen, verdict: Verdict) -> dict[str, _Lane]:
    """What a commit asks of the lanes: whether one that was full by those who hold a slot is full still.

    What else shuts a lane, such as its rate, goes with its version; so does every ordering key.
    """
    found: dict[str, _Lane] = {}
    taken = Counter(key for _, key in verdict.admission.slots)
    for key in at.lanes:
        lane = seen.lane(key, at.limits)
        full = lane.cap is not None and lane.holders + taken[key] >= lane.cap
        cap = False if lane.cap is None else lane.cap
        found[key] = key, cap, key in verdict.admission.closed and not full
    return found | {key: (key, False, True) for key in at.orders}


def _touched(at: Gate, seen: Seen, verdict: Verdict) -> list[str]:
    """The lanes that get another version: of the rates and turns that are taken, and those that are new."""
    admitted = {*verdict.admission.admitted}
    turns = (one.order for one in at.candidates if one.seq in admitted and one.order is not None)
    rates = (state.key for state in verdict.admission.states)
    return sorted({*at.missing(seen.states), *rates, *turns})

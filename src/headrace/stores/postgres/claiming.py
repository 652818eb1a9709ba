"""The claim op: due jobs in order, each to one holder."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from headrace.core.job import Job
from headrace.core.lanes import ALIVE_MS, PARK_AT_ONCE, TYPE_LANE
from headrace.core.place import CLAIMED
from headrace.stores.gating import ROUNDS
from headrace.stores.known_limits import Known, KnownLimits
from headrace.stores.openings import Openings
from headrace.stores.postgres.database import Database
from headrace.stores.postgres.gate import Passed, pass_gate
from headrace.stores.postgres.lanes import open_lanes, read_limits
from headrace.stores.postgres.marks import Mark, Marks
from headrace.stores.postgres.rows import claimed_of
from headrace.stores.postgres.session import Row, Session
from headrace.stores.values import ClaimRequest

_rank: Final[Callable[[Job], tuple[int, int]]] = attrgetter("placement.rank", "seq")
_priority: Final[Callable[[Job], int]] = attrgetter("placement.priority")


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a process remembers from one claim to the next."""

    openings: Openings
    marks: Marks = field(default_factory=Marks)
    limits: KnownLimits = field(default_factory=KnownLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One claim statement: how many jobs of each queue and in all, from which marks, only of which types."""

    rooms: Mapping[str, int]
    room: int
    marks: Sequence[Mark] = ()
    only: Sequence[str] | None = None

    async def run(self, session: Session, request: ClaimRequest, known: Known) -> Sequence[Row]:
        """The rows of the query `claim`, of which there is at least one."""
        queues, priorities, ranks, seqs = zip(*self.marks, strict=True) if self.marks else ((), (), (), ())
        return await session.rows(
            "claim",
            request.namespace,
            request.now,
            list(self.rooms),
            list(self.rooms.values()),
            self.room,
            sorted(request.types),
            queues,
            priorities,
            ranks,
            seqs,
            CLAIMED,
            request.worker,
            request.lease_until,
            self.only,
            known.limits.revision,
            sorted(known.types),
            known.gated_queues(list(self.rooms)),
        )


class Claims:
    """Claims for one process; it remembers where the last claims left nothing behind."""

    def __init__(self, database: Database, openings: Openings) -> None:
        self.remembered = Remembered(openings)
        self.marks = self.remembered.marks
        self._database = database

    async def claim(self, request: ClaimRequest) -> Sequence[Job]:
        """Due jobs, marked as claimed; those that no live worker knows are parked on the way."""
        wanted = {queue: min(most, request.limit) for queue, most in request.queues.items()}
        wanted = {queue: most for queue, most in wanted.items() if most > 0}
        if not wanted:
            return []
        looks = _Looks(self._database, self.remembered, request, wanted)
        await looks.run()
        self.remembered.openings.arm(request.now)
        return looks.found


class _Looks:
    """The looks of one claim: one as a rule, more where the first fell short and more may be there."""

    def __init__(
        self, database: Database, remembered: Remembered, request: ClaimRequest, wanted: dict[str, int]
    ) -> None:
        self.found: list[Job] = []
        self._database = database
        self._openings = remembered.openings
        self._marks = remembered.marks
        self._limits = remembered.limits
        self._request = request
        self._wanted = wanted
        self._queues = sorted(wanted)

    async def run(self) -> None:
        request = self._request
        if opened := self._openings.due(request.namespace, self._wanted, request.now):
            await self._open(opened)
        full = self._marks.full_look_due(request.namespace, self._queues)
        unknown = await self._looked(full=full)
        if unknown:
            await self._park(unknown)
            if request.types:
                await self._looked(full=True, only=sorted(request.types))
        elif not full and self._short() and self._marks.full_look_due(request.namespace, self._queues):
            await self._looked(full=True)

    def _short(self) -> bool:
        return len(self.found) < min(self._request.limit, sum(self._wanted.values()))

    async def _looked(self, *, full: bool, only: Sequence[str] | None = None) -> Sequence[str]:
        """A look, and more as long as the gate puts aside what is found; the types met that are not known."""
        unknown, again = await self._look(full=full, only=only)
        for _ in range(ROUNDS):
            if not again or not self._short():
                break
            more, again = await self._look(full=False, only=only)
            unknown = {*unknown, *more}
        return sorted(unknown)

    async def _look(self, *, full: bool, only: Sequence[str] | None) -> tuple[Iterable[str], bool]:
        """One claim statement; the types it met that are not known here, and whether to look again."""
        request = self._request
        marks: Sequence[Mark] = () if full else self._marks.of(request.namespace, self._queues)
        room = request.limit - len(self.found)
        came = Counter(job.facts.queue for job in self.found)
        rooms = {queue: min(room, most - came[queue]) for queue, most in self._wanted.items()}
        begun = time.monotonic()
        known = self._limits.of(request.namespace)
        look = Look(rooms=rooms, room=room, marks=marks, only=only)
        rows = await self._database.alone(lambda session: look.run(session, request, known))
        if full:
            self._marks.looked(request.namespace, self._queues, time.monotonic() - begun)
        unknown, gated = rows[0][0] or (), rows[0][1]
        jobs = self._jobs(rows)
        if gated is None:
            self._marks.learn(request.namespace, jobs)
            self._keep(jobs)
            return unknown, False
        if not gated:
            await self._learn_limits()
            return unknown, True
        passed = await self._pass(gated, jobs)
        admitted = self._jobs(passed.rows)
        if passed.whole:
            self._marks.learn(request.namespace, in_order([*jobs, *admitted]))
        self._keep(jobs)
        self._keep(admitted)
        return unknown, passed.moved

    async def _learn_limits(self) -> None:
        async def read(session: Session) -> Known:
            return await read_limits(session, self._request.namespace, self._limits)

        await self._database.read(read)

    async def _pass(self, seqs: Sequence[int], jobs: Sequence[Job]) -> Passed:
        """Brings candidates to the gate, beside jobs that were claimed by the same look."""
        request = self._request
        known, taken = self._limits.of(request.namespace), len(self.found)
        passed = await self._database.together(
            lambda session: pass_gate(session, request, known, seqs, taken=taken, beside=jobs)
        )
        self._openings.remember(request.namespace, passed.openings, request.now)
        return passed

    async def _open(self, opened: Sequence[str]) -> None:
        """Brings back jobs of lanes that have opened, before it is looked for any."""
        request = self._request
        openings = await self._database.together(
            lambda session: open_lanes(session, request.namespace, opened, request.now, self._limits)
        )
        self._openings.remember(request.namespace, openings, request.now)

    def _jobs(self, rows: Sequence[Row]) -> list[Job]:
        return in_order(jobs_of(rows, self._request))

    def _keep(self, jobs: Sequence[Job]) -> None:
        self.found += jobs
        if len(self.found) > len(jobs):
            in_order(self.found)

    async def _park(self, unknown: Sequence[str]) -> None:
        """Takes jobs that nobody alive can run out of the way; those of others are left to them."""
        request = self._request

        async def known(session: Session) -> set[str]:
            since = request.now - ALIVE_MS
            return {row[0] for row in await session.rows("types_of_workers", request.namespace, since)}

        orphans = sorted(set(unknown) - await self._database.read(known))
        if not orphans:
            return

        async def park(session: Session) -> None:
            for queue in self._queues:
                await session.run(
                    "park_types", request.namespace, queue, request.now, orphans, TYPE_LANE, PARK_AT_ONCE
                )

        await self._database.together(park)


def jobs_of(rows: Sequence[Row], request: ClaimRequest) -> list[Job]:
    """The jobs that a claim statement has marked."""
    return [
        claimed_of(
            row,
            namespace=request.namespace,
            worker=request.worker,
            now=request.now,
            lease_until=request.lease_until,
        )
        for row in rows
        if row[2] is not None
    ]


def in_order(jobs: list[Job]) -> list[Job]:
    """The jobs, sorted as they are claimed."""
    jobs.sort(key=_rank)
    jobs.sort(key=_priority, reverse=True)
    return jobs

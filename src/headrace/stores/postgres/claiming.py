"""The claim op: due jobs in order, each to one holder."""

import time
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final

from headrace.core.job import Job
from headrace.core.lanes import ALIVE_MS, PARK_AT_ONCE, TYPE_LANE
from headrace.core.place import CLAIMED
from headrace.stores.postgres.database import Database
from headrace.stores.postgres.marks import Mark, Marks
from headrace.stores.postgres.rows import claimed_of
from headrace.stores.postgres.session import Session
from headrace.stores.values import ClaimRequest

_rank: Final[Callable[[Job], tuple[int, int]]] = attrgetter("placement.rank", "seq")
_priority: Final[Callable[[Job], int]] = attrgetter("placement.priority")


class Claims:
    """Claims for one process; it remembers where the last claims left nothing behind."""

    def __init__(self, database: Database) -> None:
        self.marks = Marks()
        self._database = database

    async def claim(self, request: ClaimRequest) -> Sequence[Job]:
        """Due jobs, marked as claimed; those that no live worker knows are parked on the way."""
        wanted = {queue: min(most, request.limit) for queue, most in request.queues.items()}
        wanted = {queue: most for queue, most in wanted.items() if most > 0}
        if not wanted:
            return []
        looks = _Looks(self._database, self.marks, request, wanted)
        await looks.run()
        return looks.found


class _Looks:
    """The looks of one claim: one as a rule, more where the first fell short and more may be there."""

    def __init__(
        self, database: Database, marks: Marks, request: ClaimRequest, wanted: dict[str, int]
    ) -> None:
        self.found: list[Job] = []
        self._database = database
        self._marks = marks
        self._request = request
        self._wanted = wanted
        self._queues = sorted(wanted)

    async def run(self) -> None:
        request = self._request
        full = self._marks.full_look_due(request.namespace, self._queues)
        unknown = await self._look(full=full)
        if unknown:
            await self._park(unknown)
            if request.types:
                await self._look(full=True, only=sorted(request.types))
        elif not full and self._short() and self._marks.full_look_due(request.namespace, self._queues):
            await self._look(full=True)

    def _short(self) -> bool:
        return len(self.found) < min(self._request.limit, sum(self._wanted.values()))

    async def _look(self, *, full: bool, only: Sequence[str] | None = None) -> Sequence[str]:
        """One claim statement; returns the types it met that are not known here."""
        request = self._request
        marks: Sequence[Mark] = () if full else self._marks.of(request.namespace, self._queues)
        room = request.limit - len(self.found)
        came = [job.facts.queue for job in self.found]
        rooms = {queue: min(room, most - came.count(queue)) for queue, most in self._wanted.items()}
        begun = time.monotonic()
        rows = await self._database.alone(lambda session: self._claim(session, rooms, room, marks, only))
        if full:
            self._marks.looked(request.namespace, self._queues, time.monotonic() - begun)
        jobs = [
            claimed_of(
                row,
                namespace=request.namespace,
                worker=request.worker,
                now=request.now,
                lease_until=request.lease_until,
            )
            for row in rows
            if row[1] is not None
        ]
        _in_order(jobs)
        self._marks.learn(request.namespace, jobs)
        self.found += jobs
        if len(self.found) > len(jobs):
            _in_order(self.found)
        return rows[0][0] or ()

    async def _claim(
        self,
        session: Session,
        rooms: dict[str, int],
        room: int,
        marks: Sequence[Mark],
        only: Any,  # noqa: ANN401
    ) -> Sequence[Any]:
        request = self._request
        queues, priorities, ranks, seqs = zip(*marks, strict=True) if marks else ((), (), (), ())
        return await session.rows(
            "claim",
            request.namespace,
            request.now,
            list(rooms),
            list(rooms.values()),
            room,
            sorted(request.types),
            queues,
            priorities,
            ranks,
            seqs,
            CLAIMED,
            request.worker,
            request.lease_until,
            only,
        )

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


def _in_order(jobs: list[Job]) -> None:
    jobs.sort(key=_rank)
    jobs.sort(key=_priority, reverse=True)

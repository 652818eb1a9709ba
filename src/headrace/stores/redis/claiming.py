"""The claim op: due jobs in order, each to one holder."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from headrace.core.job import Job
from headrace.core.lanes import ALIVE_MS, PARK_AT_ONCE, TYPE_LANE
from headrace.errors import StoreError
from headrace.stores.gating import ROUNDS
from headrace.stores.known_limits import Known, KnownLimits
from headrace.stores.openings import Openings
from headrace.stores.redis.database import Database
from headrace.stores.redis.gate import pass_gate
from headrace.stores.redis.lanes import open_lanes, read_limits
from headrace.stores.redis.rows import claimed_jobs, stamp
from headrace.stores.redis.session import dumps
from headrace.stores.values import ClaimRequest

AT_ONCE: Final = 100
"""So many jobs a script: a larger claim would keep the server busy for too long."""

_rank: Final[Callable[[Job], tuple[int, int]]] = attrgetter("placement.rank", "seq")
_priority: Final[Callable[[Job], int]] = attrgetter("placement.priority")


class Claims:
    """Claims for one process, and what it remembers from one to the next."""

    def __init__(self, database: Database, limits: KnownLimits, openings: Openings) -> None:
        self.database = database
        self.limits = limits
        self.openings = openings

    async def claim(self, request: ClaimRequest) -> Sequence[Job]:
        """Due jobs, marked as claimed; those that no live worker knows are parked on the way."""
        wanted = {queue: min(most, request.limit) for queue, most in request.queues.items()}
        wanted = {queue: most for queue, most in wanted.items() if most > 0}
        if not wanted:
            return []
        looks = _Looks(self, request, wanted)
        try:
            await looks.run()
        except StoreError:
            if not looks.found:
                raise
            # what was claimed before is the worker's, who would not know
        self.openings.arm(request.now)
        self.database.whereabouts.learn(request.namespace, [job.facts.id for job in looks.found])
        return looks.found


class _Looks:
    """The looks of one claim: one as a rule, more where the first fell short and more may be there."""

    def __init__(self, claims: Claims, request: ClaimRequest, wanted: Mapping[str, int]) -> None:
        self.found: list[Job] = []
        self._database = claims.database
        self._keys = claims.database.keys(request.namespace)
        self._limits = claims.limits
        self._openings = claims.openings
        self._request = request
        self._wanted = wanted
        self._types = dict.fromkeys(sorted(request.types), 1)
        self._unknown: set[str] = set()
        self._after: dict[str, str] = {}

    async def run(self) -> None:
        request = self._request
        if opened := self._openings.due(request.namespace, self._wanted, request.now):
            found = await open_lanes(self._database, request.namespace, opened, request.now, self._limits)
            self._openings.remember(request.namespace, found, request.now)
        rounds = 0
        while rooms := self._rooms():
            again, moved = await self._look(rooms)
            rounds += moved
            if not again or rounds > ROUNDS:
                break
        if self._unknown:
            await self._park()

    def _rooms(self) -> dict[str, int]:
        """How many jobs are still wanted, by queue, and in one script."""
        left = min(self._request.limit - len(self.found), AT_ONCE)
        if not self.found:
            return {queue: min(most, left) for queue, most in self._wanted.items()}
        came = Counter(job.facts.queue for job in self.found)
        rooms = {queue: min(most - came[queue], left) for queue, most in self._wanted.items()}
        return {queue: room for queue, room in rooms.items() if room > 0}

    async def _look(self, rooms: Mapping[str, int]) -> tuple[bool, bool]:
        """One claim script; whether to look again, and whether that is for what the gate has moved."""
        request, known = self._request, self._limits.of(self._request.namespace)
        kind, *said = await self._database.run(self._keys, "claim", self._asked(rooms, known))
        if kind == "limits":
            await read_limits(self._database, request.namespace, self._limits)
            return True, True
        if kind == "due":
            return True, False
        rows, gated, unknown, short = said
        self._unknown.update(unknown)
        jobs = self._jobs(rows)
        self._keep(jobs)
        if gated:
            return await self._pass(gated, jobs, known), True
        self._after = dict(short)
        return bool(short) or len(rows) == AT_ONCE, False

    async def _pass(self, gated: Sequence[Any], jobs: Sequence[Job], known: Known) -> bool:
        """Brings candidates to the gate, beside jobs that were claimed by the same look."""
        request = self._request
        taken = len(self.found) - len(jobs)
        passed = await pass_gate(self._database, request, known, gated, taken=taken, beside=jobs)
        self._openings.remember(request.namespace, passed.openings, request.now)
        self._keep(passed.jobs)
        return passed.moved or len(passed.jobs) + len(jobs) == AT_ONCE

    def _asked(self, rooms: Mapping[str, int], known: Known) -> str:
        request = self._request
        return dumps(
            {
                "now": request.now,
                "lease": request.lease_until,
                "stamp": stamp(request.worker, request.now),
                "limit": min(request.limit - len(self.found), AT_ONCE),
                "revision": known.limits.revision,
                "queues": [(queue, room, self._after.get(queue, False)) for queue, room in rooms.items()],
                "types": self._types,
                "all": known.everything,
                "gated_queues": dict.fromkeys(known.queues, 1),
                "gated_types": dict.fromkeys(known.types, 1),
            }
        )

    def _jobs(self, rows: Sequence[Any]) -> list[Job]:
        request = self._request
        return claimed_jobs(
            request.namespace,
            rows,
            worker=request.worker,
            now=request.now,
            lease_until=request.lease_until,
        )

    def _keep(self, jobs: Sequence[Job]) -> None:
        self.found += jobs
        if len(self.found) > len(jobs):
            self.found.sort(key=_rank)
            self.found.sort(key=_priority, reverse=True)

    async def _park(self) -> None:
        """Takes jobs that nobody alive can run out of the way; those of others are left to them."""
        request = self._request
        orphans = self._unknown - await _types_of_live_workers(self._database, self._request)
        if orphans:
            for queue in self._wanted:
                await _park(self._database, request, queue, orphans)


async def _types_of_live_workers(database: Database, request: ClaimRequest) -> set[str]:
    """What workers know that were seen of late."""
    keys = database.keys(request.namespace)
    return set(await database.look(keys, "live_types", request.now - ALIVE_MS))


async def _park(database: Database, request: ClaimRequest, queue: str, types: Collection[str]) -> None:
    """Parks due jobs of these types, the first of a queue."""
    keys = database.keys(request.namespace)
    left, after = PARK_AT_ONCE, ""
    while left > 0:
        given = (queue, sorted(types), after, min(left, AT_ONCE), request.now, TYPE_LANE)
        count, after = await database.run(keys, "park_types", *given)
        left -= count
        if not after:
            break

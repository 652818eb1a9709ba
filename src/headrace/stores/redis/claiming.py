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

AHEAD: Final = 5
"""So many scripts are sent before the first has answered: the server works while answers are read."""

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
        # several scripts, or one and the gate: each has found them in order
        return sorted(sorted(looks.found, key=_rank), key=_priority, reverse=True)


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
        rounds, scripts = 0, 1
        while left := self._left():
            again, moved = await self._look(left, scripts)
            rounds += moved
            if not again or rounds > ROUNDS:
                break
            scripts = 1 if moved or self._after else AHEAD
        if self._unknown:
            await self._park()

    def _left(self) -> dict[str, int]:
        """How many jobs are still wanted, by queue."""
        left = self._request.limit - len(self.found)
        if not self.found:
            return {queue: min(most, left) for queue, most in self._wanted.items()}
        came = Counter(job.facts.queue for job in self.found)
        rooms = {queue: min(most - came[queue], left) for queue, most in self._wanted.items()}
        return {queue: room for queue, room in rooms.items() if room > 0}

    async def _look(self, left: Mapping[str, int], scripts: int) -> tuple[bool, bool]:
        """At most so many scripts; whether to look again, and whether that is for what the gate has moved.

        Candidates for the gate are named by each of them until they have passed: the last one's are all.
        """
        request, known = self._request, self._limits.of(self._request.namespace)
        scripts = max(1, min(scripts, min(left.values()) // AT_ONCE))
        replies = await self._database.run_times(self._keys, "claim", self._asked(left, known), times=scripts)
        said = [reply[1:] for reply in replies if reply[0] == "ok"]
        jobs = self._jobs([row for rows, *_ in said for row in rows])
        gated = next((named for _, named, *_ in reversed(said) if named), ())
        self._unknown.update(*(unknown for _, _, unknown, _ in said))
        self._after = dict(said[-1][-1]) if said else self._after
        self.found += jobs
        if any(reply[0] == "limits" for reply in replies):
            await read_limits(self._database, request.namespace, self._limits)
            return True, True
        kind, *last = replies[-1]
        full = kind == "ok" and len(last[0]) + len(last[1]) == AT_ONCE
        if gated:
            moved, passed = await self._pass(gated, jobs, known)
            return moved or (full and passed == len(gated)), True
        return kind == "due" or bool(self._after) or full, False

    async def _pass(self, gated: Sequence[Any], jobs: Sequence[Job], known: Known) -> tuple[bool, int]:
        """Brings candidates to the gate, beside jobs that were claimed by the same look.

        Whether it has moved any out of the way, and how many it let in.
        """
        request = self._request
        taken = len(self.found) - len(jobs)
        passed = await pass_gate(self._database, request, known, gated, taken=taken, beside=jobs)
        self._openings.remember(request.namespace, passed.openings, request.now)
        self.found += passed.jobs
        return passed.moved, len(passed.jobs)

    def _asked(self, left: Mapping[str, int], known: Known) -> str:
        request = self._request
        return dumps(
            {
                "now": request.now,
                "lease": request.lease_until,
                "stamp": stamp(request.worker, request.now),
                "limit": min(request.limit - len(self.found), AT_ONCE),
                "revision": known.limits.revision,
                "queues": [
                    (name, min(most, AT_ONCE), self._after.get(name, False)) for name, most in left.items()
                ],
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
        given = (queue, sorted(types), after, min(left, AT_ONCE), TYPE_LANE)
        count, after = await database.run(keys, "park_types", *given)
        left -= count
        if not after:
            break

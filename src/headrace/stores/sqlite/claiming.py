"""The claim op: due jobs in order, each to one holder."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import apsw

from headrace.core.job import MAX_PRIORITY, MIN_PRIORITY, Job
from headrace.core.lanes import ALIVE_MS, PARK_AT_ONCE, TYPE_LANE
from headrace.core.place import CLAIMED
from headrace.stores.gating import ROUNDS, Pick, gate_of, left_of
from headrace.stores.known_limits import Known
from headrace.stores.sqlite.gate import Gates, Passage
from headrace.stores.sqlite.lanes import known_limits, open_lanes
from headrace.stores.sqlite.rows import claimed_of
from headrace.stores.sqlite.statements import Values, first, integers, queries, rows, texts, write
from headrace.stores.sqlite.transaction import Write
from headrace.stores.values import ClaimRequest

_SQL = queries("claim")

# A priority that holds only future jobs costs one look, however many they are. Below so many
# priorities the rest is walked in one go: that costs 0.2 µs for each future job, a look costs 10.
LEVELS: Final = 64

# Larger texts are read one by one: all in one JSON text they could pass SQLite's limit of 1 GB.
_INLINE: Final = 65_536

# Where the columns stand in a row of the query `claimable`.
_SEQ, _TYPE, _QUEUE, _WISHED, _LARGE, _STATE, _PRIORITY, _RANK, _SLOT_KEY = 0, 6, 5, 17, 22, 23, 24, 25, 26
_PAYLOAD, _PROGRESS, _CHECKPOINT = 10, 20, 21

_Row = list[Any]


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim, for the writer."""

    request: ClaimRequest
    gates: Gates = field(default_factory=Gates)

    def __call__(self, write: Write) -> Sequence[Job]:
        """Does it, inside a write transaction."""
        request = self.request
        wanted = {queue: min(most, request.limit) for queue, most in request.queues.items()}
        wanted = {queue: most for queue, most in wanted.items() if most > 0}
        if not wanted:
            return []
        return _Claiming(write, self, wanted).run()


class _Claiming:
    """The looks of one claim: one, and more where the gate put aside what the first one found."""

    def __init__(self, at: Write, claim: Claim, wanted: Mapping[str, int]) -> None:
        self._at = at
        self._request = claim.request
        self._gates = claim.gates
        self._wanted = wanted
        self._known = known_limits(at.db, claim.request.namespace, claim.gates.limits)

    def run(self) -> Sequence[Job]:
        request = self._request
        if opened := self._gates.openings.due(request.namespace, self._wanted, request.now):
            self._open(opened)
        jobs, again = self._look(0, self._wanted)
        for _ in range(ROUNDS):
            room = self._room(jobs) if again else {}
            if not room:
                break
            more, again = self._look(len(jobs), room)
            jobs = sorted([*jobs, *more], key=_place)
        return jobs

    def _look(self, taken: int, wanted: Mapping[str, int]) -> tuple[list[Job], bool]:
        """One look, after so many were taken; the jobs, and whether another look may find more."""
        request = self._request
        found = _Search(self._at.db, request, wanted).run()
        found.sort(key=lambda row: (-row[_PRIORITY], row[_RANK], row[_SEQ]))
        found, again = found[: request.limit - taken], False
        known = self._known
        if not known.plain or any(row[_WISHED] is not None for row in found):
            found, again = self._admitted(found, taken)
        return (_hand_out(self._at, request, found) if found else []), again

    def _admitted(self, found: list[_Row], taken: int) -> tuple[list[_Row], bool]:
        """Those that need not pass the gate, and those that it admits."""
        picks = {row[_SEQ]: _pick(row) for row in found if _is_gated(row, self._known)}
        if not picks:
            return found, False
        request = self._request
        ahead = next(index for index, row in enumerate(found) if row[_SEQ] in picks)
        verdict, back = Passage(
            namespace=request.namespace,
            picks=list(picks.values()),
            limits=self._known.limits,
            now=request.now,
            prompt=left_of(request.prompt, request.limit, taken + ahead),
        ).run(self._at.db)
        self._at.brought_back(back)
        self._gates.openings.remember(request.namespace, verdict.openings, request.now)
        admitted = set(verdict.admission.admitted)
        for row in found:
            row[_SLOT_KEY] = verdict.slot_keys.get(row[_SEQ], row[_SLOT_KEY])
        return [row for row in found if row[_SEQ] in admitted or row[_SEQ] not in picks], verdict.moved

    def _open(self, lanes: Sequence[str]) -> None:
        """Brings back jobs of lanes that have opened, before it is looked for any."""
        request = self._request
        back, openings = open_lanes(self._at.db, request.namespace, lanes, self._known.limits, request.now)
        self._at.brought_back(back)
        self._gates.openings.remember(request.namespace, openings, request.now)

    def _room(self, jobs: Sequence[Job]) -> dict[str, int]:
        """How many jobs are still wanted, by queue."""
        left = self._request.limit - len(jobs)
        came = Counter(job.facts.queue for job in jobs)
        rooms = {queue: min(most - came[queue], left) for queue, most in self._wanted.items()}
        return {queue: room for queue, room in rooms.items() if room > 0}


@dataclass(frozen=True, slots=True)
class _Reach:
    """Where one look goes: in one priority of a queue, or in it and all below; and how many it takes."""

    queue: str
    priority: int
    span: Literal["in_level", "below"]
    wanted: int


class _Search:
    """Looks for claimable jobs, and parks those that nobody can run."""

    def __init__(self, db: apsw.Connection, request: ClaimRequest, wanted: Mapping[str, int]) -> None:
        self._db = db
        self._request = request
        self._wanted = wanted

    def run(self) -> list[_Row]:
        paused = {name for (name,) in rows(self._db, _SQL["paused"], {"namespace": self._request.namespace})}
        wanted = self._wanted.items()
        return [row for queue, n in wanted if queue not in paused for row in self._queue(queue, n)]

    def _queue(self, queue: str, wanted: int) -> list[_Row]:
        found: list[_Row] = []
        here = {"namespace": self._request.namespace, "queue": queue}
        above = MAX_PRIORITY + 1
        for number in range(LEVELS + 1):
            level = first(self._db, _SQL["next_level"], here | {"above": above})
            if level is None:
                break
            (above,) = level
            reach = _Reach(queue, above, "below" if number == LEVELS else "in_level", wanted - len(found))
            found += self._known(reach)
            if len(found) >= wanted:
                break
        return found

    def _known(self, reach: "_Reach") -> list[_Row]:
        """Due jobs of the types asked for. Others are parked, or left to a worker that knows them."""
        due = self._claimable(f"claimable_{reach.span}", reach, {})
        unknown = {row[_TYPE] for row in due} - self._request.types
        if not unknown:
            return due
        if orphans := unknown - self._types_of_live_workers():
            self._park(reach, orphans)
        if not self._request.types:
            return []
        return self._claimable(f"known_{reach.span}", reach, {"types": texts(sorted(self._request.types))})

    def _park(self, reach: "_Reach", types: set[str]) -> None:
        lowest = reach.priority if reach.span == "in_level" else MIN_PRIORITY
        given = {
            "namespace": self._request.namespace,
            "queue": reach.queue,
            "priority": reach.priority,
            "lowest": lowest,
            "now": self._request.now,
            "types": texts(sorted(types)),
            "lane_prefix": TYPE_LANE,
            "limit": max(reach.wanted, PARK_AT_ONCE),
        }
        write(self._db, _SQL["park_types"], given)

    def _claimable(self, query: str, reach: "_Reach", more: Values) -> list[_Row]:
        given = {
            "namespace": self._request.namespace,
            "queue": reach.queue,
            "priority": reach.priority,
            "now": self._request.now,
            "inline": _INLINE,
            "limit": reach.wanted,
            **more,
        }
        (text,) = first(self._db, _SQL[query], given) or ("[]",)
        return json.loads(text)

    def _types_of_live_workers(self) -> set[str]:
        given = {"namespace": self._request.namespace, "since": self._request.now - ALIVE_MS}
        return {name for (name,) in rows(self._db, _SQL["types_of_workers"], given)}


def _hand_out(at: Write, request: ClaimRequest, found: list[_Row]) -> list[Job]:
    namespace, worker, now, lease_until = request.namespace, request.worker, request.now, request.lease_until
    for row in found:
        at.count(namespace, row[_QUEUE], row[_TYPE], row[_STATE], -1)
        at.count(namespace, row[_QUEUE], row[_TYPE], CLAIMED, 1)
        if row[_LARGE]:
            _read_large(at.db, row)
        del row[_LARGE]
    seqs = integers([row[_SEQ] for row in found])
    given = {"state": CLAIMED, "worker": worker, "now": now, "lease_until": lease_until, "seqs": seqs}
    write(at.db, _SQL["mark_claimed"], given)
    return [claimed_of(row, worker=worker, now=now, lease_until=lease_until) for row in found]


def _is_gated(row: _Row, known: Known) -> bool:
    return gate_of(row[_WISHED])[0] is not None or known.gates(row[_QUEUE], row[_TYPE])


def _pick(row: _Row) -> Pick:
    return Pick(
        seq=row[_SEQ],
        queue=row[_QUEUE],
        type=row[_TYPE],
        priority=row[_PRIORITY],
        rank=row[_RANK],
        wished=row[_WISHED],
    )


def _place(job: Job) -> tuple[int, int, int]:
    return -job.placement.priority, job.placement.rank, job.seq


def _read_large(db: apsw.Connection, row: _Row) -> None:
    texts = first(db, _SQL["large_texts"], {"seq": row[_SEQ]}) or ("null", None, None)
    row[_PAYLOAD], row[_PROGRESS], row[_CHECKPOINT] = texts

"""The claim of a chunk: looks whether there are enough messages, and claims them in the same op."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import apsw

from headrace.core.job import MAX_PRIORITY
from headrace.stores.chunking import ChunkFound, ChunkRequest
from headrace.stores.sqlite.claiming import LEVELS, Claim
from headrace.stores.sqlite.gate import Gates
from headrace.stores.sqlite.lanes import known_limits, open_lanes
from headrace.stores.sqlite.statements import first, queries, rows
from headrace.stores.sqlite.transaction import Write

_SQL = queries("chunks")
_CLAIM = queries("claim")


@dataclass(frozen=True, slots=True)
class ChunkClaim:
    """One claim of a chunk, for the writer."""

    request: ChunkRequest
    gates: Gates = field(default_factory=Gates)

    def __call__(self, write: Write) -> ChunkFound:
        """Does it, inside a write transaction."""
        request = self.request
        self._open(write)
        paused = {name for (name,) in rows(write.db, _CLAIM["paused"], {"namespace": request.namespace})}
        oldest: int | None = None
        for queue in request.queues:
            due = () if queue in paused else _due_times(write.db, request, queue)
            since = min(due, default=None)
            if request.ripe(len(due), since):
                if jobs := Claim(request.claim_of(queue), self.gates)(write):
                    return ChunkFound(jobs=jobs)
            elif since is not None:
                oldest = since if oldest is None else min(oldest, since)
        return ChunkFound(oldest_due_at=oldest)

    def _open(self, write: Write) -> None:
        """Brings back messages of lanes that have opened, so that they count."""
        request, gates = self.request, self.gates
        if opened := gates.openings.due(request.namespace, request.queues, request.now):
            limits = known_limits(write.db, request.namespace, gates.limits).limits
            back, openings = open_lanes(write.db, request.namespace, opened, limits, request.now)
            write.brought_back(back)
            gates.openings.remember(request.namespace, openings, request.now)


def _due_times(db: apsw.Connection, request: ChunkRequest, queue: str) -> Sequence[int]:
    """Since when the first messages in the order of a claim are due, at most as many as a chunk takes."""
    here = {"namespace": request.namespace, "queue": queue}
    found: list[int] = []
    above = MAX_PRIORITY + 1
    for number in range(LEVELS + 1):
        level = first(db, _CLAIM["next_level"], here | {"above": above})
        if level is None:
            break
        (above,) = level
        look = "due_messages_below" if number == LEVELS else "due_messages_in_level"
        asked = {
            **here,
            "type": request.type,
            "now": request.now,
            "priority": above,
            "limit": request.most - len(found),
        }
        found += (due_at for (due_at,) in rows(db, _SQL[look], asked))
        if len(found) >= request.most:
            break
    return found

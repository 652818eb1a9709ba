"""The claim of a chunk: looks whether there are enough messages, and claims just these or nothing.

What is counted is what is claimed: the script that does it refuses if any of the messages is not due any
more, and then they are counted anew.
"""

from collections.abc import Sequence
from typing import Final

from headrace.stores.chunking import ChunkFound, ChunkRequest
from headrace.stores.gating import ROUNDS
from headrace.stores.known_limits import KnownLimits
from headrace.stores.openings import Openings
from headrace.stores.redis.database import Database
from headrace.stores.redis.deciding import Candidate, Decision, decide
from headrace.stores.redis.lanes import open_lanes, read_limits
from headrace.stores.redis.session import Session

_LOOKED_AT_ONCE: Final = 2_000


class ClaimsChunks:
    """Keeps ``headrace.stores.chunking.ChunkStore``."""

    _database: Database
    _limits: KnownLimits
    _openings: Openings

    async def claim_chunk(self, request: ChunkRequest) -> ChunkFound:
        """A chunk of the first queue that has one."""
        await self._open(request)
        waiting: list[int] = []
        for queue in request.queues:
            found = await self._chunk_of(request, queue)
            if found.jobs:
                self._database.whereabouts.learn(request.namespace, [job.facts.id for job in found.jobs])
                self._openings.arm(request.now)
                return found
            waiting += () if found.oldest_due_at is None else (found.oldest_due_at,)
        self._openings.arm(request.now)
        return ChunkFound(oldest_due_at=min(waiting, default=None))

    async def _open(self, request: ChunkRequest) -> None:
        """Brings back messages of lanes that have opened, so that they count."""
        namespace, now = request.namespace, request.now
        if opened := self._openings.due(namespace, request.queues, now):
            further = await open_lanes(self._database, namespace, opened, now, self._limits)
            self._openings.remember(namespace, further, now)

    async def _chunk_of(self, request: ChunkRequest, queue: str) -> ChunkFound:
        keys = self._database.keys(request.namespace)
        for _ in range(ROUNDS):
            attempt = _Attempt(request, queue, self._limits)
            if await self._database.together(keys, attempt.run):
                return await self._found(attempt)
            await read_limits(self._database, request.namespace, self._limits)
        return ChunkFound()

    async def _found(self, attempt: "_Attempt") -> ChunkFound:
        if attempt.decision is None:
            return ChunkFound(oldest_due_at=attempt.oldest)
        await attempt.decision.follow_up(self._database)
        passed = attempt.decision.passed()
        self._openings.remember(attempt.request.namespace, passed.openings, attempt.request.now)
        return ChunkFound(jobs=passed.jobs)


class _Attempt:
    """One queue: the first messages in it in the order of claims, and what was decided about them."""

    def __init__(self, request: ChunkRequest, queue: str, limits: KnownLimits) -> None:
        self.request = request
        self.oldest: int | None = None
        self.decision: Decision | None = None
        self._queue = queue
        self._limits = limits

    async def run(self, session: Session) -> bool:
        """Claims them if they are enough; False if the definitions of limits are not those that are known."""
        request, known = self.request, self._limits.of(self.request.namespace)
        revision, messages, due = await self._messages(session)
        self.oldest = min(due, default=None)
        if not request.ripe(len(messages), self.oldest):
            return True
        if revision != known.limits.revision:
            return False
        claim = request.claim_of(self._queue)
        self.decision = await decide(session, claim, known, messages, prompt=claim.limit, whole=True)
        return self.decision is not None

    async def _messages(self, session: Session) -> tuple[int, Sequence[Candidate], Sequence[int]]:
        """At most as many as a chunk takes, and since when each is due; before them the limits' revision."""
        request = self.request
        found: list[Candidate] = []
        due: list[int] = []
        revision, after = 0, ""
        while after is not None:
            given = (
                self._queue,
                request.type,
                request.now,
                request.most - len(found),
                after,
                _LOOKED_AT_ONCE,
            )
            revision, rows, after = await session.look("look_for_messages", *given)
            found += (Candidate(self._queue, member, wished) for member, wished, _ in rows)
            due += (int(instant) for _, _, instant in rows)
        return int(revision), found, due

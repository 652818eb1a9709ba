"""The claim of a chunk: looks whether there are enough messages, and claims them in the same transaction."""

from collections.abc import Sequence
from typing import NamedTuple

from headrace.core.job import Job
from headrace.stores.chunking import ChunkFound, ChunkRequest
from headrace.stores.postgres.claiming import Claims, Look, in_order, jobs_of
from headrace.stores.postgres.database import Database
from headrace.stores.postgres.gate import pass_gate
from headrace.stores.postgres.lanes import open_lanes, read_limits
from headrace.stores.postgres.session import Session


async def claim_chunk(database: Database, claims: Claims, request: ChunkRequest) -> ChunkFound:
    """A chunk of the first queue that has one.

    Most looks find none, and cost one statement. Else claims of one type follow each other, so that none is
    given what another one has counted; and what is counted is locked, so it is also what is claimed.
    """
    await _open(database, claims, request)
    seen = await database.read(lambda session: _seen(session, request))
    ripe = [one.queue for one in seen if request.ripe(one.messages, one.oldest)]
    waiting = [one.oldest for one in seen if one.queue not in ripe]
    if not ripe:
        return ChunkFound(oldest_due_at=min(waiting, default=None))

    async def op(session: Session) -> ChunkFound:
        await session.row("lock_chunks", request.namespace, request.type)
        left = list(waiting)
        for queue in ripe:
            due = await _due_times(session, request, queue)
            if not request.ripe(len(due), min(due, default=None)):
                left += due
            elif jobs := await _claimed(session, claims, request, queue):
                return ChunkFound(jobs=jobs)
        return ChunkFound(oldest_due_at=min(left, default=None))

    found = await database.together(op)
    claims.remembered.openings.arm(request.now)
    return found


class _Waiting(NamedTuple):
    """The messages of one queue as a look without a lock has seen them."""

    queue: str
    messages: int
    oldest: int


async def _seen(session: Session, request: ChunkRequest) -> Sequence[_Waiting]:
    given = (request.namespace, list(request.queues), request.type, request.now, request.most)
    return [_Waiting(*row) for row in await session.rows("waiting_messages", *given)]


async def _open(database: Database, claims: Claims, request: ChunkRequest) -> None:
    """Brings back messages of lanes that have opened, so that they count."""
    namespace, openings, limits = request.namespace, claims.remembered.openings, claims.remembered.limits
    if opened := openings.due(namespace, request.queues, request.now):
        further = await database.together(
            lambda session: open_lanes(session, namespace, opened, request.now, limits)
        )
        openings.remember(namespace, further, request.now)


async def _due_times(session: Session, request: ChunkRequest, queue: str) -> Sequence[int]:
    given = (request.namespace, queue, request.type, request.now, request.most)
    return [row[0] for row in await session.rows("due_messages", *given)]


async def _claimed(session: Session, claims: Claims, request: ChunkRequest, queue: str) -> Sequence[Job]:
    """Claims up to ``most`` messages of a queue, by the statement of every claim, and past the gate."""
    claim, limits = request.claim_of(queue), claims.remembered.limits
    look = Look(rooms={queue: request.most}, room=request.most, only=[request.type])
    rows = await look.run(session, claim, limits.of(request.namespace))
    if rows[0][1] == []:
        known = await read_limits(session, request.namespace, limits)
        rows = await look.run(session, claim, known)
    jobs = jobs_of(rows, claim)
    if gated := rows[0][1]:
        passed = await pass_gate(session, claim, limits.of(request.namespace), gated, beside=jobs)
        claims.remembered.openings.remember(request.namespace, passed.openings, request.now)
        jobs += jobs_of(passed.rows, claim)
    return in_order(jobs)

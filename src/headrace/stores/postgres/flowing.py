"""Who waits for whom: written with the children, read by whoever frees them."""

from collections.abc import Collection, Sequence
from operator import itemgetter

from headrace.core.flow import Edge, Parent, ReadyChild, standing
from headrace.core.job import WAITED_ON
from headrace.core.states import State
from headrace.errors import JobNotFound
from headrace.stores.flowing import ReadyPage, WaitingPage, edge_of, parent_of, ready_children
from headrace.stores.postgres.database import Again
from headrace.stores.postgres.reading import jobs_by_seq
from headrace.stores.postgres.rows import arrays
from headrace.stores.postgres.session import Session
from headrace.stores.texts import possible
from headrace.stores.values import Holder, Inserted, InsertKind, NewJob


async def lock_kin(session: Session, namespace: str, edges: Sequence[Edge], parent: Holder | None) -> None:
    """Locks the jobs that live and that the op will mark or look at, before it locks anything else."""
    ids = {edge.parent for edge in edges}
    if parent is not None:
        ids.add(parent.job_id)
    await session.rows("lock_kin", namespace, possible(sorted(ids)))


async def link(
    session: Session,
    namespace: str,
    edges: Sequence[Edge],
    jobs: Sequence[NewJob],
    answers: Sequence[Inserted],
) -> None:
    """Writes the edges of jobs just inserted, and marks their parents. Raises JobNotFound, Again."""
    stand_ins = {new.facts.id: one.job_id for new, one in zip(jobs, answers, strict=True)}
    inserted = {one.job_id for one in answers if one.kind is InsertKind.INSERTED}
    kept = standing(edges, stand_ins, inserted)
    if not kept:
        return
    seqs = await _seqs(session, namespace, {edge.child for edge in kept} | {edge.parent for edge in kept})
    for edge in kept:
        if edge.parent not in seqs:
            raise JobNotFound(edge.parent)
    await _mark(session, namespace, sorted({seqs[edge.parent] for edge in kept}))
    rows = sorted(
        (seqs[one.child], one.number, seqs[one.parent], one.on_parent_failure.value) for one in kept
    )
    await session.run("write_edges", *arrays(rows))
    await session.run("note_waiting", sorted({row[0] for row in rows}))


async def children(
    session: Session, namespace: str, parents: Sequence[str], after: int, limit: int
) -> ReadyPage:
    """The next children of these jobs that are blocked though all their parents have ended."""
    seqs = await _seqs(session, namespace, parents)
    found = [row[0] for row in await session.rows("children_of", sorted(seqs.values()), after, limit)]
    return ReadyPage(
        children=await _ready(session, namespace, found), after=found[-1] if len(found) == limit else None
    )


async def among(session: Session, namespace: str, ids: Sequence[str]) -> Sequence[ReadyChild]:
    """Those of these jobs that are blocked children whose parents have all ended."""
    return await _ready(session, namespace, sorted((await _seqs(session, namespace, ids)).values()))


async def waiting(session: Session, after: int, limit: int) -> WaitingPage:
    """Looks at the next of the children that are noted as waiting."""
    found = await session.rows("flow_waiting", State.BLOCKED, after, limit)
    return WaitingPage(
        ready=tuple(
            (namespace, job_id) for _, namespace, job_id, blocked, lives in found if blocked and not lives
        ),
        over=tuple(child for child, _, _, blocked, _ in found if not blocked),
        after=found[-1][0] if len(found) == limit else None,
    )


async def end_waiting(session: Session, seqs: Sequence[int]) -> int:
    """Removes the note for these children; returns how many there were."""
    return await session.run("end_waiting", sorted(seqs))


async def parents(session: Session, namespace: str, job_id: str, after: int, limit: int) -> Sequence[Parent]:
    """The next parents of a job."""
    if not possible([job_id]):
        return []
    return [parent_of(row) for row in await session.rows("parents_of", namespace, job_id, after, limit)]


async def edges_of(session: Session, namespace: str, ids: Sequence[str], limit: int) -> Sequence[Edge]:
    """Edges in which one of these jobs is child or parent."""
    seqs = await _seqs(session, namespace, ids)
    return [edge_of(row) for row in await session.rows("edges_of", sorted(seqs.values()), limit)]


async def _mark(session: Session, namespace: str, seqs: Sequence[int]) -> None:
    """Marks jobs as waited on. One that ended, was retried or was erased at this moment: Again."""
    await session.run("mark_live", namespace, seqs, WAITED_ON)
    await session.run("mark_ended", namespace, seqs, WAITED_ON)
    (count,) = await session.row("count_marked", namespace, seqs, WAITED_ON) or (0,)
    if count != len(seqs):
        raise Again


async def _ready(session: Session, namespace: str, seqs: Sequence[int]) -> tuple[ReadyChild, ...]:
    if not seqs:
        return ()
    found = sorted(row[0] for row in await session.rows("flow_ready", namespace, seqs, State.BLOCKED))
    if not found:
        return ()
    jobs = await jobs_by_seq(session, found)
    policies = await session.rows("policies_of", found)
    failed = await session.rows("failed_parents", namespace, found, State.COMPLETED)
    in_order = sorted(failed, key=itemgetter(0, 5))
    told = [(child, policy) for child, policy in policies]
    return ready_children([jobs[seq] for seq in sorted(jobs)], told, [row[:5] for row in in_order])


async def _seqs(session: Session, namespace: str, ids: Collection[str]) -> dict[str, int]:
    found = await session.rows("flow_seqs", namespace, possible(sorted(ids)))
    return {row[0]: row[1] for row in found}

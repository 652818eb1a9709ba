"""Who waits for whom: written with the children, read by whoever frees them."""

from collections.abc import Sequence
from typing import Any, Final

from headrace.core.flow import Edge, Parent, ReadyChild, standing
from headrace.core.job import Job
from headrace.errors import JobNotFound
from headrace.stores.flowing import ReadyPage, edge_of, ready_children
from headrace.stores.redis.rows import job_of
from headrace.stores.redis.session import Look, Session
from headrace.stores.texts import possible
from headrace.stores.values import Inserted, InsertKind, NewJob

_AT_ONCE: Final = 100
"""So many children are asked at once whether they are ready: each may have many parents."""


def link(
    session: Session, edges: Sequence[Edge], jobs: Sequence[NewJob], answers: Sequence[Inserted]
) -> None:
    """Writes the edges of jobs that the commit inserts, and marks their parents.

    The commit raises JobNotFound for a parent that is not there.
    """
    stand_ins = {new.facts.id: one.job_id for new, one in zip(jobs, answers, strict=True)}
    inserted = {one.job_id for one in answers if one.kind is InsertKind.INSERTED}
    of_child: dict[str, list[tuple[int, str, str]]] = {}
    parents: set[str] = set()
    for edge in standing(edges, stand_ins, inserted):
        of_child.setdefault(edge.child, []).append((edge.number, edge.parent, edge.on_parent_failure.value))
        parents.add(edge.parent)
    for parent in parents.difference(possible(list(parents))):
        raise JobNotFound(parent)
    if of_child:
        session.add(("link", list(of_child.items()), sorted(parents - inserted)))


async def children(at: Look, namespace: str, parents: Sequence[str], after: int, limit: int) -> ReadyPage:
    """The next children of these jobs that are blocked though all their parents have ended."""
    wanted = possible(parents)
    found: list[str] = await at.look("children", after, limit, *wanted) if wanted else []
    return ReadyPage(
        children=await among(at, namespace, found[1::2]),
        after=int(found[-2]) if len(found) == 2 * limit else None,
    )


async def among(at: Look, namespace: str, ids: Sequence[str]) -> tuple[ReadyChild, ...]:
    """Those of these jobs that are blocked children whose parents have all ended."""
    wanted = possible(ids)
    pages = [wanted[start : start + _AT_ONCE] for start in range(0, len(wanted), _AT_ONCE)]
    jobs: list[Job] = []
    policies: list[tuple[int, str]] = []
    failed: list[Sequence[Any]] = []
    for policy, row, of_child in [one for page in await at.looks("ready_children", pages) for one in page]:
        job = job_of(namespace, row)
        jobs.append(job)
        policies.append((job.seq, policy))
        failed += [(job.seq, *parent) for parent in of_child]
    return ready_children(sorted(jobs, key=lambda job: job.seq), policies, failed)


async def parents(at: Look, namespace: str, job_id: str, after: int, limit: int) -> Sequence[Parent]:
    """The next parents of a job."""
    if not possible([job_id]):
        return []
    return [
        _parent(namespace, number, row) for number, *row in await at.look("parents", job_id, after, limit)
    ]


async def edges_of(at: Look, ids: Sequence[str], limit: int) -> Sequence[Edge]:
    """Edges in which one of these jobs is child or parent."""
    wanted = possible(ids)
    if not wanted:
        return []
    return [edge_of(row) for row in await at.look("edges", limit, *wanted)]


def _parent(namespace: str, number: int, row: Sequence[Any]) -> Parent:
    if not row:
        return Parent(number=number)
    job = job_of(namespace, row[0])
    return Parent(
        number=number,
        id=job.id,
        type=job.facts.type,
        state=job.state,
        result=job.placement.result,
        error=job.placement.error,
    )

"""Who waits for whom: written with the children, read by whoever frees them."""

from collections.abc import Sequence
from typing import Final

import apsw

from headrace.core.flow import Edge, Parent, ReadyChild, standing
from headrace.core.job import WAITED_ON
from headrace.core.states import State
from headrace.errors import JobNotFound
from headrace.stores.flowing import ReadyPage, WaitingPage, edge_of, parent_of, ready_children
from headrace.stores.sqlite.reading import jobs_by_seq
from headrace.stores.sqlite.statements import integers, queries, rows, texts, write, write_rows
from headrace.stores.sqlite.transaction import Write
from headrace.stores.texts import possible
from headrace.stores.values import Inserted, InsertKind, NewJob

_SQL = queries("flows")
_MARK: Final = {"mark": WAITED_ON}


def link(
    at: Write, namespace: str, edges: Sequence[Edge], jobs: Sequence[NewJob], answers: Sequence[Inserted]
) -> None:
    """Writes the edges of jobs that were just inserted, and marks their parents. Raises JobNotFound."""
    stand_ins = {new.facts.id: one.job_id for new, one in zip(jobs, answers, strict=True)}
    inserted = {one.job_id for one in answers if one.kind is InsertKind.INSERTED}
    kept = standing(edges, stand_ins, inserted)
    if not kept:
        return
    seqs = _seqs(at.db, namespace, {edge.child for edge in kept} | {edge.parent for edge in kept})
    for edge in kept:
        if edge.parent not in seqs:
            raise JobNotFound(edge.parent)
    parents = {seqs[edge.parent] for edge in kept}
    write(at.db, _SQL["mark_waited_on"], {"seqs": integers(sorted(parents)), **_MARK})
    found = [(seqs[one.child], one.number, seqs[one.parent], one.on_parent_failure.value) for one in kept]
    write_rows(at.db, _SQL["write_edge"], sorted(found))
    write_rows(at.db, _SQL["note_waiting"], [(child,) for child in sorted({row[0] for row in found})])


def children(
    db: apsw.Connection, namespace: str, parents: Sequence[str], after: int, limit: int
) -> ReadyPage:
    """The next children of these jobs that are blocked though all their parents have ended."""
    seqs = _seqs(db, namespace, parents)
    if not seqs:
        return ReadyPage(children=(), after=None)
    given = {"parents": integers(sorted(seqs.values())), "after": after, "limit": limit}
    found = [row[0] for row in rows(db, _SQL["children_of"], given)]
    return ReadyPage(children=_ready(db, found), after=found[-1] if len(found) == limit else None)


def among(db: apsw.Connection, namespace: str, ids: Sequence[str]) -> Sequence[ReadyChild]:
    """Those of these jobs that are blocked children whose parents have all ended."""
    return _ready(db, sorted(_seqs(db, namespace, ids).values()))


def waiting(db: apsw.Connection, after: int, limit: int) -> WaitingPage:
    """Looks at the next of the children that are noted as waiting."""
    found = rows(db, _SQL["waiting"], {"after": after, "limit": limit, "state": State.BLOCKED})
    return WaitingPage(
        ready=tuple(
            (namespace, job_id) for _, namespace, job_id, blocked, lives in found if blocked and not lives
        ),
        over=tuple(child for child, _, _, blocked, _ in found if not blocked),
        after=found[-1][0] if len(found) == limit else None,
    )


def end_waiting(at: Write, seqs: Sequence[int]) -> int:
    """Removes the note for these children; returns how many there were."""
    return write(at.db, _SQL["end_waiting"], {"seqs": integers(seqs)}) if seqs else 0


def parents(db: apsw.Connection, namespace: str, job_id: str, after: int, limit: int) -> Sequence[Parent]:
    """The next parents of a job."""
    if not possible([job_id]):
        return []
    given = {"namespace": namespace, "id": job_id, "after": after, "limit": limit}
    return [parent_of(row) for row in rows(db, _SQL["parents_of"], given)]


def edges(db: apsw.Connection, namespace: str, ids: Sequence[str], limit: int) -> Sequence[Edge]:
    """Edges in which one of these jobs is child or parent."""
    seqs = _seqs(db, namespace, ids)
    if not seqs:
        return []
    given = {"seqs": integers(sorted(seqs.values())), "limit": limit}
    return [edge_of(row) for row in rows(db, _SQL["edges_of"], given)]


def _ready(db: apsw.Connection, seqs: Sequence[int]) -> tuple[ReadyChild, ...]:
    if not seqs:
        return ()
    found = rows(db, _SQL["ready"], {"seqs": integers(seqs), "state": State.BLOCKED})
    if not found:
        return ()
    these = sorted(row[0] for row in found)
    jobs = jobs_by_seq(db, these)
    policies = rows(db, _SQL["policies_of"], {"seqs": integers(these)})
    failed = rows(db, _SQL["failed_parents"], {"seqs": integers(these), "state": State.COMPLETED})
    return ready_children([jobs[seq] for seq in sorted(jobs)], policies, failed)


def _seqs(db: apsw.Connection, namespace: str, ids: Sequence[str] | set[str]) -> dict[str, int]:
    wanted = possible(sorted(ids))
    if not wanted:
        return {}
    return dict(rows(db, _SQL["seqs_of"], {"namespace": namespace, "ids": texts(wanted)}))

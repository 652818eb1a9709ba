"""Who waits for whom, in a store. Edges are written by ``insert`` only; a child's go when it is erased."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from headrace.core.flow import Edge, FailedParent, OnParentFailure, Parent, ReadyChild
from headrace.core.job import Job
from headrace.stores.rows import STATES

POLICIES: Final = {one.value: one for one in OnParentFailure}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyPage:
    """Some of the children that were looked at; ``after`` is where the next look goes on, None at the end."""

    children: tuple[ReadyChild, ...]
    after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingPage:
    """Some of the children that are noted as waiting.

    ``ready`` are those, by namespace and id, that are blocked though all their parents have ended; ``over``
    the seqs of those that wait no more; ``after`` is where the next look goes on, None at the end.
    """

    ready: tuple[tuple[str, str], ...]
    over: tuple[int, ...]
    after: int | None


class FlowStore(Protocol):
    """Reads of flows, each of one snapshot, and the note of who waits."""

    async def ready_children(
        self, namespace: str, parents: Sequence[str], *, after: int, limit: int
    ) -> ReadyPage:
        """The children of these jobs that are blocked though all their parents have ended.

        Looks at ``limit`` children beyond the seq ``after``, in order of seq.
        """
        ...

    async def ready_among(self, namespace: str, children: Sequence[str]) -> Sequence[ReadyChild]:
        """Those of these jobs that are blocked children whose parents have all ended."""
        ...

    async def waiting_children(self, *, after: int, limit: int) -> WaitingPage:
        """Looks at ``limit`` of the children noted as waiting, of all namespaces, in order of seq."""
        ...

    async def end_waiting(self, children: Sequence[int]) -> int:
        """Removes the note for these seqs; returns how many there were. None of them may be blocked."""
        ...

    async def parents(self, namespace: str, job_id: str, *, after: int, limit: int) -> Sequence[Parent]:
        """The parents of a job whose numbers lie beyond ``after``, in order; empty for a job without any."""
        ...

    async def edges(self, namespace: str, jobs: Sequence[str], *, limit: int) -> Sequence[Edge]:
        """Up to ``limit`` of the edges in which one of these is child or parent, where both are there."""
        ...


def ready_children(
    jobs: Sequence[Job], policies: Sequence[tuple[int, str]], failed: Sequence[Sequence[Any]]
) -> tuple[ReadyChild, ...]:
    """Blocked children with what their rows tell.

    ``policies`` are (child, policy), ``failed`` are (child, id, type, state, kept); children by their seqs.
    """
    told = dict(policies)
    parents: dict[int, list[FailedParent]] = {}
    for child, job_id, kind, state, kept in failed:
        one = FailedParent(id=job_id, type=kind, state=STATES[state], kept=bool(kept))
        parents.setdefault(child, []).append(one)
    return tuple(
        ReadyChild(
            job=job,
            on_parent_failure=POLICIES[told[job.seq]],
            failed=tuple(parents.get(job.seq, ())),
        )
        for job in jobs
    )


def parent_of(row: Sequence[Any]) -> Parent:
    """The parent of a row: number, id, type, state, result, error; only the number of one that is erased."""
    number, job_id, kind, state, result, error = row
    return Parent(
        number=number,
        id=job_id,
        type=kind,
        state=None if state is None else STATES[state],
        result=result,
        error=error,
    )


def edge_of(row: Sequence[Any]) -> Edge:
    """The edge of a row: child, parent, number, policy."""
    child, parent, number, policy = row
    return Edge(child=child, parent=parent, number=number, on_parent_failure=POLICIES[policy])

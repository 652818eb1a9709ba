"""Flows in one namespace: inserting children, handing them what their parents returned, showing the whole."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from headrace.clock import Clock
from headrace.core.flow import MAX_RESULTS_BYTES, MAX_SHOWN, Edge, Parent, waiting
from headrace.core.flow_request import edges_of, has_parents
from headrace.core.flow_view import FlowNode, FlowView
from headrace.core.request import EnqueueRequest
from headrace.engine.aftermath import Aftermath
from headrace.engine.batch_checks import Checks
from headrace.engine.freeing import Freeing
from headrace.engine.published import PublishedTypes
from headrace.errors import JobNotFound, StoreError, TooLarge
from headrace.stores.protocol import Inserted, InsertKind, NewJob, Store

NOT_WITHIN: Final = (
    "a job that waits for others is enqueued outside of transactions of your own, whose locks would keep its "
    "parents from ending"
)
_PARENTS_AT_ONCE: Final = 100
_JOBS_AT_ONCE: Final = 100
_EDGES_AT_ONCE: Final = 10_000


class Flows:
    """The flows of one namespace."""

    def __init__(
        self, store: Store, clock: Clock, *, published: PublishedTypes, aftermath: Aftermath, batches: Checks
    ) -> None:
        self._store = store
        self._namespace = aftermath.namespace
        self._freeing = Freeing(store, clock, published=published, aftermath=aftermath, batches=batches)
        self.checks = Checks(self._freeing.look)
        aftermath.parents.listen(self.checks.ask)

    async def look_after_insert(
        self, edges: Sequence[Edge], jobs: Sequence[NewJob], answers: Sequence[Inserted]
    ) -> None:
        """Frees new children all of whose parents had ended before; what was inserted is, come what may."""
        fresh = {
            new.facts.id for new, one in zip(jobs, answers, strict=True) if one.kind is InsertKind.INSERTED
        }
        children = {edge.child for edge in edges if edge.child in fresh and edge.parent not in fresh}
        if children:
            with suppress(StoreError):  # the sweep does it
                await self._freeing.look_at(sorted(children))

    async def parents(self, job_id: str) -> tuple[Parent, ...]:
        """The parents of a job in the order in which it named them. Raises TooLarge."""
        found: list[Parent] = []
        size = 0
        while True:
            page = await self._store.parents(
                self._namespace,
                job_id,
                after=found[-1].number if found else -1,
                limit=_PARENTS_AT_ONCE,
            )
            size += sum(len(one.result.encode()) for one in page if one.result is not None)
            if size > MAX_RESULTS_BYTES:
                msg = (
                    f"the results of all parents exceed {MAX_RESULTS_BYTES} bytes: store large data as "
                    "files and return their ids"
                )
                raise TooLarge(msg, field="result")
            found += page
            if len(page) < _PARENTS_AT_ONCE:
                return tuple(found)

    async def view(self, job_id: str, *, limit: int = MAX_SHOWN) -> FlowView:
        """The job with all that it is connected with, up to ``limit``. Raises JobNotFound."""
        edges: dict[tuple[str, int], Edge] = {}
        met = {job_id: None}
        todo = [job_id]
        whole = True
        while todo:
            some, todo = todo[:_JOBS_AT_ONCE], todo[_JOBS_AT_ONCE:]
            found = await self._store.edges(self._namespace, some, limit=_EDGES_AT_ONCE)
            whole = whole and len(found) < _EDGES_AT_ONCE
            for edge in found:
                edges[edge.child, edge.number] = edge
                for one in (edge.parent, edge.child):
                    if one in met:
                        continue
                    if len(met) == limit:
                        whole = False
                        continue
                    met[one] = None
                    todo.append(one)
        nodes = await self._nodes(list(met))
        if job_id not in {node.id for node in nodes}:
            raise JobNotFound(job_id)
        shown = {node.id for node in nodes}
        kept = [edge for edge in edges.values() if edge.parent in shown and edge.child in shown]
        return FlowView(nodes=nodes, edges=tuple(kept), whole=whole)

    async def _nodes(self, ids: Sequence[str]) -> tuple[FlowNode, ...]:
        """The jobs of these ids that are still there, in the order of their insertion."""
        found: list[tuple[int, FlowNode]] = []
        for start in range(0, len(ids), _JOBS_AT_ONCE):
            jobs = await self._store.get(self._namespace, ids[start : start + _JOBS_AT_ONCE])
            found += ((job.seq, FlowNode.of(job)) for job in jobs.values())
        return tuple(node for _, node in sorted(found, key=lambda one: one[0]))


def linked(
    requests: Sequence[EnqueueRequest], jobs: Sequence[NewJob]
) -> tuple[Sequence[NewJob], Sequence[Edge]]:
    """The jobs of the requests as they begin, those that wait blocked; and who waits for whom.

    Raises InvalidInput, TooLarge.
    """
    if not has_parents(requests):
        return jobs, ()
    edges = edges_of(requests, [new.facts.id for new in jobs])
    children = {edge.child for edge in edges}
    placed = [
        replace(new, placement=waiting(new.placement)) if new.facts.id in children else new for new in jobs
    ]
    return placed, edges

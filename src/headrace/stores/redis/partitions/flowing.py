"""Flows over partitions: a child's edges are with the child, its parents are looked at where they are."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from headrace.core.flow import Edge, FailedParent, Parent, ReadyChild
from headrace.core.job import Job
from headrace.core.states import LIVE, State
from headrace.stores.flowing import POLICIES, ReadyPage, WaitingPage, edge_of
from headrace.stores.redis.flow_store import Numbered
from headrace.stores.redis.partitions.parts import Parts, gathered
from headrace.stores.redis.partitions.places import MOST
from headrace.stores.redis.reading import pages
from headrace.stores.redis.rows import job_of
from headrace.stores.rows import STATES
from headrace.stores.texts import possible

_AT_ONCE: Final = 100
_NAMESPACE: Final = 1 << 53

States = Mapping[str, tuple[State, str, bool]]
"""Of the jobs that are there: state, type, and whether it stays until somebody deals with it."""


class KeepsFlows:
    """Keeps ``headrace.stores.flowing.FlowStore``, as part of the store."""

    _parts: Parts
    _numbered: Numbered

    async def ready_children(
        self, namespace: str, parents: Sequence[str], *, after: int, limit: int
    ) -> ReadyPage:
        wanted = possible(parents)
        if not wanted:
            return ReadyPage(children=(), after=None)
        looks = await self._look(namespace, "children", after, limit, *wanted)
        seqs = sorted(
            (int(seq), child) for flat in looks for seq, child in zip(flat[::2], flat[1::2], strict=True)
        )
        page = seqs[:limit]
        is_more = len(seqs) > limit or any(len(flat) == 2 * limit for flat in looks)
        children = await self.ready_among(namespace, [child for _, child in page])
        return ReadyPage(children=tuple(children), after=page[-1][0] if page and is_more else None)

    async def ready_among(self, namespace: str, children: Sequence[str]) -> Sequence[ReadyChild]:
        found: list[tuple[Job, Sequence[Any]]] = []
        for some in pages(possible(children), _AT_ONCE):
            for rows in await self._look(namespace, "far_children", *some):
                found += ((job_of(namespace, row), edges) for row, edges in rows)
        states = await self._states(namespace, {parent for _, edges in found for _, parent, _ in edges})
        ready = [_ready(job, edges, states) for job, edges in found]
        return tuple(sorted((one for one in ready if one is not None), key=lambda one: one.job.seq))

    async def waiting_children(self, *, after: int, limit: int) -> WaitingPage:
        """All of a namespace that are noted at once: seqs of namespaces follow each other."""
        names = self._numbered.known(await self._parts.home_database.namespaces())
        number, seq = divmod(after, _NAMESPACE)
        ready: list[tuple[str, str]] = []
        over: list[int] = []
        looked = 0
        while looked < limit and number < len(names):
            namespace = names[number]
            looks = await self._look(namespace, "far_waiting", str(seq), limit - looked)
            noted = sorted((int(at), child, blocked) for some in looks for at, child, blocked in some)
            page = noted[: limit - looked]
            over += (number * _NAMESPACE + at for at, _, blocked in page if not blocked)
            children = await self.ready_among(namespace, [child for _, child, blocked in page if blocked])
            ready += ((namespace, one.job.id) for one in children)
            looked += len(page)
            seq = page[-1][0] if page else seq
            if len(noted) == len(page) and all(len(some) < limit for some in looks):
                number, seq = number + 1, 0
        end = number >= len(names)
        return WaitingPage(
            ready=tuple(ready), over=tuple(over), after=None if end else number * _NAMESPACE + seq
        )

    async def end_waiting(self, children: Sequence[int]) -> int:
        names = self._numbered.known(())
        places: dict[tuple[str, int], list[int]] = {}
        for one in children:
            number, seq = divmod(one, _NAMESPACE)
            places.setdefault((names[number], seq % MOST), []).append(seq)
        count = 0
        for (namespace, number), seqs in places.items():
            database = self._parts.database(number)
            (there,) = await database.write(database.keys(namespace), [("end_waiting", seqs)])
            count += there
        return count

    async def parents(self, namespace: str, job_id: str, *, after: int, limit: int) -> Sequence[Parent]:
        if not possible([job_id]):
            return []
        edges = [edge for found in await self._look(namespace, "far_parents", job_id) for edge in found]
        page = [(number, parent) for number, parent, _ in edges if number > after][:limit]
        jobs = await self._jobs(namespace, [parent for _, parent in page])
        return [_parent(number, jobs.get(parent)) for number, parent in page]

    async def edges(self, namespace: str, jobs: Sequence[str], *, limit: int) -> Sequence[Edge]:
        wanted = possible(jobs)
        if not wanted:
            return []
        rows = [row for found in await self._look(namespace, "far_edges", limit, *wanted) for row in found]
        there = await self._states(namespace, {parent for _, parent, _, _ in rows})
        return [edge_of(row) for row in rows if row[1] in there][:limit]

    async def _look(self, namespace: str, script: str, *args: object) -> list[Any]:
        """What a script answers in each partition."""
        numbers = range(await self._parts.count(namespace))
        return await gathered(self._parts.reader(number, namespace).look(script, *args) for number in numbers)

    async def _jobs(self, namespace: str, ids: Sequence[str]) -> Mapping[str, Job]:
        where = await self._parts.where(namespace, ids)
        found = await gathered(
            self._parts.store(number).get(namespace, some) for number, some in where.items()
        )
        return {job_id: job for some in found for job_id, job in some.items()}

    async def _states(self, namespace: str, ids: set[str]) -> States:
        found: dict[str, tuple[State, str, bool]] = {}
        for some in pages(sorted(ids)):
            for rows in await self._look(namespace, "far_states", *some):
                for job_id, row in zip(some, rows, strict=True):
                    if row:
                        found[job_id] = (STATES[row[0]], row[1], bool(row[2]))
        return found


def _ready(job: Job, edges: Sequence[Any], states: States) -> ReadyChild | None:
    """The child if all its parents have ended; of those that failed alike, the first."""
    failed: dict[tuple[State, bool], FailedParent] = {}
    for _, parent, _ in edges:
        if parent not in states:
            continue
        state, kind, kept = states[parent]
        if state in LIVE:
            return None
        if state is not State.COMPLETED and (state, kept) not in failed:
            failed[state, kept] = FailedParent(id=parent, type=kind, state=state, kept=kept)
    return ReadyChild(job=job, on_parent_failure=POLICIES[edges[0][2]], failed=tuple(failed.values()))


def _parent(number: int, job: Job | None) -> Parent:
    if job is None:
        return Parent(number=number)
    return Parent(
        number=number,
        id=job.id,
        type=job.facts.type,
        state=job.state,
        result=job.placement.result,
        error=job.placement.error,
    )

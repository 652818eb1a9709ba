"""The part of the Redis store that keeps flows."""

import threading
from collections.abc import Iterable, Sequence
from typing import Final

from headrace.core.flow import Edge, Parent, ReadyChild
from headrace.stores.flowing import ReadyPage, WaitingPage
from headrace.stores.redis import flowing
from headrace.stores.redis.database import Database, Reader

_SEQ_BITS: Final = 53
_SEQ: Final = (1 << _SEQ_BITS) - 1


class Numbered:
    """The namespaces in the order in which this process has met them. Usable from all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: dict[str, None] = {}

    def known(self, met: Iterable[str]) -> Sequence[str]:
        """All that were ever met, now or before: each is numbered by its place, which never changes."""
        with self._lock:
            self._names.update(dict.fromkeys(met))
            return list(self._names)


class KeepsFlows:
    """Keeps ``headrace.stores.flowing.FlowStore``, as part of the store.

    Each namespace numbers its jobs by itself. So where jobs of all namespaces are named by their seqs, the
    number that this store has given the namespace stands above the seq.
    """

    _database: Database
    _numbered: Numbered

    async def ready_children(
        self, namespace: str, parents: Sequence[str], *, after: int, limit: int
    ) -> ReadyPage:
        return await flowing.children(self._at(namespace), namespace, parents, after, limit)

    async def ready_among(self, namespace: str, children: Sequence[str]) -> Sequence[ReadyChild]:
        return await flowing.among(self._at(namespace), namespace, children)

    async def waiting_children(self, *, after: int, limit: int) -> WaitingPage:
        names = self._numbered.known(await self._database.namespaces())
        number, seq = after >> _SEQ_BITS, after & _SEQ
        ready: list[tuple[str, str]] = []
        over: list[int] = []
        looked = 0
        while looked < limit and number < len(names):
            namespace = names[number]
            more, *found = await self._at(namespace).look("waiting_children", seq, limit - looked)
            for one, child, blocked, lives in found:
                seq = int(one)
                if not blocked:
                    over.append(number << _SEQ_BITS | seq)
                elif not lives:
                    ready.append((namespace, child))
            looked += len(found)
            if not more:
                number, seq = number + 1, 0
        end = number >= len(names)
        return WaitingPage(
            ready=tuple(ready), over=tuple(over), after=None if end else number << _SEQ_BITS | seq
        )

    async def end_waiting(self, children: Sequence[int]) -> int:
        names = self._numbered.known(())
        of_namespace: dict[str, list[int]] = {}
        for one in children:
            of_namespace.setdefault(names[one >> _SEQ_BITS], []).append(one & _SEQ)
        count = 0
        for namespace, seqs in of_namespace.items():
            (there,) = await self._database.write(self._database.keys(namespace), [("end_waiting", seqs)])
            count += there
        return count

    async def parents(self, namespace: str, job_id: str, *, after: int, limit: int) -> Sequence[Parent]:
        return await flowing.parents(self._at(namespace), namespace, job_id, after, limit)

    async def edges(self, namespace: str, jobs: Sequence[str], *, limit: int) -> Sequence[Edge]:
        return await flowing.edges_of(self._at(namespace), jobs, limit)

    def _at(self, namespace: str) -> Reader:
        return self._database.at(self._database.keys(namespace))

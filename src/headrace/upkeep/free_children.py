"""Frees children whose last parent ended without anybody looking at them afterwards."""

from collections.abc import Sequence
from typing import Final

from headrace.clock import Clock
from headrace.engine.aftermath import Aftermath
from headrace.engine.freeing import Freeing
from headrace.engine.published import PublishedTypes
from headrace.stores.protocol import Store
from headrace.upkeep.chore import ChoreResult

AT_ONCE: Final = 1_000


class FreeChildren:
    """Heals what a crash leaves between the end of a job and the look at its children (C38a).

    Every run looks at one page of the children that are noted as waiting, the next one goes on where it
    ended; runs follow each other at once until all have been looked at. ``aftermath`` is told of the jobs of
    its namespace.
    """

    name = "free_children"

    def __init__(
        self, store: Store, clock: Clock, *, every_ms: int = 5_000, aftermath: Aftermath | None = None
    ) -> None:
        self.every_ms = every_ms
        self._store = store
        self._clock = clock
        self._aftermath = aftermath
        self._after = 0
        self._freeing: dict[str, Freeing] = {}

    async def run_once(self) -> ChoreResult:
        page = await self._store.waiting_children(after=self._after, limit=AT_ONCE)
        await self._store.end_waiting(page.over)
        by_namespace: dict[str, list[str]] = {}
        for namespace, job_id in page.ready:
            by_namespace.setdefault(namespace, []).append(job_id)
        settled = [await self._look_at(namespace, ids) for namespace, ids in by_namespace.items()]
        self._after = page.after or 0
        return ChoreResult(done=sum(settled), more=page.after is not None)

    async def _look_at(self, namespace: str, children: Sequence[str]) -> int:
        freeing = self._freeing.get(namespace)
        if freeing is None:
            own = self._aftermath
            told = own if own is not None and own.namespace == namespace else Aftermath(namespace)
            published = PublishedTypes(self._store, namespace, self._clock)
            freeing = self._freeing[namespace] = Freeing(
                self._store, self._clock, published=published, aftermath=told
            )
        return await freeing.look_at(children)

"""Frees children whose parents have all ended, or cancels them, and looks at their own children in turn.

Anybody may do it at any time, and several at once: what a child becomes is decided for one revision of it, so
it happens once. Whoever ends a job that is waited on looks afterwards, and so does whoever inserts a child of
a job that has ended already; of two that do so at the same moment the later one sees what the other has
written. What a crash leaves undone a chore finds by looking at the children that are noted as waiting.
"""

import random
from collections import deque
from collections.abc import Collection, Sequence
from typing import Final

from headrace.clock import Clock
from headrace.core.batch import is_batch_id
from headrace.core.decide import decide
from headrace.core.flow import ReadyChild, verdict
from headrace.core.job import Transition
from headrace.engine.aftermath import Aftermath
from headrace.engine.batch_checks import Checks
from headrace.engine.hints import ENDED_HINT
from headrace.engine.published import PublishedTypes
from headrace.errors import StoreUnavailable
from headrace.stores.protocol import Applied, Stale, Store

AT_ONCE: Final = 500
_TRIES: Final = 20


class Freeing:
    """The children in one namespace. ``batches`` are told where one of them ended, if they are given."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        published: PublishedTypes,
        aftermath: Aftermath,
        batches: Checks | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._namespace = aftermath.namespace
        self._published = published
        self._aftermath = aftermath
        self._batches = batches
        self._rng = random.Random()

    async def look(self, parents: Collection[str]) -> frozenset[str]:
        """Looks at the children of jobs that have ended. None of these need be looked at again."""
        todo = deque(parents)
        while todo:
            some = [todo.popleft() for _ in range(min(AT_ONCE, len(todo)))]
            after: int | None = 0
            while after is not None:
                page = await self._store.ready_children(self._namespace, some, after=after, limit=AT_ONCE)
                todo.extend(_parents_among(await self._settled(page.children)))
                after = page.after
        return frozenset()

    async def look_at(self, children: Sequence[str]) -> int:
        """Looks at these children themselves; returns how many of them wait no more."""
        ready = await self._store.ready_among(self._namespace, children)
        settled = await self._settled(ready)
        await self.look(_parents_among(settled))
        return len(settled)

    async def _settled(self, children: Sequence[ReadyChild]) -> Sequence[Transition]:
        """What was written of what becomes of these children. Nothing for those that wait on."""
        written: list[Transition] = []
        for _ in range(_TRIES):
            now = self._clock.now()
            decided = await self._decided(children, now)
            if not decided:
                return written
            answers = await self._store.apply(decided, now=now)
            pairs = list(zip(decided, answers, strict=True))
            applied = [one for one, answer in pairs if isinstance(answer, Applied)]
            self._tell(applied, now)
            written += applied
            stale = [one.job.id for one, answer in pairs if isinstance(answer, Stale)]
            if not stale:
                return written
            children = await self._store.ready_among(self._namespace, stale)
        msg = "children of a flow change too fast to be decided on; the sweep looks again"
        raise StoreUnavailable(msg)

    async def _decided(self, children: Sequence[ReadyChild], now: int) -> list[Transition]:
        decided: list[Transition] = []
        for child in children:
            event = verdict(child)
            if event is not None:
                facts = child.job.facts
                policy = await self._published.policy(facts.type, facts.version)
                decided.append(decide(child.job, event, policy=policy, now=now, rng=self._rng))
        return decided

    def _tell(self, applied: Sequence[Transition], now: int) -> None:
        if not applied:
            return
        due = (one for one in applied if one.placement.due_at is not None and one.placement.due_at <= now)
        self._store.wake(self._namespace, frozenset({ENDED_HINT, *(one.job.facts.queue for one in due)}))
        if self._aftermath.settled.heard:
            self._aftermath.settled(applied)
        if self._batches is not None:
            facts = [one.job.facts for one in applied if one.placement.terminal]
            batches = {one.batch_id for one in facts if is_batch_id(one.batch_id)}
            if batches:
                self._batches.ask(batches)


def _parents_among(settled: Sequence[Transition]) -> Collection[str]:
    """Those that ended and that others wait for."""
    return [one.job.id for one in settled if one.placement.terminal and one.job.waited_on]

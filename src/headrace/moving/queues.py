"""Keeps the queues of both sides paused while jobs move, and gives those of the target back afterwards."""

from collections.abc import Collection

from headrace.moving.lease import Lease
from headrace.moving.sides import Side


class Pauses:
    """What is noted before a queue is paused is how it was; so a move that was broken off knows it."""

    def __init__(self, source: Side, target: Side, lease: Lease) -> None:
        self._source = source
        self._target = target
        self._lease = lease
        self._held: set[str] = set()

    async def all(self) -> None:
        """Pauses every queue of the source, and of the target under the same names."""
        await self.of({one.name for one in await self._source.store.queues(self._source.namespace)})

    async def of(self, queues: Collection[str]) -> None:
        """Pauses these queues, those that the move has not met before as well."""
        new = sorted(set(queues) - self._held)
        if not new:
            return
        unknown = set(new) - self._lease.state.paused.keys()
        if unknown:
            states = {one.name: one.paused for one in await self._source.store.queues(self._source.namespace)}
            await self._lease.note_queues({name: states.get(name, False) for name in sorted(unknown)})
        for name in new:
            await self._source.store.set_paused(self._source.namespace, name, paused=True)
            await self._target.store.set_paused(self._target.namespace, name, paused=True)
        self._held |= set(new)

    async def give_back(self) -> None:
        """Makes each queue of the target what it was at the source before the move."""
        for name, paused in sorted(self._lease.state.paused.items()):
            await self._target.store.set_paused(self._target.namespace, name, paused=paused)
            if not paused:
                self._target.store.wake(self._target.namespace, frozenset({name}))

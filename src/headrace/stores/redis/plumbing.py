"""The store's plumbing: set-up, health, queues, workers, wake-ups."""

from collections.abc import Sequence

from headrace.stores.redis import health, migrating, queueing, workers
from headrace.stores.redis.database import Database
from headrace.stores.values import Health, ParkedCount, QueueState, Tally, WorkerHello
from headrace.stores.waking import Wakeups


class KeepsPlumbing:
    """Keeps ``headrace.stores.protocol.Plumbing``, and those reads of jobs that count them."""

    _database: Database
    _wakeups: Wakeups

    async def migrate(self) -> int:
        return await migrating.migrate(self._database)

    async def migration_plan(self) -> str:
        return await migrating.plan(self._database)

    async def check(self) -> Health:
        return await health.check(self._database, self._wakeups)

    async def now(self) -> int:
        return await health.now(self._database)

    async def incarnation(self) -> str:
        return await health.incarnation(self._database)

    async def queues(self, namespace: str) -> Sequence[QueueState]:
        keys = self._database.keys(namespace)
        return await queueing.queue_states(self._database, keys, await self.now())

    async def set_paused(self, namespace: str, queue: str, *, paused: bool) -> None:
        await queueing.set_paused(self._database, self._database.keys(namespace), queue, paused=paused)

    async def tallies(self, namespace: str) -> Sequence[Tally]:
        return await queueing.tallies(self._database, self._database.keys(namespace))

    async def parked(self, namespace: str) -> Sequence[ParkedCount]:
        return await queueing.parked(self._database, self._database.keys(namespace))

    async def hello(self, hello: WorkerHello) -> None:
        await workers.greet(self._database, self._database.keys(hello.namespace), hello)

    async def goodbye(self, namespace: str, worker: str) -> None:
        await workers.goodbye(self._database, self._database.keys(namespace), worker)

    async def workers(self, namespace: str) -> Sequence[WorkerHello]:
        return await workers.workers(self._database, self._database.keys(namespace))

    async def unpark_known(self, *, now: int) -> int:
        return await workers.unpark_known(self._database, now)

    def wake(self, namespace: str, queues: frozenset[str]) -> None:
        self._wakeups.wake(namespace, queues)

    async def woken(self, namespace: str, queues: frozenset[str] | None, *, timeout_ms: int) -> bool:
        return await self._wakeups.woken(namespace, queues, timeout_ms)

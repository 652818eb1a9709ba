"""What a namespace has once, in its home; and what all its partitions must be told."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from headrace.core.filters import Page
from headrace.core.limit_register import KEY as LIMITS
from headrace.errors import OutcomeUnknown, StoreUnavailable
from headrace.stores.redis.partitions.circulating import Circulation
from headrace.stores.redis.partitions.parts import Parts
from headrace.stores.redis.partitions.sharing import all_lanes
from headrace.stores.values import Health, Record, Register, Swap, WorkerHello


class KeepsHome:
    """Part of the store: registers, records, workers, and the server itself."""

    _parts: Parts
    _circulation: Circulation

    async def read(self, namespace: str, keys: Sequence[str]) -> Mapping[str, Register]:
        return await self._parts.home.read(namespace, keys)

    async def scan(self, namespace: str, prefix: str) -> Sequence[Register]:
        return await self._parts.home.scan(namespace, prefix)

    async def due(self, kind: str, *, now: int, limit: int) -> Sequence[tuple[str, Register]]:
        return await self._parts.home.due(kind, now=now, limit=limit)

    async def swap(self, namespace: str, swaps: Sequence[Swap]) -> bool:
        """Limits are acknowledged once all partitions know them, and none has more than there is.

        Raises OutcomeUnknown where one cannot be reached: the sweep goes on.
        """
        done = await self._parts.home.swap(namespace, swaps)
        if done and any(one.key == LIMITS for one in swaps):
            await self._limits_changed(namespace)
        return done

    async def append(self, namespace: str, kind: str, records: Sequence[Record]) -> None:
        await self._parts.home.append(namespace, kind, records)

    async def records(self, namespace: str, kind: str, keys: Sequence[str]) -> Mapping[str, Record]:
        return await self._parts.home.records(namespace, kind, keys)

    async def list_records(
        self, namespace: str, kind: str, page: Page
    ) -> tuple[Sequence[Record], str | None]:
        return await self._parts.home.list_records(namespace, kind, page)

    async def remove_records(self, namespace: str, kind: str, keys: Sequence[str]) -> int:
        return await self._parts.home.remove_records(namespace, kind, keys)

    async def trim(self, *, now: int, limit: int) -> int:
        return sum(await self._parts.everywhere(lambda one: one.trim(now=now, limit=limit)))

    async def migrate(self) -> int:
        return await self._parts.home.migrate()

    async def migration_plan(self) -> str:
        return await self._parts.home.migration_plan()

    async def check(self) -> Health:
        health = await self._parts.home.check()
        return replace(health, details={**health.details, "partitions": str(await self._parts.all())})

    async def now(self) -> int:
        return await self._parts.home.now()

    async def incarnation(self) -> str:
        return await self._parts.home.incarnation()

    async def hello(self, hello: WorkerHello) -> None:
        await self._parts.each(hello.namespace, lambda one: one.hello(hello))

    async def goodbye(self, namespace: str, worker: str) -> None:
        await self._parts.each(namespace, lambda one: one.goodbye(namespace, worker))

    async def workers(self, namespace: str) -> Sequence[WorkerHello]:
        return await self._parts.home.workers(namespace)

    async def _limits_changed(self, namespace: str) -> None:
        try:
            await self._parts.agree(namespace)
            await self._circulation.repay(namespace, all_lanes(await self._parts.read_limits(namespace)))
        except StoreUnavailable as error:
            raise OutcomeUnknown(f"limits are written, and known everywhere later: {error}") from error

    async def unpark_known(self, *, now: int) -> int:
        return sum(await self._parts.everywhere(lambda one: one.unpark_known(now=now)))

    def wake(self, namespace: str, queues: frozenset[str]) -> None:
        """Hints that there is work."""
        self._parts.home.wake(namespace, queues)

    async def woken(self, namespace: str, queues: frozenset[str] | None, *, timeout_ms: int) -> bool:
        return await self._parts.home.woken(namespace, queues, timeout_ms=timeout_ms)

"""How many partitions a queue has: kept in the home when its first job comes, and never changed by itself."""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from headrace.stores.redis.database import Database
from headrace.stores.redis.partitions.places import Wanted

_FRESH_S: Final = 1.0
"""After so long it is read again which queues other processes have begun."""

Agree = Callable[[str, int], Awaitable[None]]
"""Brings so many partitions of a namespace to what they must agree on."""


@dataclass(slots=True)
class _Seen:
    counts: dict[str, int]
    at: float


class Counts:
    """What is kept, as one process knows it. ``agree`` is called before a queue gets its partitions."""

    def __init__(self, home: Database, wanted: Wanted, agree: Agree) -> None:
        self._home = home
        self._wanted = wanted
        self._agree = agree
        self._seen: dict[str, _Seen] = {}

    async def kept(self, namespace: str) -> Mapping[str, int]:
        """The number of each queue that has one."""
        return (await self._read(namespace)).counts

    async def of(self, namespace: str, queue: str) -> int:
        """The number of a queue; what it would get if it has none."""
        return (await self.kept(namespace)).get(queue) or self._wanted.of(queue)

    def known(self, namespace: str, queue: str) -> int:
        """As ``of``, without a look."""
        seen = self._seen.get(namespace)
        return (seen.counts.get(queue) if seen else None) or self._wanted.of(queue)

    async def most(self, namespace: str) -> int:
        """In how many partitions of a namespace anything may be."""
        return max(self._wanted.most, *(await self.kept(namespace)).values(), 1)

    async def keep(self, namespace: str, queues: Iterable[str]) -> Mapping[str, int]:
        """The numbers of queues, which have one from now on."""
        seen = self._seen.get(namespace)
        missing = [one for one in dict.fromkeys(queues) if seen is None or one not in seen.counts]
        if missing:
            await self._agree(namespace, self._wanted.most)
            writes = [("partition", queue, self._wanted.of(queue)) for queue in missing]
            found = await self._home.write(self._home.keys(namespace), writes)
            if max(found) > 1:
                await self._home.call("SET", mark_key(self._home), "1")
            seen = await self._read(namespace)
            seen.counts.update(zip(missing, found, strict=True))
        return {} if seen is None else seen.counts

    async def _read(self, namespace: str) -> _Seen:
        seen, now = self._seen.get(namespace), time.monotonic()
        if seen is None or now - seen.at > _FRESH_S:
            said = await self._home.call("HGETALL", self._home.keys(namespace).partitions)
            counts = {name: int(count) for name, count in zip(said[::2], said[1::2], strict=True)}
            seen = self._seen[namespace] = _Seen({**(seen.counts if seen else {}), **counts}, now)
        return seen


def mark_key(home: Database) -> str:
    """The key that tells processes without partitions that they would not see everything."""
    return f"{home.location.prefix}:partitioned"

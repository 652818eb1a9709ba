"""How many partitions a queue has: kept in the home when its first job comes, and never changed by itself."""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.core.limit_register import KEY as LIMITS
from headrace.errors import StoreUnavailable
from headrace.stores.redis.database import Database
from headrace.stores.redis.partitions.places import Wanted

_FRESH_S: Final = 1.0
"""After so long it is read again which queues other processes have begun."""

_TRIES: Final = 10

Agree = Callable[[str, Mapping[str, int]], Awaitable[int]]
"""Brings the partitions of queues spread so to what they must agree on; the revision of limits that is."""


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

    async def widest(self, namespace: str) -> int:
        """The largest number that a queue has."""
        return max((await self.kept(namespace)).values(), default=1)

    async def most(self, namespace: str) -> int:
        """In how many partitions of a namespace anything may be."""
        return max(self._wanted.most, await self.widest(namespace))

    async def keep(self, namespace: str, queues: Iterable[str]) -> Mapping[str, int]:
        """The numbers of queues, which have one from now on."""
        seen = self._seen.get(namespace)
        missing = [one for one in dict.fromkeys(queues) if seen is None or one not in seen.counts]
        if missing:
            await self._begin(namespace, missing)
        return {} if not (seen := self._seen.get(namespace)) else seen.counts

    async def fresh(self, namespace: str) -> Mapping[str, int]:
        """As ``kept``, by a look in any case."""
        return (await self._looked(namespace))[0]

    async def _begin(self, namespace: str, queues: Sequence[str]) -> None:
        """Gives queues their numbers, once the partitions that they may get know what they must.

        Others may define limits or begin queues at the same time: then the partitions agree once more.
        """
        wanted = {queue: self._wanted.of(queue) for queue in queues}
        expected = {**wanted, **await self.fresh(namespace)}
        agreed = await self._agree(namespace, expected)
        writes = [("partition", queue, count) for queue, count in wanted.items()]
        found = await self._home.write(self._home.keys(namespace), writes)
        if max(found) > 1:
            await self._home.call("SET", mark_key(self._home), "1")
        for _ in range(_TRIES):
            kept, revision = await self._looked(namespace)
            if max(kept.values()) <= 1 or (kept, revision) == (expected, agreed):
                return
            expected, agreed = kept, await self._agree(namespace, kept)
        raise StoreUnavailable("limits change too fast; try again")

    async def _read(self, namespace: str) -> _Seen:
        seen = self._seen.get(namespace)
        if seen is None or time.monotonic() - seen.at > _FRESH_S:
            await self._looked(namespace)
        return self._seen[namespace]

    async def _looked(self, namespace: str) -> tuple[Mapping[str, int], int]:
        """What is kept, and the revision of limits."""
        keys = self._home.keys(namespace)
        said, revision = await self._home.pipe(
            [("HGETALL", keys.partitions), ("HGET", keys.register(LIMITS), "n")]
        )
        counts = {name: int(count) for name, count in zip(said[::2], said[1::2], strict=True)}
        self._seen[namespace] = _Seen(counts, time.monotonic())
        return counts, int(revision or 0)


def mark_key(home: Database) -> str:
    """The key that tells processes without partitions that they would not see everything."""
    return f"{home.location.prefix}:partitioned"

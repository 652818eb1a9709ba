"""The keys of one partition, over the connections of the home."""

from collections.abc import Awaitable, Callable
from typing import Final

from headrace.stores.redis.connecting import Line
from headrace.stores.redis.database import Database
from headrace.stores.redis.keys import Keys

MostOf = Callable[[str], Awaitable[int]]
"""Tells how many partitions a namespace has."""


class PartitionDatabase(Database):
    """As the home, but that every namespace means its partition of that number."""

    def __init__(self, home: Database, number: int, most_of: MostOf) -> None:
        super().__init__(home.location)
        self.number: Final = number
        self._home = home
        self._most_of = most_of
        self._partitions: dict[str, Keys] = {}

    def keys(self, namespace: str) -> Keys:
        found = self._partitions.get(namespace)
        if found is None:
            found = self._partitions[namespace] = Keys(self.location.prefix, namespace, self.number)
        return found

    async def namespaces(self) -> list[str]:
        """The namespaces that have this partition."""
        return [name for name in await self._home.namespaces() if await self._most_of(name) > self.number]

    def line(self) -> Line:
        return self._home.line()

    async def close(self) -> None:
        """Nothing: the connections are the home's."""

    async def _name(self, keys: Keys) -> None:
        await self._home._name(keys)  # noqa: SLF001 - the home keeps account of the names

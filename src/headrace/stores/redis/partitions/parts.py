"""The partitions of this process's namespaces: a store each, over the same connections."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from headrace.core.ids import is_id
from headrace.core.job import Job
from headrace.core.limits import Limits
from headrace.errors import StoreUnavailable
from headrace.stores.redis.database import Database, Reader
from headrace.stores.redis.inserting import Inserter
from headrace.stores.redis.lanes import read_limits
from headrace.stores.redis.partitions.agreeing import agree, is_agreed
from headrace.stores.redis.partitions.counts import Counts
from headrace.stores.redis.partitions.databases import PartitionDatabase
from headrace.stores.redis.partitions.limits import KnownDividedLimits
from headrace.stores.redis.partitions.places import HOME, MOST, Wanted, partition_of
from headrace.stores.redis.store import RedisStore
from headrace.stores.waking import Wakeups

T = TypeVar("T")

_KNOWN: Final = 100_000


class Parts:
    """All partitions. Those of a namespace are the first so many."""

    def __init__(self, home: Database, wanted: Wanted, wakeups: Wakeups) -> None:
        self.home_database: Final = home
        self.counts: Final = Counts(home, wanted, self._agree)
        self._wakeups = wakeups
        self._limits = [KnownDividedLimits(HOME)]
        self._databases = [home]
        self._stores = [RedisStore(home, limits=self._limits[HOME], wakeups=wakeups)]
        self._inserters = [Inserter(home, self._limits[HOME])]
        self._where: dict[str, int] = {}

    @property
    def home(self) -> RedisStore:
        """The store of what belongs to no queue, and of all queues that are not spread."""
        return self._stores[HOME]

    def store(self, number: int) -> RedisStore:
        """The store of a partition."""
        self._make(number)
        return self._stores[number]

    def database(self, number: int) -> Database:
        """The database of a partition."""
        self._make(number)
        return self._databases[number]

    def reader(self, number: int, namespace: str) -> Reader:
        """Reads of one partition."""
        database = self.database(number)
        return database.at(database.keys(namespace))

    def inserter(self, number: int) -> Inserter:
        """What inserts into a partition, that of several callers in one commit."""
        self._make(number)
        return self._inserters[number]

    async def count(self, namespace: str) -> int:
        """In how many partitions of a namespace anything may be."""
        most, kept = await self.counts.most(namespace), await self.counts.kept(namespace)
        self._make(most - 1)
        for limits in self._limits[:most]:
            limits.share(namespace, kept)
        return most

    async def all(self) -> int:
        """How many partitions any namespace has."""
        return max([await self.count(name) for name in await self.home_database.namespaces()], default=1)

    async def each(self, namespace: str, call: Callable[[RedisStore], Awaitable[T]]) -> list[T]:
        """What each partition of a namespace answers."""
        return await gathered(call(self._stores[number]) for number in range(await self.count(namespace)))

    async def everywhere(self, call: Callable[[RedisStore], Awaitable[T]]) -> list[T]:
        """What each partition of all namespaces answers."""
        return await gathered(call(self._stores[number]) for number in range(await self.all()))

    async def where(self, namespace: str, ids: Iterable[str]) -> dict[int, list[str]]:
        """Jobs by their partitions; those that are nowhere are left out."""
        found: dict[int, list[str]] = {}
        unknown: list[str] = []
        for job_id in dict.fromkeys(ids):
            number = self._where.get(job_id)
            if number is not None:
                found.setdefault(number, []).append(job_id)
            elif is_id(job_id):
                unknown.append(job_id)
        for number, some in (await self.asked(namespace, unknown)).items():
            found.setdefault(number, []).extend(some)
        return found

    async def asked(self, namespace: str, ids: Sequence[str]) -> Mapping[int, list[str]]:
        """As ``where``, by a look in any case: where there are several partitions, each is asked."""
        if not ids:
            return {}
        numbers = range(await self.count(namespace))
        if len(numbers) == 1:
            return {HOME: list(ids)}
        databases = [self.database(number) for number in numbers]
        answers = await gathered(one.look(one.keys(namespace), "there", *ids) for one in databases)
        found = {
            number: [job_id for job_id, there in zip(ids, answer, strict=True) if there]
            for number, answer in zip(numbers, answers, strict=True)
        }
        self.learn_places((job_id, number) for number, some in found.items() for job_id in some)
        return {number: some for number, some in found.items() if some}

    async def store_of(self, namespace: str, job_id: str) -> RedisStore:
        """The store of a job; the home for one that is nowhere."""
        return self.store(next(iter(await self.where(namespace, (job_id,))), HOME))

    def learn(self, jobs: Iterable[Job]) -> None:
        """Notes where jobs are."""
        self.learn_places((job.id, partition_of(job)) for job in jobs)

    def learn_places(self, places: Iterable[tuple[str, int]]) -> None:
        """Notes where jobs are. A job never moves."""
        if len(self._where) > _KNOWN:
            self._where = {}
        self._where.update(places)

    def known(self, job_id: str) -> int | None:
        """Where a job is, if this process knows it."""
        return self._where.get(job_id)

    def known_limits(self, namespace: str) -> Limits:
        """The definitions of limits, as this process has last seen them."""
        return self._limits[HOME].of(namespace).limits

    async def read_limits(self, namespace: str) -> Limits:
        """The definitions of limits as they are now."""
        return (await read_limits(self.home_database, namespace, self._limits[HOME])).limits

    async def agree(self, namespace: str) -> None:
        """Brings all partitions to what the home says."""
        await self._agree(namespace, await self.counts.fresh(namespace))

    async def mend(self, namespace: str) -> None:
        """As ``agree``, where a partition knows other limits: a crash or a failover has left it so."""
        counts = await self.counts.fresh(namespace)
        most = max(counts.values(), default=1)
        if most > 1 and not await is_agreed(self._first(most), namespace):
            await self._agree(namespace, counts)

    async def close(self) -> None:
        """Closes all stores."""
        for store in self._stores[1:]:
            store.close_openings()
        await self.home.close()

    async def _agree(self, namespace: str, counts: Mapping[str, int]) -> int:
        most = max(counts.values(), default=1)
        return 0 if most <= 1 else await agree(self._first(most), namespace, counts)

    def _first(self, most: int) -> list[Database]:
        return [self.database(number) for number in range(most)]

    def _make(self, number: int) -> None:
        if number >= MOST:
            raise StoreUnavailable(f"partition {number} is of another version: this one knows {MOST}")
        while len(self._stores) <= number:
            limits = KnownDividedLimits(len(self._stores))
            database = PartitionDatabase(self.home_database, len(self._stores), self.counts.most)
            self._limits.append(limits)
            self._databases.append(database)
            self._inserters.append(Inserter(database, limits))
            self._stores.append(RedisStore(database, limits=limits, wakeups=self._wakeups))


async def gathered(calls: Iterable[Awaitable[T]]) -> list[T]:
    """All results, in order. Raises the first error once all calls have ended."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for one in results:
        if isinstance(one, BaseException):
            raise one
    return [one for one in results if not isinstance(one, BaseException)]

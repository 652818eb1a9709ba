"""Jobs with all they own, read for another store and taken in from one, where queues are spread.

What is taken in by one op is decided in the home, with the registers that say who may write, and owed to the
other partitions. Receipts and lanes go to all of them: which one asks for a receipt depends on the job that
brings its key again.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from uuid import uuid4

from headrace.core.flow import Edge
from headrace.core.limit_register import KEY as LIMITS
from headrace.core.limits import LaneState
from headrace.stores.adopting import Adoption, Belongings, Carried
from headrace.stores.flowing import POLICIES
from headrace.stores.keyed import Kept
from headrace.stores.redis.adopting import fresh_ones, job_writes, lane_writes, new_jobs, receipt_writes
from headrace.stores.redis.partitions.inserting import Inserting, place_of
from headrace.stores.redis.partitions.intents import Duty, Intent, Intents
from headrace.stores.redis.partitions.lanes import all_of, without_share
from headrace.stores.redis.partitions.parts import Parts, gathered
from headrace.stores.redis.partitions.places import HOME
from headrace.stores.redis.registers import add_swaps
from headrace.stores.redis.session import Session, Write
from headrace.stores.values import NewJob


class AdoptsJobs(ABC):
    """Keeps ``headrace.stores.adopting.AdoptionStore``, as part of the store."""

    _parts: Parts
    _intents: Intents
    _inserting: Inserting

    @abstractmethod
    async def _limits_changed(self, namespace: str) -> None: ...

    async def belongings(self, namespace: str, ids: Sequence[str]) -> Mapping[str, Belongings]:
        """Each job's of one moment. Parents are in any partition."""
        if await self._parts.count(namespace) == 1:
            return await self._parts.home.belongings(namespace, ids)
        where = await self._parts.where(namespace, ids)
        looks = await gathered(
            self._parts.store(number).belongings(namespace, some) for number, some in where.items()
        )
        found = {job_id: owned for look in looks for job_id, owned in look.items()}
        edges = await self._edges(
            namespace, where, {job_id for job_id, owned in found.items() if owned.edges}
        )
        there = await self._parts.where(namespace, {one.parent for some in edges.values() for one in some})
        known = {parent for some in there.values() for parent in some}
        return {
            job_id: replace(owned, edges=tuple(_known(one, known) for one in edges.get(job_id, ())))
            for job_id, owned in found.items()
        }

    async def kept_receipts(
        self, namespace: str, *, after: str | None, limit: int
    ) -> tuple[Sequence[Kept], str | None]:
        """Those of one partition after the other, each once."""
        count = await self._parts.count(namespace)
        place, _, inner = (after or f"{HOME}:").partition(":")
        number, kept = int(place), list[Kept]()
        while number < count and len(kept) < limit:
            some, cursor = await self._parts.store(number).kept_receipts(
                namespace, after=inner or None, limit=limit - len(kept)
            )
            met = await self._met(namespace, number, [one.receipt.key for one in some])
            kept += (one for one in some if one.receipt.key not in met)
            number, inner = (number + 1, "") if cursor is None else (number, cursor)
        return kept, f"{number}:{inner}" if number < count else None

    async def kept_lanes(self, namespace: str, *, after: str, limit: int) -> Sequence[LaneState]:
        """As ``lane_states`` tells of them."""
        parts = await self._parts.each(
            namespace, lambda one: one.kept_lanes(namespace, after=after, limit=limit)
        )
        found = all_of(without_share(lane) for some in parts for lane in some)
        return [found[key] for key in sorted(found)[:limit]]

    async def adopt(self, namespace: str, adoption: Adoption) -> frozenset[str]:
        """Raises InvalidInput for a job with two keys, in a queue that is spread here."""
        await self._intents.settle(namespace, HOME)
        places = await self._places(namespace, adoption.jobs)
        if await self._parts.count(namespace) == 1:
            return await self._parts.home.adopt(namespace, adoption)
        home = self._parts.home_database

        async def op(session: Session) -> tuple[list[str], Intent]:
            fresh = await self._fresh(namespace, adoption.jobs, places)
            writes, intent = await self._planned(namespace, adoption, fresh, places)
            add_swaps(session, adoption.swaps)
            session.add(*writes, *([intent.write] if intent.duties else ()))
            await session.commit()
            return [one.job.id for one in fresh], intent

        ids, intent = await home.together(home.keys(namespace), op)
        if intent.duties:
            await self._intents.fulfil(namespace, HOME, intent)
        if any(one.key == LIMITS for one in adoption.swaps):
            await self._limits_changed(namespace)
        there = await self._parts.asked(namespace, ids)  # a key may have been taken in between
        return frozenset(job_id for some in there.values() for job_id in some)

    async def _places(self, namespace: str, jobs: Sequence[Carried]) -> Mapping[str, int]:
        counts = await self._parts.counts.keep(namespace, [one.job.facts.queue for one in jobs])
        return {new.facts.id: place_of(new, counts[new.facts.queue]) for new in new_jobs(jobs)}

    async def _planned(
        self, namespace: str, adoption: Adoption, fresh: Sequence[Carried], places: Mapping[str, int]
    ) -> tuple[Sequence[Write], Intent]:
        """What the home writes, and what it owes to the others."""
        now = await self._parts.home.now()
        writes = await self._writes(namespace, adoption)
        for number, some in self._jobs_by_place(fresh, places, now).items():
            writes[number] += some
        duties = [Duty(partition=number, writes=some) for number, some in writes.items() if number and some]
        return writes[HOME], Intent(id=uuid4().hex, now=now, duties=duties)

    async def _fresh(
        self, namespace: str, jobs: Sequence[Carried], places: Mapping[str, int]
    ) -> list[Carried]:
        """Those that are nowhere yet, and whose unique locks nobody holds.

        Where this process has once met a job says nothing: a failover may have lost it since.
        """
        there = await self._parts.asked(namespace, [one.job.id for one in jobs])
        known = {job_id for some in there.values() for job_id in some}
        by_place: dict[int, list[Carried]] = {}
        for one in jobs:
            by_place.setdefault(places[one.job.id], []).append(one)
        found = await gathered(
            fresh_ones(self._parts.reader(number, namespace), namespace, some)
            for number, some in by_place.items()
        )
        fresh = {one.job.id for some in found for one in some} - known
        return [one for one in jobs if one.job.id in fresh]

    async def _writes(self, namespace: str, adoption: Adoption) -> dict[int, list[Write]]:
        """What all partitions get."""
        beside = [*lane_writes(adoption.lanes), *receipt_writes(adoption.receipts)]
        return {number: list(beside) for number in range(await self._parts.count(namespace))}

    def _jobs_by_place(
        self, jobs: Sequence[Carried], places: Mapping[str, int], now: int
    ) -> dict[int, list[Write]]:
        by_place: dict[int, tuple[list[Carried], list[NewJob]]] = {}
        for one, new in zip(jobs, self._inserting.ticks.on(new_jobs(jobs), now), strict=True):
            some = by_place.setdefault(places[one.job.id], ([], []))
            some[0].append(one)
            some[1].append(new)
        return {number: job_writes(*some, now) for number, some in by_place.items()}

    async def _edges(
        self, namespace: str, where: Mapping[int, Sequence[str]], ids: Collection[str]
    ) -> dict[str, list[Edge]]:
        found: dict[str, list[Edge]] = {}
        for place, some in where.items():
            children = [job_id for job_id in some if job_id in ids]
            reader = self._parts.reader(place, namespace)
            rows = await reader.looks("far_parents", [(child,) for child in children])
            for child, edges in zip(children, rows, strict=True):
                found[child] = [
                    Edge(child=child, parent=parent, number=int(number), on_parent_failure=POLICIES[policy])
                    for number, parent, policy in edges
                ]
        return found

    async def _met(self, namespace: str, number: int, keys: Sequence[str]) -> set[str]:
        """Those of the receipts that an earlier partition has, too."""
        found: set[str] = set()
        for earlier in range(number):
            database = self._parts.database(earlier)
            of = database.keys(namespace)
            there = await database.pipe([("EXISTS", of.receipt(key)) for key in keys])
            found.update(key for key, is_there in zip(keys, there, strict=True) if is_there)
        return found


def _known(edge: Edge, known: Collection[str]) -> Edge:
    return edge if edge.parent in known else replace(edge, parent="")

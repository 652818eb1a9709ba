"""Reads of jobs by id, and what holders write: each in the partition of the job."""

from collections.abc import Mapping, Sequence

from headrace.core.dead import DeadFilter, DeathCount
from headrace.core.filters import JobFilter, Page
from headrace.core.job import History, Job
from headrace.core.steps import Kept, Signal
from headrace.stores.eventing import LogTail
from headrace.stores.redis.dead import sum_of
from headrace.stores.redis.partitions.listing import merged, merged_dead
from headrace.stores.redis.partitions.parts import Parts, gathered
from headrace.stores.values import JobPage, LogLine, Note


class ReadsJobs:
    """Part of the store."""

    _parts: Parts

    async def get(self, namespace: str, ids: Sequence[str]) -> Mapping[str, Job]:
        where = await self._parts.where(namespace, ids)
        found: dict[str, Job] = {}
        for some in await gathered(
            self._parts.store(number).get(namespace, of_part) for number, of_part in where.items()
        ):
            found.update(some)
        return {job_id: found[job_id] for job_id in ids if job_id in found}

    async def find(self, namespace: str, wanted: JobFilter, page: Page) -> JobPage:
        return merged(await self._parts.each(namespace, lambda one: one.find(namespace, wanted, page)), page)

    async def history(self, namespace: str, job_id: str) -> History:
        return await (await self._parts.store_of(namespace, job_id)).history(namespace, job_id)

    async def log_lines(self, namespace: str, job_id: str) -> Sequence[LogLine]:
        return await (await self._parts.store_of(namespace, job_id)).log_lines(namespace, job_id)

    async def log_tail(self, namespace: str, job_id: str, *, after: int | None, limit: int) -> LogTail:
        store = await self._parts.store_of(namespace, job_id)
        return await store.log_tail(namespace, job_id, after=after, limit=limit)

    async def kept(self, namespace: str, job_id: str, *, now: int) -> Kept:
        return await (await self._parts.store_of(namespace, job_id)).kept(namespace, job_id, now=now)

    async def signal(self, namespace: str, job_id: str, signal: Signal) -> None:
        await (await self._parts.store_of(namespace, job_id)).signal(namespace, job_id, signal)

    async def forget_steps(self, namespace: str, job_id: str, *, revision: int) -> int | None:
        store = await self._parts.store_of(namespace, job_id)
        return await store.forget_steps(namespace, job_id, revision=revision)

    async def note(self, notes: Sequence[Note], *, now: int) -> frozenset[str]:
        """Those of jobs that this process has met go to their partitions, all others to each."""
        by_place: dict[int, list[Note]] = {}
        every = range(await self._parts.all())
        for note in notes:
            known = self._parts.known(note.holder.job_id)
            for number in every if known is None else (known,):
                by_place.setdefault(number, []).append(note)
        lost = await gathered(self._parts.store(n).note(some, now=now) for n, some in by_place.items())
        kept = {
            note.holder.job_id
            for some, gone in zip(by_place.values(), lost, strict=True)
            for note in some
            if note.holder.job_id not in gone
        }
        return frozenset(note.holder.job_id for note in notes) - kept

    async def expired(self, *, now: int, limit: int) -> Sequence[Job]:
        parts = await self._parts.everywhere(lambda one: one.expired(now=now, limit=limit))
        found = [job for some in parts for job in some]
        self._parts.learn(found)
        found.sort(key=lambda job: (job.placement.lease_until or 0, job.seq))
        return found[:limit]

    async def dead(self, namespace: str, wanted: DeadFilter, page: Page) -> JobPage:
        return merged_dead(
            await self._parts.each(namespace, lambda one: one.dead(namespace, wanted, page)), page
        )

    async def dead_counts(self, namespace: str) -> Sequence[DeathCount]:
        return _summed(await self._parts.each(namespace, lambda one: one.dead_counts(namespace)))

    async def deaths_since(self, namespace: str, at: int) -> Sequence[DeathCount]:
        return _summed(await self._parts.each(namespace, lambda one: one.deaths_since(namespace, at)))


def _summed(parts: Sequence[Sequence[DeathCount]]) -> Sequence[DeathCount]:
    counts: dict[tuple[str, str], DeathCount] = {}
    for one in sorted((one for some in parts for one in some), key=lambda one: one.last_at, reverse=True):
        later = counts.get((one.type, one.queue))
        counts[one.type, one.queue] = one if later is None else sum_of(later, one)
    return [counts[key] for key in sorted(counts)]

"""Jobs that were enqueued at the source after the move, by a producer that had not heard of it."""

from collections.abc import Sequence

from headrace.core.filters import JobFilter
from headrace.core.job import Job
from headrace.moving.carrying import with_parents
from headrace.moving.lease import Lease
from headrace.moving.sides import Side
from headrace.moving.things import receipts_of
from headrace.moving.walking import Selection, oldest_first
from headrace.stores.adopting import Adoption, Belongings, Carried
from headrace.stores.keyed import Kept


class LateJobs:
    """Those above the highest seq that was moved. Nothing else of the target is touched: it is at work."""

    def __init__(self, source: Side, target: Side, lease: Lease) -> None:
        self._source = source
        self._target = target
        self._lease = lease
        self._left: list[str] = []

    async def run(self) -> tuple[int, tuple[str, ...]]:
        """Moves them; how many, and which were left because a job at the target holds their unique key."""
        selection = Selection(above=self._lease.state.up_to)
        wanted = JobFilter(states=selection.states)
        moved = 0
        async for page in oldest_first(self._source, wanted, above=selection.above):
            late = [job for job in page if selection.takes(job)]
            if late:
                moved += await self._bring(late)
        return moved, tuple(self._left)

    async def _bring(self, jobs: Sequence[Job]) -> int:
        for queue in sorted({job.facts.queue for job in jobs}):
            await self._source.store.set_paused(self._source.namespace, queue, paused=True)
        ids = [job.id for job in jobs]
        owned = await self._source.store.belongings(self._source.namespace, ids)
        carried = [Carried(job, owned.get(job.id, Belongings())) for job in jobs]
        together = await with_parents(self._source, self._target, carried)
        receipts = await self._receipts(set(ids))
        taken = await self._lease.adopt(
            Adoption(jobs=together, receipts=receipts), up_to=max(job.seq for job in jobs)
        )
        self._left += [f"{one}: its unique key is held at the target" for one in ids if one not in taken]
        self._target.store.wake(self._target.namespace, frozenset(job.facts.queue for job in jobs))
        return len(taken)

    async def _receipts(self, ids: set[str]) -> list[Kept]:
        now = self._source.clock.now()
        return [one async for some in receipts_of(self._source, now) for one in some if one.job_id in ids]

"""One pass over the jobs: takes in what is missing at the target, mends what has changed, names the rest."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from headrace.core.batch import PREFIX as BATCHES
from headrace.core.filters import JobFilter
from headrace.core.job import Job
from headrace.core.states import TERMINAL, State
from headrace.moving.carrying import with_parents
from headrace.moving.comparing import belongings_differences, job_differences
from headrace.moving.lease import Lease
from headrace.moving.mending import mend
from headrace.moving.queues import Pauses
from headrace.moving.sides import Said, Side, Surroundings
from headrace.moving.walking import Selection, oldest_first
from headrace.stores.adopting import Adoption, Belongings, Carried

Kind = tuple[str, str, str]
"""Queue, type, state."""

NAMED: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A job that is not the same on both sides, and in what."""

    job_id: str
    fields: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.job_id}: {', '.join(self.fields)}"


@dataclass(slots=True, kw_only=True)
class Found:
    """What a pass found. ``changed`` is how much was not alike; 0: both sides are the same."""

    jobs: Counter[Kind] = field(default_factory=Counter[Kind])
    adopted: int = 0
    mended: int = 0
    compared: int = 0
    up_to: int = 0
    out_of_order: int = 0
    differences: dict[str, Difference] = field(default_factory=dict[str, Difference])

    @property
    def changed(self) -> int:
        """How many jobs were not as they should be."""
        return self.adopted + self.mended + len(self.differences)

    def differs(self, job_id: str, names: Iterable[str]) -> None:
        """Notes a difference."""
        self.differences[job_id] = Difference(job_id=job_id, fields=tuple(names))


class JobPass:
    """A pass over all jobs that are to be moved. ``expected`` is for showing how far it is."""

    def __init__(
        self, source: Side, target: Side, lease: Lease, pauses: Pauses, around: Surroundings
    ) -> None:
        self._source = source
        self._target = target
        self._lease = lease
        self._pauses = pauses
        self._around = around
        self.found = Found()
        self._last_seq = 0

    async def run(self, selection: Selection, *, expected: int) -> Found:
        """Looks at every job of the source, then at those of the target that should not be there."""
        seen = 0
        async for page in self._selected(selection):
            await self._lease.keep()
            await self._look_at(page)
            seen += len(page)
            self._around.say(Said("jobs", seen, max(expected, seen)))
        await self._look_back(selection)
        return self.found

    async def _selected(self, selection: Selection) -> AsyncIterator[list[Job]]:
        """Ended members of open batches, which are needed to count them, then the jobs themselves."""
        if not selection.ended:
            async for page in self._ended_members():
                yield page
        wanted = JobFilter(states=selection.states)
        async for page in oldest_first(self._source, wanted):
            if taken := [job for job in page if selection.takes(job)]:
                self.found.up_to = max(self.found.up_to, *(job.seq for job in taken))
                yield taken

    async def _ended_members(self) -> AsyncIterator[list[Job]]:
        for register in await self._source.store.scan(self._source.namespace, BATCHES):
            if register.due_at is None:
                continue
            wanted = JobFilter(states=TERMINAL, batch_id=register.key.removeprefix(BATCHES))
            async for page in oldest_first(self._source, wanted):
                yield page

    async def _look_at(self, page: Sequence[Job]) -> None:
        """Brings a page of the source over, or compares it with what is there."""
        page = self._waiting(page)
        await self._pauses.of({job.facts.queue for job in page})
        ids = [job.id for job in page]
        owned = await self._source.store.belongings(self._source.namespace, ids)
        there = await self._target.store.get(self._target.namespace, ids)
        missing = [Carried(job, owned.get(job.id, Belongings())) for job in page if job.id not in there]
        if missing:
            await self._adopt(missing)
        present = [job for job in page if job.id in there]
        if present:
            found = await self._target.store.belongings(self._target.namespace, [job.id for job in present])
            for job in present:
                copy = there[job.id]
                self._in_order(job, copy)
                nothing = Belongings()
                await self._compare(job, copy, owned.get(job.id, nothing), found.get(job.id, nothing))
        self.found.jobs.update((job.facts.queue, job.facts.type, job.state.value) for job in page)

    def _waiting(self, page: Sequence[Job]) -> Sequence[Job]:
        """Without those that a worker which came meanwhile has claimed: it may be at work on them."""
        for job in page:
            if job.state is State.PROCESSING:
                self.found.differs(job.id, ("it runs at the source",))
        return [job for job in page if job.state is not State.PROCESSING]

    async def _adopt(self, missing: Sequence[Carried]) -> None:
        together = await with_parents(self._source, self._target, missing)
        await self._pauses.of({one.job.facts.queue for one in together})
        taken = await self._lease.adopt(Adoption(jobs=together))
        self.found.adopted += len(taken)
        for one in missing:
            if one.job.id not in taken:
                self.found.differs(one.job.id, ("its unique key is held at the target",))

    async def _compare(self, job: Job, copy: Job, owned: Belongings, found: Belongings) -> None:
        self.found.compared += 1
        names = [*job_differences(job, copy), *belongings_differences(job, owned, found)]
        if not names:
            return
        if await mend(self._target, Carried(job, owned), Carried(copy, found), names):
            self.found.mended += 1
        else:
            self.found.differs(job.id, names)

    async def _look_back(self, selection: Selection) -> None:
        """Jobs of the target that live or failed, and are not so at the source any more."""
        async for page in oldest_first(self._target, JobFilter(states=selection.states)):
            await self._lease.keep()
            ids = [job.id for job in page]
            origins = await self._source.store.get(self._source.namespace, ids)
            for copy in page:
                origin = origins.get(copy.id)
                if origin is None:
                    self.found.differs(copy.id, ("only at the target",))
                elif not selection.takes(origin) and job_differences(origin, copy):
                    owned = await self._source.store.belongings(self._source.namespace, [copy.id])
                    found = await self._target.store.belongings(self._target.namespace, [copy.id])
                    nothing = Belongings()
                    await self._compare(
                        origin, copy, owned.get(copy.id, nothing), found.get(copy.id, nothing)
                    )

    def _in_order(self, job: Job, copy: Job) -> None:
        """Counts jobs that were taken in later than a younger one: their places among equals are others."""
        if not job.placement.live:
            return
        if copy.seq < self._last_seq:
            self.found.out_of_order += 1
        self._last_seq = max(self._last_seq, copy.seq)

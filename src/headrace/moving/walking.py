"""Walks over the jobs of a store, oldest first, though listings begin with the newest."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from headrace.core.dead import is_dead_letter
from headrace.core.filters import JobFilter, Page
from headrace.core.job import Job
from headrace.core.states import LIVE, State
from headrace.moving.sides import Side

PAGE = 250

LIVE_OR_FAILED = frozenset({*LIVE, State.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which jobs are moved: those that live and dead letters, or all. Others come along with these."""

    ended: bool = False
    above: int = 0

    @property
    def states(self) -> frozenset[State]:
        """The states to be looked at."""
        return frozenset(State) if self.ended else LIVE_OR_FAILED

    def takes(self, job: Job) -> bool:
        """Whether a job is moved."""
        if job.seq <= self.above:
            return False
        return self.ended or job.placement.live or is_dead_letter(job)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A page of the way down: the cursor it begins at, and its lowest seq."""

    before: str | None
    lowest: int


async def oldest_first(side: Side, wanted: JobFilter, *, above: int = 0) -> AsyncIterator[list[Job]]:
    """The jobs in pages, the oldest first. A job that changes meanwhile is seen once, twice or not at all."""
    for stretch in reversed([one async for one in _way_down(side, wanted, above)]):
        found: list[Job] = []
        before = stretch.before
        while True:
            page = await side.store.find(side.namespace, wanted, Page(limit=PAGE, before=before))
            found += [job for job in page.jobs if job.seq >= stretch.lowest]
            before = page.cursor
            if before is None or (page.jobs and page.jobs[-1].seq <= stretch.lowest):
                break
        if found:
            yield found[::-1]


async def _way_down(side: Side, wanted: JobFilter, above: int) -> AsyncIterator[_Stretch]:
    before: str | None = None
    start: str | None = None
    while True:
        page = await side.store.find(side.namespace, wanted, Page(limit=PAGE, before=before))
        if page.jobs:
            yield _Stretch(start, page.jobs[-1].seq)
            start = page.cursor
        before = page.cursor
        if before is None or (page.jobs and page.jobs[-1].seq <= above):
            return

"""One listing out of those of several partitions, which are in the same order."""

from collections.abc import Callable, Sequence

from headrace.core.filters import Page, dump_cursor, load_cursor
from headrace.core.job import Job
from headrace.stores.values import JobPage

Place = tuple[int, ...]


def merged(pages: Sequence[JobPage], page: Page) -> JobPage:
    """A page of jobs, newest first: seqs are unique over partitions."""
    return _merged(pages, page, lambda job: (job.seq,), (int,))


def merged_dead(pages: Sequence[JobPage], page: Page) -> JobPage:
    """A page of dead letters, the latest death first."""
    return _merged(pages, page, lambda job: (job.placement.ended_at or 0, job.seq), (int, int))


def _merged(
    pages: Sequence[JobPage], page: Page, place: Callable[[Job], Place], kinds: tuple[type, ...]
) -> JobPage:
    """What lies above the place down to which every partition was looked at, as many as fit."""
    ends = [_place_of(one.cursor, kinds) for one in pages if one.cursor is not None]
    end = max(ends, default=None)
    jobs = sorted((job for one in pages for job in one.jobs), key=place, reverse=True)
    seen = [job for job in jobs if end is None or place(job) >= end]
    if len(seen) > page.limit:
        return JobPage(jobs=tuple(seen[: page.limit]), cursor=dump_cursor(*place(seen[page.limit - 1])))
    return JobPage(jobs=tuple(seen), cursor=None if end is None else dump_cursor(*end))


def _place_of(cursor: str, kinds: tuple[type, ...]) -> Place:
    return tuple(int(part) for part in load_cursor(cursor, kinds))

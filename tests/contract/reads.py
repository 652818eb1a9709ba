"""What the tests here read of a store."""

from collections import Counter
from dataclasses import dataclass

from headrace.core.filters import JobFilter, Page
from headrace.core.job import History, Job
from headrace.core.states import State
from headrace.stores.protocol import LogLine, Store
from tests.builders import NAMESPACE


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """All that can be seen of one job."""

    job: Job
    history: History
    lines: tuple[LogLine, ...]


async def sight(store: Store, job_id: str, *, namespace: str = NAMESPACE) -> Sight:
    """All that can be seen of one job, to show that a refused write changed none of it."""
    return Sight(
        job=(await store.get(namespace, [job_id]))[job_id],
        history=await store.history(namespace, job_id),
        lines=tuple(await store.log_lines(namespace, job_id)),
    )


async def everything(
    store: Store, wanted: JobFilter | None = None, *, namespace: str = NAMESPACE, limit: int = 1000
) -> list[Job]:
    """All jobs of a listing, page by page."""
    jobs: list[Job] = []
    cursor = None
    while True:
        page = await store.find(namespace, wanted or JobFilter(), Page(limit=limit, before=cursor))
        jobs.extend(page.jobs)
        cursor = page.cursor
        if cursor is None:
            return jobs


async def ids_of(store: Store, wanted: JobFilter | None = None, *, namespace: str = NAMESPACE) -> list[str]:
    """The ids of a listing."""
    return [job.id for job in await everything(store, wanted, namespace=namespace)]


async def tallied(store: Store, *, namespace: str = NAMESPACE) -> Counter[tuple[str, str, State]]:
    """The tallies that are not zero."""
    return Counter(
        {
            (tally.queue, tally.type, tally.state): tally.count
            for tally in await store.tallies(namespace)
            if tally.count
        }
    )


async def recounted(store: Store, *, namespace: str = NAMESPACE) -> Counter[tuple[str, str, State]]:
    """The same numbers, counted from the jobs themselves."""
    jobs = await everything(store, namespace=namespace)
    return Counter((job.facts.queue, job.facts.type, job.state) for job in jobs)

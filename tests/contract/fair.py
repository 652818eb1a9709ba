"""Jobs of tenants, for tests of fair queues."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from headrace.core.fairness import QUEUES, FairQueue
from headrace.core.job import Job
from headrace.core.wishes import Wishes
from headrace.stores.protocol import NewJob, Store, Swap
from tests.builders import NAMESPACE, NOW, QUEUE, a_job


def of(tenant: str, *, lanes: tuple[str, ...] = (), **columns: object) -> NewJob:
    """A job that is shared out by its tenant, who stands in its payload too."""
    new = a_job(payload=f'"{tenant}"', **columns)  # type: ignore[arg-type]
    return replace(new, facts=replace(new.facts, lane=Wishes(lanes=lanes, fair=tenant).dumps()))


def tenants(jobs: Iterable[Job]) -> list[str]:
    """Whose jobs these are, in order."""
    return [job.facts.payload.strip('"') for job in jobs]


def shares(jobs: Iterable[Job]) -> Counter[str]:
    """How many of these jobs each tenant has."""
    return Counter(tenants(jobs))


async def weighted(store: Store, weights: dict[str, float], queue: str = QUEUE) -> None:
    """Gives tenants of a queue nobody has used yet their weights."""
    value = FairQueue().with_declared(weights).dumps()
    swap = Swap(key=f"{QUEUES}:{queue}", revision=0, value=value, due_at=NOW)
    assert await store.swap(NAMESPACE, (swap,))

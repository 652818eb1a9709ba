"""What tests of limits and of order have in common: definitions, jobs that wish for lanes, and counts."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from headrace.core.job import Job
from headrace.core.limit_names import lane_of_limit, lane_of_order
from headrace.core.limit_register import KEY, Definitions
from headrace.core.limits import Limit, Rate
from headrace.core.wishes import OnRetry, Wishes
from headrace.stores.protocol import ClaimRequest, NewJob, Store, Swap
from tests.builders import LEASE, NAMESPACE, NOW, QUEUE, TYPE, WORKER, a_job, enqueue, read, settle

GPU = lane_of_limit("gpu")


async def define(store: Store, *limits: Limit, namespace: str = NAMESPACE) -> None:
    """Makes these the definitions of the namespace."""
    found = (await store.read(namespace, [KEY])).get(KEY)
    value = Definitions(code={one.name: one for one in limits}).dumps()
    swap = Swap(key=KEY, revision=0 if found is None else found.revision, value=value)
    assert await store.swap(namespace, [swap])


def slots(name: str, count: int) -> Limit:
    return Limit(name=name, slots=count)


def rate(name: str, count: int, per_ms: int = 1_000, burst: int = 0) -> Limit:
    return Limit(name=name, rate=Rate(count=count, per_ms=per_ms, burst=burst))


def user(key: str) -> str:
    """The lane of one user under the limit ``per-user``."""
    return lane_of_limit("per-user", key)


def account(key: str) -> str:
    """The ordering key of one account."""
    return lane_of_order("account", key)


def limited(*lanes: str, **fields: Any) -> NewJob:
    """A job that brings these lanes."""
    return wishing(a_job(**fields), Wishes(lanes=lanes))


def ordered(
    key: str = "7", *, on_retry: OnRetry = OnRetry.HOLD, lanes: Sequence[str] = (), **fields: Any
) -> NewJob:
    """A job under the ordering key of an account."""
    return wishing(a_job(**fields), Wishes(lanes=tuple(lanes), order=account(key), on_retry=on_retry))


def wishing(new: NewJob, wishes: Wishes) -> NewJob:
    return replace(new, facts=replace(new.facts, lane=wishes.dumps()))


async def added(store: Store, *jobs: NewJob, now: int = NOW) -> list[str]:
    """Inserts jobs; their ids."""
    return [one.job_id for one in await enqueue(store, *jobs, now=now)]


async def taken(
    store: Store,
    n: int = 10,
    *,
    now: int = NOW,
    worker: str = WORKER,
    prompt: int | None = None,
    **fields: Any,
) -> list[Job]:
    """Claims up to ``n`` jobs of which so many can start at once."""
    given = {"queues": {QUEUE: n}, "types": frozenset({TYPE}), "namespace": NAMESPACE, **fields}
    request = ClaimRequest(worker=worker, limit=n, now=now, lease_until=now + LEASE, prompt=prompt, **given)
    return list(await store.claim(request))


async def lane_of(store: Store, job_id: str) -> str | None:
    """What a job is parked on."""
    return (await read(store, job_id)).placement.parked_on


async def drained(store: Store, *, now: int = NOW, n: int = 10) -> list[str]:
    """The ids of jobs in the order in which claims and endings bring them; each claim's jobs end together."""
    found: list[str] = []
    while jobs := await taken(store, n, now=now):
        found += ids(jobs)
        for job in jobs:
            await settle(store, job, now=now)
    return found


def ids(jobs: Iterable[Job]) -> list[str]:
    return [job.id for job in jobs]

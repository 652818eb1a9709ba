"""Listings are walks of bounded length, whatever the filter."""

import pytest

from headrace.core.filters import JobFilter, Page
from headrace.core.states import State
from headrace.stores.postgres import listing
from tests.builders import NAMESPACE, a_failure, a_job, claim, enqueue, settle
from tests.contract.reads import everything
from tests.stores.postgres import alongside

BOTH = frozenset({"rare", "often"})


@pytest.fixture
def short_looks(monkeypatch):
    monkeypatch.setattr(listing, "FIRST_LOOK", 2)
    monkeypatch.setattr(listing, "MAX_LOOK", 5)


@pytest.mark.usefixtures("short_looks")
@pytest.mark.parametrize("limit", [1, 2, 3, 50])
async def test_every_job_is_listed_once_however_short_the_looks(store, limit):
    jobs = [a_job(type="rare" if n % 7 == 0 else "often", tags=("t",) if n % 2 else ()) for n in range(40)]
    await enqueue(store, *jobs)
    for number, job in enumerate(await claim(store, n=20, types=BOTH)):
        await (settle(store, job) if number % 3 else settle(store, job, a_failure()))
    left = await claim(store, n=5, types=BOTH)

    whole = await everything(store)
    for wanted in (
        JobFilter(types=frozenset({"rare"})),
        JobFilter(tag="t"),
        JobFilter(tag="t", states=frozenset({State.COMPLETED})),
        *(JobFilter(states=frozenset({state})) for state in State),
        JobFilter(states=frozenset({State.COMPLETED, State.PENDING})),
        JobFilter(states=frozenset({State.FAILED, State.PROCESSING}), types=BOTH),
    ):
        assert await everything(store, wanted, limit=limit) == [job for job in whole if fits(job, wanted)]
    assert len(whole) == 40
    assert len(left) == 5


def fits(job, wanted: JobFilter) -> bool:
    return (
        (not wanted.states or job.state in wanted.states)
        and (not wanted.types or job.facts.type in wanted.types)
        and (wanted.tag is None or wanted.tag in job.facts.tags)
    )


@pytest.mark.usefixtures("short_looks")
@pytest.mark.parametrize(
    "wanted",
    [
        JobFilter(types=frozenset({"nothing"})),
        JobFilter(states=frozenset({State.COMPLETED}), queues=frozenset({"nothing"})),
        JobFilter(batch_id="b", types=frozenset({"nothing"})),
        JobFilter(tag="t", states=frozenset({State.FAILED})),
    ],
    ids=["type", "queue", "batch", "tag"],
)
async def test_page_that_nothing_fits_is_empty_and_goes_on(store, wanted):
    await enqueue(store, *(a_job(batch_id="b", tags=("t",)) for _ in range(20)))
    for job in await claim(store, n=20):
        await settle(store, job)

    page = await store.find(NAMESPACE, wanted, Page())

    assert page.jobs == ()
    assert page.cursor is not None


async def test_page_is_of_one_moment(store, url, monkeypatch):
    await enqueue(store, *(a_job() for _ in range(3)))
    read_now = listing.jobs_by_seq

    async def read_later(*how):
        await alongside.rows(url, "delete from headrace.live")
        return await read_now(*how)

    monkeypatch.setattr(listing, "jobs_by_seq", read_later)
    page = await store.find(NAMESPACE, JobFilter(), Page())
    monkeypatch.undo()

    assert len(page.jobs) == 3
    assert await everything(store) == []

import pytest

from headrace.core.filters import JobFilter, Page, dump_cursor
from headrace.core.outcomes import CancelAsked
from headrace.core.states import State
from headrace.core.unique import Unique
from headrace.errors import InvalidInput
from tests.builders import (
    HOUR,
    NAMESPACE,
    NOW,
    a_failure,
    a_job,
    claim,
    claimed,
    enqueue,
    enqueued,
    happen,
    note,
    read,
    settle,
)
from tests.contract.reads import everything, ids_of


async def find(store, *, limit=50, before=None, **wanted):
    return await store.find(NAMESPACE, JobFilter(**wanted), Page(limit=limit, before=before))


async def one_in_each_state(store) -> dict[State, str]:
    """Ids of one job in each state."""
    ids = {
        State.BLOCKED: (await enqueued(store, a_job(state=State.BLOCKED))).id,
        State.PENDING: (await enqueued(store, a_job(queue="idle"))).id,
        State.PROCESSING: (await claimed(store, a_job())).id,
    }
    for state, job in [
        (State.COMPLETED, await claimed(store, a_job())),
        (State.FAILED, await claimed(store, a_job(max_attempts=1))),
    ]:
        await (settle(store, job) if state is State.COMPLETED else settle(store, job, a_failure()))
        ids[state] = job.id
    cancelled = await enqueued(store)
    await happen(store, cancelled, CancelAsked())
    return {**ids, State.CANCELLED: cancelled.id}


async def test_get_gives_the_jobs_that_exist_by_id(store):
    job = await enqueued(store)

    assert await store.get(NAMESPACE, [job.id, "no-such-job"]) == {job.id: job}
    assert await store.get(NAMESPACE, []) == {}


async def test_get_takes_a_thousand_ids(store):
    jobs = [a_job() for _ in range(1_000)]
    await enqueue(store, *jobs)

    assert set(await store.get(NAMESPACE, [job.facts.id for job in jobs])) == {job.facts.id for job in jobs}


async def test_listing_is_newest_first(store):
    jobs = [await enqueued(store) for _ in range(5)]

    assert await ids_of(store) == [job.id for job in reversed(jobs)]


async def test_listed_jobs_are_whole(store):
    running = await claimed(store, a_job(tags=("a", "b"), unique=Unique(key="k"), batch_id="x"))
    await note(store, running, progress="5", checkpoint="6", timed_out_at=7)

    assert await everything(store) == [await read(store, running.id)]


async def test_listing_without_jobs_is_empty_and_at_its_end(store):
    page = await find(store)

    assert (page.jobs, page.cursor) == ((), None)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
async def test_c48_pages_together_show_each_job_once_in_order(store, limit):
    jobs = [await enqueued(store) for _ in range(7)]

    found = [job.id for job in await everything(store, limit=limit)]

    assert found == [job.id for job in reversed(jobs)]


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
async def test_c48_pages_show_each_job_once_in_order_whatever_states_they_are_in(store, limit):
    ids = [job_id for _ in range(3) for job_id in (await one_in_each_state(store)).values()]
    by_seq = sorted((await store.get(NAMESPACE, ids)).values(), key=lambda job: -job.seq)

    found = await everything(store, limit=limit)

    assert found == by_seq


async def test_c48_job_that_stays_is_shown_once_while_others_come_go_and_change(store):
    jobs = [await enqueued(store) for _ in range(12)]
    seen: list[str] = []
    cursor = None
    for step in range(6):
        page = await find(store, limit=2, before=cursor)
        seen += [job.id for job in page.jobs]
        cursor = page.cursor
        await enqueue(store, a_job(created_at=NOW + step), a_job(created_at=NOW - HOUR))
        for running in await claim(store, n=1, worker=f"w{step}"):
            await settle(store, running)
    while cursor is not None:
        page = await find(store, limit=2, before=cursor)
        seen += [job.id for job in page.jobs]
        cursor = page.cursor

    assert len(seen) == len(set(seen))
    assert {job.id for job in jobs} <= set(seen)


async def test_c48_job_that_stays_in_the_filter_is_shown_once_while_others_leave_it(store):
    jobs = [await enqueued(store) for _ in range(9)]
    seen: list[str] = []
    cursor = None
    for _ in range(5):
        page = await find(store, limit=2, before=cursor, states=frozenset({State.PENDING}))
        seen += [job.id for job in page.jobs]
        cursor = page.cursor
        await claim(store, n=1)
        if cursor is None:
            break

    staying = await ids_of(store, JobFilter(states=frozenset({State.PENDING})))
    assert len(seen) == len(set(seen))
    assert set(staying) <= set(seen) <= {job.id for job in jobs}


@pytest.mark.parametrize("state", State)
async def test_filter_by_state(store, state):
    ids = await one_in_each_state(store)

    assert await ids_of(store, JobFilter(states=frozenset({state}))) == [ids[state]]


async def test_filter_by_several_states(store):
    ids = await one_in_each_state(store)
    wanted = frozenset({State.FAILED, State.CANCELLED, State.BLOCKED})

    assert set(await ids_of(store, JobFilter(states=wanted))) == {ids[state] for state in wanted}


@pytest.mark.parametrize(
    "wanted",
    [
        JobFilter(types=frozenset({"mail"})),
        JobFilter(queues=frozenset({"q"})),
        JobFilter(batch_id="b"),
        JobFilter(tag="t"),
        JobFilter(unique_key="k"),
        JobFilter(types=frozenset({"mail", "other"}), queues=frozenset({"q", "r"}), batch_id="b", tag="t"),
    ],
    ids=["type", "queue", "batch", "tag", "key", "all"],
)
async def test_filter_by_facts(store, wanted):
    await enqueue(store, *(a_job(tags=("tt",), batch_id="bb") for _ in range(3)))
    match = a_job(type="mail", queue="q", batch_id="b", tags=("s", "t"), unique=Unique(key="k"))
    await enqueue(store, match)
    await enqueue(store, *(a_job() for _ in range(3)))

    assert await ids_of(store, wanted) == [match.facts.id]


async def test_filters_must_all_fit(store):
    await enqueue(store, a_job(queue="q", type="mail"), a_job(queue="r", type="other"))

    assert await ids_of(store, JobFilter(queues=frozenset({"q"}), types=frozenset({"other"}))) == []


async def test_ended_job_is_still_found_by_the_key_it_held(store):
    job = await claimed(store, a_job(unique=Unique(key="k")))
    await settle(store, job)

    assert await ids_of(store, JobFilter(unique_key="k")) == [job.id]


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_c48_rare_match_among_many_others_is_found_by_pages(store, limit):
    rare = []
    for _ in range(4):
        await enqueue(store, *(a_job() for _ in range(60)))
        rare.append((await enqueued(store, a_job(tags=("rare",)))).id)

    found = [job.id for job in await everything(store, JobFilter(tag="rare"), limit=limit)]

    assert found == rare[::-1]


@pytest.mark.parametrize(
    "text",
    ["", "x", "W10", "%", "'; drop table job", dump_cursor(), dump_cursor(1, 2, 3), dump_cursor(2**70)],
)
async def test_cursor_of_another_listing_is_refused(store, text):
    await enqueue(store, a_job())

    with pytest.raises(InvalidInput):
        await find(store, before=text)


async def test_parked_is_empty_when_nothing_is_held_back(store):
    await enqueue(store, a_job())

    assert [one for one in await store.parked(NAMESPACE) if one.count] == []

"""Another tenant's object behaves as absent."""

import pytest

from headrace.core.filters import JobFilter, Page
from headrace.core.states import State
from headrace.core.unique import OnConflict, Unique
from headrace.errors import InvalidInput, JobNotFound, LeaseLost
from headrace.stores.protocol import InsertKind, LogLine
from tests.builders import (
    HOUR,
    NAMESPACE,
    NOW,
    QUEUE,
    a_failure,
    a_hello,
    a_job,
    claim,
    claimed,
    enqueue,
    enqueued,
    holder,
    note,
    settle,
)
from tests.contract.reads import everything, ids_of, tallied

OTHER = "other"


def ascii_head(text: str) -> str:
    return ascii(text)[:12]


async def test_c46_get_and_find_show_nothing_of_another_namespace(store):
    theirs = await enqueued(store, a_job(namespace=OTHER, tags=("t",), unique=Unique(key="k")))

    assert await store.get(NAMESPACE, [theirs.id]) == {}
    assert await everything(store) == []
    assert await ids_of(store, JobFilter(tag="t")) == []
    assert await ids_of(store, JobFilter(unique_key="k")) == []


async def test_c46_history_and_lines_of_another_namespace_are_not_found(store):
    theirs = await claimed(store, a_job(namespace=OTHER))
    await note(store, theirs, lines=(LogLine(at=NOW, level="info", message="secret"),))

    with pytest.raises(JobNotFound):
        await store.history(NAMESPACE, theirs.id)
    with pytest.raises(JobNotFound):
        await store.log_lines(NAMESPACE, theirs.id)


async def test_c46_claim_takes_nothing_of_another_namespace(store):
    await enqueue(store, a_job(namespace=OTHER))

    assert await claim(store) == []
    assert len(await claim(store, namespace=OTHER)) == 1


async def test_c46_claim_parks_nothing_of_another_namespace(store):
    await enqueue(store, a_job(namespace=OTHER))

    await claim(store, types=frozenset({"something-else"}))

    assert [one for one in await store.parked(OTHER) if one.count] == []


async def test_c46_tallies_and_queues_show_nothing_of_another_namespace(store):
    await enqueue(store, a_job(namespace=OTHER))
    await store.set_paused(OTHER, "paused-there", paused=True)

    assert await tallied(store) == {}
    assert list(await store.queues(NAMESPACE)) == []


async def test_c46_parked_shows_nothing_of_another_namespace(store):
    await enqueue(store, a_job(namespace=OTHER))
    await claim(store, namespace=OTHER, types=frozenset({"something-else"}))

    assert [one for one in await store.parked(NAMESPACE) if one.count] == []
    assert [one.count for one in await store.parked(OTHER)] == [1]


@pytest.mark.parametrize("conflict", OnConflict)
async def test_c46_unique_key_of_another_namespace_is_free_here(store, conflict):
    theirs = await enqueued(store, a_job(namespace=OTHER, unique=Unique(key="k"), payload="1"))

    (answer,) = await enqueue(store, a_job(unique=Unique(key="k", on_conflict=conflict), payload="2"))

    assert answer.kind is InsertKind.INSERTED
    assert (await everything(store, namespace=OTHER)) == [theirs]


async def test_c46_parent_of_another_namespace_is_as_good_as_lost(store):
    theirs = await claimed(store, a_job(namespace=OTHER))

    with pytest.raises(LeaseLost):
        await store.insert(NAMESPACE, [a_job()], now=NOW, parent=holder(theirs))

    assert await everything(store) == []


async def test_c46_workers_of_another_namespace_are_not_shown(store):
    await store.hello(a_hello(namespace=OTHER))

    assert list(await store.workers(NAMESPACE)) == []


async def test_c46_goodbye_touches_no_worker_of_another_namespace(store):
    await store.hello(a_hello(namespace=OTHER))
    await store.goodbye(NAMESPACE, a_hello().worker)

    assert len(await store.workers(OTHER)) == 1


async def test_c46_worker_of_another_namespace_does_not_make_a_type_known_here(store):
    await store.hello(a_hello(namespace=OTHER))
    await enqueue(store, a_job())

    await claim(store, types=frozenset({"something-else"}))
    await store.unpark_known(now=NOW)

    assert [one.count for one in await store.parked(NAMESPACE)] == [1]


async def test_c46_cursor_of_one_namespace_shows_nothing_of_it_in_another(store):
    await enqueue(store, *(a_job() for _ in range(3)))
    theirs = await enqueued(store, a_job(namespace=OTHER))
    cursor = (await store.find(NAMESPACE, JobFilter(), Page(limit=1))).cursor

    page = await store.find(OTHER, JobFilter(), Page(limit=10, before=cursor))

    assert {job.id for job in page.jobs} <= {theirs.id}


async def test_c46_erasing_by_count_counts_one_namespace(store):
    for namespace in (NAMESPACE, OTHER):
        for _ in range(2):
            await settle(store, await claimed(store, a_job(namespace=namespace, max_attempts=1)), a_failure())

    assert await store.erase_beyond(NAMESPACE, "echo", State.FAILED, keep=2, limit=10) == 0


async def test_c46_pause_of_one_namespace_is_no_pause_of_another(store):
    await enqueue(store, a_job())
    await store.set_paused(OTHER, QUEUE, paused=True)

    assert len(await claim(store, now=NOW + HOUR)) == 1


@pytest.mark.parametrize(
    "job_id", ["", "no-such-job", "a\0b", "\ud800", "x" * 100_000, "' or 1=1 --"], ids=ascii_head
)
async def test_c46_id_that_nobody_can_have_is_absent(store, job_id):
    job = await enqueued(store)

    assert await store.get(NAMESPACE, [job_id, job.id]) == {job.id: job}
    with pytest.raises(JobNotFound):
        await store.history(NAMESPACE, job_id)
    with pytest.raises(JobNotFound):
        await store.log_lines(NAMESPACE, job_id)


@pytest.mark.parametrize("text", ["", "a\0b", "x" * 100_000, "' or 1=1 --"], ids=ascii_head)
async def test_filter_for_a_text_that_nobody_can_have_finds_nothing(store, text):
    await enqueued(store)

    for wanted in (
        JobFilter(tag=text),
        JobFilter(batch_id=text),
        JobFilter(unique_key=text),
        JobFilter(types=frozenset({text})),
        JobFilter(queues=frozenset({text})),
    ):
        assert await ids_of(store, wanted) == []


async def test_filter_for_a_text_that_no_store_can_hold_is_refused(store):
    with pytest.raises(InvalidInput):
        await ids_of(store, JobFilter(tag="\ud800"))

"""Guarantees that hang on one predicate of one query: found by taking the predicates away."""

from dataclasses import replace

import pytest

from headrace.core.filters import JobFilter, Page
from headrace.core.job import Job
from headrace.core.outcomes import Released, Rescued, RetryAsked, Stopped, Succeeded
from headrace.core.states import State
from headrace.stores.protocol import Applied, LogLine, Lost, Record, Stale, Swap
from tests.builders import (
    HOUR,
    LEASE,
    NAMESPACE,
    NOW,
    QUEUE,
    SECOND,
    TYPE,
    a_failure,
    a_job,
    apply,
    claim,
    claimed,
    decided,
    enqueue,
    enqueued,
    happen,
    note,
    renew,
    reported,
    settle,
)
from tests.contract.reads import ids_of, sight

OTHER = "other"
LATE = NOW + LEASE + 1


async def claimed_all(store, count: int) -> list[Job]:
    await enqueue(store, *[a_job() for _ in range(count)])
    return list(await claim(store, n=count))


# ------------------------------------------------------------ holders


@pytest.mark.parametrize("outcome", [Succeeded(), Stopped(), a_failure(), Released(reason="shutdown")])
async def test_c12_forged_fence_is_refused_whatever_the_outcome(store, outcome):
    job = await claimed(store)
    before = await sight(store, job.id)

    answer = await apply(store, reported(replace(job, fence=job.fence + 1), outcome))

    assert answer == Lost()
    assert await sight(store, job.id) == before


@pytest.mark.parametrize("outcome", [Succeeded(), Stopped(), a_failure(), Released(reason="shutdown")])
async def test_c12_forged_revision_is_refused_whatever_the_outcome(store, outcome):
    job = await claimed(store)
    before = await sight(store, job.id)

    answer = await apply(store, reported(replace(job, revision=job.revision + 1), outcome))

    assert answer == Stale(before.job)
    assert await sight(store, job.id) == before


@pytest.mark.parametrize(("forged", "answer"), [("fence", Lost), ("revision", Stale)])
async def test_c12_forged_guard_is_refused_beside_jobs_that_end_otherwise(store, forged, answer):
    jobs = await claimed_all(store, 3)
    wrong = replace(jobs[1], **{forged: getattr(jobs[1], forged) + 1})
    before = await sight(store, wrong.id)
    ends = [reported(jobs[0], Succeeded()), reported(wrong, Stopped()), reported(jobs[2], Stopped())]

    answers = await store.apply(ends, now=NOW)

    assert [type(one) for one in answers] == [Applied, answer, Applied]
    assert await sight(store, wrong.id) == before


@pytest.mark.parametrize("forged", ["fence", "revision"])
async def test_retry_on_a_forged_fence_or_revision_is_refused(store, forged):
    job = await claimed(store, a_job(max_attempts=1))
    await settle(store, job, a_failure())
    before = await sight(store, job.id)

    answer = await happen(
        store, replace(before.job, **{forged: getattr(before.job, forged) + 1}), RetryAsked()
    )

    assert answer == Stale(before.job)
    assert await sight(store, job.id) == before


@pytest.mark.parametrize(
    "fields",
    [{"progress": "1"}, {"checkpoint": "1"}, {"lines": (LogLine(at=NOW, level="info", message="late"),)}],
    ids=lambda fields: next(iter(fields)),
)
async def test_c12_note_and_renewal_are_refused_when_the_job_was_given_back(store, fields):
    job = await claimed(store)
    await settle(store, job, Released(reason="shutdown"))
    before = await sight(store, job.id)

    lost = await note(store, job, **fields)
    renewal = await renew(store, job, now=NOW + SECOND)

    assert lost == renewal.lost == {job.id}
    assert await sight(store, job.id) == before


async def test_c14_last_rescue_is_refused_when_the_holder_renewed_meanwhile(store):
    job = await claimed(store, a_job(max_attempts=1))
    await note(store, job, timed_out_at=NOW)
    (expired,) = await store.expired(now=LATE, limit=1)
    last = decided(expired, Rescued(), now=LATE)
    await renew(store, job, now=LATE)
    before = await sight(store, job.id)

    answer = await apply(store, last, now=LATE)

    assert last.placement.state is State.FAILED
    assert not isinstance(answer, Applied)
    assert await sight(store, job.id) == before


# ------------------------------------------------------------ namespaces


async def in_every_state(store, namespace: str) -> list[str]:
    """One job in each state that a listing may look for, all with the same facts otherwise."""
    ids = []
    for outcome in (Succeeded(), a_failure(), Stopped(), None):
        job = await claimed(store, some_job(namespace))
        ids.append(job.id)
        if outcome is not None:
            await settle(store, job, outcome)
    waiting = await enqueued(store, some_job(namespace))
    return sorted([*ids, waiting.id])


def some_job(namespace: str):
    return a_job(namespace=namespace, max_attempts=1, batch_id="batch", tags=("tag",))


@pytest.mark.parametrize(
    "wanted",
    [
        JobFilter(),
        *(JobFilter(states=frozenset({state})) for state in State),
        JobFilter(states=frozenset({State.FAILED, State.CANCELLED})),
        JobFilter(batch_id="batch"),
        JobFilter(tag="tag"),
    ],
    ids=lambda wanted: (
        "-".join([*sorted(wanted.states), *(text for text in (wanted.batch_id, wanted.tag) if text)]) or "all"
    ),
)
async def test_c46_no_listing_shows_a_job_of_another_namespace(store, wanted):
    ours = set(await in_every_state(store, NAMESPACE))
    theirs = set(await in_every_state(store, OTHER))

    here = set(await ids_of(store, wanted))
    there = set(await ids_of(store, wanted, namespace=OTHER))

    assert here <= ours
    assert there <= theirs
    assert len(here) == len(there)


async def test_c46_claim_parks_nothing_of_another_namespace_beside_its_own(store):
    await enqueue(store, a_job())
    await enqueue(store, a_job(namespace=OTHER))

    await claim(store, types=frozenset({"something-else"}))

    assert [one.count for one in await store.parked(NAMESPACE)] == [1]
    assert list(await store.parked(OTHER)) == []


async def test_c46_head_of_a_queue_is_not_another_namespaces(store):
    now = await store.now()
    await enqueue(store, a_job(created_at=now - 2 * HOUR, namespace=OTHER))
    await enqueue(store, a_job(created_at=now - HOUR))

    (queue,) = await store.queues(NAMESPACE)

    assert (queue.name, queue.oldest_due_at) == (QUEUE, now - HOUR)


@pytest.mark.parametrize("value", ["2", None])
async def test_c46_swap_touches_no_register_of_another_namespace(store, value):
    for namespace in (NAMESPACE, OTHER):
        await store.swap(namespace, [Swap(key="key", revision=0, value="1")])
    theirs = await store.read(OTHER, ["key"])
    revision = (await store.read(NAMESPACE, ["key"]))["key"].revision

    assert await store.swap(NAMESPACE, [Swap(key="key", revision=revision, value=value)])
    assert await store.read(OTHER, ["key"]) == theirs


async def test_c46_register_of_another_namespace_is_no_obstacle(store):
    await store.swap(OTHER, [Swap(key="key", revision=0, value="1")])

    assert await store.swap(NAMESPACE, [Swap(key="key", revision=0, value="2")])
    for prefix in ("", "ke"):
        assert [one.value for one in await store.scan(NAMESPACE, prefix)] == ["2"]


async def test_c46_no_list_of_records_shows_one_of_another_namespace(store):
    await store.append(OTHER, "kind", [Record(key="theirs", at=NOW, body="{}")])
    await store.append(NAMESPACE, "kind", [Record(key="ours", at=NOW, body="{}")])

    found, _ = await store.list_records(NAMESPACE, "kind", Page())

    assert [one.key for one in found] == ["ours"]


async def test_c46_newest_of_one_namespace_are_kept_whatever_another_has(store):
    ours = []
    for namespace in (NAMESPACE, NAMESPACE, OTHER, OTHER, NAMESPACE):
        job = await claimed(store, a_job(namespace=namespace))
        await settle(store, job)
        ours += [job.id] if namespace == NAMESPACE else []

    erased = await store.erase_beyond(NAMESPACE, TYPE, State.COMPLETED, keep=2, limit=10)

    assert erased == 1
    assert await ids_of(store) == [ours[2], ours[1]]
    assert len(await ids_of(store, namespace=OTHER)) == 2


async def test_c46_earlier_job_of_another_namespace_does_not_hide_ours(store):
    await enqueue(store, a_job(namespace=OTHER))
    ours = await enqueued(store)

    assert [job.id for job in await claim(store, n=1)] == [ours.id]

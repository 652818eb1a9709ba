import pytest

from headrace.core.filters import JobFilter
from headrace.core.outcomes import CancelAsked, RetryAsked, Stopped, Succeeded
from headrace.core.policy import Policy, Retention
from headrace.core.states import LIVE, State
from headrace.core.unique import Unique
from headrace.errors import JobNotFound
from headrace.stores.protocol import LogLine
from tests.builders import (
    HOUR,
    NAMESPACE,
    NOW,
    QUEUE,
    TYPE,
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
from tests.contract.reads import everything, ids_of, recounted, tallied

ERASABLE = NOW + HOUR
FOREVER = NOW + 100_000 * HOUR


async def completed(store, *, count: int = 1, now: int = NOW, type: str = TYPE) -> list[str]:  # noqa: A002
    """Ids of completed jobs, oldest end first, one millisecond apart."""
    ids = []
    for number in range(count):
        job = await claimed(store, a_job(type=type, created_at=now + number), now=now + number)
        await settle(store, job, now=now + number)
        ids.append(job.id)
    return ids


async def test_c44_ended_job_is_kept_until_its_time_has_come(store):
    (job_id,) = await completed(store)

    assert await store.erase(now=ERASABLE - 1, limit=10) == 0
    assert await ids_of(store) == [job_id]


async def test_c44_ended_job_is_erased_once_its_time_has_come(store):
    await completed(store)

    assert await store.erase(now=ERASABLE + 1, limit=10) == 1
    assert await everything(store) == []


async def test_c44_cancelled_job_is_erased_once_its_time_has_come(store):
    await happen(store, await enqueued(store), CancelAsked())
    await settle(store, await claimed(store), Stopped())

    assert await store.erase(now=ERASABLE + 1, limit=10) == 2


async def test_c44_dead_letter_is_never_erased_by_age(store):
    job = await claimed(store, a_job(max_attempts=1))
    await settle(store, job, a_failure())

    assert await store.erase(now=FOREVER, limit=10) == 0
    assert await ids_of(store) == [job.id]


async def test_c44_dead_letter_is_erased_when_its_policy_says_so(store):
    job = await claimed(store, a_job(max_attempts=1))
    await settle(store, job, a_failure(), policy=Policy(retention=Retention(failed_age_ms=HOUR)))

    assert await store.erase(now=ERASABLE + 1, limit=10) == 1


async def test_c44_live_jobs_are_never_erased_however_old(store):
    old = 1_000
    await enqueue(
        store, a_job(created_at=old, queue="a"), a_job(created_at=old, due_at=FOREVER, queue="b"), now=old
    )
    await enqueue(store, a_job(created_at=old, state=State.BLOCKED, queue="c"), now=old)
    await claim(store, now=old, queues={"a": 1})
    retrying = await claimed(store, a_job(queue="d"))
    await settle(store, retrying, a_failure())

    assert await store.erase(now=FOREVER, limit=100) == 0
    assert len(await everything(store)) == 4


async def test_c44_reopened_job_is_live_and_not_erased(store):
    job = await enqueued(store)
    await happen(store, job, CancelAsked())
    await happen(store, await read(store, job.id), RetryAsked())

    assert await store.erase(now=FOREVER, limit=10) == 0


async def test_c44_chunk_is_bounded_and_repeating_erases_the_rest(store):
    await enqueue(store, *(a_job() for _ in range(25)))
    for job in await claim(store, n=25):
        await settle(store, job)

    counts = [await store.erase(now=FOREVER, limit=10) for _ in range(4)]

    assert counts == [10, 10, 5, 0]


async def test_c44_jobs_that_may_not_be_erased_do_not_use_up_the_chunk(store):
    for _ in range(5):
        await settle(store, await claimed(store, a_job(max_attempts=1)), a_failure())
    await completed(store, count=2)

    assert await store.erase(now=FOREVER, limit=2) == 2


async def test_c44_what_belongs_to_the_job_goes_with_it(store):
    job = await claimed(store, a_job(tags=("x",), unique=Unique(key="k"), batch_id="b"))
    await note(store, job, progress="1", lines=(LogLine(at=NOW, level="info", message="hi"),))
    await settle(store, job)

    await store.erase(now=FOREVER, limit=10)

    for wanted in (JobFilter(tag="x"), JobFilter(unique_key="k"), JobFilter(batch_id="b")):
        assert await ids_of(store, wanted) == []
    with pytest.raises(JobNotFound):
        await store.history(NAMESPACE, job.id)
    with pytest.raises(JobNotFound):
        await store.log_lines(NAMESPACE, job.id)


async def test_c44_tallies_follow(store):
    await completed(store, count=3)
    await enqueue(store, a_job())

    await store.erase(now=FOREVER, limit=2)

    assert await tallied(store) == await recounted(store)
    assert await tallied(store) == {(QUEUE, TYPE, State.COMPLETED): 1, (QUEUE, TYPE, State.PENDING): 1}


async def test_c44_erase_works_over_all_namespaces(store):
    for namespace in ("one", "two"):
        await settle(store, await claimed(store, a_job(namespace=namespace)))

    assert await store.erase(now=FOREVER, limit=10) == 2


async def test_c44_nothing_is_erased_with_a_limit_of_zero(store):
    await completed(store)

    assert await store.erase(now=FOREVER, limit=0) == 0


async def erase_beyond(store, *, keep, limit=100, state=State.COMPLETED, type=TYPE) -> int:  # noqa: A002
    return await store.erase_beyond(NAMESPACE, type, state, keep=keep, limit=limit)


async def test_s1_8_newest_are_kept_by_count(store):
    ids = await completed(store, count=7)

    assert await erase_beyond(store, keep=3) == 4
    assert sorted(await ids_of(store)) == sorted(ids[-3:])


@pytest.mark.parametrize("keep", [5, 6])
async def test_nothing_goes_beyond_a_count_that_is_not_reached(store, keep):
    await completed(store, count=5)

    assert await erase_beyond(store, keep=keep) == 0


async def test_c44_erasing_by_count_is_bounded_and_takes_the_oldest_first(store):
    ids = await completed(store, count=6)

    assert await erase_beyond(store, keep=1, limit=2) == 2
    assert sorted(await ids_of(store)) == sorted(ids[2:])


async def test_keeping_none_erases_all(store):
    await completed(store, count=3)

    assert await erase_beyond(store, keep=0) == 3


async def test_erasing_by_count_leaves_other_types_states_and_namespaces(store):
    await completed(store, count=2)
    others = await completed(store, count=2, type="other")
    failed = await claimed(store, a_job(max_attempts=1))
    await settle(store, failed, a_failure())
    stranger = await claimed(store, a_job(namespace="other"))
    await settle(store, stranger, Succeeded())

    assert await erase_beyond(store, keep=0) == 2

    assert sorted(await ids_of(store)) == sorted([*others, failed.id])
    assert await ids_of(store, namespace="other") == [stranger.id]


async def test_dead_letters_are_erased_beyond_a_count_that_was_configured(store):
    for _ in range(3):
        await settle(store, await claimed(store, a_job(max_attempts=1)), a_failure())

    assert await erase_beyond(store, keep=1, state=State.FAILED) == 2


@pytest.mark.parametrize("state", sorted(LIVE))
async def test_c44_live_jobs_are_never_erased_by_count(store, state):
    await enqueued(store, a_job(state=State.BLOCKED, queue="a"))
    await enqueued(store, a_job(queue="b"))
    await claimed(store, a_job(queue="c"))

    assert await erase_beyond(store, keep=0, state=state) == 0
    assert len(await everything(store)) == 3


async def test_tallies_follow_erasing_by_count(store):
    await completed(store, count=5)

    await erase_beyond(store, keep=2)

    assert await tallied(store) == await recounted(store) == {(QUEUE, TYPE, State.COMPLETED): 2}

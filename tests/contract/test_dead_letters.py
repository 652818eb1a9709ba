"""What every store tells of dead letters, and how other jobs take their places."""

import asyncio
from dataclasses import replace

import pytest

from headrace.core import place
from headrace.core.dead import DeadFilter, DeathCount, is_dead_letter
from headrace.core.filters import Page
from headrace.core.job import Job
from headrace.core.outcomes import CancelAsked, DealtWith, RetryAsked
from headrace.core.policy import DAY_MS, ErrorClass, Policy, Retention
from headrace.core.states import State
from headrace.core.unique import OnConflict, Unique
from headrace.errors import DuplicateJob, InvalidInput
from headrace.stores.protocol import Applied, Lost, Stale
from tests.builders import (
    HOUR,
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
    happen,
    read,
    settle,
)
from tests.contract.reads import ids_of, recounted, tallied

GOES_BY_ITSELF = Policy(retention=Retention(failed_age_ms=HOUR))


async def died(store, *, at: int = NOW, error_class=ErrorClass.TRANSIENT, message="boom", **fields) -> Job:
    """A job that failed for good at an instant."""
    job = await claimed(store, a_job(max_attempts=1, created_at=at, **fields), now=at)
    await settle(store, job, a_failure(message, error_class=error_class), now=at)
    return await read(store, job.id, namespace=job.facts.namespace)


async def dead_ids(store, wanted: DeadFilter = DeadFilter(), *, limit: int = 50) -> list[str]:  # noqa: B008
    page = await store.dead(NAMESPACE, wanted, Page(limit=limit))
    return [job.id for job in page.jobs]


async def test_c1_dead_letters_are_the_failed_jobs_that_nobody_has_dealt_with(store):
    dead = await died(store)
    await settle(store, await claimed(store))
    await happen(store, await died(store), DealtWith())
    await happen(store, await died(store), RetryAsked())
    cancelled = (await enqueue(store, a_job(queue="other")))[0].job_id
    await happen(store, await read(store, cancelled), CancelAsked())

    page = await store.dead(NAMESPACE, DeadFilter(), Page())

    assert page.jobs == (dead,)
    assert page.cursor is None


async def test_dead_letters_are_listed_the_latest_death_first(store):
    early = await claimed(store, a_job(max_attempts=1))
    late = await died(store, at=NOW + SECOND)
    await settle(store, early, a_failure(), now=NOW + 2 * SECOND)

    assert await dead_ids(store) == [early.id, late.id]


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (DeadFilter(), [3, 2, 1, 0]),
        (DeadFilter(types=frozenset({"a"})), [2, 0]),
        (DeadFilter(types=frozenset({"a", "b"}), queues=frozenset({"q2"})), [3, 2]),
        (DeadFilter(batch_id="x"), [1]),
        (DeadFilter(batch_id="\0"), []),
        (DeadFilter(types=frozenset({"\0"})), []),
        (DeadFilter(died_after=NOW + SECOND), [3, 2, 1]),
        (DeadFilter(died_before=NOW + 2 * SECOND), [1, 0]),
        (DeadFilter(died_after=NOW + SECOND, died_before=NOW + 2 * SECOND), [1]),
        (DeadFilter(text="nothing of this is in any error"), [3, 2, 1, 0]),
    ],
)
async def test_dead_letters_are_found_by_type_queue_batch_and_age(store, wanted, numbers):
    made = [
        await died(store, at=NOW, type="a", queue="q1"),
        await died(store, at=NOW + SECOND, type="b", queue="q1", batch_id="x"),
        await died(store, at=NOW + 2 * SECOND, type="a", queue="q2"),
        await died(store, at=NOW + 3 * SECOND, type="b", queue="q2"),
    ]

    assert await dead_ids(store, wanted) == [made[n].id for n in numbers]


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
async def test_c48_pages_show_each_dead_letter_once_also_where_many_died_together(store, limit):
    made = [(await died(store, at=NOW + n // 4)).id for n in range(10)]
    for n in (2, 3, 4):
        await happen(store, await read(store, made[n]), DealtWith())

    found, cursor = [], None
    while True:
        page = await store.dead(NAMESPACE, DeadFilter(), Page(limit=limit, before=cursor))
        found += [job.id for job in page.jobs]
        cursor = page.cursor
        if cursor is None:
            break

    kept = [made[n] for n in range(10) if n not in {2, 3, 4}]
    assert found == kept[::-1]


async def test_c48_what_a_filter_does_not_let_pass_costs_no_page(store):
    wanted = await died(store, type="rare")
    await enqueue(store, *(a_job(max_attempts=1) for _ in range(300)))
    for job in await claim(store, n=300):
        await settle(store, job, a_failure(), now=NOW + 1)

    page = await store.dead(NAMESPACE, DeadFilter(types=frozenset({"rare"})), Page(limit=1))

    assert [job.id for job in page.jobs] == [wanted.id]


@pytest.mark.parametrize("cursor", ["nonsense", "WyJhIiwxXQ", "WzFd"])
async def test_what_is_no_cursor_of_this_listing_is_refused(store, cursor):
    with pytest.raises(InvalidInput):
        await store.dead(NAMESPACE, DeadFilter(), Page(before=cursor))


async def test_c46_dead_letters_of_another_namespace_are_absent(store):
    await died(store, namespace="other")

    assert await dead_ids(store) == []
    assert await store.dead_counts(NAMESPACE) == []
    assert await store.deaths_since(NAMESPACE, 0) == []


async def test_dead_letters_are_counted_by_type_and_queue(store):
    await died(store, at=NOW, type="a", queue="q1")
    last = await died(store, at=NOW + SECOND, type="a", queue="q1", error_class=ErrorClass.PERMANENT)
    other = await died(store, at=NOW + SECOND, type="b", queue="q2", message='"class": "permanent"')
    await happen(store, await died(store, type="b", queue="q2"), DealtWith())

    assert await store.dead_counts(NAMESPACE) == [
        DeathCount(
            type="a",
            queue="q1",
            count=2,
            permanent=1,
            first_at=NOW,
            last_at=NOW + SECOND,
            last_id=last.id,
        ),
        DeathCount(
            type="b",
            queue="q2",
            count=1,
            permanent=0,
            first_at=NOW + SECOND,
            last_at=NOW + SECOND,
            last_id=other.id,
        ),
    ]


async def test_deaths_since_count_those_too_that_were_dealt_with_or_go_by_themselves(store):
    await died(store, at=NOW - 1)
    await happen(store, await died(store, at=NOW), DealtWith())
    job = await claimed(store, a_job(max_attempts=1, created_at=NOW), now=NOW)
    await settle(store, job, a_failure(), now=NOW, policy=GOES_BY_ITSELF)

    (count,) = await store.deaths_since(NAMESPACE, NOW)

    assert (count.type, count.queue, count.count, count.first_at) == (TYPE, QUEUE, 2, NOW)


async def test_c44_dead_letter_that_was_dealt_with_is_erased_when_its_time_has_come(store):
    job = await died(store)
    await happen(store, job, DealtWith(), now=NOW + HOUR)

    early = await store.erase(now=NOW + HOUR + 7 * DAY_MS - 1, limit=10)
    late = await store.erase(now=NOW + HOUR + 7 * DAY_MS, limit=10)

    assert (early, late) == (0, 1)
    assert await ids_of(store) == []


async def test_dealing_with_a_dead_letter_changes_nothing_but_when_it_goes(store):
    job = await died(store)

    await happen(store, job, DealtWith(), now=NOW + HOUR)

    after = await read(store, job.id)
    erase_at = NOW + HOUR + 7 * DAY_MS
    expected = replace(job, revision=job.revision + 1, placement=replace(job.placement, erase_at=erase_at))
    assert after == expected
    assert await store.history(NAMESPACE, job.id) == await store.history(NAMESPACE, after.id)
    assert await tallied(store) == await recounted(store) == {(QUEUE, TYPE, State.FAILED): 1}


async def test_c5_dead_letter_is_dealt_with_once_whoever_comes_second_is_told(store):
    job = await died(store)
    answers = await asyncio.gather(*(happen(store, job, DealtWith(), now=NOW + n) for n in range(5)))

    assert answers.count(Applied()) == 1
    assert all(isinstance(one, Stale) and not is_dead_letter(one.job) for one in answers if one != Applied())


async def test_many_are_dealt_with_in_one_op_and_one_that_changed_hinders_no_other(store):
    jobs = [await died(store, at=NOW + n) for n in range(6)]
    await happen(store, jobs[2], RetryAsked())

    answers = await store.apply([decided(job, DealtWith()) for job in jobs], now=NOW)

    assert [isinstance(one, Applied) for one in answers] == [True, True, False, True, True, True]
    assert isinstance(answers[2], Stale)
    assert await dead_ids(store) == []


async def test_dead_letters_and_running_jobs_may_be_changed_in_one_op(store):
    dead = await died(store)
    gone = await died(store)
    running = await claimed(store)

    answers = await store.apply(
        [
            decided(dead, DealtWith()),
            decided(gone, RetryAsked()),
            decided(running, CancelAsked()),
        ],
        now=NOW,
    )

    assert answers == [Applied()] * 3
    assert [(await read(store, job.id)).state for job in (dead, gone, running)] == [
        State.FAILED,
        State.PENDING,
        State.PROCESSING,
    ]


async def test_c2_failed_job_that_was_dealt_with_may_be_retried_all_the_same(store):
    job = await died(store)
    await happen(store, job, DealtWith())

    assert await happen(store, await read(store, job.id), RetryAsked()) == Applied()
    assert (await read(store, job.id)).state is State.PENDING
    assert await store.erase(now=NOW + 100 * DAY_MS, limit=10) == 0


async def test_job_takes_the_place_of_a_dead_letter_in_one_op(store):
    dead = await died(store)
    new = a_job(tags=("instead",))

    answer = await store.stand_in(NAMESPACE, new, decided(dead, DealtWith()), now=NOW)

    assert answer == Applied()
    assert not is_dead_letter(await read(store, dead.id))
    assert [job.id for job in await claim(store)] == [new.facts.id]
    assert await tallied(store) == await recounted(store)


async def test_no_job_takes_the_place_of_a_dead_letter_that_changed(store):
    dead = await died(store)
    transition = decided(dead, DealtWith())
    await happen(store, dead, RetryAsked())

    answer = await store.stand_in(NAMESPACE, a_job(), transition, now=NOW)

    assert isinstance(answer, Stale)
    assert await ids_of(store) == [dead.id]


async def test_no_job_takes_the_place_of_a_dead_letter_that_is_gone(store):
    dead = await died(store)
    transition = decided(dead, DealtWith())
    await happen(store, dead, DealtWith())
    await store.erase(now=NOW + 8 * DAY_MS, limit=1)

    assert await store.stand_in(NAMESPACE, a_job(), transition, now=NOW) == Lost()
    assert await ids_of(store) == []


async def test_one_job_takes_the_place_of_a_dead_letter_however_many_try(store):
    dead = await died(store)
    transition = decided(dead, DealtWith())

    answers = await asyncio.gather(
        *(store.stand_in(NAMESPACE, a_job(), transition, now=NOW) for _ in range(8))
    )

    assert answers.count(Applied()) == 1
    assert len(await claim(store)) == 1


async def test_job_whose_unique_key_is_held_takes_nobodys_place(store):
    dead = await died(store)
    key = Unique(key="k", on_conflict=OnConflict.REJECT)
    holder = (await enqueue(store, a_job(unique=key)))[0].job_id

    with pytest.raises(DuplicateJob) as refused:
        await store.stand_in(NAMESPACE, a_job(unique=key), decided(dead, DealtWith()), now=NOW)

    assert refused.value.existing_id == holder
    assert await read(store, dead.id) == dead


async def test_job_that_took_a_place_is_found_at_once_by_claims_that_looked_before(store):
    dead = await died(store)
    assert await claim(store) == []
    new = a_job(created_at=NOW - HOUR, priority=5)

    await store.stand_in(NAMESPACE, new, decided(dead, DealtWith()), now=NOW)

    assert [job.id for job in await claim(store)] == [new.facts.id]


async def test_transition_of_a_dead_letter_needs_its_revision(store):
    dead = await died(store)
    older = replace(dead, revision=dead.revision - 1)

    answer = await apply(store, place.dealt_with(older, Policy(), NOW))

    assert isinstance(answer, Stale)
    assert await read(store, dead.id) == dead

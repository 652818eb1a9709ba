import asyncio
from dataclasses import replace

import pytest

from headrace.core.filters import JobFilter
from headrace.core.outcomes import CancelAsked, Released, RetryAsked, Snoozed, Stopped, Succeeded
from headrace.core.policy import ErrorClass
from headrace.core.states import State
from headrace.core.unique import OnConflict, Unique, Until
from headrace.errors import DuplicateJob
from headrace.stores.protocol import Applied, Conflict, Inserted, InsertKind
from tests.builders import (
    HOUR,
    LEASE,
    NOW,
    a_failure,
    a_job,
    claim,
    claimed,
    enqueue,
    enqueued,
    happen,
    read,
    rescue,
    settle,
)
from tests.contract.reads import everything, ids_of, sight, tallied

KEY = Unique(key="k")
STARTED = Unique(key="k", until=Until.STARTED)
REJECT = Unique(key="k", on_conflict=OnConflict.REJECT)
REPLACE = Unique(key="k", on_conflict=OnConflict.REPLACE)


async def kinds(store, *jobs, now=NOW) -> list[InsertKind]:
    return [answer.kind for answer in await enqueue(store, *jobs, now=now)]


async def test_c28_second_job_with_the_key_is_answered_with_the_first(store):
    first = await enqueued(store, a_job(unique=KEY))

    (answer,) = await enqueue(store, a_job(unique=KEY))

    assert answer == Inserted(kind=InsertKind.EXISTING, job_id=first.id)
    assert await ids_of(store) == [first.id]


async def test_c28_existing_job_is_not_changed(store):
    first = await enqueued(store, a_job(unique=KEY))
    before = await sight(store, first.id)

    await enqueue(store, a_job(unique=KEY, payload="2", priority=9, tags=("x",)))

    assert await sight(store, first.id) == before


@pytest.mark.parametrize("state", [State.PENDING, State.BLOCKED, State.PROCESSING])
async def test_c28_key_is_held_while_the_job_lives(store, state):
    if state is State.PROCESSING:
        await claimed(store, a_job(unique=KEY))
    else:
        await enqueued(store, a_job(unique=KEY, state=state))

    assert await kinds(store, a_job(unique=KEY)) == [InsertKind.EXISTING]


@pytest.mark.parametrize(
    "outcome",
    [Succeeded(), Stopped(), a_failure(error_class=ErrorClass.PERMANENT)],
    ids=["done", "stop", "fail"],
)
async def test_c29_key_is_freed_by_the_op_that_ends_the_job(store, outcome):
    job = await claimed(store, a_job(unique=KEY))
    await settle(store, job, outcome)

    assert await kinds(store, a_job(unique=KEY)) == [InsertKind.INSERTED]


@pytest.mark.parametrize(
    "outcome",
    [a_failure(), Released(reason="shutdown"), Snoozed(delay_ms=1)],
    ids=["error", "release", "snooze"],
)
async def test_c29_key_until_finished_is_kept_over_retries(store, outcome):
    job = await claimed(store, a_job(unique=KEY))
    await settle(store, job, outcome)

    assert await kinds(store, a_job(unique=KEY)) == [InsertKind.EXISTING]


async def test_c29_key_until_finished_is_kept_by_a_crash(store):
    await claimed(store, a_job(unique=KEY))
    await rescue(store, now=NOW + LEASE + 1)

    assert await kinds(store, a_job(unique=KEY)) == [InsertKind.EXISTING]


async def test_c29_neither_clock_nor_retention_frees_a_key(store):
    await enqueue(store, a_job(unique=KEY))
    await store.erase(now=NOW + 10_000 * HOUR, limit=100)
    await store.trim(now=NOW + 10_000 * HOUR, limit=100)

    assert await kinds(store, a_job(unique=KEY), now=NOW + 10_000 * HOUR) == [InsertKind.EXISTING]


async def test_c29_key_until_started_is_freed_by_the_claim(store):
    await enqueue(store, a_job(unique=STARTED))
    assert await kinds(store, a_job(unique=STARTED)) == [InsertKind.EXISTING]

    await claim(store)

    assert await kinds(store, a_job(unique=STARTED)) == [InsertKind.INSERTED]


@pytest.mark.parametrize(
    "outcome",
    [a_failure(), Released(reason="shutdown"), Snoozed(delay_ms=0)],
    ids=["error", "release", "snooze"],
)
async def test_c29_key_until_started_is_not_taken_back(store, outcome):
    first = await claimed(store, a_job(unique=STARTED))
    second = await enqueued(store, a_job(unique=STARTED, due_at=NOW + 2 * HOUR))

    assert await settle(store, first, outcome) == Applied()

    assert (await read(store, first.id)).placement.unique_lock is None
    assert (await read(store, second.id)).placement.unique_lock == "k"


async def test_c29_key_until_started_is_not_taken_back_by_a_rescue(store):
    first = await claimed(store, a_job(unique=STARTED))
    await enqueued(store, a_job(unique=STARTED, due_at=NOW + 2 * HOUR))

    assert list(await rescue(store, now=NOW + HOUR)) == [Applied()]

    assert (await read(store, first.id)).placement.unique_lock is None


async def test_c29_retry_takes_the_key_back(store):
    job = await enqueued(store, a_job(unique=KEY))
    await happen(store, job, CancelAsked())

    await happen(store, await read(store, job.id), RetryAsked())

    assert await kinds(store, a_job(unique=KEY)) == [InsertKind.EXISTING]


async def test_c21_retry_of_a_key_until_started_is_refused_while_another_waits(store):
    first = await claimed(store, a_job(unique=STARTED, max_attempts=1))
    await settle(store, first, a_failure())
    second = await enqueued(store, a_job(unique=STARTED))

    answer = await happen(store, await read(store, first.id), RetryAsked())

    assert answer == Conflict(second.id)


async def test_c30_reject_names_who_holds_the_key(store):
    first = await enqueued(store, a_job(unique=KEY))

    with pytest.raises(DuplicateJob) as refusal:
        await enqueue(store, a_job(unique=REJECT))

    assert (refusal.value.unique_key, refusal.value.existing_id) == ("k", first.id)


async def test_c30_reject_is_inserted_when_the_key_is_free(store):
    assert await kinds(store, a_job(unique=REJECT)) == [InsertKind.INSERTED]


async def test_c30_replace_gives_the_waiting_job_the_newest_content(store):
    first = await enqueued(
        store, a_job(unique=REPLACE, batch_id="b", payload="1", tags=("old",), max_attempts=5)
    )
    newer = a_job(
        unique=REPLACE, payload="2", tags=("new",), priority=8, due_at=NOW + HOUR, created_at=NOW + 5
    )

    (answer,) = await enqueue(store, newer, now=NOW + 5)

    after = await read(store, first.id)
    assert answer == Inserted(kind=InsertKind.REPLACED, job_id=first.id)
    assert after.facts == replace(first.facts, payload="2", tags=("new",))
    assert after.placement == replace(first.placement, priority=8, due_at=NOW + HOUR, rank=NOW + HOUR)
    assert after.revision > first.revision


async def test_c30_debounce_keeps_one_job_with_the_latest_content(store):
    for number in range(5):
        await enqueue(store, a_job(unique=REPLACE, payload=str(number), due_at=NOW + HOUR + number))

    (job,) = await everything(store)
    assert (job.facts.payload, job.placement.due_at) == ("4", NOW + HOUR + 4)


async def test_c30_replaced_tags_are_found_and_the_old_ones_are_not(store):
    job = await enqueued(store, a_job(unique=REPLACE, tags=("old", "both")))
    await enqueue(store, a_job(unique=REPLACE, tags=("new", "both")))

    assert await ids_of(store, JobFilter(tag="old")) == []
    assert await ids_of(store, JobFilter(tag="new")) == [job.id]
    assert await ids_of(store, JobFilter(tag="both")) == [job.id]


async def test_c30_replace_never_meets_a_running_job_with_a_key_of_its_own_kind(store):
    running = await claimed(store, a_job(unique=REPLACE, payload="1"))

    (answer,) = await enqueue(store, a_job(unique=REPLACE, payload="2"))

    assert answer.kind is InsertKind.INSERTED
    assert (await read(store, running.id)).facts.payload == "1"
    assert (await read(store, answer.job_id)).facts.payload == "2"


async def test_c30_replace_leaves_a_running_holder_until_finished_as_it_is(store):
    running = await claimed(store, a_job(unique=KEY))
    before = await sight(store, running.id)

    (answer,) = await enqueue(store, a_job(unique=REPLACE, payload="2"))

    assert answer == Inserted(kind=InsertKind.EXISTING, job_id=running.id)
    assert await sight(store, running.id) == before


async def test_c30_replace_leaves_a_blocked_holder_as_it_is(store):
    blocked = await enqueued(store, a_job(unique=KEY, state=State.BLOCKED))

    (answer,) = await enqueue(store, a_job(unique=REPLACE, payload="2"))

    assert answer == Inserted(kind=InsertKind.EXISTING, job_id=blocked.id)


async def test_c30_replaced_job_loses_nothing_of_its_attempts(store):
    job = await claimed(store, a_job(unique=KEY))
    await settle(store, job, a_failure())
    retrying = await read(store, job.id)

    await enqueue(store, a_job(unique=REPLACE, payload="2", due_at=NOW + HOUR))

    after = (await read(store, job.id)).placement
    assert (after.failures, after.starts, after.error) == (1, 1, retrying.placement.error)


async def test_c30_parked_holder_is_replaced_and_can_be_claimed(store):
    job = await enqueued(store, a_job(unique=REPLACE, payload="1"))
    await claim(store, types=frozenset({"other"}))

    (answer,) = await enqueue(store, a_job(unique=REPLACE, payload="2"))

    assert answer == Inserted(kind=InsertKind.REPLACED, job_id=job.id)
    assert [found.facts.payload for found in await claim(store)] == ["2"]


@pytest.mark.parametrize("unique", [KEY, REPLACE], ids=["existing", "replace"])
async def test_c30_two_equal_keys_in_one_bulk_leave_one_job(store, unique):
    first, second = a_job(unique=unique, payload="1"), a_job(unique=unique, payload="2")

    answers = await enqueue(store, first, second)

    (job,) = await everything(store)
    kind = InsertKind.REPLACED if unique is REPLACE else InsertKind.EXISTING
    assert list(answers) == [
        Inserted(kind=InsertKind.INSERTED, job_id=first.facts.id),
        Inserted(kind=kind, job_id=first.facts.id),
    ]
    assert job.facts.payload == ("2" if unique is REPLACE else "1")


async def test_c30_two_equal_keys_in_one_bulk_refuse_it_whole_when_the_later_rejects(store):
    first = a_job(unique=KEY)

    with pytest.raises(DuplicateJob) as refusal:
        await enqueue(store, a_job(), first, a_job(unique=REJECT))

    assert refusal.value.existing_id == first.facts.id
    assert await everything(store) == []


async def test_c30_bulk_may_mix_every_answer(store):
    await enqueue(store, a_job(unique=Unique(key="a")), a_job(unique=replace(REPLACE, key="b")))

    found = await kinds(
        store, a_job(unique=Unique(key="a")), a_job(unique=replace(REPLACE, key="b")), a_job(),
        a_job(unique=replace(REJECT, key="c")),
    )  # fmt: skip

    assert found == [InsertKind.EXISTING, InsertKind.REPLACED, InsertKind.INSERTED, InsertKind.INSERTED]
    assert (await tallied(store)).total() == 4


async def test_c30_refused_bulk_undoes_its_replacements(store):
    await enqueue(store, a_job(unique=replace(REPLACE, key="a"), payload="1"), a_job(unique=Unique(key="b")))
    before = await everything(store)

    with pytest.raises(DuplicateJob):
        await enqueue(
            store,
            a_job(unique=replace(REPLACE, key="a"), payload="2"),
            a_job(unique=replace(REJECT, key="b")),
        )

    assert await everything(store) == before


async def test_c28_keys_are_compared_to_the_letter(store):
    keys = ["k", "K", "k ", "\uff4b", "é", "e\u0301", "%", "_"]

    found = await kinds(store, *(a_job(unique=Unique(key=key)) for key in keys))

    assert set(found) == {InsertKind.INSERTED}


async def test_c28_sixteen_callers_at_once_leave_one_live_job(store):
    answers = await asyncio.gather(*(enqueue(store, a_job(unique=KEY)) for _ in range(16)))

    found = [answer.kind for (answer,) in answers]
    assert found.count(InsertKind.INSERTED) == 1
    assert len({answer.job_id for (answer,) in answers}) == 1
    assert len(await everything(store)) == 1


async def test_c28_completion_and_enqueue_at_once_never_leave_two_live_jobs(store):
    for _ in range(10):
        running = await claimed(store, a_job(unique=KEY))
        (answer,), _ = await asyncio.gather(enqueue(store, a_job(unique=KEY)), settle(store, running))
        live = [job for job in await everything(store) if job.placement.live]

        assert [job.id for job in live] == ([] if answer.kind is InsertKind.EXISTING else [answer.job_id])
        for job in live:
            await happen(store, job, CancelAsked())


@pytest.mark.parametrize("together", [False, True])
async def test_c30_replace_leaves_a_job_of_another_type_as_it_is(store, together):
    first, other = a_job(unique=REPLACE, payload="1"), a_job(unique=REPLACE, payload="2", type="other")

    if together:
        _, answer = await enqueue(store, first, other)
    else:
        await enqueue(store, first)
        (answer,) = await enqueue(store, other)

    (job,) = await everything(store)
    assert answer == Inserted(kind=InsertKind.EXISTING, job_id=first.facts.id)
    assert (job.facts.type, job.facts.payload) == (first.facts.type, "1")


async def test_c30_two_replacements_in_one_bulk_are_one_change_and_the_later_wins(store):
    first = await enqueued(store, a_job(unique=REPLACE))

    answers = await enqueue(
        store, a_job(unique=REPLACE, payload='{"n":2}'), a_job(unique=REPLACE, payload='{"n":3}')
    )

    job = await read(store, first.id)
    assert [(answer.kind, answer.job_id) for answer in answers] == [(InsertKind.REPLACED, first.id)] * 2
    assert job.facts.payload == '{"n":3}'
    assert job.revision == first.revision + 1

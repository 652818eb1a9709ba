import pytest

from headrace.core.job import AttemptOutcome, Isolation
from headrace.core.outcomes import Released, Rescued, RetryAsked, Snoozed, Succeeded
from headrace.core.policy import ErrorClass, Policy
from headrace.core.states import State
from headrace.errors import JobNotFound
from headrace.stores.protocol import Applied
from tests.builders import (
    HOUR,
    LEASE,
    NAMESPACE,
    NOW,
    WORKER,
    a_failure,
    a_job,
    apply,
    claim,
    claimed,
    enqueue,
    enqueued,
    given_back_unstarted,
    happen,
    note,
    read,
    rescue,
    settle,
)


async def run(store, outcome, *, at: int, worker: str = WORKER):
    """Claims the only due job at ``at`` and ends its attempt one second later."""
    (job,) = await claim(store, now=at, worker=worker)
    if isinstance(outcome, Rescued):
        await rescue(store, now=at + LEASE + 1)
    else:
        await settle(store, job, outcome, now=at + 1_000)
    return await read(store, job.id)


async def test_c3_history_is_complete_gapless_and_in_order(store):
    job = await enqueued(store, a_job(max_attempts=3))
    at = NOW
    for number, outcome in enumerate(
        [a_failure("one"), Snoozed(delay_ms=5), Rescued(), Released(reason="shutdown"), Succeeded(result="1")]
    ):
        at += HOUR
        await run(store, outcome, at=at, worker=f"worker-{number}")

    attempts = (await store.history(NAMESPACE, job.id)).attempts

    assert [attempt.fence for attempt in attempts] == [1, 2, 3, 4, 5]
    assert [attempt.worker for attempt in attempts] == [f"worker-{number}" for number in range(5)]
    assert [attempt.started_at for attempt in attempts] == [NOW + HOUR * hour for hour in range(1, 6)]
    assert [attempt.outcome for attempt in attempts] == [
        AttemptOutcome.ERRORED,
        AttemptOutcome.SNOOZED,
        AttemptOutcome.RESCUED,
        AttemptOutcome.RELEASED,
        AttemptOutcome.SUCCEEDED,
    ]
    assert "one" in (attempts[0].error or "")


async def test_c3_release_without_a_start_is_counted_and_not_listed(store):
    job = await claimed(store)

    await apply(store, given_back_unstarted(job, Released(reason="pause")))

    assert (await store.history(NAMESPACE, job.id)).attempts == ()
    assert (await read(store, job.id)).placement.releases == 1


async def test_c3_history_of_many_attempts_keeps_the_first_and_the_last_and_counts_the_rest(store):
    job = await enqueued(store)
    for _ in range(60):
        await run(store, Snoozed(delay_ms=0), at=(await read(store, job.id)).placement.due_at or NOW)

    history = await store.history(NAMESPACE, job.id)

    assert [attempt.fence for attempt in history.attempts] == [*range(1, 11), *range(21, 61)]
    assert history.folded == ((AttemptOutcome.SNOOZED, 10),)


async def test_c3_history_spans_the_generations(store):
    job = await enqueued(store, a_job(max_attempts=1))
    await run(store, a_failure(), at=NOW)
    await happen(store, await read(store, job.id), RetryAsked())
    await run(store, Succeeded(), at=NOW + HOUR)

    attempts = (await store.history(NAMESPACE, job.id)).attempts

    assert [(attempt.fence, attempt.generation) for attempt in attempts] == [(1, 1), (2, 2)]


async def test_c3_history_of_an_unknown_job_is_not_found(store):
    with pytest.raises(JobNotFound):
        await store.history(NAMESPACE, "no-such-job")


async def test_c18_failures_crashes_releases_and_starts_are_kept_apart(store):
    await enqueue(store, a_job())
    at = NOW
    for outcome in (a_failure(), Rescued(), Released(reason="shutdown"), Snoozed(delay_ms=1)):
        at += HOUR
        job = await run(store, outcome, at=at)

    placed = job.placement
    assert (placed.starts, placed.failures, placed.crashes, placed.releases, placed.snoozes) == (
        4,
        1,
        1,
        2,
        1,
    )


async def test_c19_error_goes_back_until_the_last_attempt_fails_the_job(store):
    job = await enqueued(store, a_job(max_attempts=3))
    states = [(await run(store, a_failure(), at=NOW + HOUR * hour)).state for hour in range(3)]

    assert states == [State.PENDING, State.PENDING, State.FAILED]
    assert (await read(store, job.id)).placement.failures == 3


async def test_c19_retry_after_is_kept_as_the_due_time(store):
    await enqueue(store, a_job())

    job = await run(store, a_failure(retry_after_ms=77_000), at=NOW)

    assert job.placement.due_at == NOW + 1_000 + 77_000


async def test_c20_release_charges_nothing_and_keeps_the_place(store):
    first, second = await enqueued(store), await enqueued(store)
    (job,) = await claim(store, n=1)

    await settle(store, job, Released(reason="shutdown"), now=NOW + HOUR)

    assert job.id == first.id
    assert [found.id for found in await claim(store, now=NOW + HOUR)] == [first.id, second.id]


async def test_c20_snoozes_are_bounded(store):
    job = await claimed(store)
    await settle(store, job, Snoozed(delay_ms=0), policy=Policy(max_snoozes=1))
    (again,) = await claim(store)

    await settle(store, again, Snoozed(delay_ms=0), policy=Policy(max_snoozes=1))

    assert (await read(store, job.id)).state is State.FAILED


async def test_c21_rescue_waits_for_the_crash_backoff(store):
    job = await claimed(store)

    await rescue(store, now=NOW + LEASE + 1)

    placed = (await read(store, job.id)).placement
    assert (placed.state, placed.crashes, placed.due_at) == (State.PENDING, 1, NOW + LEASE + 1 + 5_000)


async def test_c21_rescue_of_many_is_one_op(store):
    await enqueue(store, *(a_job() for _ in range(50)))
    await claim(store, n=50)

    answers = await rescue(store, now=NOW + HOUR)

    assert list(answers) == [Applied()] * 50
    assert await store.expired(now=NOW + HOUR, limit=100) == []


async def test_c21_job_that_always_crashes_ends_failed_within_its_starts(store):
    job = await enqueued(store, a_job(max_attempts=3, max_crashes=3))
    at = NOW
    while (await read(store, job.id)).placement.live:
        at += HOUR
        await run(store, Rescued(), at=at)

    placed = (await read(store, job.id)).placement
    assert placed.state is State.FAILED
    assert placed.starts <= 3 + 3 + placed.releases


async def test_c21_retry_opens_a_generation_with_counts_at_zero(store):
    await enqueue(store, a_job(max_attempts=1))
    failed = await run(store, a_failure(), at=NOW)

    await happen(store, failed, RetryAsked(), now=NOW + HOUR)

    placed = (await read(store, failed.id)).placement
    assert (placed.generation, placed.starts, placed.failures, placed.crashes) == (2, 0, 0, 0)


async def test_c21_job_with_a_noted_time_out_counts_a_failure_when_it_is_rescued(store):
    job = await claimed(store)
    await note(store, job, timed_out_at=NOW + 1)

    await rescue(store, now=NOW + HOUR)

    placed = (await read(store, job.id)).placement
    assert (placed.failures, placed.crashes) == (1, 0)


async def test_c21_time_out_noted_under_an_old_fence_does_not_count_later(store):
    job = await claimed(store)
    await note(store, job, timed_out_at=NOW + 1)
    await settle(store, job, a_failure(error_class=ErrorClass.TIMEOUT))
    (again,) = await claim(store, now=NOW + HOUR)

    await rescue(store, now=NOW + 2 * HOUR)

    placed = (await read(store, again.id)).placement
    assert again.timed_out_at is None
    assert (placed.failures, placed.crashes) == (1, 1)


async def test_c22_isolation_is_kept_for_the_next_claim(store):
    await enqueue(store, a_job())
    seen = []
    for hour in range(3):
        await run(store, Rescued(), at=NOW + hour * HOUR)
        seen.append(
            (await run(store, Released(reason="look"), at=NOW + hour * HOUR + HOUR // 2)).placement.isolation
        )

    assert seen == [Isolation.NONE, Isolation.CHILD, Isolation.ALONE]

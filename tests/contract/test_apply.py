"""The answers of ``apply``: what a holder learns when its report is repeated, late or overtaken."""

from dataclasses import replace

import pytest

from headrace.core.job import AttemptOutcome
from headrace.core.outcomes import (
    CancelAsked,
    Crashed,
    Released,
    Rescued,
    RetryAsked,
    Snoozed,
    Stopped,
    Succeeded,
    Unblocked,
)
from headrace.core.policy import ErrorClass
from headrace.core.states import State
from headrace.core.unique import OnConflict, Unique
from headrace.stores.protocol import Already, Applied, Conflict, Lost, Stale
from tests.builders import (
    HOUR,
    LEASE,
    NOW,
    SECOND,
    a_failure,
    a_job,
    an_error,
    apply,
    claim,
    claimed,
    decided,
    enqueue,
    enqueued,
    given_back_unstarted,
    happen,
    read,
    reported,
    rescue,
    settle,
)
from tests.contract.reads import sight, tallied

LISTED = [
    (Succeeded(result="1"), AttemptOutcome.SUCCEEDED),
    (a_failure(), AttemptOutcome.ERRORED),
    (a_failure(error_class=ErrorClass.PERMANENT), AttemptOutcome.ERRORED),
    (a_failure(error_class=ErrorClass.TIMEOUT), AttemptOutcome.TIMED_OUT),
    (Released(reason="shutdown"), AttemptOutcome.RELEASED),
    (Snoozed(delay_ms=5), AttemptOutcome.SNOOZED),
    (Stopped(), AttemptOutcome.STOPPED),
    (Crashed(error=an_error()), AttemptOutcome.CRASHED),
]
listed = pytest.mark.parametrize(("outcome", "kept"), LISTED, ids=lambda value: getattr(value, "value", ""))


@listed
async def test_c3_whole_placement_is_written(store, outcome, kept):
    job = await claimed(store)
    transition = reported(job, outcome, now=NOW + SECOND)

    await apply(store, transition, now=NOW + SECOND)

    after = await read(store, job.id)
    assert after.placement == transition.placement
    assert (after.facts, after.fence, after.seq) == (job.facts, job.fence, job.seq)
    assert after.revision > job.revision
    assert kept in {attempt.outcome for attempt in (await sight(store, job.id)).history.attempts}


@listed
async def test_c5_repeated_report_gets_the_original_answer_and_changes_nothing(store, outcome, kept):
    job = await claimed(store)
    transition = reported(job, outcome)
    await apply(store, transition)
    before, counts = await sight(store, job.id), await tallied(store)

    answer = await apply(store, transition, now=NOW + SECOND)

    assert answer == Already(kept)
    assert (await sight(store, job.id), await tallied(store)) == (before, counts)


@listed
async def test_c5_repeated_report_gets_the_original_answer_however_far_the_job_has_moved(
    store, outcome, kept
):
    job = await claimed(store)
    transition = reported(job, outcome)
    await apply(store, transition)
    if (await read(store, job.id)).state in {State.FAILED, State.CANCELLED}:
        await happen(store, await read(store, job.id), RetryAsked())
    moved_on = await claim(store, now=NOW + HOUR, worker="worker-2")
    for running in moved_on:
        await settle(store, running, now=NOW + HOUR)

    assert await apply(store, transition, now=NOW + HOUR) == Already(kept)


async def test_c5_repeated_report_is_answered_while_another_holds_the_job(store):
    job = await claimed(store)
    transition = reported(job, a_failure())
    await apply(store, transition)
    await claim(store, now=NOW + HOUR, worker="worker-2")
    before = await sight(store, job.id)

    answer = await apply(store, transition, now=NOW + HOUR)

    assert answer == Already(AttemptOutcome.ERRORED)
    assert await sight(store, job.id) == before


async def test_c5_another_outcome_for_a_settled_fence_gets_the_original_answer(store):
    job = await claimed(store)
    await settle(store, job, Succeeded(result="1"))
    before = await sight(store, job.id)

    answer = await settle(store, job, a_failure())

    assert answer == Already(AttemptOutcome.SUCCEEDED)
    assert await sight(store, job.id) == before


async def test_c5_report_of_a_job_that_was_erased_is_lost(store):
    job = await claimed(store)
    transition = reported(job, Succeeded())
    await apply(store, transition)
    await store.erase(now=NOW + 2 * HOUR, limit=1)

    assert await apply(store, transition, now=NOW + 2 * HOUR) == Lost()


async def test_c5_repeated_release_without_a_start_changes_nothing(store):
    job = await claimed(store)
    transition = given_back_unstarted(job, Released(reason="pause"))
    await apply(store, transition)
    before = await sight(store, job.id)

    answer = await apply(store, transition)

    assert not isinstance(answer, Applied)
    assert await sight(store, job.id) == before


async def test_c5_same_report_twice_in_one_call_is_applied_once(store):
    transition = reported(await claimed(store), a_failure())

    answers = await store.apply([transition, transition], now=NOW)

    assert list(answers) == [Applied(), Already(AttemptOutcome.ERRORED)]
    assert (await read(store, transition.job.id)).placement.failures == 1


@pytest.mark.parametrize("count", [15, 16, 40, 250])
async def test_c5_same_report_twice_among_many_is_applied_once(store, count):
    await enqueue(store, *(a_job() for _ in range(count)))
    transitions = [reported(job, a_failure()) for job in await claim(store, n=count)]

    answers = await store.apply([*transitions, transitions[3]], now=NOW)

    assert list(answers) == [Applied()] * count + [Already(AttemptOutcome.ERRORED)]
    assert await tallied(store) == {("default", "echo", State.PENDING): count}


async def test_c12_rescue_then_late_report_is_lost_and_the_job_is_the_same_to_the_byte(store):
    job = await claimed(store)
    await rescue(store, now=NOW + LEASE + 1)
    before = await sight(store, job.id)

    answer = await apply(store, reported(job, Succeeded(result="1")), now=NOW + LEASE + 2)

    assert answer == Lost()
    assert await sight(store, job.id) == before


async def test_flag_set_meanwhile_makes_the_report_stale_with_the_fresh_job(store):
    job = await claimed(store)
    await happen(store, job, CancelAsked())

    answer = await apply(store, reported(job, a_failure()))

    assert answer == Stale(await read(store, job.id))
    assert answer.job.placement.cancel_asked_at == NOW


async def test_stale_report_decided_again_is_applied(store):
    job = await claimed(store)
    await happen(store, job, CancelAsked())
    stale = await apply(store, reported(job, a_failure()))
    assert isinstance(stale, Stale)

    assert await apply(store, reported(stale.job, a_failure())) == Applied()
    assert (await read(store, job.id)).state is State.CANCELLED


async def test_change_of_a_waiting_job_is_stale_when_the_job_was_replaced_meanwhile(store):
    unique = Unique(key="k", on_conflict=OnConflict.REPLACE)
    job = await enqueued(store, a_job(unique=unique))
    await enqueue(store, a_job(unique=unique, payload="2"))

    answer = await happen(store, job, CancelAsked())

    assert answer == Stale(await read(store, job.id))
    assert answer.job.state is State.PENDING


async def test_change_of_a_retrying_job_is_stale_and_not_taken_for_a_repeated_report(store):
    job = await claimed(store)
    await settle(store, job, a_failure())
    retrying = await read(store, job.id)
    await claim(store, types=frozenset({"other"}), now=NOW + HOUR)
    parked = await read(store, job.id)

    answer = await happen(store, retrying, CancelAsked())

    assert parked.placement.parked_on is not None
    assert answer == Stale(parked)


async def test_second_retry_of_the_same_sight_is_stale(store):
    job = await claimed(store, a_job(max_attempts=1))
    await settle(store, job, a_failure())
    failed = await read(store, job.id)
    await happen(store, failed, RetryAsked())
    before = await sight(store, job.id)

    answer = await happen(store, failed, RetryAsked())

    assert answer == Stale(before.job)
    assert await sight(store, job.id) == before


async def test_retry_of_a_job_that_was_erased_meanwhile_is_lost(store):
    job = await enqueued(store)
    await happen(store, job, CancelAsked())
    ended = await read(store, job.id)
    await store.erase(now=NOW + 2 * HOUR, limit=1)

    assert await happen(store, ended, RetryAsked()) == Lost()


async def test_cancel_of_a_waiting_job_that_was_claimed_meanwhile_changes_nothing(store):
    waiting = await enqueued(store)
    await claim(store)
    before = await sight(store, waiting.id)

    answer = await happen(store, waiting, CancelAsked())

    assert isinstance(answer, Stale | Lost)
    assert await sight(store, waiting.id) == before


async def test_cancel_of_a_running_job_that_ended_meanwhile_changes_nothing(store):
    job = await claimed(store)
    await settle(store, job)
    before = await sight(store, job.id)

    answer = await happen(store, job, CancelAsked())

    assert not isinstance(answer, Applied)
    assert await sight(store, job.id) == before


async def test_blocked_job_is_unblocked_once(store):
    blocked = await enqueued(store, a_job(state=State.BLOCKED))

    answers = await store.apply([decided(blocked, Unblocked()), decided(blocked, Unblocked())], now=NOW)

    assert answers[0] == Applied()
    assert isinstance(answers[1], Stale)
    assert len(await claim(store)) == 1


async def test_c3_answer_of_one_row_never_changes_anothers(store):
    await enqueue(store, *(a_job() for _ in range(6)))
    fine, settled, flagged, rescued, fine_too, erased = await claim(store)
    await settle(store, settled, a_failure())
    await happen(store, flagged, CancelAsked())
    await happen(store, rescued, Rescued(), now=NOW + LEASE + 1)
    await settle(store, erased)
    await store.erase(now=NOW + 2 * HOUR, limit=10)
    jobs = [fine, settled, flagged, rescued, fine_too, erased]

    answers = await store.apply([reported(job, Succeeded(result="1")) for job in jobs], now=NOW)

    assert answers[0] == answers[4] == Applied()
    assert answers[1] == Already(AttemptOutcome.ERRORED)
    assert answers[2] == Stale(await read(store, flagged.id))
    assert answers[3] == answers[5] == Lost()
    assert [(await read(store, job.id)).state for job in (fine, fine_too)] == [State.COMPLETED] * 2


async def test_c21_retry_is_refused_when_another_job_holds_the_key(store):
    key = Unique(key="k")
    old = await claimed(store, a_job(unique=key, max_attempts=1))
    await settle(store, old, a_failure())
    taker = await enqueued(store, a_job(unique=key))
    before = await sight(store, old.id)

    answer = await happen(store, await read(store, old.id), RetryAsked())

    assert answer == Conflict(taker.id)
    assert await sight(store, old.id) == before


async def test_refused_retry_does_not_stop_the_rest_of_the_batch(store):
    key = Unique(key="k")
    old = await claimed(store, a_job(unique=key, max_attempts=1))
    await settle(store, old, a_failure())
    taker = await enqueued(store, a_job(unique=key))
    other = await claimed(store, a_job(queue="other"))
    failed = await read(store, old.id)

    answers = await store.apply([decided(failed, RetryAsked()), reported(other, Succeeded())], now=NOW)

    assert list(answers) == [Conflict(taker.id), Applied()]


async def test_key_freed_earlier_in_a_batch_may_be_taken_back_later_in_it(store):
    key = Unique(key="k")
    old = await claimed(store, a_job(unique=key, max_attempts=1))
    await settle(store, old, a_failure())
    taker = await enqueued(store, a_job(unique=key))
    failed = await read(store, old.id)

    answers = await store.apply([decided(taker, CancelAsked()), decided(failed, RetryAsked())], now=NOW)

    assert answers[0] == Applied()
    assert answers[1] in (Applied(), Conflict(taker.id))


async def test_empty_batch_is_answered_with_nothing(store):
    assert list(await store.apply([], now=NOW)) == []


async def test_five_hundred_outcomes_are_written_in_one_op(store):
    await enqueue(store, *(a_job() for _ in range(500)))
    jobs = await claim(store, n=500)

    answers = await store.apply([reported(job, Succeeded()) for job in jobs], now=NOW)

    assert set(answers) == {Applied()}
    assert (await tallied(store)) == {("default", "echo", State.COMPLETED): 500}


async def test_job_in_another_namespace_is_settled_by_the_same_call(store):
    one = await claimed(store, a_job(namespace="one"))
    two = await claimed(store, a_job(namespace="two"))

    answers = await store.apply([reported(one, Succeeded()), reported(two, a_failure())], now=NOW)

    assert list(answers) == [Applied(), Applied()]


async def test_forged_revision_is_refused(store):
    job = await claimed(store)
    forged = replace(job, revision=job.revision + 5)

    answer = await apply(store, reported(forged, Succeeded()))

    assert answer == Stale(await read(store, job.id))


async def test_forged_fence_is_refused(store):
    job = await claimed(store)
    forged = replace(job, fence=job.fence + 1)
    before = await sight(store, job.id)

    answer = await apply(store, reported(forged, Succeeded()))

    assert answer == Lost()
    assert await sight(store, job.id) == before

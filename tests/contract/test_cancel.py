import asyncio

import pytest

from headrace.core.outcomes import (
    CancelAsked,
    Crashed,
    Released,
    Rescued,
    RetryAsked,
    Signalled,
    Snoozed,
    Stopped,
    Succeeded,
)
from headrace.core.policy import ErrorClass
from headrace.core.states import State
from headrace.core.unique import Unique
from headrace.errors import IllegalMove
from headrace.stores.protocol import Applied, InsertKind, Stale
from tests.builders import (
    HOUR,
    LEASE,
    NAMESPACE,
    NOW,
    SECOND,
    a_failure,
    a_job,
    an_error,
    claim,
    claimed,
    enqueue,
    enqueued,
    happen,
    read,
    renew,
    rescue,
    settle,
)
from tests.contract.reads import sight


async def asked_to_cancel(store):
    """A running job whose cancel was asked, as its holder knows it."""
    job = await claimed(store)
    await happen(store, job, CancelAsked())
    return job


@pytest.mark.parametrize("state", [State.PENDING, State.BLOCKED])
async def test_c24_waiting_job_is_cancelled_and_never_starts(store, state):
    job = await enqueued(store, a_job(state=state))

    assert await happen(store, job, CancelAsked()) == Applied()

    assert (await read(store, job.id)).state is State.CANCELLED
    assert await claim(store, now=NOW + HOUR) == []


async def test_c24_scheduled_job_is_cancelled_and_never_starts(store):
    job = await enqueued(store, a_job(due_at=NOW + HOUR))

    await happen(store, job, CancelAsked())

    assert await claim(store, now=NOW + 2 * HOUR) == []


async def test_c24_retrying_job_is_cancelled_and_keeps_its_history(store):
    job = await claimed(store)
    await settle(store, job, a_failure())

    await happen(store, await read(store, job.id), CancelAsked())

    assert len((await store.history(NAMESPACE, job.id)).attempts) == 1
    assert await claim(store, now=NOW + HOUR) == []


async def test_c24_cancel_frees_the_unique_key(store):
    job = await enqueued(store, a_job(unique=Unique(key="k")))
    await happen(store, job, CancelAsked())

    (answer,) = await enqueue(store, a_job(unique=Unique(key="k")))

    assert answer.kind is InsertKind.INSERTED


async def test_c24_cancel_and_claim_at_once_leave_one_winner(store):
    jobs = [await enqueued(store) for _ in range(20)]

    answers, batches = await asyncio.gather(
        asyncio.gather(*(happen(store, job, CancelAsked()) for job in jobs)),
        asyncio.gather(*(claim(store, n=1, worker=f"w{number}") for number in range(20))),
    )

    cancelled = {job.id for job, answer in zip(jobs, answers, strict=True) if answer == Applied()}
    started = {job.id for batch in batches for job in batch}
    assert cancelled | started == {job.id for job in jobs}
    assert not cancelled & started


async def test_c25_holder_sees_the_flag_at_its_next_renewal(store):
    await enqueue(store, a_job(), a_job())
    one, other = await claim(store)
    await happen(store, one, CancelAsked())

    renewal = await renew(store, one, other, now=NOW + SECOND)

    assert (renewal.cancel_asked, renewal.lost) == ({one.id}, frozenset())


async def test_c25_flag_stays_until_the_attempt_ends(store):
    job = await asked_to_cancel(store)

    renewals = [await renew(store, job, now=NOW + number * SECOND) for number in range(3)]

    assert [renewal.cancel_asked for renewal in renewals] == [{job.id}] * 3


async def test_c25_flagged_job_goes_on_running(store):
    job = await asked_to_cancel(store)

    assert (await read(store, job.id)).state is State.PROCESSING


@pytest.mark.parametrize("event", [CancelAsked(), Signalled()], ids=["cancel", "signal"])
async def test_c13_renewal_since_the_job_was_read_is_not_undone(store, event):
    job = await claimed(store)
    await renew(store, job, now=NOW + 10 * SECOND)

    assert await happen(store, job, event) == Applied()

    assert (await read(store, job.id)).placement.lease_until == NOW + 10 * SECOND + LEASE


async def test_c26_success_after_the_flag_completes(store):
    job = await asked_to_cancel(store)

    await settle(store, job, Succeeded(result="1"))

    assert (await read(store, job.id)).state is State.COMPLETED


@pytest.mark.parametrize(
    "outcome",
    [
        a_failure(),
        a_failure(error_class=ErrorClass.PERMANENT),
        Snoozed(delay_ms=1),
        Released(reason="shutdown"),
        Stopped(),
        Crashed(error=an_error()),
    ],
    ids=["error", "permanent", "snooze", "release", "stop", "crash"],
)
async def test_c26_any_other_outcome_after_the_flag_cancels(store, outcome):
    job = await asked_to_cancel(store)

    await settle(store, job, outcome)

    assert (await read(store, job.id)).state is State.CANCELLED
    assert await claim(store, now=NOW + HOUR) == []


async def test_c26_rescue_after_the_flag_cancels(store):
    job = await asked_to_cancel(store)

    await rescue(store, now=NOW + LEASE + 1)

    assert (await read(store, job.id)).state is State.CANCELLED


@pytest.mark.parametrize("ended", ["completed", "failed", "cancelled"])
async def test_c27_ended_job_cannot_be_cancelled(store, ended):
    job = await claimed(store, a_job(max_attempts=1))
    outcome = {"completed": Succeeded(), "failed": a_failure(), "cancelled": Stopped()}[ended]
    await settle(store, job, outcome)
    before = await sight(store, job.id)

    with pytest.raises(IllegalMove):
        await happen(store, before.job, CancelAsked())
    answer = await happen(store, job, CancelAsked())

    assert answer != Applied()
    assert await sight(store, job.id) == before


async def test_c27_live_job_cannot_be_retried(store):
    running = await claimed(store)

    with pytest.raises(IllegalMove):
        await happen(store, running, RetryAsked())


async def test_c2_completed_job_stays_completed_whatever_was_decided_on_an_older_sight(store):
    waiting = await enqueued(store)
    (running,) = await claim(store)
    await settle(store, running, Succeeded(result="1"))
    before = await sight(store, waiting.id)

    for job, event in [(waiting, CancelAsked()), (running, CancelAsked()), (running, Rescued())]:
        assert await happen(store, job, event, now=NOW + HOUR) != Applied()

    assert await sight(store, waiting.id) == before


async def test_c24_cancelled_job_can_be_retried(store):
    job = await enqueued(store)
    await happen(store, job, CancelAsked())

    await happen(store, await read(store, job.id), RetryAsked(), now=NOW + HOUR)

    assert [found.id for found in await claim(store, now=NOW + HOUR)] == [job.id]


async def test_cancel_twice_on_the_same_sight_keeps_the_first(store):
    job = await claimed(store)
    await happen(store, job, CancelAsked(), now=NOW + 1)

    answer = await happen(store, job, CancelAsked(), now=NOW + 2)

    assert isinstance(answer, Stale)
    assert (await read(store, job.id)).placement.cancel_asked_at == NOW + 1

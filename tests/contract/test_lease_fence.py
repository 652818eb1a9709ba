from dataclasses import replace

import pytest

from headrace.core.outcomes import (
    CancelAsked,
    Crashed,
    Released,
    Rescued,
    Snoozed,
    Stopped,
    Succeeded,
    Suspended,
)
from headrace.core.states import State
from headrace.stores.protocol import Applied, Holder, LogLine, Lost, Note, Stale
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
    happen,
    holder,
    note,
    read,
    renew,
    rescue,
    settle,
)
from tests.contract.reads import sight, tallied

OUTCOMES = [
    Succeeded(result="1"),
    a_failure(),
    Released(reason="shutdown"),
    Snoozed(delay_ms=5),
    Suspended(until=NOW + 5),
    Stopped(),
    Crashed(error=an_error()),
]
LATE = NOW + LEASE + 1


async def rescued_and_claimed_again(store):
    """The first holder's view of a job that another worker has taken over."""
    first = await claimed(store)
    await rescue(store, now=LATE)
    await claim(store, now=LATE + HOUR, worker="worker-2")
    return first


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: type(outcome).__name__)
async def test_c12_late_outcome_is_refused_and_changes_nothing_when_another_holds_the_job(store, outcome):
    first = await rescued_and_claimed_again(store)
    before, counts = await sight(store, first.id), await tallied(store)

    answer = await settle(store, first, outcome, now=LATE + HOUR)

    assert answer == Lost()
    assert (await sight(store, first.id), await tallied(store)) == (before, counts)


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: type(outcome).__name__)
async def test_c12_late_outcome_is_refused_and_changes_nothing_when_the_job_was_rescued(store, outcome):
    first = await claimed(store)
    await rescue(store, now=LATE)
    before = await sight(store, first.id)

    answer = await settle(store, first, outcome, now=LATE + 1)

    assert answer == Lost()
    assert await sight(store, first.id) == before


async def test_c12_late_completion_is_refused_when_the_taker_completed_before(store):
    first = await rescued_and_claimed_again(store)
    second = await read(store, first.id)
    await settle(store, second, Succeeded(result='"second"'), now=LATE + HOUR)
    before = await sight(store, first.id)

    answer = await settle(store, first, Succeeded(result='"first"'), now=LATE + HOUR)

    assert answer == Lost()
    assert await sight(store, first.id) == before


async def test_c12_late_completion_is_refused_when_the_rescue_failed_the_job(store):
    job = await claimed(store)
    await note(store, job, timed_out_at=NOW)
    (expired,) = await store.expired(now=LATE, limit=1)
    last = replace(expired, placement=replace(expired.placement, failures=2))
    await apply(store, decided(last, Rescued(), now=LATE), now=LATE)
    before = await sight(store, job.id)

    answer = await settle(store, job, now=LATE)

    assert before.job.state is State.FAILED
    assert answer == Lost()
    assert await sight(store, job.id) == before


async def test_c12_late_renewal_is_refused_and_changes_nothing(store):
    first = await rescued_and_claimed_again(store)
    before = await sight(store, first.id)

    renewal = await renew(store, first, now=LATE + HOUR)

    assert renewal.lost == {first.id}
    assert await sight(store, first.id) == before


@pytest.mark.parametrize(
    "fields",
    [
        {"progress": "50"},
        {"checkpoint": '{"at":1}'},
        {"timed_out_at": LATE},
        {"lines": (LogLine(at=LATE, level="info", message="late"),)},
    ],
    ids=lambda fields: next(iter(fields)),
)
async def test_c12_late_note_is_refused_and_changes_nothing(store, fields):
    first = await rescued_and_claimed_again(store)
    before = await sight(store, first.id)

    lost = await note(store, first, now=LATE + HOUR, **fields)

    assert lost == {first.id}
    assert await sight(store, first.id) == before


async def test_c12_note_and_renewal_are_refused_when_the_job_has_ended(store):
    job = await claimed(store)
    await settle(store, job)
    before = await sight(store, job.id)

    assert await note(store, job, progress="1") == {job.id}
    assert (await renew(store, job, now=NOW)).lost == {job.id}
    assert await sight(store, job.id) == before


async def test_c12_note_and_renewal_are_refused_when_the_job_was_erased(store):
    job = await claimed(store)
    await settle(store, job)
    await store.erase(now=NOW + 2 * HOUR, limit=10)

    assert await note(store, job, progress="1") == {job.id}
    assert (await renew(store, job, now=NOW)).lost == {job.id}
    assert await settle(store, job) == Lost()


async def test_c12_renewal_moves_the_lease(store):
    job = await claimed(store)

    renewal = await renew(store, job, now=NOW + 10 * SECOND)

    assert (renewal.lost, renewal.cancel_asked) == (frozenset(), frozenset())
    assert (await read(store, job.id)).placement.lease_until == NOW + 10 * SECOND + LEASE


async def test_c12_one_lost_lease_does_not_stop_the_other_renewals(store):
    await enqueue(store, *(a_job() for _ in range(5)))
    jobs = await claim(store)
    await settle(store, jobs[2])

    renewal = await renew(store, *jobs, now=NOW + SECOND)

    leases = [(await read(store, job.id)).placement.lease_until for job in jobs]
    assert renewal.lost == {jobs[2].id}
    assert leases == [NOW + SECOND + LEASE] * 2 + [None] + [NOW + SECOND + LEASE] * 2


async def test_c12_outcome_is_applied_after_renewals(store):
    job = await claimed(store)
    await renew(store, job, now=NOW + SECOND)

    assert await settle(store, job, now=NOW + 2 * SECOND) == Applied()


async def test_c13_expired_holder_may_renew_when_nobody_rescued(store):
    job = await claimed(store)

    renewal = await renew(store, job, now=LATE + HOUR)

    assert renewal.lost == frozenset()
    assert await store.expired(now=LATE + HOUR, limit=10) == []


async def test_c13_expired_holder_may_note_when_nobody_rescued(store):
    job = await claimed(store)

    assert await note(store, job, now=LATE + HOUR, progress="99") == frozenset()


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: type(outcome).__name__)
async def test_c13_expired_holder_may_finish_when_nobody_rescued(store, outcome):
    job = await claimed(store)

    assert await settle(store, job, outcome, now=LATE + HOUR) == Applied()


async def test_c15_release_after_an_outage_costs_nothing_when_nobody_rescued(store):
    job = await claimed(store)

    answer = await settle(store, job, Released(reason="outage"), now=LATE + HOUR)

    placed = (await read(store, job.id)).placement
    assert answer == Applied()
    assert (placed.state, placed.failures, placed.crashes) == (State.PENDING, 0, 0)


async def test_c14_lease_expires_after_its_last_millisecond(store):
    job = await claimed(store)

    assert await store.expired(now=NOW + LEASE, limit=10) == []
    assert [found.id for found in await store.expired(now=NOW + LEASE + 1, limit=10)] == [job.id]


async def test_c14_expired_jobs_are_as_they_are_stored(store):
    job = await claimed(store)

    (found,) = await store.expired(now=LATE, limit=10)

    assert found == await read(store, job.id)


async def test_c14_longest_expired_come_first_and_at_most_as_many_as_asked(store):
    ids = []
    for wait in (3, 1, 2):
        job = await claimed(store, a_job(queue=f"q{wait}"), now=NOW + wait * SECOND)
        ids.append((wait, job.id))

    found = await store.expired(now=NOW + HOUR, limit=2)

    assert [job.id for job in found] == [job_id for _, job_id in sorted(ids)][:2]


async def test_c14_expired_jobs_of_all_namespaces_are_found(store):
    await claimed(store, a_job(namespace="one"))
    await claimed(store, a_job(namespace="two"))

    found = await store.expired(now=LATE, limit=10)

    assert sorted(job.facts.namespace for job in found) == ["one", "two"]


async def test_c14_only_running_jobs_expire(store):
    await enqueued(store, a_job(due_at=NOW - HOUR))
    await settle(store, await claimed(store, a_job(queue="other")))

    assert await store.expired(now=NOW + HOUR, limit=10) == []


async def test_c14_rescue_is_refused_when_the_holder_renewed_meanwhile(store):
    job = await claimed(store)
    (expired,) = await store.expired(now=LATE, limit=1)
    await renew(store, job, now=LATE)
    before = await sight(store, job.id)

    answer = await happen(store, expired, Rescued(), now=LATE)

    assert not isinstance(answer, Applied)
    assert await sight(store, job.id) == before


async def test_c14_rescue_is_refused_when_the_holder_finished_meanwhile(store):
    job = await claimed(store)
    (expired,) = await store.expired(now=LATE, limit=1)
    await settle(store, job, now=LATE)
    before = await sight(store, job.id)

    answer = await happen(store, expired, Rescued(), now=LATE)

    assert not isinstance(answer, Applied)
    assert await sight(store, job.id) == before


async def test_c14_rescue_is_refused_when_another_claimed_the_job_meanwhile(store):
    job = await claimed(store)
    (expired,) = await store.expired(now=LATE, limit=1)
    await settle(store, job, Released(reason="shutdown"), now=LATE)
    await claim(store, now=LATE, worker="worker-2")
    before = await sight(store, job.id)

    answer = await happen(store, expired, Rescued(), now=LATE)

    assert not isinstance(answer, Applied | Stale)
    assert await sight(store, job.id) == before


async def test_c14_second_rescuer_with_the_same_sight_changes_nothing(store):
    await claimed(store)
    (expired,) = await store.expired(now=LATE, limit=1)
    await happen(store, expired, Rescued(), now=LATE)
    before = await sight(store, expired.id)

    answer = await happen(store, expired, Rescued(), now=LATE)

    assert answer == Lost()
    assert await sight(store, expired.id) == before


async def test_c25_flag_set_meanwhile_makes_the_rescue_look_again(store):
    job = await claimed(store)
    (expired,) = await store.expired(now=LATE, limit=1)
    await happen(store, job, CancelAsked(), now=LATE)

    answer = await happen(store, expired, Rescued(), now=LATE)

    assert isinstance(answer, Stale)
    assert answer.job == await read(store, job.id)


async def test_c45_lease_that_ends_at_a_time_passed_in_is_judged_by_the_time_passed_in(store):
    await claimed(store, now=1_000)

    assert len(await store.expired(now=1_001 + LEASE, limit=1)) == 1


@pytest.mark.parametrize("job_id", ["", "a\0b", "\ud800"], ids=ascii)
async def test_c12_holder_of_a_job_that_nobody_can_have_has_lost_it(store, job_id):
    job = await claimed(store)
    stranger = Holder(job_id=job_id, fence=1)

    async with store.renewer() as renewer:
        renewal = await renewer.renew([stranger, holder(job)], now=NOW, lease_until=NOW + HOUR)
    lost = await store.note([Note(holder=stranger, progress="1")], now=NOW)

    assert renewal.lost == lost == {job_id}

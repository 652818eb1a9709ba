import asyncio

import pytest

from headrace.core.events import NOW as FROM_NOW
from headrace.core.events import EventKind
from headrace.core.outcomes import (
    CancelAsked,
    Crashed,
    Released,
    Rescued,
    RetryAsked,
    Snoozed,
    Stopped,
    Suspended,
    Unblocked,
)
from headrace.core.policy import ErrorClass
from headrace.core.states import State
from headrace.core.unique import OnConflict, Unique
from headrace.errors import CursorTooOld, EventLogOff
from headrace.stores.eventing import EventKeep
from headrace.stores.protocol import LogLine
from tests.builders import (
    HOUR,
    LEASE,
    MINUTE,
    NAMESPACE,
    NOW,
    SECOND,
    WORKER,
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
    note,
    read,
    reported,
    settle,
)
from tests.contract.conftest import opened_store
from tests.contract.following import KEEP, changes, events, kinds, read_page

ENQUEUED, ACTIVE, PROGRESS = EventKind.ENQUEUED, EventKind.ACTIVE, EventKind.PROGRESS
ATTEMPT_FAILED, RETRYING, STALLED = EventKind.ATTEMPT_FAILED, EventKind.RETRYING, EventKind.STALLED
RELEASED, COMPLETED = EventKind.RELEASED, EventKind.COMPLETED
FAILED, CANCELLED = EventKind.FAILED, EventKind.CANCELLED


@pytest.fixture
async def logging(store):
    """The store, keeping a log of the namespace."""
    await store.keep_events(NAMESPACE, KEEP)
    return store


# ------------------------------------------------------------ on and off


async def test_log_is_off_until_it_is_switched_on(store):
    assert await store.events_kept(NAMESPACE) is None
    with pytest.raises(EventLogOff, match="default"):
        await read_page(store)

    await store.keep_events(NAMESPACE, KEEP)

    assert await store.events_kept(NAMESPACE) == KEEP
    assert await events(store) == []


async def test_log_holds_what_happens_after_it_was_switched_on(store):
    before = await enqueued(store)
    await store.keep_events(NAMESPACE, KEEP)

    (job,) = await claim(store)

    assert job.id == before.id
    assert await kinds(store, job.id) == [ACTIVE]


async def test_log_that_is_on_already_keeps_what_it_has(logging):
    job = await enqueued(logging)
    shorter = EventKeep(keep_ms=MINUTE, keep_count=5_000)

    await logging.keep_events(NAMESPACE, shorter)

    assert await logging.events_kept(NAMESPACE) == shorter
    assert await kinds(logging, job.id) == [ENQUEUED]


async def test_log_that_was_off_begins_anew(logging):
    old = await enqueued(logging)
    await kinds(logging, old.id)
    end = (await read_page(logging, FROM_NOW)).cursor
    await logging.keep_events(NAMESPACE, None)
    await claim(logging)
    with pytest.raises(EventLogOff):
        await read_page(logging)

    await logging.keep_events(NAMESPACE, KEEP)
    new = await enqueued(logging, a_job(queue="new"))

    assert ACTIVE not in await kinds(logging, old.id)
    assert await kinds(logging, new.id) == [ENQUEUED]
    with pytest.raises(CursorTooOld):
        await read_page(logging, end)


async def test_c46_other_namespaces_are_neither_logged_nor_read(logging):
    other = await enqueued(logging, a_job(namespace="other"))
    await logging.keep_events("another", KEEP)
    mine = await enqueued(logging)

    assert [one.job_id for one in await events(logging)] == [mine.id]
    assert await events(logging, namespace="another") == []
    with pytest.raises(EventLogOff):
        await read_page(logging, namespace="other")
    assert (await read(logging, other.id, namespace="other")).state is State.PENDING


async def test_switching_one_log_off_leaves_the_other_on(logging):
    await logging.keep_events("other", KEEP)

    await logging.keep_events(NAMESPACE, None)
    job = await enqueued(logging, a_job(namespace="other"))

    assert [one.job_id for one in await events(logging, namespace="other")] == [job.id]


async def test_every_open_store_writes_the_log(persistent_url):
    one, other = await opened_store(persistent_url), await opened_store(persistent_url)
    job = await enqueued(other)
    await one.keep_events(NAMESPACE, KEEP)

    (running,) = await claim(other)
    await settle(other, running)
    found = await kinds(one, job.id)
    await asyncio.gather(one.close(), other.close())

    assert found == [ACTIVE, COMPLETED]


async def test_log_survives_a_restart(persistent_url):
    store = await opened_store(persistent_url)
    await store.keep_events(NAMESPACE, KEEP)
    job = await enqueued(store)
    before = await changes(store)
    await store.close()

    again = await opened_store(persistent_url)
    await claim(again, n=1)
    after = await changes(again)
    await again.close()

    assert after[: len(before)] == before
    assert [one.state for one in after if one.job_id == job.id] == [State.PENDING, State.PROCESSING]


# ------------------------------------------------------------ what a life tells


async def test_events_of_a_job_that_completes(logging):
    job = await claimed(logging, a_job(batch_id="b", queue="q", type="t"))
    await settle(logging, job, now=NOW + SECOND)

    enqueued_, active, completed = await events(logging)

    assert [one.kind for one in (enqueued_, active, completed)] == [ENQUEUED, ACTIVE, COMPLETED]
    assert {(one.job_id, one.queue, one.type, one.batch_id) for one in (enqueued_, active, completed)} == {
        (job.id, "q", "t", "b")
    }
    assert (enqueued_.at, enqueued_.due_at, enqueued_.state, enqueued_.worker) == (
        NOW,
        NOW,
        State.PENDING,
        None,
    )
    assert (active.at, active.worker, active.attempt, active.state) == (NOW, WORKER, 1, State.PROCESSING)
    assert (completed.at, completed.worker, completed.attempt) == (NOW + SECOND, WORKER, 1)


async def test_job_for_later_tells_when_it_is_due(logging):
    await enqueue(logging, a_job(due_at=NOW + HOUR))

    (event,) = await events(logging)

    assert (event.kind, event.due_at) == (ENQUEUED, NOW + HOUR)


async def test_blocked_job_is_enqueued_and_becomes_active(logging):
    job = await enqueued(logging, a_job(state=State.BLOCKED))
    await happen(logging, job, Unblocked())
    await claim(logging)

    found = await events(logging)

    assert [(one.kind, one.state) for one in found] == [(ENQUEUED, State.BLOCKED), (ACTIVE, State.PROCESSING)]


async def test_x_6_failed_attempt_and_failed_job_are_told_apart(logging):
    job = await claimed(logging, a_job(max_attempts=2))
    await settle(logging, job, a_failure("first"), now=NOW + 1)
    (again,) = await claim(logging, now=NOW + HOUR)
    await settle(logging, again, a_failure("second"), now=NOW + HOUR + 1)

    found = (await events(logging))[1:]

    assert [one.kind for one in found] == [ACTIVE, ATTEMPT_FAILED, RETRYING, ACTIVE, ATTEMPT_FAILED, FAILED]
    assert [one.attempt for one in found] == [1, 1, 2, 2, 2, 2]
    failed, retrying = found[1:3]
    assert (failed.error, failed.worker, failed.at) == ("ValueError: first", WORKER, NOW + 1)
    assert (retrying.error, retrying.worker) == ("ValueError: first", None)
    assert retrying.due_at == (await read(logging, job.id)).placement.started_at or retrying.due_at
    assert found[-1].error == "ValueError: second"
    assert found[-1].state is State.FAILED


async def test_permanent_error_fails_at_once(logging):
    job = await claimed(logging)
    await settle(logging, job, a_failure(error_class=ErrorClass.PERMANENT))

    assert (await kinds(logging, job.id))[1:] == [ACTIVE, ATTEMPT_FAILED, FAILED]


async def test_time_out_is_a_failed_attempt(logging):
    job = await claimed(logging)
    await settle(logging, job, a_failure(error_class=ErrorClass.TIMEOUT))

    assert (await kinds(logging, job.id))[1:] == [ACTIVE, ATTEMPT_FAILED, RETRYING]


async def test_crash_of_a_child_is_a_failed_attempt(logging):
    job = await claimed(logging)
    await settle(logging, job, Crashed(error=an_error("killed")))

    assert (await kinds(logging, job.id))[1:] == [ACTIVE, ATTEMPT_FAILED, RETRYING]


async def test_rescued_job_has_stalled(logging):
    job = await claimed(logging)
    late = NOW + LEASE + 1
    assert await apply(logging, decided(job, Rescued(), now=late), now=late)

    found = (await events(logging))[2:]

    assert [one.kind for one in found] == [STALLED, ATTEMPT_FAILED, RETRYING]
    assert {one.at for one in found} == {late}
    assert found[0].worker == WORKER
    assert "was lost" in (found[0].error or "")


async def test_job_that_fails_by_a_rescue_has_stalled(logging):
    job = await claimed(logging, a_job(max_crashes=1))
    late = NOW + LEASE + 1
    await apply(logging, decided(job, Rescued(), now=late), now=late)
    (alone,) = await claim(logging, now=late + HOUR)
    later = late + 2 * HOUR
    await apply(logging, decided(alone, Rescued(), now=later), now=later)

    assert (await kinds(logging, job.id))[-4:] == [ACTIVE, STALLED, ATTEMPT_FAILED, FAILED]


@pytest.mark.parametrize(
    "outcome", [Released(reason="stop"), Snoozed(delay_ms=MINUTE), Suspended(until=NOW + MINUTE)]
)
async def test_job_that_is_given_back_is_released(logging, outcome):
    job = await claimed(logging)
    await settle(logging, job, outcome, now=NOW + 1)

    found = (await events(logging))[2:]

    assert [(one.kind, one.at, one.attempt, one.error) for one in found] == [(RELEASED, NOW + 1, 1, None)]


async def test_cancelled_while_waiting(logging):
    job = await enqueued(logging)
    await happen(logging, job, CancelAsked())

    assert await kinds(logging, job.id) == [ENQUEUED, CANCELLED]


async def test_asking_a_running_job_to_stop_tells_nothing_yet(logging):
    job = await claimed(logging)
    await happen(logging, job, CancelAsked())
    assert (await kinds(logging, job.id))[1:] == [ACTIVE]

    await settle(logging, job, Stopped())

    assert (await kinds(logging, job.id))[1:] == [ACTIVE, CANCELLED]


async def test_failure_after_a_cancel_was_asked_is_both(logging):
    job = await claimed(logging)
    await happen(logging, job, CancelAsked())
    await settle(logging, job, a_failure())

    found = (await events(logging))[2:]

    assert [(one.kind, one.error) for one in found] == [
        (ATTEMPT_FAILED, "ValueError: boom"),
        (CANCELLED, "ValueError: boom"),
    ]


async def test_operators_retry_tells_that_it_is_tried_again_and_no_more(logging):
    job = await claimed(logging, a_job(max_attempts=1))
    await settle(logging, job, a_failure(), now=NOW + 1)
    failed = await read(logging, job.id)
    await happen(logging, failed, RetryAsked(), now=NOW + MINUTE)

    retrying = (await events(logging))[4:]

    assert [(one.kind, one.at, one.due_at, one.attempt) for one in retrying] == [
        (RETRYING, NOW + MINUTE, NOW + MINUTE, 1)
    ]
    (again,) = await claim(logging, now=NOW + HOUR)
    await settle(logging, again)
    assert (await kinds(logging, job.id))[-2:] == [ACTIVE, COMPLETED]


async def test_stale_and_refused_transitions_tell_nothing(logging):
    job = await claimed(logging)
    late = reported(job, a_failure())
    await settle(logging, job)
    before = await kinds(logging, job.id)

    await apply(logging, late)

    assert await kinds(logging, job.id) == before


async def test_enqueue_that_meets_its_key_tells_nothing(logging):
    unique = Unique(key="k")
    first = await enqueued(logging, a_job(unique=unique))
    await enqueue(logging, a_job(unique=unique))
    await enqueue(logging, a_job(unique=Unique(key="k", on_conflict=OnConflict.REPLACE)))

    assert [(one.kind, one.job_id) for one in await events(logging)] == [(ENQUEUED, first.id)]


async def test_error_that_is_no_json_does_not_stop_the_job(logging):
    job = await claimed(logging, a_job(max_attempts=1))
    transition = reported(job, a_failure("a\0b \ud800".encode("ascii", "backslashreplace").decode()))
    await apply(logging, transition)

    (failed,) = [one for one in await events(logging) if one.kind is FAILED]

    assert failed.error is not None
    assert (await read(logging, job.id)).state is State.FAILED


# ------------------------------------------------------------ progress


async def test_progress_is_told_by_its_holder(logging):
    job = await claimed(logging)

    await note(logging, job, progress='{"percentage":40}', now=NOW + 5)
    await note(logging, job, progress='{"percentage":80}', now=NOW + 9)

    found = (await events(logging))[2:]
    assert [(one.kind, one.progress, one.at, one.worker) for one in found] == [
        (PROGRESS, {"percentage": 40}, NOW + 5, WORKER),
        (PROGRESS, {"percentage": 80}, NOW + 9, WORKER),
    ]


async def test_notes_without_progress_tell_nothing(logging):
    job = await claimed(logging)
    line = LogLine(at=NOW, level="info", message="x")

    await note(logging, job, checkpoint="1", timed_out_at=NOW, lines=(line,))
    await note(logging, job, progress="1")
    await note(logging, job, checkpoint="2")

    assert (await kinds(logging, job.id))[2:] == [PROGRESS]


async def test_c12_progress_of_a_superseded_holder_is_not_told(logging):
    job = await claimed(logging)
    await settle(logging, job, Released(reason="stop"))
    await claim(logging, now=NOW + 1)

    await note(logging, job, progress="1")

    assert PROGRESS not in await kinds(logging, job.id)

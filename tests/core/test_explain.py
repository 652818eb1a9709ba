"""Why a job has not run: each reason by itself, several at once, and which comes first."""

from dataclasses import replace

import pytest

from headrace.core.batch import BatchState
from headrace.core.chunk import ChunkRule
from headrace.core.findings import Code
from headrace.core.job import AttemptOutcome, Job
from headrace.core.limits import Limit
from headrace.core.outcomes import CancelAsked, Dropped, ParentFailed, Snoozed, Stopped, Suspended
from headrace.core.policy import ErrorClass
from headrace.core.situation import AHEAD_COUNTED, WorkerSeen
from headrace.core.states import State
from headrace.core.steps import Kept, Step, StepKind
from headrace.core.wire import MAX_INSTANT_MS
from tests.builders import (
    HOUR,
    LEASE,
    MINUTE,
    NOW,
    QUEUE,
    SECOND,
    SUCCESS,
    TYPE,
    WORKER,
    a_failure,
    a_job,
    a_pending,
    a_running,
    after_transition,
    decided,
    reported,
)
from tests.core.explaining import (
    BATCH,
    a_parent,
    a_worker,
    an_attempt,
    blocked,
    codes,
    of,
    on_a_lane,
    only,
    parked,
)


def test_completed_job_has_run():
    job = after_transition(reported(a_running(), SUCCESS, now=NOW))

    finding = only(job, now=NOW + MINUTE)

    assert finding.code is Code.ENDED
    assert finding.sentence == "It has run and completed at 2026-01-01T00:00:00Z (1 min ago)."
    assert finding.advice is None
    assert finding.since == NOW


def test_job_that_used_up_its_attempts_says_so():
    job = after_transition(reported(a_running(a_job(max_attempts=1)), a_failure("no route"), now=NOW))

    finding = only(job)

    assert "after 1 attempt, which is all it has: no route." in finding.sentence
    assert finding.advice == f"Mend the cause, then `headrace retry {job.id}`."


def test_permanent_error_says_that_it_is_not_tried_again():
    failure = a_failure("bad address", error_class=ErrorClass.PERMANENT)
    job = after_transition(reported(a_running(), failure, now=NOW))

    assert "with an error that is not tried again: bad address." in only(job).sentence


def test_job_that_took_its_worker_down_says_how_often():
    job = a_pending(state=State.FAILED, due_at=None, crashes=3, starts=3, ended_at=NOW)

    assert "after it had taken its worker down 3 times" in only(job).sentence


@pytest.mark.parametrize(
    ("job", "told"),
    [
        (after_transition(decided(a_pending(), CancelAsked())), "before it ran."),
        (after_transition(reported(a_running(), Stopped(reason="no longer wanted"))), "no longer wanted."),
    ],
    ids=["waiting", "running"],
)
def test_cancelled_job_says_when_and_why(job: Job, told: str):
    finding = only(job)

    assert finding.code is Code.ENDED
    assert finding.sentence.startswith("It was cancelled at 2026-01-01T00:00:00Z")
    assert finding.sentence.endswith(told)


@pytest.mark.parametrize(
    ("job", "told"),
    [
        (after_transition(decided(a_pending(), Dropped())), "before it ran: dropped for a newer job"),
        (
            after_transition(
                decided(
                    a_pending(a_job(state=State.BLOCKED)),
                    ParentFailed(parent_id="job-1", parent_type=TYPE, state=State.FAILED),
                )
            ),
            "before it ran: its parent job-1 (echo) is failed.",
        ),
    ],
    ids=["full queue", "parent"],
)
def test_job_that_was_cancelled_for_a_reason_names_it(job: Job, told: str):
    assert told in only(job).sentence


def test_error_of_an_earlier_attempt_is_no_reason_for_a_cancel():
    retrying = after_transition(reported(a_running(), a_failure("no route")))

    assert "no route" not in only(after_transition(decided(retrying, CancelAsked()))).sentence


def test_running_job_names_its_worker_and_its_limit():
    finding = only(a_running(a_job(timeout_ms=90_000)), now=NOW + SECOND)

    assert finding.code is Code.RUNNING
    assert f"worker {WORKER} holds it since" in finding.sentence
    assert "attempt 1. Its time limit is 1 min 30 s." in finding.sentence
    assert (finding.since, finding.until) == (NOW, NOW + LEASE)


def test_lease_that_is_over_comes_first():
    assert codes(a_running(), now=NOW + LEASE + 1) == [Code.LEASE_OVER, Code.RUNNING]


def test_lease_that_ends_now_is_good():
    assert codes(a_running(), now=NOW + LEASE) == [Code.RUNNING]


def test_overdue_and_asked_to_cancel_are_both_said():
    job = replace(a_running(cancel_asked_at=NOW), timed_out_at=NOW)

    assert codes(job) == [Code.OVERDUE, Code.CANCEL_ASKED, Code.RUNNING]


def test_parents_that_have_not_ended_are_named():
    states = [State.COMPLETED, State.PROCESSING, State.PENDING, None, State.BLOCKED]
    parents = tuple(a_parent(n, state) for n, state in enumerate(states))

    finding = only(blocked(), parents=parents)

    assert finding.code is Code.PARENTS
    assert finding.sentence == "It waits for 3 jobs to end: job-1, job-2, job-4."
    assert finding.jobs == ("job-1", "job-2", "job-4")
    assert finding.advice == "`headrace explain job-1` tells of the first of them."


def test_failed_parent_that_is_waited_for_is_named():
    parents = (a_parent(0, State.COMPLETED), a_parent(1, State.FAILED))

    finding = only(blocked(), parents=parents)

    assert "a job that failed to be dealt with: job-1." in finding.sentence
    assert finding.jobs == ("job-1",)


def test_parents_that_have_all_ended_set_it_free_soon():
    assert "is set free within seconds" in only(blocked(), parents=(a_parent(0, State.COMPLETED),)).sentence


@pytest.mark.parametrize("waits", ["blocked", "parked"])
def test_member_of_a_sequential_batch_waits_for_its_turn(waits: str):
    job = blocked(batch_id=BATCH) if waits == "blocked" else parked(f"batch:{BATCH}")
    batch = BatchState(id=BATCH, created_at=NOW, sequential=True, turn="job-7")

    finding = only(job, batch=batch)

    assert finding.code is Code.TURN
    assert finding.jobs == ("job-7",)
    assert "job-7 has its turn" in finding.sentence


def test_turn_that_is_its_own_comes_soon():
    batch = BatchState(id=BATCH, created_at=NOW, sequential=True)

    assert "It is the next of batch" in only(blocked(batch_id=BATCH), batch=batch).sentence


def test_cancelled_batch_says_so():
    batch = BatchState(id=BATCH, created_at=NOW, sequential=True, cancelled_at=NOW, turn="job-7")

    assert "was cancelled" in only(blocked(batch_id=BATCH), batch=batch).sentence


def test_blocked_for_an_unknown_reason_says_so():
    assert only(blocked()).code is Code.PARENTS


def test_scheduled_job_says_when_it_is_due():
    finding = only(a_pending(a_job(due_at=NOW + 2 * HOUR + 5 * MINUTE)))

    assert finding.code is Code.SCHEDULED
    assert finding.sentence == "It is not due before 2026-01-01T02:05:00Z (in 2 h 5 min)."
    assert finding.until == NOW + 2 * HOUR + 5 * MINUTE


def test_retrying_job_tells_its_last_error():
    job = after_transition(reported(a_running(), a_failure("no route")))

    finding = only(job, last=an_attempt(AttemptOutcome.ERRORED))

    assert finding.code is Code.RETRYING
    assert "Attempt 2 of 3 comes at 2026-01-01T00:00:10Z (in 10 s)" in finding.sentence
    assert finding.sentence.endswith("the last one ended with: no route.")


@pytest.mark.parametrize("outcome", [Snoozed(delay_ms=MINUTE), Suspended(until=NOW + MINUTE)])
def test_job_that_was_put_off_says_so(outcome: Snoozed | Suspended):
    job = after_transition(reported(a_running(), outcome))

    finding = only(job, last=an_attempt(AttemptOutcome.SNOOZED))

    assert finding.code is Code.PUT_OFF
    assert finding.until == NOW + MINUTE


def a_suspended(until: int, kind: StepKind, name: str) -> tuple[Job, Kept]:
    job = after_transition(reported(a_running(), Suspended(until=until)))
    step = Step(number=1, kind=kind, name=name, occurrence=1, at=NOW, until=until, fence=job.fence)
    return job, Kept(now=NOW, steps=(step,))


def test_sleeping_job_says_until_when():
    job, kept = a_suspended(NOW + HOUR, StepKind.SLEEP, "nap")

    finding = only(job, kept=kept, last=an_attempt(AttemptOutcome.SNOOZED))

    assert finding.code is Code.SLEEPING
    assert finding.sentence == "Its handler sleeps until 2026-01-01T01:00:00Z (in 1 h)."


@pytest.mark.parametrize(("until", "told"), [(NOW + HOUR, "at the latest"), (MAX_INSTANT_MS, "'approved'.")])
def test_job_that_waits_for_a_signal_names_it(until: int, told: str):
    job, kept = a_suspended(until, StepKind.WAIT, "approved")

    finding = only(job, kept=kept, last=an_attempt(AttemptOutcome.SNOOZED))

    assert finding.code is Code.SIGNAL
    assert "waits for the signal 'approved'" in finding.sentence
    assert finding.sentence.rstrip(".").endswith(told.rstrip("."))
    assert finding.advice == f"`headrace job {job.id} signal approved` sends it."
    assert finding.until == (None if until == MAX_INSTANT_MS else until)


def test_paused_queue_says_how_to_resume_it():
    finding = only(a_pending(), paused=True)

    assert finding.code is Code.PAUSED
    assert finding.advice == f"`headrace queues --resume {QUEUE}` lets its jobs start again."


@pytest.mark.parametrize(
    "workers",
    [(), (a_worker(seen_at=NOW - 60_001),), (a_worker(queues=("other",)),)],
    ids=["none", "silent", "elsewhere"],
)
def test_no_worker_on_the_queue_is_said(workers: tuple[WorkerSeen, ...]):
    finding = only(a_pending(), workers=workers)

    assert finding.code is Code.NO_WORKER
    assert (WORKER in finding.sentence) == any(one.queues for one in workers)


def test_worker_of_the_queue_that_does_not_know_the_type_is_said():
    workers = (a_worker("a", types=frozenset({"other"})), a_worker("b", queues=("elsewhere",)))

    finding = only(a_pending(), workers=workers)

    assert finding.code is Code.NO_HANDLER
    assert finding.sentence == (
        f"No worker of queue {QUEUE} knows type {TYPE}. b would, and serves other queues."
    )


@pytest.mark.parametrize(("types", "known"), [({TYPE}, False), ({TYPE, f"{TYPE}@2"}, True)])
def test_version_counts_for_what_a_worker_knows(types: set[str], known: bool):
    job = a_pending()
    job = replace(job, facts=replace(job.facts, version=2))

    found = codes(job, workers=(a_worker(types=frozenset(types)),), ahead=0)

    assert found == ([Code.NEXT] if known else [Code.NO_HANDLER])


@pytest.mark.parametrize(
    ("ahead", "told"),
    [
        (1, "1 job comes before it in queue default."),
        (999, "999 jobs come before it in queue default."),
        (AHEAD_COUNTED, "At least 1,000 jobs come before it in queue default."),
    ],
)
def test_job_behind_others_says_how_many(ahead: int, told: str):
    finding = only(a_pending(), ahead=ahead)

    assert (finding.code, finding.sentence) == (Code.BEHIND, told)


def test_next_job_says_so():
    assert codes(a_pending(), ahead=0) == [Code.NEXT]


def test_message_waits_for_its_chunk():
    rule = ChunkRule(max_size=100, max_wait_ms=30_000)

    finding = only(a_pending(), chunk=rule, ahead=0, now=NOW + 10 * SECOND)

    assert finding.code is Code.CHUNK
    assert (
        "a chunk of 100 messages to come together, until 2026-01-01T00:00:30Z (in 20 s)" in finding.sentence
    )
    assert (finding.since, finding.until) == (NOW, NOW + 30_000)


def test_message_that_has_waited_enough_is_next():
    rule = ChunkRule(max_size=100, max_wait_ms=30_000)
    workers = (a_worker(seen_at=NOW + MINUTE),)

    assert codes(a_pending(), chunk=rule, ahead=0, now=NOW + MINUTE, workers=workers) == [Code.NEXT]
    assert codes(a_pending(), chunk=rule, ahead=5, now=NOW + SECOND) == [Code.CHUNK, Code.BEHIND]


def test_several_reasons_come_in_order():
    limit = on_a_lane("limit:gpu", limit=Limit(name="gpu", slots=1), holders=1, held_by=("job-1",))

    assert codes(parked("limit:gpu"), paused=True, workers=(), **limit) == [
        Code.LIMIT,
        Code.PAUSED,
        Code.NO_WORKER,
    ]
    assert codes(a_pending(a_job(due_at=NOW + HOUR)), paused=True) == [Code.SCHEDULED, Code.PAUSED]
    assert codes(blocked(), parents=(a_parent(0, State.PENDING),), workers=()) == [
        Code.PARENTS,
        Code.NO_WORKER,
    ]


def test_place_in_a_queue_is_not_told_where_nothing_of_it_starts():
    assert codes(a_pending(), paused=True, ahead=7) == [Code.PAUSED]


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("due_at", [None, NOW, NOW + HOUR])
@pytest.mark.parametrize("parked_on", [None, "limit:x", "type:x@2", "order:x/y", "breaker:b", "batch:z"])
def test_there_is_always_an_answer(state: State, due_at: int | None, parked_on: str | None):
    job = a_pending(state=state, due_at=due_at, parked_on=parked_on)

    found = of(job, ahead=0)

    assert found
    assert all(one.sentence.endswith(".") for one in found)

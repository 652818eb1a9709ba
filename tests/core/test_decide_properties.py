"""What holds on every path a job can take, whatever happens to it in whatever order."""

import random
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core import history, place
from headrace.core.backoff import Backoff, Jitter
from headrace.core.dead import is_dead_letter
from headrace.core.decide import decide, decide_report
from headrace.core.job import Job, Transition
from headrace.core.outcomes import (
    CancelAsked,
    Crashed,
    DealtWith,
    Dropped,
    Event,
    RedriveAsked,
    Released,
    Rescued,
    RetryAsked,
    Signalled,
    Snoozed,
    Stopped,
    Succeeded,
    Suspended,
    Unblocked,
)
from headrace.core.policy import ErrorClass, Policy, Retention
from headrace.core.states import MOVES, State
from headrace.core.unique import OnConflict, Unique, Until
from headrace.core.wire import job_to_json
from headrace.errors import IllegalMove, NotADeadLetter
from tests.builders import LEASE, NOW, a_failure, a_job, a_pending, after_transition, an_error

EDGES = {(origin, target) for (origin, _), target in MOVES.items()}

policies = st.builds(
    Policy,
    max_snoozes=st.integers(0, 3),
    backoff=st.just(Backoff.exponential(2, cap=60, jitter=Jitter.EQUAL)),
    timeout_growth=st.sampled_from([1.0, 2.0]),
    retention=st.builds(Retention, failed_age_ms=st.sampled_from([None, 0, 60_000])),
)
uniques = st.one_of(
    st.none(),
    st.builds(
        Unique, key=st.just("k"), until=st.sampled_from(Until), on_conflict=st.sampled_from(OnConflict)
    ),
)
jobs = st.builds(
    a_job,
    state=st.sampled_from([State.PENDING, State.BLOCKED]),
    due_at=st.integers(NOW - 60_000, NOW + 60_000),
    priority=st.integers(-2, 2),
    unique=uniques,
    max_attempts=st.integers(1, 4),
    max_crashes=st.integers(3, 5),
    timeout_ms=st.one_of(st.none(), st.just(30_000)),
)
failures = st.builds(
    a_failure,
    error_class=st.sampled_from(ErrorClass),
    retry_after_ms=st.one_of(st.none(), st.integers(-1, 10**12)),
    backoff=st.one_of(st.none(), st.just(Backoff.linear(3))),
)
ends = st.one_of(
    failures,
    failures,
    st.builds(Succeeded, result=st.sampled_from([None, "1"])),
    st.builds(Snoozed, delay_ms=st.integers(-1, 60_000)),
    st.builds(Suspended, until=st.integers(NOW - 60_000, NOW + 600_000)),
    st.just(Released(reason="shutdown")),
    st.just(Crashed(error=an_error())),
    st.just(Stopped()),
)
CLAIM, TIME_OUT_NOTED, UNSTARTED = "claim", "time-out noted", "unstarted"
happenings = st.one_of(
    st.just(CLAIM),
    st.just(CLAIM),
    ends,
    st.tuples(st.just(UNSTARTED), ends),
    st.just(Rescued()),
    st.just(TIME_OUT_NOTED),
    st.just(CancelAsked()),
    st.just(RetryAsked()),
    st.just(RedriveAsked(priority=3, delay_ms=5_000)),
    st.just(DealtWith()),
    st.just(Dropped()),
    st.just(Signalled()),
    st.just(Unblocked()),
)
paths = st.lists(st.tuples(happenings, st.integers(0, 120_000)), min_size=1, max_size=30)


@dataclass
class Walk:
    """One job taken along a path; ``steps`` are the jobs before and after each thing that happened."""

    job: Job
    policy: Policy
    now: int = NOW
    trail: str | None = None
    unstarted: int = 0
    steps: list[tuple[Job, Job]] = field(default_factory=list)

    def take(self, path) -> "Walk":
        for happening, wait in path:
            self.now += wait
            before = self.job
            try:
                self.job = self._after(happening)
            except (IllegalMove, NotADeadLetter):
                self.job = before
            self.steps.append((before, self.job))
        return self

    def _after(self, happening) -> Job:
        if happening == CLAIM:
            placed = self.job.placement
            if placed.due_at is None or placed.due_at > self.now or placed.cancel_asked_at is not None:
                return self.job
            return place.claimed(self.job, worker="w", now=self.now, lease_until=self.now + LEASE)
        if happening == TIME_OUT_NOTED:
            return replace(self.job, timed_out_at=self.now) if self.job.placement.lease_until else self.job
        transition = decision(self.job, happening, self.policy, self.now)
        self.unstarted += isinstance(happening, tuple)
        if transition.attempt is not None:
            self.trail = history.append(self.trail, transition.attempt)
        return after_transition(transition)


def decision(job: Job, happening, policy: Policy, now: int) -> Transition:
    rng = random.Random(5)
    match happening:
        case (str(), event):
            return decide_report(job, event, None, policy=policy, now=now, rng=rng)
        case (
            Rescued() | CancelAsked() | RetryAsked() | RedriveAsked() | DealtWith() | Dropped() | Unblocked()
        ):
            return decide(job, happening, policy=policy, now=now, rng=rng)
        case _:
            started = None if job.placement.started_at is None else job.placement.started_at + 1
            return decide_report(job, happening, started, policy=policy, now=now, rng=rng)


walks = st.builds(
    lambda new, policy, path: Walk(job=a_pending(new), policy=policy).take(path), jobs, policies, paths
)


@given(walks)
def test_c2_every_change_of_state_is_a_move_of_the_table(walk):
    for before, after in walk.steps:
        assert before.state is after.state or (before.state, after.state) in EDGES


@given(walks)
def test_terminal_job_has_no_due_time_lease_lock_slot_or_park(walk):
    for _, job in walk.steps:
        if job.placement.terminal:
            placed = job.placement
            assert (placed.due_at, placed.lease_until, placed.unique_lock) == (None, None, None)
            assert (placed.slot_key, placed.parked_on) == (None, None)
            assert placed.ended_at is not None


@given(walks)
def test_each_predicate_column_says_what_the_state_says(walk):
    for _, job in walk.steps:
        placed = job.placement
        assert (placed.due_at is not None) == (job.state is State.PENDING)
        assert (placed.lease_until is not None) == (job.state is State.PROCESSING)
        assert placed.terminal or placed.erase_at is None
        assert (placed.result is None) or job.state is State.COMPLETED


@given(walks)
def test_c26_waiting_job_never_has_a_cancel_asked(walk):
    for _, job in walk.steps:
        assert job.state is not State.PENDING or job.placement.cancel_asked_at is None


@given(walks)
def test_c21_starts_are_bounded_on_every_path(walk):
    for _, job in walk.steps:
        placed = job.placement
        assert placed.starts <= job.facts.max_attempts + job.facts.max_crashes + placed.releases


@given(walks)
def test_c18_every_start_is_charged_once(walk):
    for _, job in walk.steps:
        placed = job.placement
        open_or_uncharged = placed.starts - placed.failures - placed.crashes - placed.releases
        assert open_or_uncharged == 0 if job.state is State.PENDING else 0 <= open_or_uncharged <= 1


@given(walks)
def test_c19_failures_and_crashes_never_pass_their_limits(walk):
    for _, job in walk.steps:
        assert job.placement.failures <= job.facts.max_attempts
        assert job.placement.crashes <= job.facts.max_crashes


@given(walks)
def test_c18_counters_never_decrease_within_a_generation(walk):
    for before, after in walk.steps:
        if before.placement.generation == after.placement.generation:
            assert all(old <= new for old, new in zip(counters(before), counters(after), strict=True))
        else:
            assert (after.placement.generation - before.placement.generation, counters(after)) == (1, [0] * 5)


@given(walks)
def test_c11_fence_and_revision_only_grow(walk):
    for before, after in walk.steps:
        assert after.fence - before.fence == (
            after.state is State.PROCESSING and before.state is State.PENDING
        )
        assert after.revision >= before.revision


@given(walks)
def test_c29_key_until_started_is_held_only_before_the_first_start_of_a_generation(walk):
    for _, job in walk.steps:
        if job.facts.lock_after_claim is None and job.placement.starts > 0:
            assert job.placement.unique_lock is None


@given(walks)
def test_c28_key_until_finished_is_held_exactly_while_the_job_lives(walk):
    for _, job in walk.steps:
        if job.facts.lock_after_claim is not None:
            assert job.placement.unique_lock == (job.facts.unique_key if job.placement.live else None)


@given(walks)
def test_c3_history_lists_every_start_but_those_given_back_unstarted(walk):
    listed = history.read(walk.job, walk.trail)

    count = len(listed.attempts) + sum(number for _, number in listed.folded)
    fences = [attempt.fence for attempt in listed.attempts]
    unlisted = walk.job.fence - count
    assert fences == sorted(set(fences))
    assert unlisted >= 0
    assert unlisted <= walk.unstarted
    assert all(attempt.ended_at is not None or attempt.fence == walk.job.fence for attempt in listed.attempts)


@given(walks)
def test_due_time_of_a_waiting_job_is_never_before_the_decision(walk):
    for before, after in walk.steps:
        if before.state is State.PROCESSING and after.state is State.PENDING:
            assert (after.placement.due_at or 0) >= (before.placement.started_at or 0)


@given(walks)
def test_every_job_can_be_shown(walk):
    for _, job in walk.steps:
        shown = job_to_json(job)

        assert 0 <= shown["attempts"] <= shown["maxAttempts"]


@settings(max_examples=100)
@given(walks, ends)
def test_same_inputs_and_chance_give_the_same_transition(walk, event: Event):
    running = place.claimed(a_pending(), worker="w", now=NOW, lease_until=NOW + LEASE)

    assert decision(running, event, walk.policy, walk.now) == decision(running, event, walk.policy, walk.now)


@given(st.integers(0, 60_000), st.integers(0, 60_000), st.integers(-5, 5))
def test_c20_rank_is_kept_when_a_job_is_given_back_at_once(waited, ran, priority):
    job = a_pending(a_job(due_at=NOW - waited, priority=priority))
    running = place.claimed(job, worker="w", now=NOW, lease_until=NOW + LEASE)

    back = decision(running, Released(reason="pause"), Policy(), NOW + ran).placement

    assert (back.rank, back.priority) == (job.placement.rank, job.placement.priority)


def counters(job: Job) -> list[int]:
    placed = job.placement
    return [placed.starts, placed.failures, placed.crashes, placed.releases, placed.snoozes]


@given(walks)
def test_c44_dead_letter_stays_until_it_is_retried_or_dealt_with(walk):
    for before, after in walk.steps:
        if is_dead_letter(before) and not is_dead_letter(after):
            reopened = (
                after.state is State.PENDING and after.placement.generation > before.placement.generation
            )
            dealt_with = after.placement == replace(before.placement, erase_at=after.placement.erase_at)
            assert reopened or dealt_with
        if before.state is State.FAILED and after.state is State.FAILED:
            assert before.placement.erase_at in {None, after.placement.erase_at}

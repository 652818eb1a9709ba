"""Random lives of jobs with limits and ordering keys; after each claim and at the end, what lanes promise."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from headrace.core.filters import JobFilter, Page
from headrace.core.job import Job
from headrace.core.limits import Limit
from headrace.core.outcomes import CancelAsked, Outcome, Released, Rescued, RetryAsked, Snoozed, Succeeded
from headrace.core.states import LIVE, State
from headrace.core.wishes import OnRetry, Wishes
from headrace.errors import IllegalMove
from headrace.stores.open import open_store
from headrace.stores.protocol import ClaimRequest, NewJob, Stale, Store
from tests.builders import LEASE, NAMESPACE, NOW, SECOND, a_failure, a_job, decided, reported
from tests.contract.gated import GPU, account, define, slots, user, wishing
from tests.servers.shared import SHARED
from tests.servers.shared_valkey import SHARED_INSTALLED, SHARED_VALKEY, SharedValkey

T = TypeVar("T")

QUEUES = ("a", "b")
HOUR = 3_600 * SECOND
pick = st.integers(0, 10**6)
outcomes = st.sampled_from(
    [Succeeded(), Succeeded(), a_failure(), Snoozed(delay_ms=20_000), Released(reason="shutdown")]
)
wished = st.fixed_dictionaries(
    {
        "lanes": st.sampled_from([(), (), (GPU,), (user("1"),), (user("2"),), (GPU, user("1"))]),
        "order": st.sampled_from([None, None, account("1"), account("2")]),
        "on_retry": st.sampled_from([OnRetry.HOLD, OnRetry.HOLD, OnRetry.PASS]),
    }
)
new_jobs = st.tuples(
    wished, st.sampled_from(QUEUES), st.integers(-1, 1), st.sampled_from([0, 0, 0, 15 * SECOND])
)


class LaneMachine(RuleBasedStateMachine):
    """One store, and what its rows say after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        self.runner = asyncio.Runner()
        self.store: Store = self.wait(open_store(self.database()))
        self.wait(self.store.migrate())
        self.now = NOW
        self.caps = {GPU: 2, user("1"): 1, user("2"): 1, "queue:b": 3}
        self.held: dict[str, Job] = {}
        self.wait(define(self.store, *self.limits()))

    def database(self) -> str:
        return "sqlite://"

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def limits(self) -> Sequence[Limit]:
        return (
            slots("gpu", self.caps[GPU]),
            slots("per-user", self.caps[user("1")]),
            slots("queue:b", self.caps["queue:b"]),
        )

    def teardown(self) -> None:
        try:
            self.everything_ends_once_it_is_worked_off()
        finally:
            self.wait(self.store.close())
            self.runner.close()
            shutil.rmtree(self.folder)

    # -------------------------------------------------------- what happens

    @initialize(some=st.lists(new_jobs, min_size=2, max_size=8))
    def begin(self, some: list[Any]) -> None:
        self.enqueue(some)

    @rule(some=st.lists(new_jobs, min_size=1, max_size=5))
    def enqueue(self, some: list[Any]) -> None:
        jobs = [self._new(*one) for one in some]
        self.wait(self.store.insert(NAMESPACE, jobs, now=self.now))

    @rule(n=st.integers(1, 6), queues=st.sets(st.sampled_from(QUEUES), min_size=1))
    def claim(self, n: int, queues: set[str]) -> None:
        before = self._jobs()
        found = self.wait(self._claimed(n, queues))
        after = self._jobs()

        assert len({job.id for job in found}) == len(found) <= n
        for job in found:
            self.held[job.id] = job
            assert before[job.id].state is State.PENDING
            for lane in _lanes(job):
                assert _holders(after, lane) <= self.caps[lane], lane
            self._has_its_turn(job, before)
        self._parked_only_for_a_reason(before, after)

    @precondition(lambda self: self.held)
    @rule(one=pick, outcome=outcomes)
    def report(self, one: int, outcome: Outcome) -> None:
        job = list(self.held.values())[one % len(self.held)]
        transition = reported(job, outcome, now=self.now)
        (answer,) = self.wait(self.store.apply([transition], now=self.now))
        while isinstance(answer, Stale):
            transition = reported(answer.job, outcome, now=self.now)
            (answer,) = self.wait(self.store.apply([transition], now=self.now))
        del self.held[job.id]

    @rule(one=pick, event=st.sampled_from([CancelAsked(), RetryAsked()]))
    def operate(self, one: int, event: CancelAsked | RetryAsked) -> None:
        jobs = list(self._jobs().values())
        try:
            transition = decided(jobs[one % len(jobs)], event, now=self.now)
        except IllegalMove:
            return
        self.wait(self.store.apply([transition], now=self.now))

    @rule(seconds=st.sampled_from([1, 11, 31]))
    def time_goes_by(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule()
    def rescue(self) -> None:
        expired = self.wait(self.store.expired(now=self.now, limit=100))
        for job in expired:
            self.held.pop(job.id, None)
        moves = [decided(job, Rescued(), now=self.now) for job in expired]
        self.wait(self.store.apply(moves, now=self.now))

    @rule(gpu=st.integers(0, 3), b=st.integers(1, 3))
    def change_limits(self, gpu: int, b: int) -> None:
        self.caps |= {GPU: gpu, "queue:b": b}
        self.wait(define(self.store, *self.limits()))

    @rule()
    def sweep(self) -> None:
        self.wait(self.store.unpark_free(now=self.now, limit=100))
        self.wait(self.store.forget_lanes(now=self.now, limit=100))

    # -------------------------------------------------------- what must always hold

    @invariant()
    def of_each_key_one_job_runs_and_ended_jobs_hold_nothing(self) -> None:
        jobs = self._jobs().values()
        running = [order for job in jobs if job.state is State.PROCESSING and (order := _order(job))]
        assert len(running) == len(set(running))
        for job in jobs:
            if job.state is not State.PROCESSING:
                assert job.placement.slot_key is None
            if job.placement.terminal:
                assert job.placement.parked_on is None

    def everything_ends_once_it_is_worked_off(self) -> None:
        """Nobody is left behind on a lane."""
        self.caps |= {GPU: 2}
        self.wait(define(self.store, *self.limits()))
        for _ in range(200):
            self.now += HOUR
            self.rescue()
            self.sweep()
            found = self.wait(self._claimed(50, set(QUEUES)))
            ended = [reported(job, Succeeded(), now=self.now) for job in found]
            self.wait(self.store.apply(ended, now=self.now))
            if not any(job.state in LIVE for job in self._jobs().values()):
                return
        left = {job.id: job.placement for job in self._jobs().values() if job.state in LIVE}
        pytest.fail(f"left behind: {left}")

    def _has_its_turn(self, job: Job, before: dict[str, Job]) -> None:
        """Of those of its key that could start before the claim it is the first, and none held the key."""
        if (order := _order(job)) is None:
            return
        others = [one for one in before.values() if _order(one) == order and one.id != job.id]
        begun = [one for one in others if one.state in LIVE and one.placement.starts and _holds(one)]
        assert not [one for one in others if one.state is State.PROCESSING]
        if before[job.id].placement.starts and _holds(before[job.id]):
            assert all(one.seq > job.seq for one in begun)
            return
        assert not begun
        assert all(one.seq > job.seq for one in others if self._could_start(one))

    def _could_start(self, job: Job) -> bool:
        placed = job.placement
        due = placed.due_at is not None and placed.due_at <= self.now
        return job.state is State.PENDING and (due or placed.parked_on is not None)

    def _parked_only_for_a_reason(self, before: dict[str, Job], after: dict[str, Job]) -> None:
        for job in after.values():
            lane = job.placement.parked_on
            if lane is not None and before[job.id].placement.parked_on is None:
                assert lane in (*_lanes(job, own=True), _order(job), "limit:queue:b")
                assert (job.placement.starts, job.placement.rank) == (
                    before[job.id].placement.starts,
                    before[job.id].placement.rank,
                )

    # -------------------------------------------------------- steps shared by rules

    async def _claimed(self, n: int, queues: set[str]) -> Sequence[Job]:
        request = ClaimRequest(
            namespace=NAMESPACE, worker="w", queues=dict.fromkeys(sorted(queues), n),
            types=frozenset({"echo"}), limit=n, now=self.now, lease_until=self.now + LEASE,
        )  # fmt: skip
        return await self.store.claim(request)

    def _new(self, wishes: dict[str, Any], queue: str, priority: int, delay: int) -> NewJob:
        job = a_job(
            queue=queue, priority=priority, created_at=self.now, due_at=self.now + delay, max_crashes=9
        )
        return wishing(job, Wishes(**wishes))

    def _jobs(self) -> dict[str, Job]:
        page = self.wait(self.store.find(NAMESPACE, JobFilter(), Page(limit=1_000)))
        return {job.id: job for job in page.jobs}


def _lanes(job: Job, *, own: bool = False) -> Sequence[str]:
    """The lanes that count for a job; all but its own ones are named by their limit."""
    shared = ("queue:b",) if job.facts.queue == "b" and not own else ()
    return (*Wishes.loads(job.facts.lane).lanes, *shared)


def _order(job: Job) -> str | None:
    return Wishes.loads(job.facts.lane).order


def _holds(job: Job) -> bool:
    return Wishes.loads(job.facts.lane).on_retry is OnRetry.HOLD


def _holders(jobs: dict[str, Job], lane: str) -> int:
    return sum(job.state is State.PROCESSING and lane in _lanes(job) for job in jobs.values())


class FileMachine(LaneMachine):
    """The same, in a file."""

    def database(self) -> str:
        return f"sqlite:///{self.folder / 'jobs.db'}"


class PostgresMachine(LaneMachine):
    """The same, on PostgreSQL."""

    def database(self) -> str:
        return SHARED.url(self.folder)


class RedisMachine(LaneMachine):
    """The same, on Redis or Valkey."""

    server: ClassVar[SharedValkey] = SHARED_VALKEY

    def database(self) -> str:
        return self.server.fresh_url()

    def teardown(self) -> None:
        super().teardown()
        self.server.drop()


MACHINES = {
    "sqlite-memory": LaneMachine,
    "sqlite-file": FileMachine,
    "postgres": PostgresMachine,
    "redis": RedisMachine,
}
if SHARED_INSTALLED is not None:
    MACHINES["redis-installed"] = type("InstalledMachine", (RedisMachine,), {"server": SHARED_INSTALLED})
LONG = os.environ.get("HYPOTHESIS_PROFILE") == "faults"
PROFILE = settings(
    max_examples=1_000 if LONG else 40,
    stateful_step_count=50 if LONG else 25,
    derandomize=not LONG,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("name", MACHINES)
def test_lanes_keep_what_they_promise_whatever_happens(name: str) -> None:
    run_state_machine_as_test(MACHINES[name], settings=PROFILE)

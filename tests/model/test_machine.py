"""Drives a store and the model through the same random lives of jobs, and compares them after each step."""

import asyncio
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
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

from headrace.core import history
from headrace.core.decide import decide, decide_report
from headrace.core.filters import JobFilter, Page
from headrace.core.job import Job, Transition
from headrace.core.outcomes import (
    CancelAsked,
    Event,
    Outcome,
    Rescued,
    RetryAsked,
    Unblocked,
)
from headrace.core.states import State
from headrace.errors import DuplicateJob, IdempotencyMismatch, IllegalMove
from headrace.mint import IdMint
from headrace.stores.open import open_store
from headrace.stores.protocol import ApplyAnswer, ClaimRequest, NewJob, Note, Receipt, Stale, Store
from tests.builders import (
    EXACT,
    LEASE,
    NAMESPACE,
    NOW,
    SECOND,
    a_hello,
    a_job,
    a_rng,
    holder,
)
from tests.model.draws import QUEUES, known_types, outcomes, pick, wishes
from tests.model.model import Model, Refused
from tests.servers.shared import SHARED
from tests.servers.shared_valkey import SHARED_INSTALLED, SHARED_VALKEY, SharedValkey

T = TypeVar("T")

LIMIT = 1000


class StoreMachine(RuleBasedStateMachine):
    """One store, one model, one event loop."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        self.runner = asyncio.Runner()
        self.store: Store = self.wait(open_store(self.database()))
        self.wait(self.store.migrate())
        self.model = Model()
        self.mint = IdMint(random.Random(1))
        self.now = NOW
        self.holders: list[Job] = []
        self.sights: list[Job] = []
        self.sent: list[Transition] = []
        self.steps = 0

    def database(self) -> str:
        return "sqlite://"

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def teardown(self) -> None:
        try:
            for job in self.model.jobs.values():
                expected = history.read(job, self.model.trails.get(job.id))
                assert self.wait(self.store.history(NAMESPACE, job.id)) == expected
        finally:
            self.wait(self.store.close())
            self.runner.close()
            shutil.rmtree(self.folder)

    # -------------------------------------------------------- enqueue

    @initialize(some=st.lists(wishes, min_size=1, max_size=6))
    def begin(self, some: list[dict[str, Any]]) -> None:
        self.enqueue(some)

    @rule(some=st.lists(wishes, min_size=1, max_size=4))
    def enqueue(self, some: list[dict[str, Any]]) -> None:
        new_jobs = [self._wished(**wish) for wish in some]
        try:
            expected = self.model.insert(new_jobs, self.now)
        except Refused:
            with pytest.raises((DuplicateJob, IdempotencyMismatch)):
                self.wait(self.store.insert(NAMESPACE, new_jobs, now=self.now))
            return

        assert list(self.wait(self.store.insert(NAMESPACE, new_jobs, now=self.now))) == expected
        self._adopt_seqs([new.facts.id for new in new_jobs])

    def _wished(self, *, delay: int, receipt: tuple[str, str | None] | None, **fields: Any) -> NewJob:
        window = (
            None
            if receipt is None
            else Receipt(key=receipt[0], body=receipt[1], until=self.now + 60 * SECOND)
        )
        return a_job(
            id=self.mint.mint(self.now),
            created_at=self.now,
            due_at=self.now + delay,
            receipt=window,
            **fields,
        )

    def _adopt_seqs(self, ids: list[str]) -> None:
        new = [job_id for job_id in ids if job_id in self.model.jobs]
        stored = self.wait(self.store.get(NAMESPACE, new))
        seqs = [stored[job_id].seq for job_id in new]
        assert seqs == sorted(set(seqs))
        for job_id in new:
            seen = stored[job_id]
            self.model.jobs[job_id] = replace(self.model.jobs[job_id], seq=seen.seq, revision=seen.revision)

    # -------------------------------------------------------- claim and hold

    @rule(
        n=st.integers(0, 5),
        caps=st.dictionaries(st.sampled_from(QUEUES), st.integers(0, 4), min_size=1),
        types=known_types,
    )
    def claim(self, n: int, caps: dict[str, int], types: frozenset[str]) -> None:
        request = ClaimRequest(
            namespace=NAMESPACE, worker=f"w{self.steps}", queues=caps, types=types, limit=n,
            now=self.now, lease_until=self.now + LEASE,
        )  # fmt: skip
        found = self.wait(self.store.claim(request))

        assert list(found) == self.model.claim(request, [job.id for job in found])
        self.holders.extend(found)
        for job_id, seen in self._stored().items():
            if seen.placement.parked_on is not None and self.model.jobs[job_id].placement.parked_on is None:
                self.model.park(job_id, seen, request)

    @precondition(lambda self: self.holders)
    @rule(picks=st.lists(pick, min_size=1, max_size=4))
    def renew(self, picks: list[int]) -> None:
        jobs = list(
            {(job.id, job.fence): job for job in (self._picked(self.holders, one) for one in picks)}.values()
        )
        jobs = list({job.id: job for job in jobs}.values())
        alive = [job for job in jobs if self.model.holds(holder(job))]

        async def renew() -> Any:
            async with self.store.renewer() as renewer:
                return await renewer.renew(
                    [holder(job) for job in jobs], now=self.now, lease_until=self.now + LEASE
                )

        renewal = self.wait(renew())
        for job in alive:
            self.model.renew(holder(job), self.now + LEASE)

        asked = {job.id for job in alive if self.model.jobs[job.id].placement.cancel_asked_at is not None}
        assert renewal.lost == {job.id for job in jobs} - {job.id for job in alive}
        assert renewal.cancel_asked == asked

    @precondition(lambda self: self.holders)
    @rule(one=pick, progress=st.sampled_from(["1", "2", None]), timed_out=st.booleans())
    def note(self, one: int, progress: str | None, timed_out: bool) -> None:
        job = self._picked(self.holders, one)
        told = self.now if timed_out else None
        lost = self.wait(
            self.store.note([Note(holder=holder(job), progress=progress, timed_out_at=told)], now=self.now)
        )

        assert lost == (frozenset() if self.model.holds(holder(job)) else {job.id})
        if not lost:
            current = self.model.jobs[job.id]
            self.model.jobs[job.id] = replace(
                current,
                progress=current.progress if progress is None else progress,
                timed_out_at=current.timed_out_at if told is None else told,
            )

    @precondition(lambda self: self.holders)
    @rule(picks=st.lists(pick, min_size=1, max_size=3), outcome=outcomes, started=st.booleans())
    def report(self, picks: list[int], outcome: Outcome, started: bool) -> None:
        for one in picks:
            job = self._picked(self.holders, one)
            answer = self._apply(self._reported(job, outcome, started=started))
            while isinstance(answer, Stale):
                answer = self._apply(self._reported(answer.job, outcome, started=started))

    @precondition(lambda self: self.holders)
    @rule(picks=st.lists(pick, min_size=2, max_size=6), outcome=outcomes)
    def report_many_at_once(self, picks: list[int], outcome: Outcome) -> None:
        transitions = [
            self._reported(self._picked(self.holders, one), outcome, started=True) for one in picks
        ]

        self._apply_all(transitions)

    @precondition(lambda self: self.sent)
    @rule(one=pick)
    def send_an_old_transition_again(self, one: int) -> None:
        self._apply(self._picked(self.sent, one))

    # -------------------------------------------------------- operators and upkeep

    @precondition(lambda self: self.model.jobs)
    @rule(one=pick, event=st.sampled_from([CancelAsked(), RetryAsked(), Unblocked()]), fresh=st.booleans())
    def operate(self, one: int, event: Event, fresh: bool) -> None:
        sights = list(self.model.jobs.values()) if fresh else self.sights or list(self.model.jobs.values())
        job = self._picked(sights, one)
        try:
            transition = decide(job, event, policy=EXACT, now=self.now, rng=a_rng())
        except IllegalMove:
            return
        self._apply(transition)

    @rule(limit=st.integers(1, 3), late_renewal=st.booleans())
    def rescue(self, limit: int, late_renewal: bool) -> None:
        expired = self.wait(self.store.expired(now=self.now, limit=limit))
        assert [job.id for job in expired] == self.model.expired(self.now)[:limit]
        if late_renewal and expired:
            self.renew([len(self.holders) - 1])
        self._apply_all([decide(job, Rescued(), policy=EXACT, now=self.now, rng=a_rng()) for job in expired])

    @rule(seconds=st.sampled_from([1, 5, 11, 31, 61]))
    def time_goes_by(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(queue=st.sampled_from(QUEUES), paused=st.booleans())
    def pause_or_resume(self, queue: str, paused: bool) -> None:
        self.wait(self.store.set_paused(NAMESPACE, queue, paused=paused))
        (self.model.paused.add if paused else self.model.paused.discard)(queue)

    @rule(worker=st.sampled_from(["v1", "v2"]), types=known_types)
    def hello(self, worker: str, types: frozenset[str]) -> None:
        self.wait(self.store.hello(a_hello(worker, types=types, seen_at=self.now)))
        self.model.workers[worker] = (types, self.now)
        self.model.unpark(types, self.now)

    @rule(worker=st.sampled_from(["v1", "v2"]))
    def goodbye(self, worker: str) -> None:
        self.wait(self.store.goodbye(NAMESPACE, worker))
        self.model.workers.pop(worker, None)

    @rule()
    def bring_back_known(self) -> None:
        self.wait(self.store.unpark_known(now=self.now))
        self.model.unpark(self.model.known_types(self.now), self.now)

    @rule(limit=st.integers(1, 3), hours=st.sampled_from([0, 0, 2]))
    def erase(self, limit: int, hours: int) -> None:
        self.now += hours * 3600 * SECOND
        count = self.wait(self.store.erase(now=self.now, limit=limit))
        self.wait(self.store.trim(now=self.now, limit=10))

        assert count == self.model.erase(self._stored(), self.now, limit)

    # -------------------------------------------------------- what must always hold

    @invariant()
    def states_are_equal(self) -> None:
        self.steps += 1
        stored = self._stored()
        assert {job_id: _comparable(job) for job_id, job in stored.items()} == {
            job_id: _comparable(job) for job_id, job in self.model.jobs.items()
        }
        self.sights.extend(job for job in stored.values() if job.seq % 3 == self.steps % 3)
        del self.sights[:-40]

    @invariant()
    def tallies_equal_a_recount(self) -> None:
        found = self.wait(self.store.tallies(NAMESPACE))
        counted = Counter({(one.queue, one.type, one.state): one.count for one in found if one.count})
        assert counted == self.model.tallies()

    @invariant()
    def one_live_job_holds_a_key_and_ended_jobs_hold_nothing(self) -> None:
        stored = self._stored().values()
        locks = [job.placement.unique_lock for job in stored if job.placement.unique_lock is not None]
        assert len(locks) == len(set(locks))
        for job in stored:
            if job.placement.terminal:
                placed = job.placement
                columns = (
                    placed.due_at,
                    placed.lease_until,
                    placed.unique_lock,
                    placed.slot_key,
                    placed.parked_on,
                )
                assert columns == (None,) * 5

    # -------------------------------------------------------- steps shared by rules

    def _stored(self) -> dict[str, Job]:
        page = self.wait(self.store.find(NAMESPACE, JobFilter(), Page(limit=LIMIT)))
        return {job.id: job for job in page.jobs}

    def _reported(self, job: Job, outcome: Outcome, *, started: bool) -> Transition:
        began = job.placement.started_at if started else None
        return decide_report(job, outcome, began, policy=EXACT, now=self.now, rng=a_rng())

    def _apply(self, transition: Transition) -> ApplyAnswer:
        (answer,) = self._apply_all([transition])
        return answer

    def _apply_all(self, transitions: list[Transition]) -> list[ApplyAnswer]:
        expected = [self.model.apply(transition) for transition in transitions]
        answers = list(self.wait(self.store.apply(transitions, now=self.now)))
        assert [_comparable_answer(answer) for answer in answers] == [
            _comparable_answer(one) for one in expected
        ]
        self.sent = (self.sent + transitions)[-40:]
        return answers

    @staticmethod
    def _picked(among: list[T], number: int) -> T:
        return among[number % len(among)]


def _comparable(job: Job) -> Job:
    """A noted time-out says something about the running attempt only."""
    return job if job.state is State.PROCESSING else replace(job, timed_out_at=None)


def _comparable_answer(answer: ApplyAnswer) -> ApplyAnswer:
    return Stale(_comparable(answer.job)) if isinstance(answer, Stale) else answer


class FileMachine(StoreMachine):
    """The same, in a file."""

    def database(self) -> str:
        return f"sqlite:///{self.folder / 'jobs.db'}"


class PostgresMachine(StoreMachine):
    """The same, on PostgreSQL."""

    def database(self) -> str:
        return SHARED.url(self.folder)


class RedisMachine(StoreMachine):
    """The same, on Redis or Valkey."""

    server: ClassVar[SharedValkey] = SHARED_VALKEY

    def database(self) -> str:
        return self.server.fresh_url()

    def teardown(self) -> None:
        super().teardown()
        self.server.drop()


MACHINES = {
    "sqlite-memory": StoreMachine,
    "sqlite-file": FileMachine,
    "postgres": PostgresMachine,
    "redis": RedisMachine,
}
if SHARED_INSTALLED is not None:
    MACHINES["redis-installed"] = type("InstalledMachine", (RedisMachine,), {"server": SHARED_INSTALLED})
LONG = os.environ.get("HYPOTHESIS_PROFILE") == "faults"
PROFILE = settings(
    max_examples=2_000 if LONG else 100,
    stateful_step_count=60 if LONG else 30,
    derandomize=not LONG,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("name", MACHINES)
def test_store_does_as_the_model_whatever_happens(name: str) -> None:
    run_state_machine_as_test(MACHINES[name], settings=PROFILE)

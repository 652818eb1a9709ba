"""The checker finds what it is there to find: each test breaks one promise in an otherwise sound run."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.core.job import AttemptOutcome, Job
from headrace.core.outcomes import RetryAsked
from headrace.core.states import State
from headrace.stores.open import open_store
from tests.builders import NOW, a_failure, a_job, claim, claimed, enqueue, happen, read, settle
from tests.crash.kit.checker import checked
from tests.crash.kit.dump import Dump, dumped
from tests.crash.kit.history import History
from tests.crash.kit.ledger import Ledger, Phase, append

UNANSWERED = {
    "key": "x", "phase": "invoke", "what": "enqueue", "jobs": [], "error": "", "at": NOW, "mono": 0.0,
}  # fmt: skip


class Run:
    """A run that keeps every promise: one job completed at its second attempt, one that waits."""

    def __init__(self, folder: Path, dump: Dump, done: str) -> None:
        self.dump = dump
        self.ledger = Ledger(folder / "ledger")
        self.history = History(folder / "history")
        self.done = done
        with self.history.call("enqueue") as under:
            under.jobs = tuple(dump.jobs)
        for fence in (1, 2):
            self.tell(Phase.START, fence)
        self.tell(Phase.EFFECT, 2)

    @property
    def job(self) -> Job:
        return self.dump.jobs[self.done]

    def tell(self, phase: Phase, fence: int, at: int = NOW) -> None:
        row = {"job": self.done, "fence": fence, "attempt": fence, "worker": "w", "pid": 1}
        append(self.ledger.path, row | {"phase": phase.value, "at": at, "mono": 0.0, "note": ""})

    def change(self, job: Job) -> None:
        self.dump = replace(self.dump, jobs=dict(self.dump.jobs) | {job.id: job})

    def change_attempts(self, **columns: object) -> None:
        told = self.dump.histories[self.done]
        attempts = (replace(told.attempts[0], **columns), *told.attempts[1:])  # type: ignore[arg-type]
        histories = dict(self.dump.histories) | {self.done: replace(told, attempts=attempts)}
        self.dump = replace(self.dump, histories=histories)

    def numbers(self, **how: int) -> set[str]:
        return {one.number for one in checked(self.dump, self.ledger, self.history, **how)}


@pytest.fixture
async def run(tmp_path):
    store = await open_store("sqlite://")
    job = await claimed(store)
    await settle(store, job, a_failure())
    due = (await read(store, job.id)).placement.due_at
    assert due is not None
    again = await claim_again(store, job.id, due)
    await settle(store, again, now=due)
    await enqueue(store, a_job())
    dump = await dumped(store)
    await store.close()
    return Run(tmp_path, dump, job.id)


async def claim_again(store, job_id: str, now: int) -> Job:
    (job,) = await claim(store, now=now, n=1)
    assert job.id == job_id
    return job


async def test_sound_run_has_no_violation(run):
    assert run.numbers() == set()


async def test_acknowledged_job_that_is_gone_is_a_loss(run):
    with run.history.call("enqueue") as under:
        under.jobs = ("gone",)

    assert run.numbers() == {"I1"}


async def test_job_that_nobody_asked_for_is_found_unless_a_call_got_no_answer(run):
    stranger = replace(run.job, facts=replace(run.job.facts, id="stranger"))
    run.dump = replace(
        run.dump,
        jobs=dict(run.dump.jobs) | {"stranger": stranger},
        histories=dict(run.dump.histories) | {"stranger": run.dump.histories[run.done]},
    )

    assert "I1" in run.numbers()
    append(run.history.path, UNANSWERED)
    assert "I1" not in run.numbers()


async def test_completed_job_without_an_effect_is_found(run):
    rows = [json.loads(line) for line in run.ledger.path.read_text().splitlines()]
    run.ledger.path.unlink()
    for row in rows[:2]:
        append(run.ledger.path, row)

    assert run.numbers() == {"I3"}


async def test_more_starts_than_claims_are_found(run):
    run.tell(Phase.START, 1)

    assert run.numbers() == {"I3", "I5"}


async def test_start_after_the_end_is_found(run):
    run.tell(Phase.START, 1, at=(run.job.placement.ended_at or 0) + 100)

    assert "I4" in run.numbers()
    assert "I4" not in run.numbers(clock_error_ms=100)


async def test_fence_that_was_never_given_out_is_found(run):
    run.change(replace(run.job, placement=replace(run.job.placement, starts=3)))
    run.tell(Phase.START, 9)

    assert "I5" in run.numbers()


async def test_holders_that_overlap_are_found(run):
    later = run.dump.histories[run.done].attempts[1].started_at
    run.change_attempts(ended_at=later + 1)

    assert run.numbers() == {"I5"}


async def test_fences_that_fall_are_found(run):
    run.change_attempts(fence=2)

    assert run.numbers() == {"I6"}


async def test_job_that_succeeded_twice_is_found(run):
    run.change_attempts(outcome=AttemptOutcome.SUCCEEDED)

    assert run.numbers() == {"I6"}


async def test_state_that_the_last_attempt_does_not_lead_to_is_found(run):
    run.change(replace(run.job, placement=replace(run.job.placement, state=State.FAILED)))

    assert {"I6", "I7"} <= run.numbers()


async def test_ended_job_that_may_still_be_claimed_is_found(run):
    run.change(replace(run.job, placement=replace(run.job.placement, due_at=NOW)))

    assert run.numbers() == {"I1"}


async def test_cancel_that_nobody_asked_for_is_found(run):
    run.change(replace(run.job, placement=replace(run.job.placement, state=State.CANCELLED)))

    assert "I1" in run.numbers()


async def test_wrong_tallies_are_found(run):
    key, count = next(iter(run.dump.tallies.items()))
    run.dump = replace(run.dump, tallies=dict(run.dump.tallies) | {key: count + 1})

    assert run.numbers() == {"I7"}


async def test_more_starts_than_promised_are_found(run):
    placement = replace(run.job.placement, starts=99)
    run.change(replace(run.job, placement=placement, fence=99))

    assert run.numbers() == {"I6"}


@pytest.fixture
async def retried(tmp_path):
    """A sound run of one job that failed for good, was retried by hand, and completed."""
    store = await open_store("sqlite://")
    job = await claimed(store, a_job(max_attempts=1))
    await settle(store, job, a_failure())
    await happen(store, await read(store, job.id), RetryAsked())
    await settle(store, await claim_again(store, job.id, NOW))
    dump = await dumped(store)
    await store.close()
    return Run(tmp_path, dump, job.id)


async def test_sound_run_with_a_retry_by_hand_has_no_violation(retried):
    assert retried.job.placement.generation == 2
    assert retried.numbers() == set()


async def test_more_starts_than_the_claims_of_all_generations_are_found(retried):
    retried.tell(Phase.START, 2)

    assert retried.numbers() == {"I3", "I5"}


async def test_starts_that_leave_no_claim_for_the_first_generation_are_found(retried):
    retried.change(replace(retried.job, placement=replace(retried.job.placement, starts=2)))

    assert "I6" in retried.numbers()

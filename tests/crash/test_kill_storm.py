"""Workers are killed at random moments; afterwards the store, the history and the ledger must agree."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from headrace.clock import StoreClock
from headrace.core.job import AttemptOutcome, Job
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.engine.local import LocalOperations
from headrace.stores.open import open_store
from tests.crash.storm import LEDGER, registry

pytestmark = pytest.mark.crash

ROOT = Path(__file__).resolve().parents[2]
JOBS = 150
DRAIN_WITHIN = 240


class Supervisor:
    """Keeps worker processes alive, kills them, and stops them at the end."""

    def __init__(self, folder: Path, workers: int, mode: str) -> None:
        self.ledger = folder / "ledger"
        self._database = folder / "jobs.db"
        self._mode = mode
        self._workers = [self._start() for _ in range(workers)]
        self.kills = 0

    def kill_one(self, rng: random.Random) -> None:
        victim = rng.choice(self._workers)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        self.kills += 1
        self.restart_dead()

    def restart_dead(self) -> int:
        dead = [worker for worker in self._workers if worker.poll() is not None]
        self._workers = [worker for worker in self._workers if worker not in dead] + [
            self._start() for _ in dead
        ]
        return len(dead)

    def stop(self) -> list[int]:
        for worker in self._workers:
            worker.terminate()
        return [worker.wait(30) for worker in self._workers]

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.crash.storm", str(self._database), self._mode],
            cwd=ROOT,
            env=os.environ | {LEDGER: str(self.ledger)},
            stdout=subprocess.DEVNULL,
        )

    def rows(self) -> dict[str, list[tuple[str, int]]]:
        rows: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for line in self.ledger.read_text(encoding="ascii").splitlines():
            job_id, what, at, _pid = line.split()
            rows[job_id].append((what, int(at)))
        return rows


@asynccontextmanager
async def storm(
    folder: Path, *, workers: int, mode: str
) -> AsyncIterator[tuple[LocalOperations, Supervisor]]:
    store = await open_store(f"sqlite:///{folder / 'jobs.db'}")
    operations = LocalOperations(store, StoreClock(await store.now()), registry=registry)
    supervisor = Supervisor(folder, workers, mode)
    try:
        yield operations, supervisor
    finally:
        supervisor.stop()
        await store.close()


async def test_killed_workers_lose_nothing(tmp_path: Path):
    seed = random.randrange(10**6)
    rng = random.Random(seed)
    async with storm(tmp_path, workers=3, mode="children") as (operations, supervisor):
        requests = [
            EnqueueRequest(type=rng.choice(["on_loop", "in_thread"]), payload={"ms": rng.randrange(5, 120)})
            for _ in range(JOBS)
        ]
        ids = [answer.job_id for answer in await operations.enqueue(requests)]
        await until_some_are_done(operations, 5)
        for _ in range(8):
            supervisor.kill_one(rng)
            await asyncio.to_thread(wait_briefly, rng)
        await drain(operations, supervisor)

        jobs = [await operations.job(job_id) for job_id in ids]
        rows = supervisor.rows()
        for job in jobs:
            await check(operations, job, rows[job.id], f"seed {seed}")
    assert supervisor.kills == 8
    assert sum(job.placement.crashes for job in jobs) >= 1, f"seed {seed}"


@pytest.mark.parametrize("mode", ["children", "alone"])
async def test_poison_job_ends_failed_and_its_bystanders_completed(tmp_path: Path, mode: str):
    async with storm(tmp_path, workers=1, mode=mode) as (operations, supervisor):
        requests = [EnqueueRequest(type="on_loop", payload={"ms": 200}) for _ in range(20)]
        requests.insert(3, EnqueueRequest(type="poison", payload={}))
        ids = [answer.job_id for answer in await operations.enqueue(requests)]
        await drain(operations, supervisor)
        jobs = [await operations.job(job_id) for job_id in ids]

    poison = next(job for job in jobs if job.facts.type == "poison")
    others = [job for job in jobs if job is not poison]
    assert poison.state is State.FAILED
    assert poison.placement.crashes == 3
    assert {job.state for job in others} == {State.COMPLETED}


async def test_sigterm_lets_jobs_finish_and_charges_nothing(tmp_path: Path):
    async with storm(tmp_path, workers=1, mode="children") as (operations, supervisor):
        requests = [EnqueueRequest(type="on_loop", payload={"ms": 100}) for _ in range(30)]
        ids = [answer.job_id for answer in await operations.enqueue(requests)]
        await until_some_are_done(operations, 1)
        codes = await asyncio.to_thread(supervisor.stop)
        jobs = [await operations.job(job_id) for job_id in ids]

    assert codes == [0]
    assert {job.state for job in jobs} <= {State.COMPLETED, State.PENDING}
    assert all((job.placement.failures, job.placement.crashes) == (0, 0) for job in jobs)


async def check(operations: LocalOperations, job: Job, rows: list[tuple[str, int]], seed: str) -> None:
    """The invariants that hold for every job, however often its workers died."""
    placement = job.placement
    history = await operations.history(job.id)
    outcomes = Counter(attempt.outcome for attempt in history.attempts)
    fences = [attempt.fence for attempt in history.attempts]
    starts = [at for what, at in rows if what == "start"]

    crashed_for_good = job.state is State.FAILED and placement.crashes >= job.facts.max_crashes
    assert job.state is State.COMPLETED or crashed_for_good, f"{seed}: {job}"
    assert placement.starts <= job.facts.max_attempts + job.facts.max_crashes + placement.releases, seed
    assert placement.starts == job.fence, seed
    assert fences == sorted(set(fences)), seed
    assert fences[-1] == job.fence, seed
    assert placement.starts - len(fences) <= placement.releases, f"{seed}: {job} {history}"
    assert placement.crashes <= outcomes[AttemptOutcome.RESCUED] + outcomes[AttemptOutcome.CRASHED], seed
    assert len(starts) <= placement.starts, f"{seed}: {job} {rows}"
    if job.state is State.COMPLETED:
        assert outcomes[AttemptOutcome.SUCCEEDED] == 1, seed
        assert history.attempts[-1].outcome is AttemptOutcome.SUCCEEDED, seed
        assert any(what == "end" for what, _ in rows), seed
        assert all(at <= (placement.ended_at or 0) for at in starts), f"{seed}: started after its end: {job}"


async def until_some_are_done(operations: LocalOperations, count: int) -> None:
    async with asyncio.timeout(DRAIN_WITHIN):
        while (await operations.stats()).count(State.COMPLETED) < count:
            await asyncio.sleep(0.01)


async def drain(operations: LocalOperations, supervisor: Supervisor) -> None:
    """Waits until every job has ended; dead workers are started again, as a supervisor would."""
    async with asyncio.timeout(DRAIN_WITHIN):
        while (await operations.stats()).count(State.PENDING, State.PROCESSING):
            supervisor.restart_dead()
            await asyncio.sleep(0.01)


def wait_briefly(rng: random.Random) -> None:
    """The time between two kills is part of the experiment, not a wait for anything."""
    subprocess.run(["sleep", f"{rng.uniform(0.2, 0.9):.3f}"], check=True)

"""Workers die at random, and exactly between the last statement and the commit: the ledger has one row a job.

The ledger has no constraint, so that only the transaction itself can keep it right (I2).
"""

import asyncio
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from headrace.clock import StoreClock
from headrace.core.history import History
from headrace.core.job import AttemptOutcome
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.engine.local import LocalOperations
from headrace.engine.registry import JobOptions, Registry, Retry, registered
from headrace.stores.open import open_store
from tests.crash.smoke import UNDIVIDED
from tests.crash.transactions_storm import CHANCE, on_postgres
from tests.engine.transacting import Rows

pytestmark = pytest.mark.crash

ROOT = Path(__file__).resolve().parents[2]
JOBS = 80
WORKERS = 3
KILLS = 6
DRAIN_WITHIN = 240


class Workers:
    """Processes that are started again when they have died."""

    def __init__(self, url: str, folder: Path, chance: float) -> None:
        self._url = url
        self._output = (folder / "workers.log").open("ab")
        self._environment = os.environ | {CHANCE: str(chance)}
        self._processes = [self._start() for _ in range(WORKERS)]
        self.deaths = 0

    def kill_one(self, rng: random.Random) -> None:
        victim = rng.choice(self._processes)
        victim.kill()
        victim.wait()
        self.restart_dead()

    def restart_dead(self) -> None:
        for place, process in enumerate(self._processes):
            if process.poll() is not None:
                self.deaths += 1
                self._processes[place] = self._start()

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._output.close()

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "tests.crash.transactions_storm", self._url],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
        )


def job_type() -> Registry:
    """What the enqueueing side knows: a job that may crash as often as this experiment likes."""
    registry = Registry()
    registry.add(registered(on_postgres, JobOptions(name="book", retry=Retry(attempts=20))))
    return registry


@pytest.mark.parametrize("how", ["at random", "before the commit"])
@UNDIVIDED
async def test_ledger_has_one_row_for_each_completed_job(tmp_path: Path, kind, how: str):
    url = kind.url(tmp_path)
    seed = random.randrange(10**6)
    rng = random.Random(seed)
    store = await open_store(url)
    await store.migrate()
    operations = LocalOperations(store, StoreClock(await store.now()), registry=job_type())
    Rows(url).make("job text, pid integer")
    requests = [
        EnqueueRequest(type="book", payload={"ms": rng.randrange(1, 60)}, max_attempts=20)
        for _ in range(JOBS)
    ]
    ids = [answer.job_id for answer in await operations.enqueue(requests)]
    workers = Workers(url, tmp_path, chance=0.06 if how == "before the commit" else 0.0)
    try:
        if how == "at random":
            for goal in range(KILLS):
                await until_ended(operations, workers, goal * JOBS // (2 * KILLS) + 1)
                workers.kill_one(rng)
        await until_ended(operations, workers, JOBS)
    finally:
        await asyncio.to_thread(workers.stop)

    jobs = [await operations.job(job_id) for job_id in ids]
    histories = [await operations.history(job_id) for job_id in ids]
    await store.close()
    rows = Counter(Rows(url).all("job"))
    completed = {job.id for job in jobs if job.state is State.COMPLETED}
    told = f"seed {seed}, {workers.deaths} deaths"
    assert workers.deaths >= (KILLS if how == "at random" else 1), told
    assert rows == Counter(completed), told
    assert all(job.placement.crashes >= 3 for job in jobs if job.id not in completed), told
    for job_id, history in zip(ids, histories, strict=True):
        assert successes(history) == (1 if job_id in completed else 0), told


def successes(history: History) -> int:
    return sum(attempt.outcome is AttemptOutcome.SUCCEEDED for attempt in history.attempts)


async def until_ended(operations: LocalOperations, workers: Workers, count: int) -> None:
    async with asyncio.timeout(DRAIN_WITHIN):
        while (await operations.stats()).count(State.COMPLETED, State.FAILED) < count:
            workers.restart_dead()
            await asyncio.sleep(0.01)

"""Workers stopped at random moments: no job is lost, charged, or both released and completed."""

import asyncio
import random
from collections import Counter

import pytest

from headrace.core.job import AttemptOutcome
from headrace.core.states import State
from headrace.engine.context import Context
from tests.worker.rig import PATIENCE, Rig

JOBS = 60
STOPS = 12


@pytest.mark.parametrize("grace_ms", [0, 5])
async def test_workers_stopped_at_random_moments_charge_nothing(rig: Rig, grace_ms: int):
    rng = random.Random(grace_ms)
    ended: Counter[str] = Counter()

    @rig.job(name="obedient")
    async def obedient(ctx: Context) -> None:
        for _ in range(rng.randrange(20)):
            await asyncio.sleep(0)
        ended[ctx.job.id] += 1

    @rig.job(name="stubborn")
    async def stubborn(ctx: Context) -> None:
        try:
            await asyncio.sleep(0.002)
        except asyncio.CancelledError:
            ctx.log("finishing all the same")
        ended[ctx.job.id] += 1

    @rig.job(name="in_thread")
    def in_thread(ctx: Context) -> None:
        ended[ctx.job.id] += 1

    ids = [
        job_id
        for kind in ("obedient", "stubborn", "in_thread")
        for job_id in await rig.enqueue_many(kind, JOBS)
    ]
    for _ in range(STOPS):
        async with rig.worker(concurrency=4, threads=2, grace_ms=grace_ms, stop_after_ms=200):
            for _ in range(rng.randrange(60)):
                await asyncio.sleep(0)
    async with rig.worker():
        await _all_done(rig)

    for job_id in ids:
        job, history = await rig.read(job_id), await rig.history(job_id)
        outcomes = Counter(attempt.outcome for attempt in history.attempts)
        assert job.state is State.COMPLETED
        assert (job.placement.failures, job.placement.crashes) == (0, 0)
        assert outcomes[AttemptOutcome.SUCCEEDED] == 1
        assert history.attempts[-1].outcome is AttemptOutcome.SUCCEEDED
        assert 1 <= ended[job_id] <= job.placement.starts
        assert job.placement.starts == 1 + job.placement.releases


async def _all_done(rig: Rig) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await rig.operations.stats()).count(State.PENDING, State.PROCESSING):
            await asyncio.sleep(0.005)

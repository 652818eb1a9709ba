"""Processes are killed while jobs fail for good: each leaves exactly one job on the dead-letter queue."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from headrace import App, DeadFilter, Settings
from headrace.core.filters import JobFilter, Page
from headrace.core.states import State
from tests.crash.doomed_worker import DEAD, doomed
from tests.crash.kit.children import Fleet
from tests.crash.smoke import UNDIVIDED

pytestmark = pytest.mark.crash

JOBS = 300
KILLS = 4
WITHIN = 120
WORKER = "tests.crash.doomed_worker"


@UNDIVIDED
async def test_each_death_puts_one_job_on_the_queue_whoever_is_killed(kind, tmp_path: Path):
    url = kind.url(tmp_path)
    async with App(url, settings=Settings()) as app:
        fail = doomed(app)
        with Fleet(tmp_path) as fleet:
            workers = [fleet.start(WORKER, url) for _ in range(2)]
            handles = await app.enqueue_many([fail.request(n) for n in range(JOBS)])
            for number in range(1, KILLS + 1):
                await put(app, number * JOBS // (KILLS + 2))
                workers.pop(0).kill()
                workers.append(fleet.start(WORKER, url))
            letters = await put(app, JOBS)
            await fleet.stop(workers)
        engine = await app.operations()
        dead = await engine.dead_letters(DeadFilter(), Page())
        failed = await jobs_of(app, JobFilter(types=frozenset({"doomed"}), states=frozenset({State.FAILED})))
    app.portal.close()

    told = Counter(json.loads(one.facts.payload)["letter"]["job_id"] for one in letters)
    assert told == Counter(handle.id for handle in handles)
    assert len(failed) == JOBS
    assert dead.jobs == ()
    assert all(job.placement.erase_at is not None for job in failed)


async def put(app: App, least: int):
    """The jobs on the queue, once there are so many."""
    wanted = JobFilter(queues=frozenset({DEAD}))
    async with asyncio.timeout(WITHIN):
        while len(found := await jobs_of(app, wanted)) < least:
            await asyncio.sleep(0.05)
    return found


async def jobs_of(app: App, wanted: JobFilter):
    engine = await app.operations()
    found, cursor = [], None
    while True:
        page = await engine.jobs(wanted, Page(limit=1000, before=cursor))
        found += page.jobs
        cursor = page.cursor
        if cursor is None:
            return found

"""A message kills the process of its chunk, again and again: it ends failed, and takes no other one along."""

import asyncio
import json
from pathlib import Path

import pytest

from headrace import App, Settings, State
from headrace.core.job import Job
from tests.crash.chunk_worker import SIZE, delivering
from tests.crash.kit.children import Fleet
from tests.crash.smoke import UNDIVIDED

pytestmark = pytest.mark.crash

KILLS = 4
"""The message kills its chunk, then a call of its own, then one that runs alone, twice."""

POISON = 4
WITHIN = 180
WORKER = "tests.crash.chunk_worker"


@UNDIVIDED
async def test_c22_message_that_kills_its_chunk_is_isolated_singly(kind, tmp_path: Path):
    url = kind.url(tmp_path)
    async with App(url, settings=Settings()) as app:
        deliver = delivering(app)
        await (await app.work()).publish([deliver.registered.info])
        handles = await app.enqueue_many([deliver.request({"kills": n == POISON}) for n in range(SIZE)])
        ids = [handle.id for handle in handles]
        with Fleet(tmp_path) as fleet:
            worker = fleet.start(WORKER, url)
            async with asyncio.timeout(WITHIN):
                while not all(job.placement.terminal for job in await read(app, ids)):
                    if not worker.alive:
                        worker = fleet.start(WORKER, url)
                    await asyncio.sleep(0.05)
            started = len(fleet.all)
            await fleet.stop([worker])
        jobs = await read(app, ids)
    app.portal.close()

    poison, others = jobs[POISON], [job for job in jobs if job is not jobs[POISON]]
    assert poison.state is State.FAILED
    assert {job.state for job in others} == {State.COMPLETED}
    assert started == KILLS + 1
    # what was acked before the first kill stayed so: it was started once, in the whole chunk
    assert [(job.placement.starts, result(job)) for job in jobs[:POISON]] == [(1, SIZE)] * POISON
    # what had no answer yet was called by itself from then on
    assert [result(job) for job in jobs[POISON + 1 :]] == [1] * (SIZE - POISON - 1)
    assert all(1 <= job.placement.crashes <= 2 for job in jobs[POISON + 1 :])


async def read(app: App, ids: list[str]) -> list[Job]:
    operations = await app.operations()
    return [await operations.job(job_id) for job_id in ids]


def result(job: Job) -> object:
    """How large the chunk was in which it was answered."""
    return json.loads(job.placement.result or "null")

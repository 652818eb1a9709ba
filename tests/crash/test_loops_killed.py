"""The process of a loop is killed while it drains: another one goes on within a lease, without a ping."""

import asyncio
from pathlib import Path

import pytest

from headrace import App, LoopInfo, LoopStatus, Settings
from headrace.engine.loop_type import Loop
from tests.crash.kit.children import Child, Fleet
from tests.crash.loop_worker import moving
from tests.crash.smoke import UNDIVIDED
from tests.engine.transacting import Rows

pytestmark = pytest.mark.crash

ROWS = 120
AHEAD = 6
KILLS = 3
WITHIN = 120
WORKER = "tests.crash.loop_worker"


@UNDIVIDED
async def test_loop_whose_process_is_killed_goes_on_in_another_and_moves_each_row_once(kind, tmp_path: Path):
    url = kind.url(tmp_path)
    async with App(url, settings=Settings()) as app:
        await app.open()
        Rows(url).make()
        Rows(url, "moved").make()
        for number in range(ROWS):
            Rows(url).add(f"row-{number:03}")
        loop = moving(app)
        with Fleet(tmp_path) as fleet:
            workers = [fleet.start(WORKER, url) for _ in range(2)]
            await loop.ping()
            for _ in range(KILLS):
                await moved(url, await moved(url, 0) + AHEAD)  # a run after the last kill went well
                victim = await holder(app, loop, workers)
                victim.kill()
                workers.remove(victim)
                workers.append(fleet.start(WORKER, url))
            await moved(url, ROWS)
            info = await rested(loop)
            await fleet.stop(workers)
        jobs = await (await app.operations()).stats()
    app.portal.close()

    assert Rows(url, "moved").all() == [f"row-{number:03}" for number in range(ROWS)]
    assert Rows(url).all() == []
    assert info.restarts >= KILLS
    assert jobs.count() == 1  # one job all the time: it was rescued, never doubled


async def moved(url: str, least: int) -> int:
    """How many rows have been moved, once it is so many."""
    async with asyncio.timeout(WITHIN):
        while (count := len(Rows(url, "moved").all())) < least:
            await asyncio.sleep(0.02)
    return count


async def holder(app: App, loop: Loop, workers: list[Child]) -> Child:
    """The process in which the loop runs at this moment."""
    operations = await app.operations()
    async with asyncio.timeout(WITHIN):
        while True:
            info = await loop.status()
            if info is not None and info.in_hand and info.job_id is not None:
                name = (await operations.job(info.job_id)).placement.worker or ""
                for child in workers:
                    if f"-{child.pid}-" in name:
                        return child
            await asyncio.sleep(0.02)


async def rested(loop: Loop) -> LoopInfo:
    async with asyncio.timeout(WITHIN):
        while True:
            info = await loop.status()
            if info is not None and info.status is LoopStatus.IDLE:
                return info
            await asyncio.sleep(0.02)

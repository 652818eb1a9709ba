"""A row that somebody else has locked is neither renewed nor lost."""

import asyncio

from headrace.worker.events import LeaseGone, Renewed
from tests.worker.doubles import Unreliable
from tests.worker.rig import Rig

PATIENCE = 30


async def test_busy_lease_counts_neither_as_renewed_nor_as_lost(rig: Rig):
    go = asyncio.Event()

    @rig.job(name="waits")
    async def waits() -> None:
        await go.wait()

    job_id = await rig.enqueue("waits")
    work = Unreliable(rig.work())
    async with rig.worker(work=work, renew_every_ms=20) as (_, watch):
        await watch.started(job_id)
        work.renewals_busy = True
        before = len(watch.all(Renewed)) + 1  # one may be under way
        async with asyncio.timeout(PATIENCE):
            while len(watch.all(Renewed)) < before + 2:
                await asyncio.sleep(0.005)
        busy = watch.all(Renewed)[before:]
        work.renewals_busy = False
        async with asyncio.timeout(PATIENCE):
            while not watch.all(Renewed)[-1].job_ids:
                await asyncio.sleep(0.005)
        go.set()
        await watch.finished(job_id)

    assert {renewed.job_ids for renewed in busy[:2]} == {frozenset()}
    assert watch.all(LeaseGone) == []

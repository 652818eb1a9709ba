"""A worker whose jobs all fail for good: ``python -m tests.crash.doomed_worker URL``.

Its upkeep puts them on a dead-letter queue, without a pause.
"""

import asyncio
import sys

from headrace.app import App
from headrace.engine.job_type import JobType
from headrace.errors import Permanent
from headrace.settings import Settings
from headrace.upkeep.dead_queues import FillDeadLetterQueues
from headrace.upkeep.upkeep import Upkeep, usual_chores
from headrace.worker.settings import WorkerSettings
from headrace.worker.signals import run_until_signalled
from headrace.worker.worker import Worker
from tests.crash.kit.children import tie_to_parent

LEASE_MS = 1_000
DEAD = "dead"


def doomed(app: App) -> JobType[[int], None]:
    """The job type. Nobody knows the type of what is put on the queue, so that all of it stays there."""

    @app.job(name="doomed", dead_letter_queue=DEAD, dead_letter_type="letter")
    async def fail(n: int) -> None:
        await asyncio.sleep(0.005)
        raise Permanent(f"number {n}")

    return fail


async def main(url: str) -> int:
    app = App(url, settings=Settings())
    doomed(app)
    async with app:
        opened = await app.open()
        settings = WorkerSettings(
            lease_ms=LEASE_MS, renew_every_ms=300, poll_ms=50, concurrency=4, grace_ms=10_000
        )
        usual = usual_chores(opened.store, opened.clock, namespace="default", lease_ms=LEASE_MS)
        chores = [chore for chore in usual if not isinstance(chore, FillDeadLetterQueues)]
        filling = FillDeadLetterQueues(opened.store, opened.clock, namespace="default", every_ms=20)
        async with Upkeep([*chores, filling]):
            return await run_until_signalled(Worker(await app.work(), app.registry, settings))


if __name__ == "__main__":
    tie_to_parent()
    sys.exit(asyncio.run(main(sys.argv[1])))

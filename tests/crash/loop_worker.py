"""A worker with a loop over rows of its own: ``python -m tests.crash.loop_worker URL``.

The loop moves rows from ``ledger`` to ``moved``, a few at a time, in a transaction of the program's own.
"""

import asyncio
import sys

from headrace.app import App
from headrace.core.loop import Idle, Work
from headrace.engine.loop_type import Loop
from headrace.settings import Settings
from headrace.upkeep.upkeep import Upkeep, usual_chores
from headrace.worker.settings import WorkerSettings
from headrace.worker.signals import run_until_signalled
from headrace.worker.worker import Worker
from tests.crash.kit.children import tie_to_parent
from tests.engine.transacting import Inside, Program

LEASE_MS = 1_000
BATCH = 3


def moving(app: App) -> Loop:
    """The loop."""
    program = Program.on(app.settings.url.partition(":")[0], app)

    async def fetch() -> Work[list[str]] | Idle:
        rows = await program.ledger()
        return Work(rows[:BATCH]) if rows else Idle()

    async def process(batch: list[str]) -> None:
        async def body(tx: Inside) -> None:
            for what in batch:
                await tx.note(what, table="moved")
                await tx.forget(what)

        await asyncio.sleep(0.01)
        await program.transaction(body)

    return app.loop("moving", fetch=fetch, process=process, cooldown=0.05, log_level="error")


async def main(url: str) -> int:
    app = App(url, settings=Settings())
    moving(app)
    async with app:
        opened = await app.open()
        settings = WorkerSettings(
            lease_ms=LEASE_MS, renew_every_ms=300, poll_ms=50, concurrency=4, grace_ms=10_000
        )
        chores = usual_chores(opened.store, opened.clock, namespace="default", lease_ms=LEASE_MS)
        async with Upkeep(chores):
            return await run_until_signalled(Worker(await app.work(), app.registry, settings))


if __name__ == "__main__":
    tie_to_parent()
    sys.exit(asyncio.run(main(sys.argv[1])))

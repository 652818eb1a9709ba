"""A process that fires schedules and does nothing else: ``python -m tests.crash.kit.scheduler <url>``."""

import asyncio
import sys

from headrace.clock import StoreClock
from headrace.stores.open import open_store
from headrace.upkeep.fire import FireSchedules
from headrace.upkeep.upkeep import Upkeep
from tests.crash.kit.children import tie_to_parent

MODULE = "tests.crash.kit.scheduler"


async def main(url: str) -> None:
    store = await open_store(url)
    clock = StoreClock(await store.now())
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await Upkeep([FireSchedules(store, clock)]).run()


if __name__ == "__main__":
    tie_to_parent()
    asyncio.run(main(sys.argv[1]))

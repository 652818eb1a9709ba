"""A process that erases what nobody needs, at a quick pace: ``python -m tests.crash.kit.keeper <url>``."""

import asyncio
import sys
from typing import Final

from headrace.cli.logs import log_to_stderr
from headrace.clock import StoreClock
from headrace.stores.open import open_store
from headrace.upkeep.prune import PruneBeyondCount, PruneJobs, TrimRecords
from headrace.upkeep.upkeep import Upkeep
from tests.builders import NAMESPACE
from tests.crash.kit.children import tie_to_parent

MODULE: Final = "tests.crash.kit.keeper"
QUICK_MS: Final = 50
SLOWER_MS: Final = 250


async def main(url: str) -> None:
    store = await open_store(url)
    clock = StoreClock(await store.now())
    chores = (
        PruneJobs(store, clock, every_ms=QUICK_MS),
        PruneBeyondCount(store, clock, namespace=NAMESPACE, every_ms=SLOWER_MS),
        TrimRecords(store, clock, every_ms=QUICK_MS),
    )
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await Upkeep(chores).run()


if __name__ == "__main__":
    tie_to_parent()
    log_to_stderr()
    asyncio.run(main(sys.argv[1]))

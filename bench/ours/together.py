"""Producer and worker in one process, on one event loop: ``python -m bench.ours.together N``."""

import asyncio
import random
import sys
import time

import uvloop

from bench import probe
from bench.ours import worker
from bench.processes import tell
from headrace import App

app = App()
ran = asyncio.Event()


@app.job()
async def stamp(t: float) -> None:
    """Tells how long ago ``t`` was."""
    probe.delay(t)
    ran.set()


async def main(count: int) -> None:
    """One job at a time on an idle worker, after a pause of 5 to 25 ms."""
    calls = []
    async with worker.running(app):
        for _ in range(count):
            ran.clear()
            start = time.monotonic()
            await stamp.enqueue(t=start)
            calls.append((time.monotonic() - start) * 1000)
            async with asyncio.timeout(20):
                await ran.wait()
            await asyncio.sleep(random.uniform(0.005, 0.025))
    tell({"call ms": sorted(calls)[count // 2]})


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))

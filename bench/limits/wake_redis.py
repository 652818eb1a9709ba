"""The least that one process needs to hear of another's job through Redis.

``wake_redis.py wait`` blocks on the list of waiting jobs and reads each one; ``wake_redis.py tell N`` adds
a job in one call, and the other notes how late it was.
"""

import asyncio
import random
import sys
import time
from pathlib import Path

import uvloop

from bench import probe
from bench.limits import redis
from bench.processes import tell

READY = Path("ready")
PATIENCE = 2


async def wait() -> None:
    """Reads every new job as soon as it is there, for ever."""
    client = redis.Jobs().client
    await client.ping()
    _say_ready()
    while True:
        found = await client.blpop([redis.READY], PATIENCE)
        if found is not None:
            probe.delay(float(await client.hget(f"job:{found[1]}", "payload") or 0))


async def insert(count: int) -> None:
    """Adds a job at a time, after a pause of 5 to 25 ms."""
    jobs, calls = redis.Jobs(), []
    await jobs.client.ping()
    for number in range(count):
        start = time.monotonic()
        await jobs.stamp(number, str(start))
        calls.append((time.monotonic() - start) * 1000)
        await asyncio.sleep(random.uniform(0.005, 0.025))
    tell({"call ms": sorted(calls)[count // 2]})


def _say_ready() -> None:
    READY.touch()


def _wait_until_ready() -> None:
    while not READY.exists():
        time.sleep(0.01)


if __name__ == "__main__":
    if sys.argv[1] == "wait":
        uvloop.run(wait())
    _wait_until_ready()
    uvloop.run(insert(int(sys.argv[2])))

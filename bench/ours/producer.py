"""Enqueues: ``python -m bench.ours.producer prepare|fill|one|conc|bulk|lat N [job]``."""

import asyncio
import os
import random
import sys
import time
from pathlib import Path

import uvloop

from bench import probe
from bench.ours import jobs
from bench.processes import tell

PRODUCERS = 16
CHUNK = 1_000
KINDS = {"noop": jobs.noop, "noop_thread": jobs.noop_thread}


async def prepare(_count: int, _kind: str) -> None:
    """The schema is made when the store is opened."""
    tell({})


async def one(count: int, kind: str) -> None:
    """One job after the other."""
    enqueue = KINDS[kind].enqueue
    await enqueue(n=-1)
    start = time.monotonic()
    for number in range(count):
        await enqueue(n=number)
    tell({"jobs/s": count / (time.monotonic() - start)})


async def conc(count: int, kind: str) -> None:
    """Sixteen producers on one event loop, each one job after the other."""
    enqueue = KINDS[kind].enqueue
    await enqueue(n=-1)
    numbers = iter(range(count))

    async def produce() -> None:
        for number in numbers:
            await enqueue(n=number)

    start = time.monotonic()
    await asyncio.gather(*(produce() for _ in range(PRODUCERS)))
    tell({"jobs/s": count / (time.monotonic() - start)})


async def bulk(count: int, kind: str) -> None:
    """A thousand jobs a call."""
    request = KINDS[kind].request
    start = time.monotonic()
    for first in range(0, count, CHUNK):
        chunk = range(first, min(count, first + CHUNK))
        await jobs.app.enqueue_many([request(n=number) for number in chunk])
    tell({"jobs/s": count / (time.monotonic() - start)})


async def lat(count: int, _kind: str) -> None:
    """One job at a time on an idle worker, after a pause of 5 to 25 ms."""
    folder = Path(os.environ[probe.FOLDER])
    calls, before = [], probe.count(folder)
    for number in range(count):
        start = time.monotonic()
        await jobs.stamp.enqueue(t=start)
        calls.append((time.monotonic() - start) * 1000)
        while probe.count(folder) <= before + number:
            if time.monotonic() - start > 20:
                raise SystemExit("a job was not picked up within 20 s")
            await asyncio.sleep(0.002)
        await asyncio.sleep(random.uniform(0.005, 0.025))
    tell({"call ms": sorted(calls)[len(calls) // 2]})


COMMANDS = {"prepare": prepare, "fill": bulk, "one": one, "conc": conc, "bulk": bulk, "lat": lat}


async def main() -> None:
    """Does what the arguments say."""
    what, count, *rest = sys.argv[1:]
    async with jobs.app:
        await COMMANDS[what](int(count), *(rest or ["noop"]))


if __name__ == "__main__":
    uvloop.run(main())

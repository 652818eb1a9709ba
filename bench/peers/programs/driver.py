"""The commands of every peer written in Python: ``prepare``, ``fill N``, ``one N``, ``conc N``, ``bulk N``,
``lat N`` and ``work``. It mirrors ``bench.ours.producer`` and needs only the standard library.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from bench import probe

PRODUCERS = 16
CHUNK = 1_000


@dataclass(frozen=True)
class Producer:
    """How a peer enqueues: one no-op job with the payload ``{"n": n}``, a job that tells how late it is, and
    a list of no-op jobs in one call if the library has such a call."""

    one: Callable[[int], Awaitable[object]]
    stamp: Callable[[float], Awaitable[object]]
    many: Callable[[Sequence[int]], Awaitable[object]] | None = None


async def one(producer: Producer, count: int) -> dict[str, float]:
    """One job after the other."""
    await producer.one(-1)
    start = time.monotonic()
    for number in range(count):
        await producer.one(number)
    return {"jobs/s": count / (time.monotonic() - start)}


async def conc(producer: Producer, count: int) -> dict[str, float]:
    """Sixteen producers on one event loop, each one job after the other."""
    await producer.one(-1)
    return {"jobs/s": await _at_once(producer, count)}


async def bulk(producer: Producer, count: int) -> dict[str, float]:
    """A thousand jobs a call."""
    assert producer.many is not None
    start = time.monotonic()
    for first in range(0, count, CHUNK):
        await producer.many(range(first, min(count, first + CHUNK)))
    return {"jobs/s": count / (time.monotonic() - start)}


async def fill(producer: Producer, count: int) -> dict[str, float]:
    """The fastest way there is."""
    if producer.many is not None:
        return await bulk(producer, count)
    return {"jobs/s": await _at_once(producer, count)}


async def lat(producer: Producer, count: int) -> dict[str, float]:
    """One job at a time on an idle worker. Pauses exceed a poll, so samples fall anywhere in it."""
    folder, pause = Path(os.environ[probe.FOLDER]), float(os.environ.get("BENCH_PAUSE", "0.025"))
    calls, before = [], probe.count(folder)
    for number in range(count):
        start = time.monotonic()
        await producer.stamp(start)
        calls.append((time.monotonic() - start) * 1000)
        while probe.count(folder) <= before + number:
            if time.monotonic() - start > 20:
                raise SystemExit("a job was not picked up within 20 s")
            await asyncio.sleep(0.002)
        await asyncio.sleep(random.uniform(0.005, pause))
    return {"call ms": sorted(calls)[len(calls) // 2]}


async def _at_once(producer: Producer, count: int) -> float:
    numbers = iter(range(count))

    async def produce() -> None:
        for number in numbers:
            await producer.one(number)

    start = time.monotonic()
    await asyncio.gather(*(produce() for _ in range(PRODUCERS)))
    return count / (time.monotonic() - start)


COMMANDS = {"fill": fill, "one": one, "conc": conc, "bulk": bulk, "lat": lat}


def main(
    *,
    prepare: Callable[[], Awaitable[object]],
    opened: Callable[[], AbstractAsyncContextManager[Producer]],
    work: Callable[[], Awaitable[object]],
) -> None:
    """Does what the arguments say."""
    what, count = sys.argv[1], int(sys.argv[2])

    async def run() -> dict[str, float]:
        async with opened() as producer:
            return await COMMANDS[what](producer, count)

    match what:
        case "work":
            _run(work())
        case "prepare":
            _run(prepare())
            _tell({})
        case _:
            _tell(_run(run()))


def _run(work):  # noqa: ANN001, ANN202 - any awaitable, on the fastest loop that the environment has
    try:
        import uvloop  # noqa: PLC0415 - not in every peer's environment
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def _tell(value: dict[str, float]) -> None:
    print("RESULT " + json.dumps(value), flush=True)

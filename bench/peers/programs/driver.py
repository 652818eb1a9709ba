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
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from bench import probe

PRODUCERS = 16
CHUNK = 1_000


@dataclass(frozen=True)
class Producer:
    """How a peer enqueues: one no-op job with the payload ``{"n": n}``, a job that tells how late it is, and
    a list of no-op jobs in one call if the library has such a call. One that blocks has ``plain`` as well,
    for threads."""

    one: Callable[[int], Awaitable[object]]
    stamp: Callable[[float], Awaitable[object]]
    many: Callable[[Sequence[int]], Awaitable[object]] | None = None
    plain: Callable[[int], object] | None = None


def blocking(
    one: Callable[[int], object],
    stamp: Callable[[float], object],
    many: Callable[[Sequence[int]], object] | None = None,
) -> Producer:
    """A producer of a library that knows no event loop."""
    return Producer(one=_awaitable(one), stamp=_awaitable(stamp), many=many and _awaitable(many), plain=one)


async def one(producer: Producer, count: int) -> dict[str, float]:
    """One job after the other."""
    await producer.one(-1)
    start = time.monotonic()
    for number in range(count):
        await producer.one(number)
    return {"jobs/s": count / (time.monotonic() - start)}


async def conc(producer: Producer, count: int) -> dict[str, float]:
    """Sixteen producers on one event loop, or threads, each one job after the other."""
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
    if producer.plain is not None:
        for number in range(count):
            producer.plain(number)
        return {}
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
    if producer.plain is not None:
        return await asyncio.to_thread(_in_threads, producer.plain, count)
    numbers = iter(range(count))

    async def produce() -> None:
        for number in numbers:
            await producer.one(number)

    start = time.monotonic()
    await asyncio.gather(*(produce() for _ in range(PRODUCERS)))
    return count / (time.monotonic() - start)


def _in_threads(one: Callable[[int], object], count: int) -> float:
    numbers = iter(range(count))

    def produce() -> None:
        for number in numbers:
            one(number)

    start = time.monotonic()
    with ThreadPoolExecutor(PRODUCERS) as threads:
        those = [threads.submit(produce) for _ in range(PRODUCERS)]
    for one_of_them in those:
        one_of_them.result()
    return count / (time.monotonic() - start)


def _awaitable(call):  # noqa: ANN001, ANN202 - the same arguments, whatever they are
    async def called(argument: object) -> None:
        call(argument)

    return called


async def nothing() -> None:
    """What a library without a schema prepares."""


def become(module: str, *arguments: str) -> NoReturn:
    """Goes on as the library's own worker command, in this environment."""
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])


COMMANDS = {"fill": fill, "one": one, "conc": conc, "bulk": bulk, "lat": lat}


def main(
    *,
    opened: Callable[[], AbstractAsyncContextManager[Producer]],
    work: Callable[[], Awaitable[object]],
    prepare: Callable[[], Awaitable[object]] = nothing,
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

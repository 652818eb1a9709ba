"""E29: claims beside a session that holds an old snapshot."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from headrace.core.job import Job
from headrace.core.request import EnqueueRequest
from headrace.stores.protocol import Store
from tests.builders import SUCCESS, claim, reported
from tests.crash.kit.experiment import Scene, experiment
from tests.crash.kit.history import Client
from tests.crash.kit.target import POSTGRES

TYPES = frozenset({"on_loop"})
RATE = 300
BEAT_S = 0.05
CLAIM = 5
TIMES = 5
"""The slowest claims of the last minute may take so many times those of the first."""


@experiment(
    "E29",
    "old snapshot",
    "Jobs come and go at 300 a second while another session stays idle in a repeatable-read transaction, so"
    " that no dead row can be removed: claims must stay as fast as in the first minute, and in order.",
    on=frozenset({POSTGRES.name}),
)
async def old_snapshot(scene: Scene) -> None:
    minutes, minute = scene.pick(smoke=(2, 2.0), full=(5, 60.0))
    slow: list[float] = []
    async with scene.client() as (client, store), _snapshot(scene):
        for number in range(minutes):
            took = await _a_minute(scene, client, store, minute)
            slow.append(took[len(took) * 99 // 100])
            scene.findings.figures[f"claim p50/p99 in minute {number + 1}"] = (
                f"{took[len(took) // 2]:.1f}/{slow[-1]:.1f} ms"
            )
        dead = await _dead(scene)
    scene.findings.figures["dead rows at the end"] = f"{dead:,}"
    kept = scene.pick(smoke=True, full=slow[-1] <= TIMES * slow[0])
    scene.findings.demand(kept, "C39", "-", f"p99 grew from {slow[0]:.1f} to {slow[-1]:.1f} ms")


async def _a_minute(scene: Scene, client: Client, store: Store, seconds: float) -> list[float]:
    """How long each claim took, in milliseconds, in order of length."""
    # the clock that ranked the jobs: another one may be behind it by the way of a reply
    now, took = client.operations.now, list[float]()
    waiting: list[str] = []
    began = time.monotonic()
    for beat in range(round(seconds / BEAT_S)):
        requests = [EnqueueRequest(type="on_loop", payload={"ms": 0})] * round(RATE * BEAT_S)
        waiting += [answer.job_id for answer in await client.operations.enqueue(requests)]
        while waiting:
            jobs = await _timed(store, now(), took)
            got, expected = [job.id for job in jobs], waiting[:CLAIM]
            scene.findings.demand(got == expected, "C39", expected[0], f"claimed {got} of {waiting}")
            if got != expected:
                return sorted(took)
            del waiting[: len(got)]
            ended = now()
            await store.apply([reported(job, SUCCESS, now=ended) for job in jobs], now=ended)
            scene.findings.did["jobs"] += len(jobs)
            scene.findings.did["claims"] += 1
        await asyncio.sleep(max(0.0, began + (beat + 1) * BEAT_S - time.monotonic()))
    return sorted(took)


async def _timed(store: Store, now: int, took: list[float]) -> list[Job]:
    began = time.monotonic()
    jobs = await claim(store, n=CLAIM, now=now, types=TYPES)
    took.append((time.monotonic() - began) * 1000)
    return list(jobs)


async def _dead(scene: Scene) -> int:
    """Rows of jobs that are gone and cannot be removed yet, as the server counts them."""
    connection: Any = await asyncpg.connect(scene.target.url)
    try:
        await connection.execute("vacuum headrace.live")
        return await connection.fetchval(
            "select n_dead_tup from pg_stat_all_tables where relid = 'headrace.live'::regclass"
        )
    finally:
        await connection.close()


@asynccontextmanager
async def _snapshot(scene: Scene) -> AsyncIterator[None]:
    connection: Any = await asyncpg.connect(scene.target.url)
    try:
        async with connection.transaction(isolation="repeatable_read"):
            await connection.fetchval("select count(*) from headrace.live")
            yield
    finally:
        await connection.close()

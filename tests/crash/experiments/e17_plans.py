"""E17: what claims cost a server: the plans of PostgreSQL, the time that Redis takes for each command."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from typing import Any, Final

import redis

from headrace.stores.postgres.connecting import open_for
from headrace.stores.postgres.location import parse
from headrace.stores.postgres.statements import Statements
from tests.crash.kit.experiment import Scene
from tests.crash.kit.target import POSTGRES, REDIS
from tests.servers.valkey import client_of
from tests.stores.postgres.plans import blocks_read, faults, plan, whole_statements

BLOCKS: Final = 60
"""So many blocks of tables and indexes may be read for each job that a queue could give."""

MOST_US: Final = 20_000
SHOWN: Final = 60
RUNNING: Final = ("eval", "evalsha")


@asynccontextmanager
async def planned(scene: Scene, queues: Sequence[str], batch: int) -> AsyncIterator[None]:
    """Looks at what happens within, as far as the store has something to look at."""
    if scene.target.name == POSTGRES.name:
        await _plans(scene, queues, batch)
    if scene.target.name != REDIS.name:
        yield
        return
    with closing(client_of(scene.target.url, decode_responses=True)) as client:
        client.config_resetstat()
        client.config_set("slowlog-log-slower-than", MOST_US)
        client.slowlog_reset()
        yield
        _durations(scene, client)


async def _plans(scene: Scene, queues: Sequence[str], batch: int) -> None:
    """No statement would read a whole table, and a claim reads little beside what it takes."""
    now = round(time.time() * 1000)
    types = ["on_loop"]
    claiming = ("default", now, list(queues), [batch] * len(queues), batch, types, (), (), (), ())
    async with open_for(parse(scene.target.url)) as connection:
        for name in whole_statements():
            for fault in faults(name, await plan(connection, name)):
                scene.findings.demand(False, "C39", "-", fault)
            scene.findings.did["plans"] += 1
        ending = ("processing", "w", now + 30_000, None, 0, (), ())
        blocks = await blocks_read(connection, Statements()["claim"], (*claiming, *ending))
    most = len(queues) * batch * BLOCKS
    scene.findings.demand(blocks < most, "C39", "-", f"a claim read {blocks} blocks")
    scene.findings.figures["blocks read by a claim of 20"] = f"{blocks:,}"


def _durations(scene: Scene, client: redis.Redis) -> None:
    """No command keeps the server from others for long: one in a hundred may take 20 ms."""
    told: Mapping[str, Any] = client.execute_command("LATENCY HISTOGRAM")
    for name, command in told.items():
        bound = _p99_us(command["calls"], command["histogram_usec"])
        if name in RUNNING:
            scene.findings.figures[f"p99 of {name} on the server"] = f"at most {bound / 1000:.1f} ms"
            scene.findings.did["scripts run"] += command["calls"]
        kept = scene.pick(smoke=True, full=bound <= MOST_US)
        scene.findings.demand(kept, "E17", name, f"one in a hundred takes up to {bound / 1000:.1f} ms")
    slow = [(one["duration"], str(one["command"])[:SHOWN]) for one in client.slowlog_get(SHOWN)]
    longest = max(slow, default=(0, "none"))
    scene.findings.figures["slowest beyond 20 ms"] = f"{longest[0] / 1000:.0f} ms" if slow else "none"


def _p99_us(calls: int, cumulative: Mapping[int, int]) -> int:
    """The upper bound of the class in which the 99th of a hundred calls is."""
    return min(bound for bound, count in cumulative.items() if count >= calls * 0.99)

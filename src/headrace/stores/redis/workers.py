"""Workers that are alive, and the jobs that waited for what they know."""

import json
from collections.abc import Sequence
from typing import Final

from headrace.core.lanes import ALIVE_MS, TYPE_LANE, UNPARK_AT_ONCE, lane_of_type
from headrace.stores.redis.database import Database
from headrace.stores.redis.keys import Keys
from headrace.stores.values import WorkerHello

UNPARK_IN_A_SCRIPT: Final = 100


async def greet(database: Database, keys: Keys, hello: WorkerHello) -> None:
    """Notes a worker as alive, and brings back the jobs that waited for a type it knows."""
    lanes = [lane_of_type(name) for name in sorted(hello.types)]
    first = ("unpark", lanes, hello.seen_at, UNPARK_IN_A_SCRIPT)
    _, count = await database.write(keys, [("hello", hello.worker, _text_of(hello)), first])
    if count == UNPARK_IN_A_SCRIPT:
        await _unpark(database, keys, lanes, hello.seen_at)


async def goodbye(database: Database, keys: Keys, worker: str) -> None:
    """Forgets a worker."""
    await database.write(keys, [("goodbye", worker)])


async def workers(database: Database, keys: Keys) -> Sequence[WorkerHello]:
    """The workers that said hello and not goodbye, latest first."""
    said = await database.call("HGETALL", keys.workers)
    found = [_hello(keys.namespace, name, text) for name, text in zip(said[::2], said[1::2], strict=True)]
    return sorted(found, key=lambda one: (-one.seen_at, one.worker))


async def unpark_known(database: Database, now: int) -> int:
    """Brings back jobs parked for a type that a live worker knows, at most ``UNPARK_AT_ONCE``."""
    places = [database.keys(namespace) for namespace in await database.namespaces()]
    there = await database.pipe([("EXISTS", keys.parkings, keys.workers) for keys in places])
    left = UNPARK_AT_ONCE
    for keys, count in zip(places, there, strict=True):
        if count == 2 and left:  # noqa: PLR2004 - both keys
            lanes = await database.look(keys, "known_lanes", now - ALIVE_MS, TYPE_LANE)
            left -= await _unpark(database, keys, lanes, now, most=left) if lanes else 0
    return UNPARK_AT_ONCE - left


async def _unpark(
    database: Database, keys: Keys, lanes: Sequence[str], now: int, *, most: int | None = None
) -> int:
    done = 0
    while most is None or done < most:
        limit = UNPARK_IN_A_SCRIPT if most is None else min(UNPARK_IN_A_SCRIPT, most - done)
        (count,) = await database.write(keys, [("unpark", lanes, now, limit)])
        done += count
        if count < limit:
            break
    return done


def _text_of(hello: WorkerHello) -> str:
    return json.dumps(
        {
            "host": hello.host,
            "pid": hello.pid,
            "queues": hello.queues,
            "types": sorted(hello.types),
            "started_at": hello.started_at,
            "seen_at": hello.seen_at,
            "running": hello.running,
            "details": dict(hello.details),
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )


def _hello(namespace: str, worker: str, text: str) -> WorkerHello:
    said = json.loads(text)
    return WorkerHello(
        namespace=namespace,
        worker=worker,
        host=said["host"],
        pid=said["pid"],
        queues=None if said["queues"] is None else tuple(said["queues"]),
        types=frozenset(said["types"]),
        started_at=said["started_at"],
        seen_at=said["seen_at"],
        running=said["running"],
        details=said["details"],
    )

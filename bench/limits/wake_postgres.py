"""The least that one process needs to hear of another's job through PostgreSQL.

``wake_postgres.py wait`` listens and reads each new row; ``wake_postgres.py tell N`` inserts a row and
notifies in one statement, and the listener notes how late it was.
"""

import asyncio
import random
import sys
import time
from pathlib import Path

import uvloop

from bench import probe
from bench.limits import postgres
from bench.processes import tell

INSERT = "with added as (insert into job (payload) values ($1)) select pg_notify('job', '')"
READY = Path("ready")
READ = "select id, payload from job where id > $1 order by id"


async def wait() -> None:
    """Reads every new row as soon as it is told, for ever."""
    listener, reader = await postgres.opened(), await postgres.connected()
    reading = await reader.prepare(READ)
    told, seen = asyncio.Event(), 0
    await listener.add_listener("job", lambda *_: told.set())
    _say_ready()
    while True:
        await told.wait()
        told.clear()
        for number, payload in await reading.fetch(seen):
            probe.delay(float(payload))
            seen = number


async def insert(count: int) -> None:
    """Inserts a row at a time, after a pause of 5 to 25 ms."""
    connection = await postgres.connected()
    inserting, calls = await connection.prepare(INSERT), []
    for _ in range(count):
        start = time.monotonic()
        await inserting.fetch(str(start))
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

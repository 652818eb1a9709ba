"""PostgreSQL itself, without any engine: ``python -m bench.limits.postgres one|conc|bulk|claim N``.

A table with the fewest columns a queue can do with, one partial index in claim order, prepared statements
over asyncpg. The database is the one that HEADRACE_URL names.
"""

import asyncio
import os
import sys
import time

import asyncpg
import uvloop

from bench.processes import tell

CONNECTIONS = 16
CHUNK = 1_000
BATCH = 500
SCHEMA = """
create table job (
    id bigint generated always as identity primary key,
    queue text not null default 'q',
    state smallint not null default 0,
    priority integer not null default 0,
    run_at bigint not null default 0,
    attempt integer not null default 0,
    payload text not null,
    worker text,
    changed_at bigint
);
create index ready on job (queue, priority, run_at, id) where state = 0;
"""
INSERT = "insert into job (payload) values ($1)"
INSERT_MANY = "insert into job (payload) select unnest($1::text[])"
CLAIM = """
update job
set state = 1, attempt = attempt + 1, worker = 'w', changed_at = $1
where id in (
    select id from job
    where queue = 'q' and state = 0 and run_at <= $1
    order by priority, run_at, id
    limit $2
    for update skip locked
)
returning id, payload
"""
KEEP = "update job set state = 2, worker = null, changed_at = $1 where id = any($2::bigint[]) and state = 1"
DELETE = "delete from job where id = any($1::bigint[]) and state = 1"


def now() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


async def connected() -> asyncpg.Connection:
    """A connection to the database of this turn."""
    return await asyncpg.connect(os.environ["HEADRACE_URL"])


async def opened() -> asyncpg.Connection:
    """The same with the table in it."""
    connection = await connected()
    await connection.execute(SCHEMA)
    return connection


async def fill(connection: asyncpg.Connection, count: int) -> None:
    """Puts ``count`` jobs into the table, as a table that has stood for a while."""
    for first in range(0, count, CHUNK):
        await connection.execute(INSERT_MANY, payloads(first, min(count, first + CHUNK)))
    await connection.execute("vacuum (analyze) job")
    await connection.execute("checkpoint")


def payloads(first: int, end: int) -> list[str]:
    """What jobs carry."""
    return [f'{{"n":{number}}}' for number in range(first, end)]


async def one(connection: asyncpg.Connection, count: int) -> None:
    """A commit per row, one connection."""
    statement = await connection.prepare(INSERT)
    for text in payloads(0, count):
        await statement.fetch(text)


async def conc(_connection: asyncpg.Connection, count: int) -> None:
    """A commit per row, sixteen connections."""
    rows = iter(payloads(0, count))

    async def insert(connection: asyncpg.Connection) -> None:
        for text in rows:
            await connection.execute(INSERT, text)

    connections = [await connected() for _ in range(CONNECTIONS)]
    await asyncio.gather(*(insert(other) for other in connections))
    for other in connections:
        await other.close()


async def bulk(connection: asyncpg.Connection, count: int) -> None:
    """A commit per thousand rows."""
    statement = await connection.prepare(INSERT_MANY)
    for first in range(0, count, CHUNK):
        await statement.fetch(payloads(first, min(count, first + CHUNK)))


async def claim(connection: asyncpg.Connection, count: int) -> None:
    """Claims 500 in one transaction and marks them done in another, until nothing is left."""
    claiming, keeping = await connection.prepare(CLAIM), await connection.prepare(KEEP)
    done = 0
    while done < count:
        rows = await claiming.fetch(now(), BATCH)
        await keeping.fetch(now(), [row[0] for row in rows])
        done += len(rows)


async def main() -> None:
    """Does what the arguments say."""
    what, count = sys.argv[1], int(sys.argv[2])
    connection = await opened()
    if what == "claim":
        await fill(connection, count)
    start = time.perf_counter()
    await {"one": one, "conc": conc, "bulk": bulk, "claim": claim}[what](connection, count)
    rate = count / (time.perf_counter() - start)
    await connection.close()
    tell({"jobs/s": rate})


if __name__ == "__main__":
    uvloop.run(main())

"""SQLite itself, without any engine: ``python -m bench.limits.sqlite one|bulk|claim N``.

A table with the fewest columns a queue can do with, one partial index in claim order, WAL and
synchronous=FULL, one connection, prepared statements.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from bench.processes import tell

SCHEMA = """
create table job (
    id integer primary key,
    queue text not null default 'q',
    state integer not null default 0,
    priority integer not null default 0,
    run_at integer not null default 0,
    attempt integer not null default 0,
    payload text not null,
    worker text,
    changed_at integer
);
create index ready on job (queue, priority, run_at, id) where state = 0;
"""
INSERT = "insert into job (payload) values (?)"
CLAIM = """
update job
set state = 1, attempt = attempt + 1, worker = 'w', changed_at = ?1
where id in (
    select id from job
    where queue = 'q' and state = 0 and run_at <= ?1
    order by priority, run_at, id
    limit ?2
)
returning id, payload
"""
KEEP = "update job set state = 2, worker = null, changed_at = ? where id = ? and state = 1"
DELETE = "delete from job where id = ? and state = 1"


def opened(path: str, synchronous: str) -> apsw.Connection:
    """A fresh file with the table."""
    database = apsw.Connection(path)
    database.execute("pragma journal_mode = wal")
    database.execute(f"pragma synchronous = {synchronous}")
    database.execute(SCHEMA)
    return database


@contextmanager
def transaction(database: apsw.Connection) -> Iterator[None]:
    """One write transaction."""
    database.execute("begin immediate")
    yield
    database.execute("commit")


def fill(database: apsw.Connection, count: int) -> None:
    """Puts ``count`` jobs into the table."""
    with transaction(database):
        database.executemany(INSERT, ((_payload(number),) for number in range(count)))


def one(database: apsw.Connection, count: int) -> None:
    """A commit per row."""
    for number in range(count):
        database.execute(INSERT, (_payload(number),))


def bulk(database: apsw.Connection, count: int) -> None:
    """A commit per thousand rows."""
    for first in range(0, count, 1000):
        with transaction(database):
            database.executemany(INSERT, [(_payload(n),) for n in range(first, first + 1000)])


def claim(database: apsw.Connection, count: int) -> None:
    """Claims 500 in one transaction and marks them done in another, until nothing is left."""
    done = 0
    while done < count:
        now = time.time_ns() // 1_000_000
        rows = database.execute(CLAIM, (now, 500)).fetchall()
        with transaction(database):
            database.executemany(KEEP, [(now, row[0]) for row in rows])
        done += len(rows)


def _payload(number: int) -> str:
    return f'{{"n":{number}}}'


def main() -> None:
    """Does what the arguments say, in a file in the current folder."""
    what, count = sys.argv[1], int(sys.argv[2])
    database = opened(f"limit-{os.getpid()}.db", "full")
    if what == "claim":
        fill(database, count)
    start = time.perf_counter()
    {"one": one, "bulk": bulk, "claim": claim}[what](database, count)
    tell({"jobs/s": count / (time.perf_counter() - start)})


if __name__ == "__main__":
    main()

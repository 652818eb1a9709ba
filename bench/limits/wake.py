"""The least that one process needs to hear of another's job through a SQLite file.

``wake.py wait`` asks `pragma data_version` every millisecond and reads the row; ``wake.py tell N``
inserts rows with synchronous=FULL and tells how late each was read.
"""

import random
import sys
import time
from pathlib import Path

import apsw

from bench import probe
from bench.limits import sqlite
from bench.processes import tell

FILE = "wake.db"
EVERY = 0.001


def wait() -> None:
    """Reads every new row as soon as the file changes, for ever."""
    database = sqlite.opened(FILE, "full")
    seen, version = 0, None
    Path("ready").touch()
    while True:
        now = database.pragma("data_version")
        if now != version:
            version = now
            for number, payload in database.execute("select id, payload from job where id > ?", (seen,)):
                probe.delay(float(payload))
                seen = number
        time.sleep(EVERY)


def insert(count: int) -> None:
    """Inserts a row at a time, after a pause of 5 to 25 ms."""
    while not Path("ready").exists():
        time.sleep(0.01)
    database = apsw.Connection(FILE)
    database.execute("pragma synchronous = full")
    for _ in range(count):
        database.execute(sqlite.INSERT, (str(time.monotonic()),))
        time.sleep(random.uniform(0.005, 0.025))
    tell({})


if __name__ == "__main__":
    if sys.argv[1] == "wait":
        wait()
    insert(int(sys.argv[2]))

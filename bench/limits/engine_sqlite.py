"""The minimal engine on a SQLite file, on a thread of its own: ``python -m bench.limits.engine_sqlite
normal|full delete|keep N``.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import apsw
import uvloop

from bench.limits import engine, sqlite
from bench.processes import tell

T = TypeVar("T")


class File:
    """The table of ``limits.sqlite`` behind one thread."""

    def __init__(self, synchronous: str, *, keep: bool) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._keep = keep
        self._database: apsw.Connection = self._thread.submit(
            sqlite.opened, f"engine-{os.getpid()}.db", synchronous
        ).result()

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Runs work on the thread."""
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, work, self._database, *arguments
        )

    async def claim(self) -> list[tuple[int, str]]:
        """The next jobs."""
        return await self.run(lambda db: db.execute(sqlite.CLAIM, (_now(), engine.BATCH)).fetchall())

    async def settle(self, ids: list[int]) -> None:
        """Marks jobs as done, or deletes them."""
        await self.run(self._settle, ids)

    def _settle(self, database: apsw.Connection, ids: list[int]) -> None:
        with sqlite.transaction(database):
            if self._keep:
                now = _now()
                database.executemany(sqlite.KEEP, [(now, one) for one in ids])
            else:
                database.executemany(sqlite.DELETE, [(one,) for one in ids])


def _now() -> int:
    return time.time_ns() // 1_000_000


async def main() -> None:
    """Fills a file in the current folder and drains it."""
    synchronous, rows, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    file = File(synchronous, keep=rows == "keep")
    await file.run(sqlite.fill, count)
    handlers, settled = await engine.Engine(file, count).drain()
    tell({"jobs/s": handlers, "jobs/s settled": settled})


if __name__ == "__main__":
    uvloop.run(main())

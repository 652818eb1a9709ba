"""The minimal engine on PostgreSQL, one connection for claims and one for completions: ``python -m
bench.limits.engine_postgres delete|keep N``.
"""

import sys

import asyncpg
import uvloop

from bench.limits import engine, postgres
from bench.processes import tell


class Rows:
    """The table of ``limits.postgres``."""

    def __init__(self, claims: asyncpg.Connection, completions: asyncpg.Connection, *, keep: bool) -> None:
        self._claims = claims
        self._completions = completions
        self._keep = keep

    async def claim(self) -> list[tuple[int, str]]:
        """The next jobs."""
        return await self._claims.fetch(postgres.CLAIM, postgres.now(), engine.BATCH)

    async def settle(self, ids: list[int]) -> None:
        """Marks jobs as done, or deletes them."""
        if self._keep:
            await self._completions.execute(postgres.KEEP, postgres.now(), ids)
        else:
            await self._completions.execute(postgres.DELETE, ids)


async def main() -> None:
    """Fills the table and drains it."""
    rows, count = sys.argv[1], int(sys.argv[2])
    claims, completions = await postgres.opened(), await postgres.connected()
    await postgres.fill(claims, count)
    table = Rows(claims, completions, keep=rows == "keep")
    handlers, settled = await engine.Engine(table, count).drain()
    for connection in (claims, completions):
        await connection.close()
    tell({"jobs/s": handlers, "jobs/s settled": settled})


if __name__ == "__main__":
    uvloop.run(main())

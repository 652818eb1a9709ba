"""The minimal engine on Redis, scripts that claim 100 jobs and settle what has ended: ``python -m
bench.limits.engine_redis delete|keep N``.
"""

import sys

import uvloop

from bench.limits import engine, redis
from bench.processes import tell

MOST = 1_000
"""So many are settled in one call: Lua takes no more than some thousand arguments."""


class Keys:
    """The jobs of ``limits.redis``."""

    def __init__(self, jobs: redis.Jobs, *, keep: bool) -> None:
        self._jobs = jobs
        self._settle = jobs.keep if keep else jobs.delete

    async def claim(self) -> list[tuple[int, str]]:
        """The next jobs."""
        return await self._jobs.claim()

    async def settle(self, ids: list[int]) -> None:
        """Marks jobs as done, or deletes them."""
        for first in range(0, len(ids), MOST):
            await self._settle(ids[first : first + MOST])


async def main() -> None:
    """Fills the database and drains it."""
    rows, count = sys.argv[1], int(sys.argv[2])
    jobs = redis.Jobs()
    await jobs.fill(count)
    keys = Keys(jobs, keep=rows == "keep")
    handlers, settled = await engine.Engine(keys, count, redis.BATCH).drain()
    await jobs.client.aclose()
    tell({"jobs/s": handlers, "jobs/s settled": settled})


if __name__ == "__main__":
    uvloop.run(main())

"""Redis itself, without any engine: ``python -m bench.limits.redis one|conc|bulk|claim N``.

A hash for each job, a list of those that wait, a sorted set of those that run; scripts over redis-py. The
database is the one that HEADRACE_URL names.
"""

import asyncio
import os
import sys
import time
from collections.abc import Sequence

import uvloop
from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from bench.processes import tell

CONNECTIONS = 16
CHUNK = 1_000
BATCH = 100
READY, RUNNING, DONE = "ready", "running", "done"
# KEYS: ready. ARGV: id, payload, …
ADD = """
local ids = {}
for i = 1, #ARGV, 2 do
    redis.call('HSET', 'job:' .. ARGV[i], 'payload', ARGV[i + 1], 'state', 0, 'attempt', 0)
    ids[#ids + 1] = ARGV[i]
end
redis.call('RPUSH', KEYS[1], unpack(ids))
"""
# KEYS: ready, running. ARGV: how many, now. Returns id, payload, …
CLAIM = """
local ids = redis.call('LPOP', KEYS[1], ARGV[1])
if not ids then return {} end
local found, running = {}, {}
for _, id in ipairs(ids) do
    local key = 'job:' .. id
    found[#found + 1], found[#found + 2] = id, redis.call('HGET', key, 'payload')
    redis.call('HSET', key, 'state', 1, 'worker', 'w')
    redis.call('HINCRBY', key, 'attempt', 1)
    running[#running + 1], running[#running + 2] = ARGV[2], id
end
redis.call('ZADD', KEYS[2], unpack(running))
return found
"""
# KEYS: running. ARGV: id, …
DELETE = """
for _, id in ipairs(ARGV) do redis.call('UNLINK', 'job:' .. id) end
redis.call('ZREM', KEYS[1], unpack(ARGV))
"""
# KEYS: running, done. ARGV: now, id, …
KEEP = """
local done = {}
for i = 2, #ARGV do
    redis.call('HSET', 'job:' .. ARGV[i], 'state', 2, 'worker', '')
    redis.call('ZREM', KEYS[1], ARGV[i])
    done[#done + 1], done[#done + 2] = ARGV[1], ARGV[i]
end
redis.call('ZADD', KEYS[2], unpack(done))
"""


class Jobs:
    """The jobs in the database of this turn."""

    def __init__(self) -> None:
        self.client = Redis.from_url(os.environ["HEADRACE_URL"], decode_responses=True)
        self._add = self._script(ADD)
        self._claim = self._script(CLAIM)
        self._delete = self._script(DELETE)
        self._keep = self._script(KEEP)

    async def add(self, numbers: Sequence[int]) -> None:
        """Adds jobs in one call."""
        pairs = [text for number in numbers for text in (str(number), f'{{"n":{number}}}')]
        await self._add(keys=[READY], args=pairs)

    async def stamp(self, number: int, payload: str) -> None:
        """Adds a job with another payload."""
        await self._add(keys=[READY], args=[number, payload])

    async def claim(self) -> list[tuple[int, str]]:
        """The next jobs."""
        found = await self._claim(keys=[READY, RUNNING], args=[BATCH, now()])
        return [(int(one), payload) for one, payload in zip(found[::2], found[1::2], strict=True)]

    async def delete(self, ids: Sequence[int]) -> None:
        """Deletes jobs that have ended."""
        await self._delete(keys=[RUNNING], args=ids)

    async def keep(self, ids: Sequence[int]) -> None:
        """Marks jobs as done."""
        await self._keep(keys=[RUNNING, DONE], args=[now(), *ids])

    async def fill(self, count: int) -> None:
        """Adds ``count`` jobs, a thousand a call."""
        for first in range(0, count, CHUNK):
            await self.add(range(first, min(count, first + CHUNK)))

    def _script(self, text: str) -> AsyncScript:
        return self.client.register_script(text)


def now() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


async def one(jobs: Jobs, count: int) -> None:
    """A call per job, one connection."""
    for number in range(count):
        await jobs.add([number])


async def conc(jobs: Jobs, count: int) -> None:
    """A call per job, sixteen connections."""
    numbers = iter(range(count))

    async def insert() -> None:
        for number in numbers:
            await jobs.add([number])

    await asyncio.gather(*(insert() for _ in range(CONNECTIONS)))


async def bulk(jobs: Jobs, count: int) -> None:
    """A call per thousand jobs."""
    await jobs.fill(count)


async def claim(jobs: Jobs, count: int) -> None:
    """Claims a hundred in one call and marks them done in another, until nothing is left."""
    done = 0
    while done < count:
        found = await jobs.claim()
        await jobs.keep([one for one, _ in found])
        done += len(found)


async def main() -> None:
    """Does what the arguments say."""
    what, count = sys.argv[1], int(sys.argv[2])
    jobs = Jobs()
    if what == "claim":
        await jobs.fill(count)
    start = time.perf_counter()
    await {"one": one, "conc": conc, "bulk": bulk, "claim": claim}[what](jobs, count)
    rate = count / (time.perf_counter() - start)
    await jobs.client.aclose()
    tell({"jobs/s": rate})


if __name__ == "__main__":
    uvloop.run(main())

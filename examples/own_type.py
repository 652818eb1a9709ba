"""A job type of one's own, a worker in the same program, and a result.

Run it: python examples/own_type.py
"""

import asyncio

from headrace import App, Backoff, Context, Permanent, Retry
from headrace.worker.settings import WorkerSettings
from headrace.worker.worker import Worker

app = App("sqlite://")  # in memory: everything is gone at the end


@app.job(queue="sums", retry=Retry(attempts=3, backoff=Backoff.fixed(0.1)), timeout=5)
async def average(numbers: list[float], ctx: Context) -> float:
    """The mean of some numbers."""
    if not numbers:
        raise Permanent("no numbers")
    if ctx.attempt == 1:
        raise ConnectionError("as things happen")
    ctx.progress("adding", 50, f"{len(numbers)} numbers")
    return sum(numbers) / len(numbers)


async def main() -> None:
    async with app, Worker(await app.work(), app.registry, WorkerSettings(poll_ms=50)):
        handle = await average.enqueue(numbers=[1, 2, 6])
        result = await handle.result(timeout=30)
        job = await handle.job()
        print(f"{result} after {job.attempts} attempts")
        assert (result, job.attempts) == (3.0, 2)


if __name__ == "__main__":
    asyncio.run(main())

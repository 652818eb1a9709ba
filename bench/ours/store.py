"""The store without a worker: claim 500, decide, apply 500, until nothing is left."""

import asyncio
import random
import sys
import time

from bench.ours import jobs
from bench.processes import tell
from headrace.core.decide import decide_report
from headrace.core.job import Job, Transition
from headrace.core.outcomes import Succeeded
from headrace.core.policy import Policy
from headrace.stores.protocol import ClaimRequest

BATCH = 500
POLICY = Policy()
RNG = random.Random()


async def main(count: int) -> None:
    """Settles ``count`` jobs and tells how long each part took."""
    opened = await jobs.app.open()
    spent = {"claim µs": 0.0, "decide µs": 0.0, "apply µs": 0.0}
    done, start = 0, time.perf_counter()
    while done < count:
        began = time.perf_counter()
        claimed = await opened.store.claim(_request(opened.clock.now()))
        got = time.perf_counter()
        transitions = _decided(claimed, opened.clock.now())
        decided = time.perf_counter()
        await opened.store.apply(transitions, now=opened.clock.now())
        spent["claim µs"] += got - began
        spent["decide µs"] += decided - got
        spent["apply µs"] += time.perf_counter() - decided
        done += len(claimed)
        if not claimed:
            raise SystemExit(f"only {done} of {count} jobs were there")
    rate = count / (time.perf_counter() - start)
    await jobs.app.close()
    tell({"jobs/s": rate, **{name: seconds / count * 1e6 for name, seconds in spent.items()}})


def _request(now: int) -> ClaimRequest:
    return ClaimRequest(
        namespace="default",
        worker="bench",
        queues={"default": BATCH},
        types=frozenset(jobs.app.registry.names),
        limit=BATCH,
        now=now,
        lease_until=now + 30_000,
    )


def _decided(claimed: "list[Job] | tuple[Job, ...]", now: int) -> list[Transition]:
    succeeded = Succeeded()
    return [decide_report(job, succeeded, now, policy=POLICY, now=now, rng=RNG) for job in claimed]


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

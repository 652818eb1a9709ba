"""Limits in the store, without a worker: ``python -m bench.ours.lanes plain|defined|blocked|slots N``.

``plain``: claims of 100 jobs. ``defined``: the same while there are limits for other queues and types.
``blocked``: the same behind 10,000 jobs of a key whose lane is full. ``slots``: eight claimers that start
jobs of one lane with eight slots, one at a time.
"""

import asyncio
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence

from bench.ours import jobs
from bench.processes import tell
from headrace.core.decide import decide_report
from headrace.core.job import Facts, Job, Placement, Transition
from headrace.core.limit_register import KEY, Definitions
from headrace.core.limits import Limit
from headrace.core.outcomes import Succeeded
from headrace.core.policy import Policy
from headrace.core.states import State
from headrace.core.wishes import Wishes
from headrace.mint import IdMint
from headrace.stores.protocol import ClaimRequest, NewJob, Store, Swap

AT_ONCE = 100
HEADS = 10_000
CLAIMERS = 8
BULK = 5_000
NAMESPACE, QUEUE, TYPE = "default", "default", "noop"
FULL, OPEN = "limit:full/a", "limit:open/a"
POLICY = Policy()
RNG = random.Random()
MINT = IdMint(RNG)

Clock = Callable[[], int]


async def main(what: str, count: int) -> None:
    """Measures one part on an empty store, and tells the figures."""
    opened = await jobs.app.open()
    store, now = opened.store, opened.clock.now
    if what != "plain":
        await _define(store)
    if what == "blocked":
        await _fill(store, HEADS, now() - 60_000, Wishes(lanes=(FULL,)))
    wishes = Wishes(lanes=(OPEN,)) if what == "slots" else Wishes()
    await _fill(store, count, now(), wishes)
    figures = await (_starts(store, now, count) if what == "slots" else _claims(store, now, count))
    await jobs.app.close()
    tell(figures)


async def _define(store: Store) -> None:
    limits = [
        Limit(name="full", slots=0),
        Limit(name="open", slots=CLAIMERS),
        Limit(name="queue:other", slots=1),
        Limit(name="type:other", slots=1),
    ]
    value = Definitions(code={one.name: one for one in limits}).dumps()
    kept = (await store.read(NAMESPACE, [KEY])).get(KEY)
    revision = 0 if kept is None else kept.revision
    await store.swap(NAMESPACE, [Swap(key=KEY, revision=revision, value=value)])


async def _fill(store: Store, count: int, now: int, wishes: Wishes) -> None:
    lane = wishes.dumps()
    for start in range(0, count, BULK):
        some = [_job(now, lane) for _ in range(min(BULK, count - start))]
        await store.insert(NAMESPACE, some, now=now)


def _job(now: int, lane: str | None) -> NewJob:
    facts = Facts(
        id=MINT.mint(now),
        namespace=NAMESPACE,
        type=TYPE,
        queue=QUEUE,
        payload='{"n":1}',
        created_at=now,
        max_attempts=3,
        lane=lane,
    )
    return NewJob(facts=facts, placement=Placement(state=State.PENDING, priority=0, rank=now, due_at=now))


async def _claims(store: Store, now: Clock, count: int) -> dict[str, float]:
    """Claims until nothing is left; what the first one took, and the middle one of the others."""
    took: list[float] = []
    done = 0
    while done < count:
        began = time.perf_counter()
        claimed = await store.claim(_request(now(), AT_ONCE))
        took.append((time.perf_counter() - began) * 1000)
        if not claimed:
            raise SystemExit(f"only {done} of {count} jobs were there")
        await store.apply(_decided(claimed, now()), now=now())
        done += len(claimed)
    return {"first ms": took[0], "claim ms": statistics.median(took[1:])}


async def _starts(store: Store, now: Clock, count: int) -> dict[str, float]:
    """Claimers that take one job after the other; how many started a second."""
    done = 0

    async def work() -> None:
        nonlocal done
        while done < count:
            if claimed := await store.claim(_request(now(), 1)):
                await store.apply(_decided(claimed, now()), now=now())
                done += len(claimed)

    start = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(CLAIMERS)))
    return {"starts/s": count / (time.perf_counter() - start)}


def _request(now: int, limit: int) -> ClaimRequest:
    return ClaimRequest(
        namespace=NAMESPACE,
        worker="bench",
        queues={QUEUE: limit},
        types=frozenset({TYPE}),
        limit=limit,
        now=now,
        lease_until=now + 30_000,
    )


def _decided(claimed: Sequence[Job], now: int) -> list[Transition]:
    succeeded = Succeeded()
    return [decide_report(job, succeeded, now, policy=POLICY, now=now, rng=RNG) for job in claimed]


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))

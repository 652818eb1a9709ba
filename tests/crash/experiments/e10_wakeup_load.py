"""E10: wake-ups under load, and beside a listener that does not listen."""

import asyncio
import time

from headrace.clock import StoreClock
from headrace.core.request import EnqueueRequest
from headrace.engine.local import LocalOperations
from headrace.stores.open import open_store
from tests.contract.reads import tallied
from tests.crash.experiments.e10_ears import listening, sleeper
from tests.crash.kit.experiment import Scene, experiment
from tests.crash.kit.jobs import registry
from tests.crash.kit.target import SERVERS

QUEUES = 4
PRODUCERS = 16
MOST_A_SECOND = 20
MOST_AT_FIRST = 5
"""Of a busy queue the first few come quickly, then one in 50 ms."""

SHARE_KEPT = 0.8
MOST_USED = 0.01


@experiment(
    "E10",
    "wake-up load",
    "Sixteen producers enqueue one job a transaction beside many listeners, with notifications and without;"
    " then a listener falls asleep.",
    on=SERVERS,
)
async def wakeup_load(scene: Scene) -> None:
    jobs, listeners = scene.pick(smoke=(400, 5), full=(20_000, 50))
    async with listening(scene, listeners) as ears:
        silent = await _produced(scene, "?notify=off", jobs)
        scene.findings.demand(not ears.heard, "C47", "-", f"{len(ears.heard)} notices with notify=off")
        loud = await _produced(scene, "", jobs)
        _judge_rate(scene, ears.heard)
        ears.heard.clear()
        await _asleep(scene, jobs)
    scene.findings.did.update({"listeners": listeners, "producers": PRODUCERS})
    scene.findings.figures["with notices/without"] = f"{loud / silent:.2f}"
    kept = scene.pick(smoke=True, full=loud >= SHARE_KEPT * silent)
    scene.findings.demand(kept, "E10", "-", f"{loud:.0f} jobs/s with notices, {silent:.0f} without")


async def _produced(scene: Scene, options: str, jobs: int) -> float:
    """Jobs a second of producers that wait for each acknowledgement; none of them may fail."""
    store = await open_store(scene.target.url + options)
    try:
        await store.migrate()
        operations = LocalOperations(store, StoreClock(await store.now()), registry=registry)

        async def produce(number: int) -> None:
            queue = f"load-{number % QUEUES}"
            for _ in range(jobs // PRODUCERS):
                await operations.enqueue([EnqueueRequest(type="on_loop", payload={"ms": 0}, queue=queue)])

        began = time.monotonic()
        await asyncio.gather(*(produce(number) for number in range(PRODUCERS)))
        took = time.monotonic() - began
    finally:
        await store.close()
    scene.findings.did["jobs"] += jobs // PRODUCERS * PRODUCERS
    return jobs / took


def _judge_rate(scene: Scene, heard: list[float]) -> None:
    """How many notices came a second; the first of each queue is free."""
    scene.findings.demand(heard, "C47", "-", "no notice was heard")
    if not heard:
        return
    seconds = heard[-1] - heard[0]
    bound = QUEUES * (MOST_A_SECOND * seconds + MOST_AT_FIRST)
    scene.findings.demand(
        len(heard) <= bound, "E10", "-", f"{len(heard)} notices in {seconds:.1f} s for {QUEUES} queues"
    )
    scene.findings.did["notices"] += len(heard)


async def _asleep(scene: Scene, jobs: int) -> None:
    """For a listener that is asleep the server keeps what it would have heard: it must not matter."""
    before = await _count(scene)
    async with sleeper(scene) as asleep:
        await _produced(scene, "", jobs)
        used = await asleep.used()
    scene.findings.demand(used < MOST_USED, "E10", "-", f"{used:.1%} of the room for notices is used")
    scene.findings.figures["room for notices used"] = f"{used:.3%}"
    grown = await _count(scene) - before
    scene.findings.demand(grown == jobs // PRODUCERS * PRODUCERS, "I1", "-", f"{grown} of {jobs} are there")


async def _count(scene: Scene) -> int:
    async with scene.store() as store:
        return sum((await tallied(store)).values())

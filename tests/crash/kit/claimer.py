"""A consumer without a worker: ``python -m tests.crash.kit.claimer '<ClaimerSpec as JSON>'``.

Claims from the store itself and settles at once, as fast as it can, and notes every claim with the time
it was asked and answered.
"""

import asyncio
import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.clock import StoreClock
from headrace.core.job import Job
from headrace.stores.open import open_store
from headrace.stores.protocol import ClaimRequest, Store
from tests.builders import NAMESPACE, SUCCESS, reported
from tests.crash.kit.children import Child, Fleet, tie_to_parent
from tests.crash.kit.clocks import mono_ms, until
from tests.crash.kit.ledger import append, lines_of

MODULE = "tests.crash.kit.claimer"
LEASE_MS = 120_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimerSpec:
    """Whose jobs, how many at once, where to write, and the file whose coming starts it.

    With ``queues`` it asks for one queue after the other, with None for the queue ``default``.
    """

    url: str
    name: str
    batch: int
    log: str
    gate: str
    queues: int | None = None

    def dumps(self) -> str:
        return json.dumps(dataclasses.asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """One claim that returned something. ``places`` are (job, queue, fence, priority, rank, seq)."""

    who: str
    asked: float
    answered: float
    places: tuple[tuple[str, str, int, int, int, int], ...]


def queue_name(number: int) -> str:
    """The queues of an experiment with many."""
    return f"queue-{number:02}"


def claims_in(log: Path) -> list[Claimed]:
    """All claims written to a log, in the order of writing."""
    return [_claimed(line) for line in lines_of(log)]


async def race(fleet: Fleet, specs: list[ClaimerSpec]) -> list[Child]:
    """Starts claimers, lets them go together once all are ready, and waits until all have ended."""
    children = [fleet.start(MODULE, spec.dumps(), name=spec.name) for spec in specs]
    await until("claimers are ready", lambda: all("ready" in one.said() or not one.alive for one in children))
    Path(specs[0].gate).touch()
    codes = [await child.ended(600) for child in children]
    assert codes == [0] * len(codes), f"claimers ended with {codes}"
    return children


async def main(spec: ClaimerSpec) -> None:
    store = await open_store(spec.url)
    clock = StoreClock(await store.now())
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await until("the race starts", Path(spec.gate).exists)
    queues = ["default"] if spec.queues is None else [queue_name(number) for number in range(spec.queues)]
    while queues:
        queue = queues[0]
        if jobs := await _claim(store, clock, spec, queue):
            now = clock.now()
            await store.apply([reported(job, SUCCESS, now=now) for job in jobs], now=now)
            queues.append(queue)
        queues.pop(0)
    await store.close()


async def _claim(store: Store, clock: StoreClock, spec: ClaimerSpec, queue: str) -> list[Job]:
    now, asked = clock.now(), mono_ms()
    request = ClaimRequest(
        namespace=NAMESPACE,
        worker=spec.name,
        queues={queue: spec.batch},
        types=frozenset({"on_loop"}),
        limit=spec.batch,
        now=now,
        lease_until=now + LEASE_MS,
    )
    jobs = list(await store.claim(request))
    if jobs:
        append(Path(spec.log), _row(spec.name, asked, mono_ms(), jobs))
    return jobs


def _row(who: str, asked: float, answered: float, jobs: list[Job]) -> dict[str, object]:
    places = [
        (job.id, job.facts.queue, job.fence, job.placement.priority, job.placement.rank, job.seq)
        for job in jobs
    ]
    return {"who": who, "asked": asked, "answered": answered, "places": places}


def _claimed(line: dict[str, Any]) -> Claimed:
    places = tuple((job, queue, *numbers) for job, queue, *numbers in line["places"])
    return Claimed(who=line["who"], asked=line["asked"], answered=line["answered"], places=places)


if __name__ == "__main__":
    tie_to_parent()
    asyncio.run(main(ClaimerSpec(**json.loads(sys.argv[1]))))

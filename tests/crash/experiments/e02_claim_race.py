"""E02: several processes claim the same jobs at the same time."""

from collections import Counter
from pathlib import Path

from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from tests.crash.kit.claimer import Claimed, ClaimerSpec, claims_in, race
from tests.crash.kit.dump import dumped
from tests.crash.kit.experiment import Scene, experiment
from tests.crash.kit.history import Client

BATCHES = (1, 10, 50)
BULK = 1_000


@experiment(
    "E02",
    "claim race",
    "Processes that claim 1, 10 or 50 jobs at once race for one queue; each job must be claimed once.",
)
async def claim_race(scene: Scene) -> None:
    processes = scene.pick(smoke=3, full=8 if scene.target.server else 4)
    jobs = scene.pick(smoke=600, full=20_000)
    async with scene.client() as (client, store):
        for batch in BATCHES:
            alone = await _turn(scene, client, jobs, batch, 1) if batch == max(BATCHES) else None
            together = await _turn(scene, client, jobs, batch, processes)
            if alone is not None:
                scene.findings.figures["together/alone"] = f"{together / alone:.2f}"
        dump = await dumped(store)
    scene.findings.did["processes"] = processes
    completed = len(dump.in_state(State.COMPLETED))
    scene.findings.demand(
        completed == len(dump.jobs), "I1", "-", f"{len(dump.jobs) - completed} jobs are left"
    )
    scene.findings.demand(
        all(job.placement.starts == job.fence == 1 for job in dump.jobs.values()), "C10", "-", "claimed twice"
    )


async def _turn(scene: Scene, client: Client, jobs: int, batch: int, processes: int) -> float:
    """One race; how many jobs a second were claimed and settled."""
    ids: set[str] = set()
    for start in range(0, jobs, BULK):
        requests = [
            EnqueueRequest(type="on_loop", payload={"ms": n}) for n in range(start, min(jobs, start + BULK))
        ]
        ids.update(await client.enqueue(*requests))
    place = scene.folder / f"race-{batch}-{processes}"
    specs = [
        ClaimerSpec(
            url=scene.target.url,
            name=f"{place.name}-{number}",
            batch=batch,
            log=f"{place}.claims",
            gate=f"{place}.gate",
        )
        for number in range(processes)
    ]
    with scene.fleet() as fleet:
        await race(fleet, specs)
    return _judged(scene, ids, batch, claims_in(Path(f"{place}.claims")))


def _judged(scene: Scene, ids: set[str], batch: int, claims: list[Claimed]) -> float:
    times = Counter(job for claim in claims for job, *_ in claim.places)
    findings = scene.findings
    for job, count in times.items():
        findings.demand(count == 1, "C10", job, f"was claimed {count} times")
        findings.demand(job in ids, "C17", job, "was claimed and never enqueued")
    for job in ids - times.keys():
        findings.demand(False, "I1", job, "was never claimed")
    over = [claim for claim in claims if len(claim.places) > batch]
    findings.demand(not over, "C17", "-", f"{len(over)} claims returned more than {batch}")
    findings.did["jobs"] += len(ids)
    findings.did["claims"] += len(claims)
    seconds = (max(claim.answered for claim in claims) - min(claim.asked for claim in claims)) / 1000
    return len(ids) / seconds

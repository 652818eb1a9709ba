"""E06: handlers that block the event loop, the processor or the interpreter beside ordinary jobs."""

import asyncio
from collections import Counter

from headrace.core.job import AttemptOutcome
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from tests.crash.kit.children import Child, Fleet
from tests.crash.kit.clocks import PATIENCE, until
from tests.crash.kit.dump import Dump
from tests.crash.kit.experiment import Scene, experiment
from tests.crash.kit.history import Client
from tests.crash.kit.ledger import Phase
from tests.crash.kit.worker import WorkerSpec, start_worker

LEASES = {"sleeps_on_loop": 2, "computes_on_loop": 2, "holds_interpreter_apart": 1.2, "holds_interpreter": 2}
"""How many leases each blocks; those that hold the interpreter, up to twice as long."""
*KEPT, LOST = LEASES
BESIDE = 10


@experiment(
    "E06",
    "blocked loop",
    "Handlers sleep or compute on the event loop for two leases, or hold the interpreter"
    " inside C (in the worker or in a child process), beside ten async jobs; only the one that holds the"
    " worker's own loses its lease, cleanly.",
)
async def blocked_loops(scene: Scene) -> None:
    lease_ms = 3_500  # three of these compute beside each other, and each must get to renew
    async with scene.client() as (client, store):
        for _ in range(scene.pick(smoke=1, full=5)):
            with scene.fleet() as fleet:
                await _round(scene, client, fleet, lease_ms)
        _judged(scene, await scene.check(store))


async def _round(scene: Scene, client: Client, fleet: Fleet, lease_ms: int) -> None:
    """Each blocking job has a queue and a worker of its own; others take away and run what they lose."""
    rescuer = start_worker(fleet, WorkerSpec(url=scene.target.url, lease_ms=lease_ms, queues={"none": 1}))
    blocked: dict[str, Child] = {}
    blocking: set[str] = set()
    for kind in (*KEPT, LOST):
        seconds = LEASES[kind] * lease_ms / 1000
        requests = [EnqueueRequest(type="on_loop", payload={"ms": 500}, queue=kind) for _ in range(BESIDE)]
        requests.insert(BESIDE // 2, EnqueueRequest(type=kind, payload={"seconds": seconds}, queue=kind))
        blocking.add((await client.enqueue(*requests))[BESIDE // 2])
        spec = WorkerSpec(
            url=scene.target.url, lease_ms=lease_ms, queues={kind: 50}, concurrency=50, upkeep=False
        )
        blocked[kind] = start_worker(fleet, spec)
    await until("all of them block", lambda: blocking <= {row.job for row in scene.ledger.rows(Phase.START)})
    heir = start_worker(fleet, WorkerSpec(url=scene.target.url, lease_ms=lease_ms, upkeep=False))
    async with asyncio.timeout(PATIENCE):
        while (await client.operations.stats()).count(State.PENDING, State.PROCESSING):
            await asyncio.sleep(0.02)
    codes = await fleet.stop([*blocked.values(), rescuer, heir])
    scene.findings.demand(not any(codes), "C20", "-", f"workers ended with {codes}")
    for kind in KEPT[:2]:
        told = [event for event in blocked[kind].events("loop_blocked") if event["type"] == kind]
        scene.findings.demand(told, "C13", kind, "blocks the loop, and the log does not name it")
    scene.findings.demand(blocked[LOST].events("time_lost"), "C15", LOST, "nobody noticed the time lost")
    scene.findings.did["rounds"] += 1


def _judged(scene: Scene, dump: Dump) -> None:
    findings = scene.findings
    starts = Counter(row.job for row in scene.ledger.rows(Phase.START))
    for job in dump.jobs.values():
        kind, crashes = job.facts.queue, job.placement.crashes
        findings.demand(job.state is State.COMPLETED, "I1", job.id, f"{job.facts.type} ended {job.state}")
        outcomes = [attempt.outcome for attempt in dump.histories[job.id].attempts]
        if kind in KEPT:
            # What waits behind a blocked loop may be given back unstarted; nothing is taken or runs twice.
            kept = starts[job.id] == 1 and AttemptOutcome.RESCUED not in outcomes
            findings.demand(kept, "C13", job.id, f"{job.facts.type} on {kind}: {outcomes}")
        elif job.facts.type == LOST:
            # A lease that ran out is only lost if somebody comes to take it (C13).
            clean = outcomes == [AttemptOutcome.RESCUED] * crashes + [AttemptOutcome.SUCCEEDED]
            findings.demand(clean and crashes <= 1, "C13", job.id, f"{kind}: {outcomes}")
            findings.did["leases lost inside C" if crashes else "leases nobody took"] += 1
            findings.again["after the interpreter was held past the lease"] += crashes
        else:
            findings.demand(crashes <= 1, "C13", job.id, f"beside {kind}: {outcomes}")
            findings.again["beside such a job"] += crashes
        findings.did["jobs"] += 1
    wanted = scene.pick(smoke=0, full=1)
    findings.demand(findings.did["leases lost inside C"] >= wanted, "C13", LOST, "no lease was ever lost")

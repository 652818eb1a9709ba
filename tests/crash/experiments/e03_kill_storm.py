"""E03: workers and the HTTP service are killed again and again while jobs come and run."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Mapping

from headrace.core.job import AttemptOutcome
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from tests.crash.kit.children import Child, Fleet
from tests.crash.kit.clocks import PATIENCE, store_ms
from tests.crash.kit.dump import Dump
from tests.crash.kit.experiment import Scene, experiment
from tests.crash.kit.frontdoor import Caller, FrontDoor
from tests.crash.kit.history import Client
from tests.crash.kit.ledger import Phase
from tests.crash.kit.nemesis import Nemesis
from tests.crash.kit.worker import WorkerSpec, start_worker

KINDS = ("on_loop", "in_thread", "apart", "flaky")
POISON = 2
BEGUN = ("worker_started", "listening on")
DRAIN_WITHIN = 300


@experiment(
    "E03",
    "kill -9 storm",
    "Workers and the HTTP service are killed at random while clients enqueue, repeat and cancel; a few jobs"
    " kill the process they run in.",
)
async def kill_storm(scene: Scene) -> None:
    workers, jobs, seconds = scene.pick(smoke=(2, 90, 4.0), full=(4, 2_000, 120.0))
    async with scene.client() as (client, store):
        with scene.fleet() as fleet:
            storm = Storm(scene, fleet, workers)
            await storm.rage(client, jobs, seconds)
            await storm.drain(client)
            await storm.stop()
        dump = await scene.check(store)
    _judged(scene, dump, storm.pids)
    _orphans(scene, dump, storm.killed)


class Storm:
    """The processes, and what is done to them."""

    def __init__(self, scene: Scene, fleet: Fleet, workers: int) -> None:
        self._scene = scene
        self._fleet = fleet
        self._nemesis: Nemesis = scene.nemesis
        self._spec = WorkerSpec(url=scene.target.url, lease_ms=scene.pick(smoke=1_000, full=3_000))
        self._door = FrontDoor(fleet, scene.target.url, self._spec.lease_ms)
        self._caller = Caller(self._door.port, scene.history)
        self._workers = [start_worker(fleet, self._spec) for _ in range(workers)]
        self.killed: dict[str, int] = {}
        self.pids: set[int] = set()

    async def rage(self, client: Client, jobs: int, seconds: float) -> None:
        """Kills for so long while the jobs are enqueued, half of them over HTTP."""
        await self._until_published(client)
        producing = asyncio.create_task(self._produce(client, jobs))
        end = time.monotonic() + seconds
        pauses = self._scene.pick(smoke=(0.3, 0.9), full=(1.0, 3.0))
        while time.monotonic() < end:
            await self._nemesis.strike_within(*pauses)
            self._strike()
        while not producing.done():
            self._keep_up()
            await asyncio.sleep(0.02)
        await producing

    async def drain(self, client: Client) -> None:
        """Waits until every job has ended; dead processes are started again, as a supervisor would."""
        async with asyncio.timeout(DRAIN_WITHIN):
            while (await client.operations.stats()).count(State.PENDING, State.PROCESSING):
                self._keep_up()
                await asyncio.sleep(0.02)
        self._scene.findings.did["repeated calls"] = self._caller.repeats

    async def stop(self) -> None:
        """Stops what lives; whoever is told to stop ends well."""
        living = [one for one in (*self._workers, self._door.process) if one.alive]
        for child, code in zip(living, await self._fleet.stop(living), strict=True):
            begun = any(word in child.said() for word in BEGUN)
            self._scene.findings.demand(code == 0 or not begun, "C20", child.name, f"ended with {code}")

    async def _produce(self, client: Client, jobs: int) -> None:
        rng = self._nemesis.rng
        for number in range(jobs):
            kind = rng.choice(KINDS)
            ms = rng.randrange(*self._scene.pick(smoke=(5, 120), full=(50, 500)))
            payload = {"failures": rng.randrange(2)} if kind == "flaky" else {"ms": ms}
            if number % 2:
                job_id = await self._caller.enqueue(f"key-{number}", {"type": kind, "payload": payload})
            else:
                (job_id,) = await client.enqueue(EnqueueRequest(type=kind, payload=payload))
            if rng.random() < 0.05:
                await client.cancel(job_id)
            if number in {jobs // 4, jobs // 2}:
                await client.enqueue(EnqueueRequest(type="poison", payload={}))

    async def _until_published(self, client: Client) -> None:
        """The service learns the job types from a worker."""
        async with asyncio.timeout(PATIENCE):
            while not await client.operations.workers():
                self._keep_up()
                await asyncio.sleep(0.02)

    def _strike(self) -> None:
        victims: list[Child] = [*self._workers, self._door.process]
        victim = self._nemesis.one_of([one for one in victims if one.alive] or victims)
        victim.kill_alone()
        self.killed[victim.name] = store_ms()
        self.pids.add(victim.pid)
        self._scene.findings.did["kills of the service" if victim is self._door.process else "kills"] += 1
        self._keep_up()

    def _keep_up(self) -> None:
        self._door.keep_up()
        self._workers = [one if one.alive else start_worker(self._fleet, self._spec) for one in self._workers]


def _judged(scene: Scene, dump: Dump, killed: Collection[int]) -> None:
    findings = scene.findings
    findings.did["jobs"] = len(dump.jobs)
    findings.did["acknowledged"] = len(scene.history.acked())
    poison = [job for job in dump.jobs.values() if job.facts.type == "poison"]
    for job in poison:
        died = job.state is State.FAILED and job.placement.crashes == job.facts.max_crashes
        findings.demand(died, "C21", job.id, f"poison is {job.state} after {job.placement.crashes} crashes")
    findings.demand(len(poison) == POISON, "I1", "-", f"{len(poison)} of {POISON} poison jobs are there")
    for job in dump.in_state(State.FAILED):
        # What this storm itself shot as often as any job may crash, the last time alone, looks like poison.
        lost = any(f"-{pid}-" in (job.placement.error or "") for pid in killed)
        shot = job.placement.crashes >= job.facts.max_crashes and lost
        findings.demand(job in poison or shot, "C22", job.id, f"a bystander failed: {job.placement.error}")
        findings.did["shot as often as poison"] += job not in poison
    _again(scene, dump)


def _orphans(scene: Scene, dump: Dump, killed: Mapping[str, int]) -> None:
    """How long it took until jobs whose worker was killed were free again. When they start then is a
    question of how much else waits."""
    waits = [0]
    for row in scene.ledger.rows(Phase.START):
        for attempt in dump.histories[row.job].attempts:
            rescued = attempt.outcome is AttemptOutcome.RESCUED and attempt.fence == row.fence
            if rescued and row.worker in killed:
                waits.append((attempt.ended_at or 0) - killed[row.worker])
    scene.findings.did["orphans rescued"] = len(waits) - 1
    scene.findings.figures["slowest rescue"] = f"{max(waits) / 1000:.1f} s after the kill"


def _again(scene: Scene, dump: Dump) -> None:
    """How often a handler ran once more, by the outcome of the attempt before."""
    effects: Counter[str] = Counter(row.job for row in scene.ledger.rows(Phase.EFFECT))
    reasons = {
        AttemptOutcome.RESCUED: "after the holder was killed",
        AttemptOutcome.CRASHED: "after its child was killed",
        AttemptOutcome.ERRORED: "after an error",
        AttemptOutcome.RELEASED: "after being given back",
        AttemptOutcome.STOPPED: "after being stopped",
    }
    for history in dump.histories.values():
        for attempt in history.attempts[:-1]:
            if attempt.outcome is not None:
                scene.findings.again[reasons.get(attempt.outcome, attempt.outcome.value)] += 1
    scene.findings.figures["jobs with a second effect"] = str(sum(count > 1 for count in effects.values()))

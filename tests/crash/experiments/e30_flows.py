"""E30: flows run while the workers that end their jobs are killed, and new children come all the time."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence

from headrace.core.flow import OnParentFailure
from headrace.core.job import Job
from headrace.core.request import EnqueueRequest
from headrace.core.states import LIVE, State
from tests.crash.kit.children import Child, Fleet
from tests.crash.kit.dump import Dump
from tests.crash.kit.experiment import PAUSE_MS, SAMPLE_MS, Scene, experiment
from tests.crash.kit.history import Client
from tests.crash.kit.ledger import Phase
from tests.crash.kit.worker import WorkerSpec, start_worker

WORKERS = 3
SIZE = 12
"""So many jobs of one flow."""

POLICIES = (None, OnParentFailure.RUN)
DRAIN_WITHIN = 240


@experiment(
    "E30",
    "flows",
    "Flows of many shapes are enqueued, some of them behind jobs that are just ending, while workers are"
    " killed; some jobs fail for good: each child must run once, after all its parents, or be cancelled"
    " because of one, and none may be left blocked.",
)
async def flows(scene: Scene) -> None:
    count, kills = scene.pick(smoke=(12, 4), full=(400, 90))
    async with scene.client() as (client, store):
        run = Run(scene, client)
        with scene.fleet() as fleet:
            await run.storm(fleet, count, kills)
        run.judge(await scene.check(store))


class Run:
    """The flows of one run: who waits for whom, and what each child was told."""

    def __init__(self, scene: Scene, client: Client) -> None:
        self._scene = scene
        self._client = client
        self._rng = scene.nemesis.rng
        self._parents: dict[str, Sequence[str]] = {}
        self._asked: dict[str, EnqueueRequest] = {}

    async def storm(self, fleet: Fleet, count: int, kills: int) -> None:
        """Kills workers while flows come, and waits until all has ended."""
        spec = WorkerSpec(url=self._scene.target.url, lease_ms=1_000, children=False)
        workers = [start_worker(fleet, spec) for _ in range(WORKERS)]
        coming = asyncio.create_task(self._produce(count))
        for _ in range(kills):
            await self._scene.nemesis.strike_within(0.2, 0.8)
            victim = self._scene.nemesis.one_of(workers)
            victim.kill()
            self._scene.findings.did["kills"] += 1
            workers[workers.index(victim)] = start_worker(fleet, spec)
        await coming
        await self._drained(workers)
        await fleet.stop(workers)

    def judge(self, dump: Dump) -> None:
        """Every job is what its parents make of it, ran after them, and got what they returned."""
        starts: dict[str, list[int]] = defaultdict(list)
        for row in self._scene.ledger.rows(Phase.START):
            starts[row.job].append(row.at)
        for job_id in self._parents:
            self._child(dump.jobs[job_id], dump.jobs, starts[job_id])
        states = [dump.jobs[one].state for one in self._parents]
        for state in (State.COMPLETED, State.FAILED, State.CANCELLED):
            self._scene.findings.did[state.value] = states.count(state)
        self._scene.findings.did["waits"] = sum(map(len, self._parents.values()))

    def _child(self, job: Job, jobs: Mapping[str, Job], starts: Sequence[int]) -> None:
        demand = self._scene.findings.demand
        parents = [jobs[one] for one in self._parents[job.id]]
        demand(job.state not in LIVE, "C38a", job.id, f"is left {job.state}")
        lost = [one.id for one in parents if one.state is not State.COMPLETED]
        runs = not lost or self._asked[job.id].on_parent_failure is OnParentFailure.RUN
        ran = job.state in {State.COMPLETED, State.FAILED}
        demand(runs == ran, "C38a", job.id, f"is {job.state}, and these parents did not complete: {lost}")
        demand(runs or not starts, "C38a", job.id, "ran though it was cancelled because of a parent")
        error_ms = SAMPLE_MS if self._scene.target.server is not None else PAUSE_MS
        for parent in parents:
            early = (parent.placement.ended_at or 0) - min(starts, default=2**62)
            demand(early <= error_ms, "C38a", job.id, f"began {early} ms before {parent.id} had ended")
        if job.state is State.COMPLETED:
            expected = 1 + sum(_value(one) for one in parents if one.state is State.COMPLETED)
            demand(_value(job) == expected, "C38a", job.id, f"got {_value(job)} of its parents' {expected}")

    async def _produce(self, count: int) -> None:
        for _ in range(count):
            requests = [self._request(n) for n in range(SIZE)]
            ids = await self._client.enqueue(*requests)
            for job_id, request in zip(ids, requests, strict=True):
                self._asked[job_id] = request
                self._parents[job_id] = [one if isinstance(one, str) else ids[one] for one in request.after]
            self._scene.findings.did["flows"] += 1
            await asyncio.sleep(self._rng.uniform(0, 0.2))

    def _request(self, n: int) -> EnqueueRequest:
        """The job number ``n`` of a flow: behind earlier ones of it, or jobs that are ending just now."""
        after: list[str | int] = list(self._rng.sample(range(n), min(n, self._rng.randrange(4))))
        known = list(self._parents)[-SIZE:]
        if known and self._rng.random() < 0.2:
            after.append(self._rng.choice(known))
        payload = {"ms": self._rng.randrange(40), "fails": self._rng.random() < 0.05}
        policy = self._rng.choice(POLICIES) if after else None
        return EnqueueRequest(type="kin", payload=payload, after=tuple(after), on_parent_failure=policy)

    async def _drained(self, workers: Sequence[Child]) -> None:
        async with asyncio.timeout(DRAIN_WITHIN):
            while (await self._client.operations.stats()).count(*LIVE):
                assert any(worker.alive for worker in workers)
                await asyncio.sleep(0.05)


def _value(job: Job) -> int:
    return json.loads(job.placement.result or "0")

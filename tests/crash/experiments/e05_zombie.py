"""E05: a worker is stopped past its leases, others take over, and then it goes on."""

import asyncio
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace

from headrace.core.job import Job
from headrace.core.outcomes import Released
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.stores.protocol import Already, Applied, Holder, Note, Store
from tests.builders import NAMESPACE, SUCCESS, a_failure, reported
from tests.contract.reads import Sight, sight
from tests.crash.kit.children import Child, Fleet
from tests.crash.kit.clocks import PATIENCE, store_ms, until
from tests.crash.kit.experiment import Scene, experiment
from tests.crash.kit.history import Client
from tests.crash.kit.ledger import Phase
from tests.crash.kit.stubborn import GATES
from tests.crash.kit.worker import WorkerSpec, start_worker

THENS = ("runs", "completes", "fails")
LATE = {"checkpoint LeaseLost", "enqueue LeaseLost"}
FREE_WITHIN = 5.0


@experiment(
    "E05",
    "zombie",
    "A worker is frozen past its leases; another one takes its jobs over and runs, completes or fails them;"
    " thawed, the first one stops its handlers, and each of its late writes is refused and changes nothing.",
)
async def zombies(scene: Scene) -> None:
    rounds = scene.pick(smoke=1, full=10)
    async with scene.client() as (client, store):
        for number in range(rounds):
            await Round(scene, client, store, number).go()
        await scene.check(store)


class Round:
    """One zombie with two jobs for each way in which they go on elsewhere."""

    def __init__(self, scene: Scene, client: Client, store: Store, number: int) -> None:
        self._scene = scene
        self._client = client
        self._store = store
        self._gates = scene.folder / f"gates-{number}"
        self._gates.mkdir()
        self._spec = WorkerSpec(
            url=scene.target.url, lease_ms=scene.pick(smoke=1_500, full=2_000), threads=8, upkeep=False
        )

    async def go(self) -> None:
        """Freezes, lets others take over, thaws, and looks at what changed."""
        ids = await self._client.enqueue(
            *(
                EnqueueRequest(type=kind, payload={"then": then}, max_attempts=2)
                for kind in ("frozen", "frozen_deaf")
                for then in THENS
            )
        )
        with self._scene.fleet({GATES: str(self._gates)}) as fleet:
            zombie = start_worker(fleet, self._spec)
            await self._rows(Phase.START, ids, 1)
            held = await self._store.get(NAMESPACE, ids)
            await self._freeze_idle(zombie)
            heir = start_worker(fleet, replace(self._spec, upkeep=True))
            await self._taken_over(ids)
            await self._thaw(zombie, held)
            await self._finish(ids, fleet, [zombie, heir])
        self._scene.findings.did["zombies"] += 1
        self._scene.findings.did["jobs"] += len(ids)
        self._scene.findings.again["while the holder was frozen"] += len(ids)

    async def _freeze_idle(self, zombie: Child) -> None:
        """Freezes the worker, but not while it holds a lock that everybody else needs."""
        while True:
            await zombie.freeze()
            try:
                async with asyncio.timeout(FREE_WITHIN):
                    await self._store.check()
                return
            except TimeoutError:
                zombie.thaw()
                self._scene.findings.did["frozen amid a commit"] += 1

    async def _taken_over(self, ids: tuple[str, ...]) -> None:
        """Until each job is where ``then`` wants it."""
        wanted = {"runs": State.PROCESSING, "completes": State.COMPLETED, "fails": State.FAILED}
        async with asyncio.timeout(PATIENCE):
            while True:
                jobs = await self._store.get(NAMESPACE, ids)
                there = [
                    job.fence > 1 and job.state is wanted[then]
                    for job, then in zip((jobs[one] for one in ids), THENS * 2, strict=True)
                ]
                if all(there):
                    return
                await asyncio.sleep(0.02)

    async def _thaw(self, zombie: Child, jobs: Mapping[str, Job]) -> None:
        before = {job_id: await sight(self._store, job_id) for job_id in jobs}
        thawed = store_ms()
        zombie.thaw()
        (self._gates / "deaf").touch()
        deaf = [job.id for job in jobs.values() if job.facts.type == "frozen_deaf"]
        obedient = [job_id for job_id in jobs if job_id not in deaf]
        await self._rows(Phase.STOPPED, obedient, 1)
        await self._rows(Phase.LATE, deaf, 2)
        zombie.send(signal.SIGTERM)
        code = await zombie.ended()
        after = {job_id: await sight(self._store, job_id) for job_id in jobs}
        demand = self._scene.findings.demand
        demand(code == 0, "C15", zombie.name, f"the zombie ended with {code}")
        for job_id in jobs:
            demand(_bare(before[job_id]) == _bare(after[job_id]), "C12", job_id, f"{before} became {after}")
        for row in self._scene.ledger.rows(Phase.LATE):
            demand(row.note in LATE, "C12", row.job, f"a late {row.note}")
        for row in self._scene.ledger.rows(Phase.STOPPED):
            if row.job in obedient:
                self._slowest(row.at - thawed)
        await self._replay(jobs)

    async def _replay(self, held: Mapping[str, Job]) -> None:
        """The same late writes once more, by the store's own calls."""
        before = {job_id: await sight(self._store, job_id) for job_id in held}
        holders = [Holder(job_id=job.id, fence=job.fence) for job in held.values()]
        now = store_ms()
        async with self._store.renewer() as renewer:
            renewal = await renewer.renew(holders, now=now, lease_until=now + 60_000)
        lost = await self._store.note([Note(holder=one, progress='{"late":1}') for one in holders], now=now)
        demand = self._scene.findings.demand
        demand(set(renewal.lost) == set(held), "C12", "-", f"renewed {set(held) - set(renewal.lost)}")
        demand(set(lost) == set(held), "C12", "-", f"noted {set(held) - set(lost)}")
        for outcome in (SUCCESS, a_failure(), Released(reason="late")):
            for answer in await self._store.apply(
                [reported(job, outcome, now=now) for job in held.values()], now=now
            ):
                demand(not isinstance(answer, Applied | Already), "C12", "-", f"{outcome} was {answer}")
                self._scene.findings.did["late writes refused"] += 1
        for job_id in held:
            same = _bare(before[job_id]) == _bare(await sight(self._store, job_id))
            demand(same, "C12", job_id, "a refused write changed it")

    async def _finish(self, ids: tuple[str, ...], fleet: Fleet, children: list[Child]) -> None:
        (self._gates / "second").touch()
        async with asyncio.timeout(PATIENCE):
            while (await self._client.operations.stats()).count(State.PENDING, State.PROCESSING):
                await asyncio.sleep(0.02)
        await fleet.stop(children)
        jobs = await self._store.get(NAMESPACE, ids)
        for job_id, then in zip(ids, THENS * 2, strict=True):
            job = jobs[job_id]
            ended = State.FAILED if then == "fails" else State.COMPLETED
            self._scene.findings.demand(job.state is ended, "C12", job_id, f"{then}, and ended {job.state}")
            crashes = job.placement.crashes
            self._scene.findings.demand(crashes == 1, "C21", job_id, f"{crashes} crashes for one freeze")

    async def _rows(self, phase: Phase, ids: Sequence[str], each: int) -> None:
        wanted = len(ids) * each
        await until(
            f"{wanted} lines about {phase}",
            lambda: sum(row.job in ids for row in self._scene.ledger.rows(phase)) >= wanted,
        )

    def _slowest(self, ms: int) -> None:
        figures = self._scene.findings.figures
        known = int(figures.get("slowest stop after the thaw", "0 ms").split()[0])
        figures["slowest stop after the thaw"] = f"{max(known, ms)} ms"


def _bare(seen: Sight) -> Sight:
    """What was seen, without the lease that its new holder renews all the time."""
    placement = replace(seen.job.placement, lease_until=None)
    return replace(seen, job=replace(seen.job, placement=placement))

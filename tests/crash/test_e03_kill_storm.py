"""Workers die; nothing is lost, and who does not deserve it does not fail."""

import asyncio

import pytest

from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from tests.crash.kit.children import Fleet
from tests.crash.kit.clocks import PATIENCE, until
from tests.crash.kit.dump import Dump
from tests.crash.kit.experiment import Findings, Scene, Size
from tests.crash.kit.history import Client
from tests.crash.kit.ledger import Phase
from tests.crash.kit.nemesis import Nemesis
from tests.crash.kit.target import KINDS, Target
from tests.crash.kit.worker import WorkerSpec, start_worker
from tests.crash.smoke import ON_ALL, smoke

pytestmark = pytest.mark.crash


@pytest.fixture
def scene(tmp_path):
    with KINDS["sqlite"].opened(tmp_path) as target:
        yield a_scene(target, tmp_path)


def a_scene(target: Target, folder) -> Scene:
    return Scene(target=target, folder=folder, size=Size.SMOKE, nemesis=Nemesis(), findings=Findings())


@ON_ALL
async def test_killed_workers_lose_nothing(store):
    report = await smoke("E03", store)

    assert report.did["kills"] + report.did.get("kills of the service", 0) >= 3
    assert report.did["acknowledged"] == report.did["jobs"] == 92
    assert report.again["after the holder was killed"] >= 1


@pytest.mark.parametrize("children", [True, False])
async def test_poison_job_ends_failed_and_its_bystanders_completed(scene: Scene, children: bool):
    spec = WorkerSpec(url=scene.target.url, lease_ms=1_000, children=children)
    async with scene.client() as (client, store):
        requests = [EnqueueRequest(type="on_loop", payload={"ms": 200}) for _ in range(20)]
        requests.insert(3, EnqueueRequest(type="poison", payload={}))
        await client.enqueue(*requests)
        with scene.fleet() as fleet:
            await drained(client, fleet, spec)
        dump: Dump = await scene.check(store)

    poison = next(job for job in dump.jobs.values() if job.facts.type == "poison")
    others = [job for job in dump.jobs.values() if job is not poison]
    assert scene.findings.violations == []
    assert poison.state is State.FAILED
    assert poison.placement.crashes == 3
    assert {job.state for job in others} == {State.COMPLETED}


async def test_sigterm_lets_jobs_finish_and_charges_nothing(scene: Scene):
    async with scene.client() as (client, store):
        await client.enqueue(*(EnqueueRequest(type="on_loop", payload={"ms": 100}) for _ in range(30)))
        with scene.fleet() as fleet:
            worker = start_worker(fleet, WorkerSpec(url=scene.target.url))
            await until("a job is done", lambda: scene.ledger.count(Phase.END) > 0)
            codes = await fleet.stop([worker])
        dump = await scene.check(store)

    assert codes == [0]
    assert scene.findings.violations == []
    assert {job.state for job in dump.jobs.values()} <= {State.COMPLETED, State.PENDING}
    assert all((one.placement.failures, one.placement.crashes) == (0, 0) for one in dump.jobs.values())


async def drained(client: Client, fleet: Fleet, spec: WorkerSpec) -> None:
    """Until all have ended; a worker that dies is started again, as a supervisor would."""
    worker = start_worker(fleet, spec)
    async with asyncio.timeout(PATIENCE):
        while (await client.operations.stats()).count(State.PENDING, State.PROCESSING):
            if not worker.alive:
                worker = start_worker(fleet, spec)
            await asyncio.sleep(0.01)
    assert await fleet.stop([worker]) == [0]

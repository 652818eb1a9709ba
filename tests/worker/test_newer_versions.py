"""A worker that meets payloads of a newer version than it knows."""

import structlog

from headrace.core.outcomes import Parked
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.engine.local import LocalOperations
from headrace.engine.registry import JobOptions, Registry, registered
from headrace.worker.worker import Worker
from tests.worker.rig import PATIENCE, Rig, Watch


def newer_types() -> Registry:
    async def echo(n: int) -> int:
        return n

    return Registry([registered(echo, JobOptions(version=2))])


async def enqueue_newer(rig: Rig, count: int = 1) -> list[str]:
    operations = LocalOperations(rig.store, rig.clock, registry=newer_types())
    requests = [EnqueueRequest(type="echo", payload={"n": n}) for n in range(count)]
    return [answer.job_id for answer in await operations.enqueue(requests)]


async def test_c16_newer_version_is_parked_uncharged_and_said_once(rig: Rig) -> None:
    @rig.job()
    async def echo() -> None: ...

    jobs = await enqueue_newer(rig, 3)
    with structlog.testing.capture_logs() as logged:
        async with rig.worker() as (_, watch):
            for job_id in jobs:
                assert (await watch.finished(job_id)).outcome == Parked(lane="type:echo@2")

    parked = [await rig.read(job_id) for job_id in jobs]
    assert {(job.state, job.placement.parked_on, job.attempts) for job in parked} == {
        (State.PENDING, "type:echo@2", 0)
    }
    told = [line for line in logged if line["event"] == "version_not_known_here"]
    assert [(line["type"], line["version"], line["known"]) for line in told] == [("echo", 2, 1)]


async def test_c16_known_versions_run_beside_newer_ones(rig: Rig) -> None:
    @rig.job()
    async def echo() -> None: ...

    (newer,) = await enqueue_newer(rig)
    mine = await rig.enqueue("echo")
    async with rig.worker() as (_, watch):
        await watch.finished(newer)
        assert (await watch.finished(mine)).state is State.COMPLETED


async def test_c16_worker_that_knows_the_version_takes_what_another_parked(rig: Rig) -> None:
    @rig.job()
    async def echo() -> None: ...

    (job_id,) = await enqueue_newer(rig)
    async with rig.worker() as (_, watch):
        await watch.finished(job_id)

    types = newer_types()
    work = rig.work()
    watch = Watch()
    async with Worker(work, types, rig.a_worker(watch).settings, on_event=watch):
        done = await watch.finished(job_id)

    assert done.state is State.COMPLETED
    assert (await rig.operations.wait(job_id, timeout_ms=PATIENCE * 1000)).attempts == 1


def test_worker_says_the_versions_it_can_run() -> None:
    async def echo() -> None: ...

    kind = registered(echo, JobOptions(version=4, upgrades={2: dict, 3: dict}))

    assert Registry([kind]).known == {"echo", "echo@2", "echo@3", "echo@4"}
    assert Registry([registered(echo, JobOptions())]).known == {"echo"}

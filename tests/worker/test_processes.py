"""Handlers in child processes: what they can say, and how they end."""

import asyncio
import json
import os
import signal
import threading

from headrace.core.job import AttemptOutcome, Isolation
from headrace.core.outcomes import Crashed, Failed, Stopped, Succeeded
from headrace.core.policy import ErrorClass
from headrace.core.states import State
from headrace.engine.context import Context
from headrace.engine.operations import Runs
from headrace.upkeep.rescue import Rescue
from headrace.worker.events import Finished
from headrace.worker.held import Held, Why
from tests import builders
from tests.worker.childish import registry
from tests.worker.rig import PATIENCE, Rig, organs_of

APP = "tests.worker.childish:registry"


def use(rig: Rig) -> None:
    for one in registry.all():
        rig.registry.add(one)


async def test_handler_runs_in_a_child_that_is_used_again(rig: Rig):
    use(rig)
    ids = [await rig.enqueue("where") for _ in range(3)]
    async with rig.worker(app_path=APP) as (_, watch):
        outcomes = [(await watch.finished(job_id)).outcome for job_id in ids]

    pids = {outcome.result for outcome in outcomes if isinstance(outcome, Succeeded)}
    assert len(pids) == 1
    assert pids != {str(os.getpid())}


async def test_child_tells_progress_log_and_checkpoint(rig: Rig):
    use(rig)
    job_id = await rig.enqueue("where_async")
    async with rig.worker(app_path=APP) as (_, watch):
        await watch.finished(job_id)

    job = await rig.read(job_id)
    assert job.state is State.COMPLETED
    assert job.checkpoint == '{"page":2}'
    assert job.progress == '{"stage":"running","percentage":50}'
    assert [line.message for line in await rig.operations.log_lines(job_id)] == ["half way"]


async def test_child_enqueues_further_jobs(rig: Rig):
    use(rig)
    job_id = await rig.enqueue("parent")
    async with rig.worker(app_path=APP) as (_, watch):
        await watch.finished(job_id)
        await watch.wait(Finished, count=2)

    assert {event.job.facts.type for event in watch.all(Finished)} == {"parent", "where"}


async def test_error_in_a_child_is_reported_with_its_traceback(rig: Rig):
    use(rig)
    job_id = await rig.enqueue("raises")
    async with rig.worker(app_path=APP) as (_, watch):
        finished = await watch.finished(job_id)

    assert isinstance(finished.outcome, Failed)
    assert finished.outcome.error.type == "LookupError"
    assert "in raises" in (finished.outcome.error.traceback or "")


async def test_time_limit_interrupts_a_child(rig: Rig):
    use(rig)
    job_id = await rig.enqueue("sleeps")
    async with rig.worker(app_path=APP) as (_, watch):
        finished = await watch.finished(job_id)
        after = await rig.enqueue("where")
        await watch.finished(after)

    assert isinstance(finished.outcome, Failed)
    assert finished.outcome.error.error_class is ErrorClass.TIMEOUT


async def test_child_that_ignores_its_time_limit_is_killed_and_counted_once(rig: Rig):
    use(rig)
    job_id = await rig.enqueue("sleeps_deaf")
    async with rig.worker(app_path=APP, stop_after_ms=200) as (_, watch):
        finished = await watch.finished(job_id)
        after = await rig.enqueue("where")
        await watch.finished(after)

    job = await rig.read(job_id)
    assert isinstance(finished.outcome, Failed)
    assert finished.outcome.error.error_class is ErrorClass.TIMEOUT
    assert (job.placement.failures, job.placement.crashes) == (1, 0)


async def test_cancel_reaches_a_child_that_looks(rig: Rig):
    use(rig)
    job_id = await rig.enqueue("until_cancelled")
    async with rig.worker(app_path=APP, renew_every_ms=50, stop_after_ms=20_000) as (_, watch):
        await until_it_logs(rig, job_id)
        await rig.operations.cancel(job_id)
        finished = await watch.finished(job_id)

    assert finished.outcome == Succeeded(result='"saw it"')
    assert (await rig.read(job_id)).state is State.COMPLETED


async def test_cancel_stops_an_async_handler_in_a_child(rig: Rig):
    use(rig)
    job_id = await rig.enqueue("waits")
    async with rig.worker(app_path=APP, renew_every_ms=50) as (_, watch):
        await until_it_logs(rig, job_id)
        await rig.operations.cancel(job_id)
        finished = await watch.finished(job_id)

    assert isinstance(finished.outcome, Stopped)
    assert (await rig.read(job_id)).state is State.CANCELLED


async def test_job_told_to_stop_while_its_child_starts_never_runs(rig: Rig):
    use(rig)
    loop = asyncio.get_running_loop()
    async with rig.worker(app_path=APP) as (worker, watch):
        organs = organs_of(worker)
        take = organs.pools._processes._take

        def told_meanwhile(held: Held):
            told = threading.Event()
            loop.call_soon_threadsafe(organs.stop_one, held, Why.CANCEL)
            loop.call_soon_threadsafe(told.set)
            assert told.wait(PATIENCE)
            return take(held)

        organs.pools._processes._take = told_meanwhile
        job_id = await rig.enqueue("where")
        finished = await watch.finished(job_id)

    assert finished.outcome == Stopped(reason="cancel asked")
    assert (await rig.history(job_id)).attempts == ()


async def test_memory_limit_is_an_error_of_the_handler(rig: Rig):
    use(rig)
    job_id = await rig.enqueue("hungry")
    async with rig.worker(app_path=APP) as (_, watch):
        finished = await watch.finished(job_id)

    assert isinstance(finished.outcome, Failed)
    assert finished.outcome.error.type == "MemoryError"
    assert finished.outcome.error.error_class is ErrorClass.RESOURCE


async def test_job_that_kills_its_child_is_charged_alone(rig: Rig):
    use(rig)
    poison = await rig.enqueue("poison")
    bystanders = await rig.enqueue_many("bystander", 5)
    await take_down_a_worker_twice(rig, [poison, *bystanders])
    async with rig.worker(app_path=APP) as (_, watch):
        finished = await watch.finished(poison)
        for job_id in bystanders:
            await watch.finished(job_id)

    job = await rig.read(poison)
    assert isinstance(finished.outcome, Crashed)
    assert job.state is State.FAILED
    assert (await rig.history(poison)).attempts[-1].outcome is AttemptOutcome.CRASHED
    assert {(await rig.read(job_id)).state for job_id in bystanders} == {State.COMPLETED}


async def test_type_that_a_child_cannot_import_is_told_so(rig: Rig):
    @rig.job(name="homeless", runs=Runs.PROCESS)
    def homeless() -> None: ...

    job_id = await rig.enqueue("homeless")
    async with rig.worker(app_path=APP) as (_, watch):
        finished = await watch.finished(job_id)

    assert isinstance(finished.outcome, Failed)
    assert "no job type 'homeless'" in finished.outcome.error.message


async def until_it_logs(rig: Rig, job_id: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await rig.operations.log_lines(job_id):
            await asyncio.sleep(0.005)


async def take_down_a_worker_twice(rig: Rig, ids: list[str]) -> None:
    """Claims all jobs as a worker that dies, twice, so that they run isolated from now on."""
    for _ in range(2):
        jobs = await builders.claim(
            rig.store, n=len(ids), now=rig.clock.now(), types=frozenset(rig.registry.names), worker="doomed"
        )
        assert {job.id for job in jobs} == set(ids)
        rig.manual.advance(60)
        assert (await Rescue(rig.store, rig.clock).run_once()).done == len(ids)
        rig.manual.advance(60)
    assert all([(await rig.read(job_id)).placement.isolation is Isolation.CHILD for job_id in ids])


async def test_suspect_that_no_child_can_import_runs_alone_instead(rig: Rig):
    attempts: list[int] = []

    @rig.job(name="homeless")
    async def homeless(ctx: Context) -> None:
        attempts.append(ctx.attempt)

    job_id = await rig.enqueue("homeless")
    await take_down_a_worker_twice(rig, [job_id])
    async with rig.worker(app_path=APP) as (_, watch):
        await watch.finished(job_id, count=2)

    job = await rig.read(job_id)
    assert attempts == [3]
    assert job.state is State.COMPLETED
    assert job.placement.failures == 0


async def test_child_that_dies_is_noticed_though_what_it_forked_lives_on(rig: Rig):
    use(rig)
    job_id = await rig.enqueue("forks")
    async with rig.worker(app_path=APP) as (_, watch):
        finished = await watch.finished(job_id)

    told = json.loads((await rig.read(job_id)).progress or "")
    os.kill(told["metadata"]["pid"], signal.SIGKILL)
    assert isinstance(finished.outcome, Crashed)
    assert "exit code 13" in finished.outcome.error.message


async def test_child_that_speaks_nonsense_costs_its_job_and_no_slot(rig: Rig):
    use(rig)
    job_id, next_id = await rig.enqueue("babbles"), await rig.enqueue("where")
    async with rig.worker(app_path=APP) as (_, watch):
        finished = await watch.finished(job_id)
        after = await watch.finished(next_id)

    assert isinstance(finished.outcome, Crashed)
    assert isinstance(after.outcome, Succeeded)

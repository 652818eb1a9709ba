"""The smaller chores, and the service that runs them."""

import asyncio
from pathlib import Path

import pytest

from headrace.clock import ManualClock, host_now
from headrace.core.policy import Policy, Retention
from headrace.core.states import State
from headrace.engine.operations import Runs, TypeInfo
from headrace.engine.published import PublishedTypes
from headrace.errors import StoreUnavailable, StoreUnusable
from headrace.files.disk import DiskFiles
from headrace.stores.open import open_store
from headrace.stores.protocol import Record, Store
from headrace.upkeep.chore import ChoreResult
from headrace.upkeep.prune import PruneBeyondCount, PruneJobs, TrimRecords
from headrace.upkeep.sweep import SweepFiles
from headrace.upkeep.unpark import Unpark
from headrace.upkeep.upkeep import ChoreDone, ChoreFailed, Upkeep, usual_chores
from tests import builders
from tests.builders import HOUR, NAMESPACE, NOW, a_hello, a_job, claimed, settle


@pytest.fixture
async def store(anyio_backend: str):
    opened = await open_store("sqlite://")
    await opened.migrate()
    yield opened
    await opened.close()


async def test_ended_jobs_are_erased_when_their_time_has_come(store: Store):
    clock = ManualClock(NOW)
    ended, live = await claimed(store), await claimed(store)
    await settle(store, ended)
    clock.advance(HOUR / 1000 - 1)
    early = await PruneJobs(store, clock).run_once()
    clock.advance(2)

    result = await PruneJobs(store, clock).run_once()

    assert (early.done, result.done) == (0, 1)
    assert set(await store.get(NAMESPACE, [ended.id, live.id])) == {live.id}


async def test_completed_jobs_beyond_the_number_kept_are_erased(store: Store):
    clock = ManualClock(NOW)
    info = TypeInfo(
        name=builders.TYPE,
        version=1,
        queue="default",
        priority=0,
        runs=Runs.ASYNC,
        policy=Policy(retention=Retention(completed_count=2)),
        schema={},
    )
    await PublishedTypes(store, NAMESPACE, clock).publish([info])
    jobs = [await claimed(store, a_job(created_at=NOW + n), now=NOW + n) for n in range(5)]
    for n, job in enumerate(jobs):
        await settle(store, job, now=NOW + n)

    result = await PruneBeyondCount(store, clock, namespace=NAMESPACE).run_once()

    assert result.done == 3
    assert set(await store.get(NAMESPACE, [job.id for job in jobs])) == {job.id for job in jobs[3:]}


async def test_records_whose_time_is_up_are_trimmed(store: Store):
    clock = ManualClock(NOW)
    await store.append(NAMESPACE, "token", [Record(key="old", at=NOW - 2, body="{}", until=NOW - 1)])
    await store.append(NAMESPACE, "token", [Record(key="new", at=NOW - 2, body="{}", until=NOW + 1)])

    result = await TrimRecords(store, clock).run_once()

    assert result.done == 1
    assert set(await store.records(NAMESPACE, "token", ["old", "new"])) == {"new"}


async def test_jobs_of_a_type_somebody_knows_by_now_are_unparked(store: Store):
    clock = ManualClock(NOW)
    await builders.enqueue(store, a_job(type="rare"))
    await builders.claim(store)
    parked = sum(one.count for one in await store.parked(NAMESPACE))
    await store.hello(a_hello(types=frozenset({"rare"})))

    await Unpark(store, clock).run_once()

    (job,) = await builders.claim(store, types=frozenset({"rare"}))
    assert parked == 1
    assert job.state is State.PROCESSING


class Scripted:
    """A chore that does what it is told, run after run."""

    name = "scripted"
    every_ms = 1

    def __init__(self, *script: ChoreResult | Exception) -> None:
        self.script = list(script)
        self.runs = 0

    async def run_once(self) -> ChoreResult:
        self.runs += 1
        step = self.script.pop(0) if self.script else ChoreResult()
        if isinstance(step, Exception):
            raise step
        return step


async def test_service_goes_on_after_the_store_failed():
    seen: asyncio.Queue[ChoreDone | ChoreFailed] = asyncio.Queue()
    chore = Scripted(StoreUnavailable("away"), ChoreResult(done=3))

    async with Upkeep([chore], on_event=seen.put_nowait), asyncio.timeout(30):
        failed, done = await seen.get(), await seen.get()

    assert isinstance(failed, ChoreFailed)
    assert failed.retry_in >= 0.25
    assert done == ChoreDone("scripted", ChoreResult(done=3))


async def test_chore_that_breaks_does_not_stop_the_others():
    seen: asyncio.Queue[ChoreDone | ChoreFailed] = asyncio.Queue()
    broken, fine = Scripted(ValueError("broken")), Scripted(ChoreResult(done=1))

    async with Upkeep([broken, fine], on_event=seen.put_nowait), asyncio.timeout(30):
        kinds: set[type] = set()
        while len(kinds) < 2:
            kinds.add(type(await seen.get()))

    assert kinds == {ChoreDone, ChoreFailed}
    assert (broken.runs, fine.script) == (1, [])


async def test_service_ends_when_the_store_never_will_work():
    upkeep = Upkeep([Scripted(StoreUnusable("another library"))])

    with pytest.raises(StoreUnusable, match="another library"):
        await upkeep.run()


async def test_start_and_stop_are_idempotent():
    upkeep = Upkeep([Scripted()])

    await upkeep.stop()
    await upkeep.start()
    await upkeep.start()
    await upkeep.stop()
    await upkeep.stop()


async def test_usual_chores_all_run(store: Store):
    clock = ManualClock(NOW)

    names = set()
    for chore in usual_chores(store, clock, namespace=NAMESPACE, lease_ms=30_000):
        await chore.run_once()
        names.add(chore.name)

    assert names == {
        "rescue",
        "unpark",
        "open_lanes",
        "forget_lanes",
        "prune_jobs",
        "prune_beyond_count",
        "trim_records",
        "trim_events",
        "free_children",
        "fire_schedules",
        "close_batches",
        "forget_batches",
        "loops",
        "dead_letter_queues",
        "alerts",
        "put_in_line",
        "forget_lines",
        "breakers",
    }


async def test_orphaned_files_are_swept_and_kept_ones_stay(store: Store, tmp_path: Path):
    clock = ManualClock(host_now())
    files = DiskFiles(tmp_path, store, NAMESPACE, clock)
    kept, gone = await put_text(files, b"kept"), await put_text(files, b"gone")
    await store.remove_records(NAMESPACE, "file", [gone])
    clock.advance(48 * 3600)

    result = await SweepFiles(files).run_once()

    assert result == ChoreResult(done=1)
    assert b"".join([chunk async for chunk in files.read(kept)]) == b"kept"


async def put_text(files: DiskFiles, content: bytes) -> str:
    async def chunks():
        yield content

    return (await files.put(chunks(), name="a.txt")).id

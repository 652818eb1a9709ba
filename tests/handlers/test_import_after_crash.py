"""batch-import over a real store: a worker that is lost in the middle of a chunk duplicates nothing."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future

import pytest

from headrace.app import App
from headrace.clock import ManualClock
from headrace.core.filters import JobFilter, Page
from headrace.core.job import Job
from headrace.core.outcomes import Report, Succeeded
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.engine.context import Context, JobInfo, parse_saved
from headrace.engine.work import Claim, LocalWork
from headrace.files.disk import DiskFiles
from headrace.handlers.batch_import import batch_import_type
from headrace.settings import Settings
from headrace.stores.protocol import Holder, Note
from headrace.upkeep.rescue import Rescue
from tests.files.stored import chunks_of

ROWS = 95
LEASE_MS = 10_000


class Killed(BaseException):
    """The process is gone."""


class HolderLink:
    """What a worker does for a handler, over a real work source; ``dies_at`` the n-th call of a kind."""

    cancelled = False
    renewed_at = 0.0

    def __init__(self, work: LocalWork, job: Job, *, dies: tuple[str, int] | None = None) -> None:
        self._work = work
        self._holder = Holder(job_id=job.id, fence=job.fence)
        self._dies = dies
        self._calls: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    def progress(self, progress: str) -> None:
        pass

    def log(self, level: str, message: str, data: str | None) -> None:
        pass

    def checkpoint(self, data: str) -> "Future[None]":
        async def write() -> None:
            await self._work.note([Note(holder=self._holder, checkpoint=data)])

        return self._started("checkpoint", write())

    def enqueue(self, requests: Sequence[EnqueueRequest]) -> "Future[tuple[str, ...]]":
        return self._started("enqueue", self._work.enqueue(self._holder, requests))

    def _started(self, kind, step):
        done: Future = Future()
        self._calls[kind] += 1
        dies = self._dies == (kind, self._calls[kind])

        async def run() -> None:
            try:
                value = await step
            except Exception as error:
                done.set_exception(error)
                return
            if dies:
                done.set_exception(Killed())
            else:
                done.set_result(value)

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return done


@pytest.fixture
async def app(tmp_path):
    app = App(settings=Settings(url=f"sqlite:///{tmp_path}/jobs.db"), clock=ManualClock())
    app.include([batch_import_type()])

    @app.job(name="row")
    async def row(n: int) -> None: ...

    async with app:
        yield app


async def claimed(app: App, work: LocalWork) -> Job:
    queues = {"import": 1}
    claim = Claim(worker="w", queues=queues, types=frozenset(app.registry.names), limit=1, lease_ms=LEASE_MS)
    (job,) = await work.claim(claim)
    return job


async def attempt(app: App, work: LocalWork, job: Job, files: DiskFiles, *, dies=None):
    kind = app.registry.get(job.facts.type)
    info = JobInfo(
        id=job.id,
        namespace="default",
        type=job.facts.type,
        version=1,
        queue=job.facts.queue,
        attempt=job.attempt,
        max_attempts=job.facts.max_attempts,
        created_at=job.facts.created_at,
    )
    context = Context(info, HolderLink(work, job, dies=dies), saved=parse_saved(job.checkpoint), files=files)
    result = await kind.handler(ctx=context, **kind.payload.decode(job.facts.payload))
    report = Report(
        job_id=job.id,
        fence=job.fence,
        started_at=0,
        ended_at=0,
        outcome=Succeeded(result=kind.payload.encode_result(result)),
    )
    (answer,) = await work.report([report])
    assert answer.state is State.COMPLETED
    return result


@pytest.mark.parametrize(
    "dies",
    [
        ("enqueue", 1),
        ("checkpoint", 1),
        ("enqueue", 4),
        ("checkpoint", 9),
        ("enqueue", 11),
        ("checkpoint", 10),
    ],
)
async def test_import_goes_on_after_its_worker_was_lost(app, tmp_path, dies):
    opened = await app.open()
    clock = opened.clock
    files = DiskFiles(tmp_path / "files", opened.store, "default", clock)
    content = b"n\n" + b"".join(b"%d\n" % n for n in range(1, ROWS)) + b"wrong\n"
    stored = await files.put(chunks_of(content), name="rows.csv")
    work = await app.work()
    await work.publish([one.info for one in app.registry.all()])
    request = EnqueueRequest(
        type="batch-import",
        payload={"fileId": stored.id, "format": "csv", "rowType": "row", "chunkSize": 10},
    )
    (handle,) = await app.enqueue_many([request])
    first = await claimed(app, work)
    with pytest.raises(Killed):
        await attempt(app, work, first, files, dies=dies)
    clock.advance(LEASE_MS / 1000 + 1)
    rescued = await Rescue(opened.store, clock).run_once()
    clock.advance(60)
    second = await claimed(app, work)

    result = await attempt(app, work, second, files)

    page = await opened.operations.jobs(JobFilter(types=frozenset({"row"})), Page(limit=1000))
    numbers = sorted(int(json.loads(job.facts.payload)["n"]) for job in page.jobs)
    assert rescued.done == 1
    assert (first.id, second.id) == (handle.id, handle.id)
    assert numbers == list(range(1, ROWS))
    assert (result.rows, result.enqueued, result.errors) == (ROWS, ROWS - 1, 1)
    assert {job.facts.batch_id for job in page.jobs} == {result.batch_id}

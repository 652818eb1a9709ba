"""E18: rates, slots, ordering keys and pauses, while workers are killed."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from headrace.core.filters import JobFilter, Page
from headrace.core.job import Job
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.core.wishes import Wishes
from headrace.stores.protocol import NewJob, Store
from tests.builders import NAMESPACE, a_job
from tests.contract.gated import account, define, rate, slots, wishing
from tests.contract.reads import everything
from tests.crash.kit.children import Child, Fleet
from tests.crash.kit.dump import Dump
from tests.crash.kit.experiment import Scene, experiment
from tests.crash.kit.history import Client
from tests.crash.kit.ledger import Phase
from tests.crash.kit.worker import WorkerSpec, start_worker

COUNT, BURST, WINDOW_MS = 10, 5, 1_000
SLOTS = 3
RATED, SLOTTED, ORDERED, PAUSED = "rated", "slotted", "ordered", "paused"
DRAIN_WITHIN = 300
LOOK_EVERY = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much there is of each."""

    workers: int
    rated: int
    slotted: int
    keys: int
    per_key: int
    paused: int
    seconds: float
    pauses: tuple[float, float]
    lease_ms: int


SMOKE = Extent(
    workers=2,
    rated=45,
    slotted=40,
    keys=3,
    per_key=6,
    paused=60,
    seconds=4.0,
    pauses=(0.5, 1.0),
    lease_ms=1_000,
)
FULL = Extent(
    workers=4,
    rated=600,
    slotted=600,
    keys=20,
    per_key=20,
    paused=2_000,
    seconds=60.0,
    pauses=(1.0, 3.0),
    lease_ms=3_000,
)


@experiment(
    "E18",
    "limits",
    "Workers are killed while queues with a rate of 10 a second and a burst of 5, with 3 slots, with ordering"
    " keys, and one that is paused and resumed all the time are worked off.",
)
async def limits(scene: Scene) -> None:
    extent = scene.pick(smoke=SMOKE, full=FULL)
    async with scene.client() as (client, store):
        await define(store, rate("queue:rated", COUNT, WINDOW_MS, BURST), slots("queue:slotted", SLOTS))
        await _fill(scene, client, store, extent)
        with scene.fleet() as fleet:
            storm = _Storm(scene, fleet, extent)
            async with _watched(scene, store), _paused_again(scene, store, extent):
                await storm.rage()
            await storm.drain(client)
            await fleet.stop([one for one in fleet.all if one.alive])
        dump = await scene.check(store)
    scene.findings.did["jobs"] = len(dump.jobs)
    _rates(scene, dump)
    _orders(scene, dump)
    _endings(scene, dump)


class _Storm:
    """The workers, and what is done to them."""

    def __init__(self, scene: Scene, fleet: Fleet, extent: Extent) -> None:
        self._scene = scene
        self._fleet = fleet
        self._extent = extent
        self._spec = WorkerSpec(url=scene.target.url, lease_ms=extent.lease_ms)
        self._workers: list[Child] = [start_worker(fleet, self._spec) for _ in range(extent.workers)]

    async def rage(self) -> None:
        """Kills for so long."""
        end = time.monotonic() + self._extent.seconds
        while time.monotonic() < end:
            await self._scene.nemesis.strike_within(*self._extent.pauses)
            self._scene.nemesis.one_of(self._workers).kill_alone()
            self._scene.findings.did["kills"] += 1
            self._keep_up()

    async def drain(self, client: Client) -> None:
        """Waits until every job has ended."""
        async with asyncio.timeout(DRAIN_WITHIN):
            while (await client.operations.stats()).count(State.PENDING, State.PROCESSING):
                self._keep_up()
                await asyncio.sleep(LOOK_EVERY)

    def _keep_up(self) -> None:
        self._workers = [one if one.alive else start_worker(self._fleet, self._spec) for one in self._workers]


async def _fill(scene: Scene, client: Client, store: Store, extent: Extent) -> None:
    rng = scene.nemesis.rng
    for queue, count, longest in (
        (RATED, extent.rated, 5),
        (SLOTTED, extent.slotted, 120),
        (PAUSED, extent.paused, 20),
    ):
        await client.enqueue(
            *(
                EnqueueRequest(type="on_loop", payload={"ms": rng.randrange(1, longest)}, queue=queue)
                for _ in range(count)
            )
        )
    with scene.history.call("enqueue") as under:
        jobs = [_ordered(key, await store.now()) for _ in range(extent.per_key) for key in range(extent.keys)]
        under.jobs = [one.job_id for one in await store.insert(NAMESPACE, jobs, now=await store.now())]


def _ordered(key: int, now: int) -> NewJob:
    new = a_job(type="on_loop", queue=ORDERED, payload='{"ms":10}', created_at=now)
    return wishing(new, Wishes(order=account(str(key))))


@asynccontextmanager
async def _watched(scene: Scene, store: Store) -> AsyncIterator[None]:
    """Looks all the while how many jobs hold a slot; a dead worker's count until they are rescued."""

    async def watch() -> None:
        while True:
            found = await _page(store, SLOTTED, State.PROCESSING)
            scene.findings.did["looks at holders"] += 1
            most = f"{len(found)} jobs hold {SLOTS} slots"
            scene.findings.demand(len(found) <= SLOTS, "C41", "-", most)
            await asyncio.sleep(LOOK_EVERY)

    async with _beside(watch()):
        yield


@asynccontextmanager
async def _paused_again(scene: Scene, store: Store, extent: Extent) -> AsyncIterator[None]:
    """Pauses and resumes a queue; between the two no job of it may be claimed."""

    async def alternate() -> None:
        while True:
            await store.set_paused(NAMESPACE, PAUSED, paused=True)
            before = await _fences(store)
            await asyncio.sleep(extent.pauses[0])
            claimed = {job for job, fence in (await _fences(store)).items() if fence > before.get(job, 0)}
            scene.findings.demand(not claimed, "C43", "-", f"{len(claimed)} jobs claimed from a paused queue")
            scene.findings.did["pauses"] += 1
            await store.set_paused(NAMESPACE, PAUSED, paused=False)
            await asyncio.sleep(extent.pauses[0])

    async with _beside(alternate()):
        yield
    await store.set_paused(NAMESPACE, PAUSED, paused=False)


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
    if not isinstance(ended, asyncio.CancelledError):
        raise ended


def _rates(scene: Scene, dump: Dump) -> None:
    """No window holds more starts of handlers than rate and burst allow."""
    starts = sorted(
        row.at for row in scene.ledger.rows(Phase.START) if dump.jobs[row.job].facts.queue == RATED
    )
    for first, beyond in zip(starts, starts[COUNT + BURST :], strict=False):
        found = f"{COUNT + BURST + 1} starts within {beyond - first} ms"
        scene.findings.demand(beyond - first >= WINDOW_MS, "C42", "-", found)
    took = (starts[-1] - starts[0]) / 1000
    scene.findings.did["starts with a rate"] = len(starts)
    scene.findings.figures["starts a second"] = f"{(len(starts) - 1) / took:.1f} of {COUNT}"


def _orders(scene: Scene, dump: Dump) -> None:
    """Of each key a job starts only after the one before it has ended."""
    first: dict[str, int] = {}
    for row in scene.ledger.rows(Phase.START):
        first.setdefault(row.job, row.at)
    for line in _lines(dump).values():
        for before, after in pairwise(line):
            ended, began = before.placement.ended_at or 0, first[after.id]
            early = f"started {ended - began} ms before the one before it had ended"
            scene.findings.demand(began >= ended - 1, "C40", after.id, early)
            scene.findings.did["turns"] += 1


def _lines(dump: Dump) -> Mapping[str, Sequence[Job]]:
    lines: dict[str, list[Job]] = {}
    for job in sorted(dump.jobs.values(), key=lambda job: job.seq):
        if (order := Wishes.loads(job.facts.lane).order) is not None:
            lines.setdefault(order, []).append(job)
    return lines


def _endings(scene: Scene, dump: Dump) -> None:
    """All have ended well, but for those that were shot as often as poison."""
    for job in dump.jobs.values():
        shot = job.placement.crashes >= job.facts.max_crashes
        scene.findings.again["after the holder was killed"] += job.placement.crashes
        scene.findings.demand(job.state is State.COMPLETED or shot, "I1", job.id, f"is {job.state}")


async def _fences(store: Store) -> Mapping[str, int]:
    return {job.id: job.fence for job in await everything(store, JobFilter(queues=frozenset({PAUSED})))}


async def _page(store: Store, queue: str, state: State) -> Sequence[Job]:
    wanted = JobFilter(queues=frozenset({queue}), states=frozenset({state}))
    return (await store.find(NAMESPACE, wanted, Page(limit=100))).jobs

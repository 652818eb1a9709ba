"""E19: what nobody needs is erased, and nothing else, while workers and those who erase are killed."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from headrace.core.job import Job
from headrace.core.policy import Policy
from headrace.core.request import EnqueueRequest
from headrace.errors import JobNotFound
from headrace.stores.protocol import Store
from headrace.upkeep.prune import CHUNK
from tests.builders import SUCCESS, claim, reported
from tests.contract.reads import everything, recounted, tallied
from tests.crash.experiments.e19_needed import QUEUE, Needed, left_over
from tests.crash.kit import keeper
from tests.crash.kit.beside import meanwhile
from tests.crash.kit.children import Child, Fleet
from tests.crash.kit.clocks import mono_ms, until
from tests.crash.kit.crew import Crew
from tests.crash.kit.experiment import Scene, experiment
from tests.crash.kit.history import Client
from tests.crash.kit.jobs import BRIEF, COUNTED, registry
from tests.crash.kit.ledger import Phase
from tests.crash.kit.worker import WorkerSpec, start_worker

BULK: Final = "bulk"
BULK_TYPES: Final = frozenset({"fleeting", "counted"})
BULK_AT_ONCE: Final = 500
COUNTED_EVERY: Final = 20
"""Of so many jobs that come and go one is of a type of which only the newest are kept."""

CLAIM: Final = 50
GIVEN: Final = 10
CANCELLED_SHARE: Final = 0.1
PRUNE: Final = "prune_jobs"
FEW: Final = 2_000
LEFT_WITHIN: Final = 300.0
TIMES: Final = 2
BESIDES_MS: Final = 20
"""Beside erasing a claim may take twice as long as without, and a little more."""


@experiment(
    "E19",
    "retention",
    "Many jobs are kept for a second after their end. They are erased while more come, and while workers and"
    " those who erase are killed; what is live, what an open batch, a child or an idempotency key needs, and"
    " dead letters stay.",
)
async def retention(scene: Scene) -> None:
    jobs, strikes = scene.pick(smoke=(2_000, 3), full=(100_000, 50))
    async with scene.client() as (client, store):
        with scene.fleet() as fleet:
            run = Run(scene, client, store, fleet)
            await run.prepare()
            async with meanwhile(run.needed.look_on):
                await run.feed(jobs * 4 // 10, "without erasing")
                await run.erase_beside(jobs * 3 // 10)
                await run.storm(jobs * 3 // 10, strikes)
                await run.erase_the_rest()
            await run.needed.judge()
            await run.needed.release()
            await run.erase_the_rest()
            await run.stop()
        await run.judge()


class Run:
    """The processes, and the jobs that come and go."""

    def __init__(self, scene: Scene, client: Client, store: Store, fleet: Fleet) -> None:
        self._scene = scene
        self._client = client
        self._operations = client.operations
        self._store = store
        self._fleet = fleet
        self._did = scene.findings.did
        self._settled: set[str] = set()
        self._crews: list[Crew] = []
        self._steady: list[Child] = []
        self._p99: list[float] = []
        self.needed = Needed(scene, client, store)

    async def prepare(self) -> None:
        """A worker that nobody kills, and what must stay."""
        spec = WorkerSpec(
            url=self._scene.target.url, lease_ms=6_000, upkeep=False, queues={QUEUE: 16}, concurrency=16
        )
        worker = start_worker(self._fleet, spec, name="steady")
        self._steady = [worker]
        await until("the steady worker is at work", lambda: "worker_started" in worker.said())
        await self.needed.make()

    async def erase_beside(self, count: int) -> None:
        """So many jobs come and go while those before them are erased, which take more than one chunk."""
        await self._until_all_are_due()
        url, number = self._scene.target.url, self._scene.pick(smoke=1, full=2)
        keepers = Crew(self._scene, "keepers", number, lambda: self._fleet.start(keeper.MODULE, url))
        self._crews = [keepers]
        await until("the keepers are at work", lambda: keepers.begun)
        await self.feed(count, "beside erasing")

    async def storm(self, count: int, strikes: int) -> None:
        """The same while workers and keepers are killed, beside jobs that these workers run."""
        spec = WorkerSpec(
            url=self._scene.target.url,
            lease_ms=self._scene.pick(smoke=1_000, full=3_000),
            queues={"default": 8},
        )
        workers = Crew(
            self._scene, "workers", self._scene.pick(smoke=1, full=2), lambda: start_worker(self._fleet, spec)
        )
        self._crews.append(workers)
        await until("the workers are at work", lambda: workers.begun)
        for _ in range(strikes):
            await self._give_work()
            await self.feed(count // strikes)
            await self._scene.nemesis.strike_within(*self._scene.pick(smoke=(0.1, 0.5), full=(0.3, 1.5)))
            self._scene.nemesis.one_of(self._crews).strike()

    async def feed(self, count: int, name: str = "") -> None:
        """Jobs that come and end at once. Under the name goes how long each claim took."""
        took: list[float] = []
        for start in range(0, count, BULK_AT_ONCE):
            many = min(BULK_AT_ONCE, count - start)
            await self._client.enqueue(*(_bulk(start + number) for number in range(many)))
            while jobs := await self._claimed(took):
                now = self._operations.now()
                ended = [reported(job, SUCCESS, now=now, policy=_policy(job)) for job in jobs]
                await self._store.apply(ended, now=now)
                self._settled.update(job.id for job in jobs)
        self._did["jobs that come and go"] += count
        if name:
            self._tell_times(name, sorted(took))

    async def erase_the_rest(self) -> None:
        """Waits until nothing is there that nobody needs."""
        left = 1
        try:
            async with asyncio.timeout(LEFT_WITHIN):
                while left := await self._left():
                    for crew in self._crews:
                        crew.keep_up()
                    await asyncio.sleep(0.1)
        except TimeoutError:
            self._scene.findings.demand(False, "C44", "-", f"{left} jobs are left that nobody needs")

    async def stop(self) -> None:
        """Ends all processes."""
        keepers, workers = self._crews
        keepers.kill()
        await workers.stop(self._fleet)
        await self._fleet.stop(self._steady)
        self._judge_chunks([*keepers.all, *workers.all])

    async def judge(self) -> None:
        """What is gone has done its work; of what is counted the newest are there, and no others."""
        demand, jobs = self._scene.findings.demand, await everything(self._store)
        there = {job.id for job in jobs}
        done = self._settled | {row.job for row in self._scene.ledger.rows(Phase.EFFECT)}
        gone = self._scene.history.acked() - there
        for job_id in sorted(gone - done - self._scene.history.acked("cancel")):
            demand(False, "I1", job_id, "was erased and had not done its work")
        counted = sum(job.facts.type == "counted" for job in jobs)
        demand(counted == COUNTED.completed_count, "C44", "-", f"{counted} counted jobs are left")
        same = await tallied(self._store) == await recounted(self._store)
        demand(same, "I7", "-", "the tallies are not what a recount gives")
        self._did["erased"] = len(gone)

    async def _claimed(self, took: list[float]) -> list[Job]:
        began = mono_ms()
        now = self._operations.now()
        jobs = await claim(self._store, n=CLAIM, now=now, queues={BULK: CLAIM}, types=BULK_TYPES)
        took.append(mono_ms() - began)
        return jobs

    async def _until_all_are_due(self) -> None:
        """Returns once the time has come of all that has ended by now."""
        due_at = self._operations.now() + (BRIEF.completed_age_ms or 0)
        while self._operations.now() <= due_at:
            await asyncio.sleep(0.02)

    async def _give_work(self) -> None:
        """Jobs for those workers that are killed; some fail once, some are cancelled."""
        rng = self._scene.nemesis.rng
        for job_id in await self._client.enqueue(
            *(
                EnqueueRequest(
                    type="fleeting", payload={"ms": rng.randrange(20, 150), "failures": rng.choice((0, 0, 1))}
                )
                for _ in range(GIVEN)
            )
        ):
            if rng.random() < CANCELLED_SHARE:
                with suppress(JobNotFound):
                    self._did["cancels"] += await self._client.cancel(job_id)
        self._did["jobs of killed workers"] += GIVEN

    async def _left(self) -> int:
        total = (await self._operations.stats()).count()
        return total if total > FEW else len(left_over(await everything(self._store), self.needed.ids))

    def _tell_times(self, name: str, took: Sequence[float]) -> None:
        figures, p99 = self._scene.findings.figures, took[len(took) * 99 // 100]
        figures[f"claim p50/p99 {name}"] = f"{took[len(took) // 2]:.1f}/{p99:.1f} ms"
        self._p99.append(p99)
        bound = TIMES * self._p99[0] + BESIDES_MS
        kept = self._scene.pick(smoke=True, full=p99 < bound)
        self._scene.findings.demand(kept, "C44", "-", f"claims p99 {p99:.1f} ms {name}, at most {bound:.1f}")

    def _judge_chunks(self, children: Sequence[Child]) -> None:
        """A run of the chore erased as many as it may at once, and none erased more."""
        chunks = [
            event["done"] for one in children for event in one.events("chore_done") if event["chore"] == PRUNE
        ]
        largest = max(chunks, default=0)
        self._scene.findings.demand(largest == CHUNK, "C44", "-", f"the largest chunk has {largest} jobs")
        self._did["chunks"] = len(chunks)
        self._scene.findings.figures["largest chunk"] = f"{largest} jobs"


def _bulk(number: int) -> EnqueueRequest:
    if number % COUNTED_EVERY == 0:
        return EnqueueRequest(type="counted", payload={}, queue=BULK)
    return EnqueueRequest(type="fleeting", payload={}, queue=BULK)


def _policy(job: Job) -> Policy:
    return registry.get(job.facts.type).info.policy

"""E16: many clients ask for the same few unique keys and idempotency keys, while they and the holders die."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from headrace.core.job import Job
from headrace.core.states import LIVE, State
from headrace.core.unique import OnConflict
from headrace.errors import IdempotencyMismatch, JobNotFound
from headrace.stores.protocol import InsertKind, Store
from tests.builders import NAMESPACE
from tests.contract.reads import recounted, tallied
from tests.crash.experiments.e16_account import Account
from tests.crash.kit import keeper
from tests.crash.kit.beside import meanwhile
from tests.crash.kit.children import Child, Fleet
from tests.crash.kit.clocks import PATIENCE, until
from tests.crash.kit.crew import Crew
from tests.crash.kit.experiment import Scene, experiment
from tests.crash.kit.history import Client
from tests.crash.kit.keyed import (
    FINISHED,
    MODULE,
    OTHER_BODY,
    REFUSED,
    STARTED,
    KeyedSpec,
    answers_in,
    idempotent_request,
    unique_request,
)
from tests.crash.kit.worker import WorkerSpec, start_worker
from tests.servers.behaviours import CutAfter, Pass
from tests.servers.proxy import Proxy

WAIT_MS = 120_000
NEVER = 99
"""Fails at so many claims: at all attempts."""


@experiment(
    "E16",
    "uniqueness and idempotency",
    "Many clients ask for the same few keys all the time; they, the workers and those who erase are killed,"
    " answers are cut off. No key has two live jobs, none is held by a job that has ended, and an idempotency"
    " key means one job even when that is erased.",
)
async def uniqueness(scene: Scene) -> None:
    with scene.fleet() as fleet, _cutting(scene) as proxy:
        async with scene.client() as (client, store):
            run = Run(scene, client, store, fleet, proxy)
            await run.storm()
            await run.drain()
            await run.free_at_the_end()
            await run.replay()
            await run.stop()
            same = await tallied(store) == await recounted(store)
            scene.findings.demand(same, "I7", "-", "the tallies are not what a recount gives")
            await run.account.judge()


class Run:
    """Clients, workers and keepers, and what is asked of the keys meanwhile."""

    def __init__(self, scene: Scene, client: Client, store: Store, fleet: Fleet, proxy: Proxy | None) -> None:
        self._scene = scene
        self._client = client
        self._operations = client.operations
        self._store = store
        self._fleet = fleet
        self._proxy = proxy
        self._log = scene.folder / "answers"
        self._stop = scene.folder / "enough"
        self._did = scene.findings.did
        self._crews: list[Crew] = []
        self.account = Account(scene, store, self._log)

    async def storm(self) -> None:
        """Kills for a while whoever is there."""
        scene, url = self._scene, self._scene.target.url
        spec = WorkerSpec(url=url, lease_ms=1_500)
        workers = Crew(scene, "workers", 2, lambda: start_worker(self._fleet, spec))
        keepers = Crew(scene, "keepers", 1, lambda: self._fleet.start(keeper.MODULE, url))
        self._crews = [workers, keepers]
        await until("workers are at work", lambda: workers.begun)
        clients = [Crew(scene, "clients", scene.pick(smoke=2, full=4), lambda: self._asker(url))]
        if self._proxy is not None:
            behind = self._proxy.through(url)
            clients.append(Crew(scene, "clients", scene.pick(smoke=1, full=2), lambda: self._asker(behind)))
        await until("clients are at work", lambda: all(crew.begun for crew in clients))
        async with meanwhile(self.account.look_on, self._finished, self._started, self._cut):
            for _ in range(scene.pick(smoke=5, full=150)):
                await scene.nemesis.strike_within(0.2, 0.8)
                scene.nemesis.one_of([workers, workers, *clients, keepers]).strike()
            await until("everything was answered at least once", self._heard_everything)
        self._stop.touch()
        for crew in clients:
            await crew.leave()
            self._did["client processes"] += len(crew.all)

    async def drain(self) -> None:
        """Waits until every job has ended."""
        async with asyncio.timeout(PATIENCE):
            while (await self._operations.stats()).count(*LIVE):
                self._keep_up()
                await asyncio.sleep(0.02)

    async def free_at_the_end(self) -> None:
        """All jobs have ended, so every key is free, whoever was killed while it was held (C29)."""
        for key in self.account.keys:
            await self._fresh(key)
        await self.drain()

    async def replay(self) -> None:
        """Once its job is erased an idempotency key still stands for it, and refuses another body (C31)."""
        won = self.account.winners()
        async with asyncio.timeout(PATIENCE):
            while await self._are_there([job_id for _, job_id in won.values()]):
                self._keep_up()
                await asyncio.sleep(0.1)
        demand = self._scene.findings.demand
        for key, (body, job_id) in won.items():
            (answer,) = await self._operations.enqueue([idempotent_request(key, body)])
            same = answer.kind is InsertKind.EXISTING and answer.job_id == job_id
            demand(same, "C31", key, f"was {answer.kind}, {answer.job_id}, after {job_id} was erased")
            try:
                await self._operations.enqueue([idempotent_request(key, body + body)])
            except IdempotencyMismatch:
                self._did["keys asked after their job was erased"] += 1
            else:
                demand(False, "C31", key, "took another body after its job was erased")

    async def stop(self) -> None:
        """Ends all processes; workers end well."""
        workers, keepers = self._crews
        keepers.kill()
        await workers.stop(self._fleet)

    # ---------------------------------------------------------------- beside the storm

    async def _finished(self) -> None:
        """A key for which nobody else asks is free as soon as its job has ended, in whichever way."""
        while True:
            ending = self._scene.nemesis.one_of(["completed", "failed", "cancelled"])
            job_id = await self._fresh(f"{FINISHED}-own", ms=20, failures=NEVER if ending == "failed" else 0)
            with suppress(JobNotFound):  # it ended, and a second later it was erased
                if ending == "cancelled":
                    await self._client.cancel(job_id)
                await self._operations.wait(job_id, timeout_ms=WAIT_MS)
            self._did["keys free after the end"] += 1

    async def _started(self) -> None:
        """The same for a key that is held until its job has started, while that goes on."""
        while True:
            job_id = await self._fresh(f"{STARTED}-own", ms=300)
            while (job := await self._found(job_id)) is not None and job.placement.unique_lock is not None:
                await asyncio.sleep(0.02)
            self._did["keys free after the start"] += 1

    async def _cut(self) -> None:
        """Cuts the connections of some clients, once what they asked for has arrived."""
        wire = self._scene.target.wire
        if self._proxy is None or wire is None:
            return
        try:
            while True:
                await self._scene.nemesis.strike_within(0.1, 0.4)
                messages = self._scene.nemesis.rng.randint(1, 6)
                self._proxy.set(CutAfter(messages=messages, counts=wire.asks))
                await self._scene.nemesis.strike_within(0.05, 0.2)
                self._proxy.set(Pass())
                self._did["times connections were cut"] += 1
        finally:
            self._proxy.set(Pass())

    def _heard_everything(self) -> bool:
        """Whether clients have been told all that can be told, however slow the machine is."""
        told = {one for answer in answers_in(self._log) for one in answer.told}
        probed = self._did["keys free after the end"] and self._did["keys free after the start"]
        return bool(probed) and told >= {*InsertKind, REFUSED, OTHER_BODY}

    async def _fresh(self, key: str, ms: int = 0, failures: int = 0) -> str:
        """Asks for a key that is free, and must get it."""
        with self._scene.history.call("enqueue") as under:
            request = unique_request(key, OnConflict.EXISTING, ms=ms, failures=failures)
            (answer,) = await self._operations.enqueue([request])
            under.jobs = (answer.job_id,)
        inserted = answer.kind is InsertKind.INSERTED
        self._scene.findings.demand(inserted, "C29", key, f"is not free of {answer.job_id}")
        return answer.job_id

    async def _found(self, job_id: str) -> Job | None:
        return (await self._store.get(NAMESPACE, [job_id])).get(job_id)

    async def _are_there(self, ids: Sequence[str]) -> bool:
        """Whether any of these is there that will be erased."""
        found = await self._store.get(NAMESPACE, ids)
        return any(job.state is not State.FAILED for job in found.values())

    def _keep_up(self) -> None:
        for crew in self._crews:
            crew.keep_up()

    def _asker(self, url: str) -> Child:
        spec = KeyedSpec(
            url=url,
            seed=self._scene.nemesis.rng.randrange(10**6),
            keys=self.account.count,
            log=str(self._log),
            stop=str(self._stop),
        )
        return self._fleet.start(MODULE, spec.dumps())


@contextmanager
def _cutting(scene: Scene) -> Iterator[Proxy | None]:
    if scene.target.wire is None:
        scene.findings.left_out.append("cut answers: there is no network before a file")
        yield None
        return
    with scene.target.proxy() as proxy:
        yield proxy

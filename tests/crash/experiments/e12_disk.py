"""E12: the disk is full, the disk reports errors, the power goes."""

import asyncio
import shutil
from pathlib import Path
from shutil import which

from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.errors import HeadraceError, StoreFull
from headrace.stores.open import open_store
from tests.crash.experiments.e04_crash_points import integrity, sight
from tests.crash.kit import step as steps
from tests.crash.kit.apart import disk_image, make_image, run_apart, tmpfs
from tests.crash.kit.checker import checked
from tests.crash.kit.children import Child, Fleet, cpu_share
from tests.crash.kit.clocks import PATIENCE, until
from tests.crash.kit.dump import dumped
from tests.crash.kit.experiment import NotHere, Scene, experiment
from tests.crash.kit.history import Client, History
from tests.crash.kit.ledger import Ledger
from tests.crash.kit.neighbours import MODULE as NEIGHBOURS
from tests.crash.kit.target import POSTGRES, REDIS, SQLITE, sqlite_at
from tests.crash.kit.traced import traced
from tests.crash.kit.worker import WorkerSpec, start_worker

MODULES = {
    SQLITE.name: "tests.crash.experiments.e12_disk",
    POSTGRES.name: "tests.crash.experiments.e12_postgres",
    REDIS.name: "tests.crash.experiments.e12_redis",
}
PARTS = ("full_disk", "power_cuts")
DISK = "8m"
IMAGE_MB = 40
PAYLOAD = "x" * 20_000
BUSY = 0.2
REFUSED = ("StoreFull", "StoreUnavailable", "OutcomeUnknown")
ERRORS = (("pwrite64", "ENOSPC"), ("pwrite64", "EIO"), ("fdatasync", "EIO"))


@experiment(
    "E12",
    "disk full, disk errors, power cut",
    "A small disk is filled under load and freed; writes and syncs of an enqueue are made to fail; images of"
    " the disk as a power cut would leave it are taken while jobs come and run, and opened.",
)
async def disk(scene: Scene) -> None:
    if scene.target.server is None:
        await _bad_disk(scene)
    for part in (f"{MODULES[scene.target.name]}:{name}" for name in PARTS):
        try:
            await run_apart(scene, part)
        except NotHere as why:
            scene.findings.left_out.append(f"{part}: {why}")


async def full_disk(scene: Scene) -> None:
    """Runs in a mount namespace of its own."""
    disk = scene.folder / "disk"
    with tmpfs(disk, DISK):
        async with scene.client() as (client, store):
            with scene.fleet() as fleet:
                worker = await _busy_worker(scene, client, fleet)
                filler = _fill(disk)
                await _until_full(scene, client)
                await _stays_full(scene, client)
                if worker is not None:
                    share = await cpu_share(worker, 10)
                    scene.findings.demand(share < BUSY, "I8", worker.name, f"uses {share:.0%} of a core")
                    scene.findings.figures["worker on a full disk"] = f"{share:.1%} of a core"
                    scene.findings.demand(worker.alive, "C49", worker.name, "died of a full disk")
                filler.unlink()
                await _recovers(scene, client, fleet, worker)
            await scene.check(store)
        scene.findings.demand(integrity(disk / "jobs.db"), "C4", "-", "integrity_check complains")


async def _busy_worker(scene: Scene, client: Client, fleet: Fleet) -> Child | None:
    """A worker that meets the full disk; it waits half a minute before it asks again."""
    if scene.pick(smoke=True, full=False):
        return None
    worker = start_worker(fleet, WorkerSpec(url=scene.target.url, lease_ms=2_000))
    await client.enqueue(*(EnqueueRequest(type="on_loop", payload={"ms": 200}) for _ in range(200)))
    async with asyncio.timeout(PATIENCE):
        while not (await client.operations.stats()).count(State.COMPLETED):
            await asyncio.sleep(0.01)
    return worker


def _fill(disk: Path) -> Path:
    """Takes all but a megabyte of what is free."""
    filler = disk / "filler"
    free = shutil.disk_usage(disk).free
    filler.write_bytes(b"\0" * max(0, free - 2**20))
    return filler


async def _until_full(scene: Scene, client: Client) -> None:
    for _ in range(1_000):
        try:
            await client.enqueue(_big())
        except StoreFull:
            scene.findings.did["times full"] += 1
            return
        except HeadraceError as error:
            scene.findings.demand(False, "C49", "-", f"a full disk is told as {error!r}")
            return
    raise AssertionError("the disk never became full")


async def _stays_full(scene: Scene, client: Client) -> None:
    for _ in range(20):
        try:
            await client.enqueue(_big(), _big())
        except StoreFull:
            scene.findings.did["refused as full"] += 1
    scene.findings.demand(scene.findings.did["refused as full"] > 0, "C49", "-", "a full disk takes bulks")


async def _recovers(scene: Scene, client: Client, fleet: Fleet, worker: Child | None) -> None:
    """The same store object works again; so does the same worker, if it was there."""
    await client.enqueue(_big())
    worker = worker or start_worker(fleet, WorkerSpec(url=scene.target.url, lease_ms=2_000))
    async with asyncio.timeout(PATIENCE * 2):
        while (await client.operations.stats()).count(State.PENDING, State.PROCESSING):
            scene.findings.demand(worker.alive, "C49", worker.name, "died")
            await asyncio.sleep(0.05)
    await fleet.stop([worker])


def _big() -> EnqueueRequest:
    return EnqueueRequest(type="fat", payload={"text": PAYLOAD})


async def _bad_disk(scene: Scene) -> None:
    """The first write or sync of an enqueue fails: a typed error, and the state before or after."""
    if which("strace") is None:
        scene.findings.left_out.append("disk errors: strace is not installed")
        return
    for call, error in ERRORS:
        file = scene.folder / f"{call}-{error}.db"
        store = await open_store(sqlite_at(file).url)
        await steps.STEPS["enqueue"].before(store)
        await store.close()
        before = await sight(file)
        with scene.fleet() as fleet:
            child = fleet.start(
                steps.MODULE, "enqueue", sqlite_at(file).url, file, name=f"bad-{call}-{error}"
            )
            await until("the step is ready", lambda one=child: "ready" in one.said() or not one.alive)
            tracer = await traced(fleet, child, f"{call}:error={error}:when=1+")
            Path(f"{file}.gate").touch()
            code = await child.ended()
            await tracer.ended()
            last = child.said().strip().splitlines()[-1]
        where = f"enqueue with {error} at {call}"
        demand = scene.findings.demand
        demand(
            code == 1 and any(name in last for name in REFUSED), "C49", where, f"ended with {code}: {last}"
        )
        demand(not Path(f"{file}.ack").exists(), "C4", where, "was acknowledged")
        store = await open_store(sqlite_at(file).url)
        later = await dumped(store)
        await store.close()
        kept = before.dump is not None and before.dump.jobs.keys() <= later.jobs.keys()
        demand(kept and integrity(file), "C4", where, "damaged what was there")
        scene.findings.did["disk errors"] += 1


async def power_cuts(scene: Scene) -> None:
    """Runs in a mount namespace of its own."""
    for options, images in (
        ("", scene.pick(smoke=3, full=20)),
        ("?synchronous=normal", scene.pick(smoke=1, full=5)),
    ):
        await Cuts(scene, options).take(images)


class Cuts:
    """Images of a disk under load, each as the moment of a power cut would leave it."""

    def __init__(self, scene: Scene, options: str) -> None:
        self._scene = scene
        self._durable = not options
        self._folder = scene.folder / ("full" if self._durable else "normal")
        self._folder.mkdir()
        self._disk = self._folder / "disk"
        self._url = sqlite_at(self._disk / "jobs.db", options).url
        self._history = History(self._folder / "history")
        self._image = self._folder / "image"

    async def take(self, images: int) -> None:
        """Lets a producer and a worker run and takes images of the disk beneath them."""
        make_image(self._image, IMAGE_MB)
        stop = self._folder / "stop"
        with disk_image(self._image, self._disk), self._scene.fleet() as fleet:
            worker = start_worker(
                fleet, WorkerSpec(url=self._url, lease_ms=30_000), name=f"{self._folder.name}-worker"
            )
            producer = fleet.start(
                NEIGHBOURS,
                "produce",
                self._url,
                self._history.path,
                stop,
                name=f"{self._folder.name}-producer",
            )
            for number in range(images):
                acked = len(self._history.acked())
                await until("jobs come", lambda least=acked: len(self._history.acked()) > least + 20)
                await self._scene.nemesis.strike_within(0.05, 0.5)
                await self._cut(number, [worker, producer])
            stop.touch()
            await fleet.stop([producer, worker])

    async def _cut(self, number: int, writers: list[Child]) -> None:
        """What lies in the image is on the disk; what only the page cache had is gone.

        All who write stand still meanwhile, so that the copy is of one moment.
        """
        place = self._folder / f"cut-{number}"
        place.mkdir()
        for child in writers:
            await child.freeze()
        shutil.copyfile(self._image, place / "image")
        for name in ("history", "ledger"):
            source = self._folder / name if name == "history" else self._scene.ledger.path
            if source.exists():
                shutil.copyfile(source, place / name)
        for child in writers:
            child.thaw()
        with disk_image(place / "image", place / "disk"):
            await self._open(place)
        (place / "image").unlink()

    async def _open(self, place: Path) -> None:
        history, findings = History(place / "history"), self._scene.findings
        file = place / "disk" / "jobs.db"
        findings.demand(integrity(file), "C4", place.name, "integrity_check complains after the power cut")
        store = await open_store(sqlite_at(file).url)
        dump = await dumped(store)
        await store.close()
        order = [job for call in history.calls("enqueue") if call.ended == "ok" for job in call.jobs]
        gone = [position for position, job in enumerate(order) if job not in dump.jobs]
        if self._durable:
            findings.found(checked(dump, Ledger(place / "ledger"), history))
            findings.demand(
                not gone, "C4", place.name, f"{len(gone)} of {len(order)} acknowledged jobs are gone"
            )
            findings.did["power cuts"] += 1
            findings.did["acknowledged before them"] += len(order)
            return
        findings.did["power cuts with synchronous=normal"] += 1
        newest = not gone or gone == list(range(gone[0], len(order)))
        findings.demand(
            newest, "C4", place.name, f"not only the newest of {len(order)} are gone: {gone[:20]}"
        )
        lost = int(findings.figures.get("lost with synchronous=normal", "0").split()[0]) + len(gone)
        findings.figures["lost with synchronous=normal"] = f"{lost} jobs, the newest ones, as documented"

"""E12 on a server: the power goes while PostgreSQL writes; its disk becomes full."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil

from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.errors import OutcomeUnknown, StoreError, StoreFull, StoreUnavailable
from headrace.stores.open import open_store
from tests.crash.kit.apart import disk_image, make_image
from tests.crash.kit.checker import checked
from tests.crash.kit.children import Child, Fleet, cpu_share
from tests.crash.kit.clocks import PATIENCE, until
from tests.crash.kit.dump import dumped
from tests.crash.kit.experiment import Scene
from tests.crash.kit.history import Client, History
from tests.crash.kit.ledger import Ledger, Phase
from tests.crash.kit.neighbours import MODULE as NEIGHBOURS
from tests.crash.kit.worker import WorkerSpec, start_worker
from tests.servers.postgres import PostgresServer
from tests.servers.processes import until as settled

IMAGE_MB = 400
SMALL_MB = 250
PAYLOAD = "".join(f"{number:x}" for number in range(20_000))
BUSY = 0.2
REFUSALS = 20
MOST_TRIES = 2_000
DURABLE = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_wal_size": "64MB",
    "min_wal_size": "32MB",
    "wal_keep_size": "0",
}


async def power_cuts(scene: Scene) -> None:
    """Runs in a mount namespace of its own."""
    _let_pass(scene.folder)
    await _Cuts(scene).take(scene.pick(smoke=1, full=10))


async def full_disk(scene: Scene) -> None:
    """Runs in a mount namespace of its own."""
    _let_pass(scene.folder)
    image, disk = scene.folder / "image", scene.folder / "disk"
    make_image(image, SMALL_MB)
    with disk_image(image, disk), PostgresServer.start(disk / "server", settings=DURABLE) as server:
        server.create_database("jobs")
        at = replace(scene, target=replace(scene.target, url=server.url("jobs"), server=server, file=None))
        async with at.client() as (client, store):
            with at.fleet() as fleet:
                await _filled_and_freed(at, client, fleet, disk)
            await at.check(store)


async def _filled_and_freed(scene: Scene, client: Client, fleet: Fleet, disk: Path) -> None:
    """A worker runs jobs while the disk beneath the server is filled, stays full, and is freed."""
    findings, server = scene.findings, scene.target.server
    assert isinstance(server, PostgresServer)
    worker = start_worker(fleet, WorkerSpec(url=scene.target.url, lease_ms=2_000), name="worker")
    await client.enqueue(*(EnqueueRequest(type="on_loop", payload={"ms": 50}) for _ in range(100)))
    await until("the worker works", lambda: scene.ledger.count(Phase.EFFECT) > 0)
    filler = disk / "filler"
    filler.write_bytes(b"\0" * max(0, shutil.disk_usage(disk).free - 2**20))
    await _until_refused(scene, client)
    share = await cpu_share(worker, scene.pick(smoke=2, full=20))
    findings.demand(share < BUSY, "I8", worker.name, f"uses {share:.0%} of a core while the disk is full")
    findings.figures["worker on a server with a full disk"] = f"{share:.1%} of a core"
    filler.unlink()
    if not server.running:  # it ends when it cannot write its log: then its keeper has to start it again
        server.restart()
        findings.did["restarts of the server"] += 1
    async with asyncio.timeout(PATIENCE * 2):
        while await _left(client):
            findings.demand(worker.alive, "C49", worker.name, "died of the server's full disk")
            await asyncio.sleep(0.1)
    codes = await fleet.stop([worker])
    findings.demand(codes == [0], "C20", "-", f"the worker ended with {codes}")


async def _until_refused(scene: Scene, client: Client) -> None:
    """Enqueues until the server has no space, and a little longer: each refusal is an error with a name."""
    findings = scene.findings
    for _ in range(MOST_TRIES):
        try:
            await client.enqueue(*(EnqueueRequest(type="fat", payload={"text": PAYLOAD}) for _ in range(5)))
        except (StoreFull, StoreUnavailable, OutcomeUnknown) as error:
            findings.did[f"refused with {type(error).__name__}"] += 1
            findings.did["refused as full"] += 1
            if findings.did["refused as full"] >= REFUSALS:
                return
    raise AssertionError("the disk never became full")


async def _left(client: Client) -> int:
    try:
        return (await client.operations.stats()).count(State.PENDING, State.PROCESSING)
    except StoreError:
        return 1


def _let_pass(folder: Path) -> None:
    """Lets the server, which is nobody's, pass through to the folder."""
    for place in (folder, *folder.parents):
        if place.owner() == "root" and not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o011)
        if place.stat().st_mode & 0o1000:
            break


class _Cuts:
    """Images of a server's disk under load, each as the moment of a power cut would leave it."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._folder = scene.folder
        self._disk = scene.folder / "disk"
        self._image = scene.folder / "image"
        self._history = History(scene.folder / "history")

    async def take(self, images: int) -> None:
        """Lets a producer and a worker run and takes images of the disk beneath the server."""
        make_image(self._image, IMAGE_MB)
        stop = self._folder / "stop"
        with (
            disk_image(self._image, self._disk),
            PostgresServer.start(self._disk / "server", settings=DURABLE) as server,
            self._scene.fleet() as fleet,
        ):
            server.create_database("jobs")
            url = server.url("jobs")
            store = await open_store(url)
            await store.migrate()
            await store.close()
            worker = start_worker(fleet, WorkerSpec(url=url, lease_ms=30_000), name="worker")
            producer = fleet.start(NEIGHBOURS, "produce", url, self._history.path, stop, name="producer")
            for number in range(images):
                acked = len(self._history.acked())
                await until("jobs come", lambda least=acked: len(self._history.acked()) > least + 20)
                await self._scene.nemesis.strike_within(0.05, 0.5)
                await self._cut(number, server, [worker, producer])
            stop.touch()
            await fleet.stop([producer, worker])

    async def _cut(self, number: int, server: PostgresServer, writers: list[Child]) -> None:
        """What lies in the image is on the disk; what only the page cache had is gone."""
        place = self._folder / f"cut-{number}"
        place.mkdir()
        place.chmod(0o755)
        for child in writers:
            await child.freeze()
        with _standing_still(server):
            shutil.copyfile(self._image, place / "image")
        for source in (self._history.path, self._scene.ledger.path):
            if source.exists():
                shutil.copyfile(source, place / source.name)
        for child in writers:
            child.thaw()
        with disk_image(place / "image", place / "disk"):
            await self._open(place)
        (place / "image").unlink()

    async def _open(self, place: Path) -> None:
        folder, findings = place / "disk" / "server", self._scene.findings
        (folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        with PostgresServer.start(folder, settings=DURABLE) as server:
            store = await open_store(server.url("jobs"))
            dump = await dumped(store)
            await store.close()
        history = History(place / self._history.path.name)
        findings.found(checked(dump, Ledger(place / self._scene.ledger.path.name), history))
        acked = [job for call in history.calls("enqueue") if call.ended == "ok" for job in call.jobs]
        gone = [job for job in acked if job not in dump.jobs]
        findings.demand(not gone, "C4", place.name, f"{len(gone)} of {len(acked)} acknowledged jobs are gone")
        findings.did["power cuts"] += 1
        findings.did["acknowledged before them"] += len(acked)


@contextmanager
def _standing_still(server: PostgresServer) -> Iterator[None]:
    """No process of the server runs, so that the copy is of one moment."""
    parent = psutil.Process(server.pid)
    parent.suspend()
    family = [parent, *parent.children(recursive=True)]
    for process in family:
        process.suspend()
    stopped = {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}
    settled(lambda: all(process.status() in stopped for process in family), what="the server stands still")
    try:
        yield
    finally:
        for process in reversed(family):
            process.resume()

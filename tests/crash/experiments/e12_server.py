"""E12 on a server: the power goes while PostgreSQL writes."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from headrace.stores.open import open_store
from tests.crash.kit.apart import disk_image, make_image
from tests.crash.kit.checker import checked
from tests.crash.kit.children import Child
from tests.crash.kit.clocks import until
from tests.crash.kit.dump import dumped
from tests.crash.kit.experiment import Scene
from tests.crash.kit.history import History
from tests.crash.kit.ledger import Ledger
from tests.crash.kit.neighbours import MODULE as NEIGHBOURS
from tests.crash.kit.worker import WorkerSpec, start_worker
from tests.servers.postgres import PostgresServer
from tests.servers.processes import until as settled

IMAGE_MB = 400
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
    for place in (scene.folder, *scene.folder.parents):
        if place.owner() == "root" and not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o011)  # the server is nobody's, and only passes through
        if place.stat().st_mode & 0o1000:
            break
    await _Cuts(scene).take(scene.pick(smoke=1, full=10))


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

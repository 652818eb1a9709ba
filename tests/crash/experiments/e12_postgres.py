"""E12 on PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.crash.experiments.e12_server import Cuts, Host, Started, fill_disk
from tests.crash.kit.experiment import Scene
from tests.servers.postgres import PostgresServer
from tests.servers.processes import until as settled

DURABLE = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_wal_size": "64MB",
    "min_wal_size": "32MB",
    "wal_keep_size": "0",
}
DATABASE = "jobs"


async def power_cuts(scene: Scene) -> None:
    """Runs in a mount namespace of its own."""
    await Cuts(scene, HOST).take(scene.pick(smoke=1, full=10))


async def full_disk(scene: Scene) -> None:
    """Runs in a mount namespace of its own."""
    await fill_disk(scene, HOST)


@contextmanager
def started(folder: Path) -> Iterator[Started]:
    """A server on what it finds in the folder."""
    (folder / "data" / "postmaster.pid").unlink(missing_ok=True)
    fresh = not (folder / "data").exists()
    with PostgresServer.start(folder, settings=DURABLE) as server:
        if fresh:
            server.create_database(DATABASE)
        yield Started(server=server, url=server.url(DATABASE), still=lambda: _standing_still(server))


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


HOST = Host(name="postgres", started=started, disk_mb=400, small_disk_mb=250)

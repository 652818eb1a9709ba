"""E12 on Redis, by how often it syncs its log of writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.crash.experiments.e12_server import Cuts, Host, Started, fill_disk
from tests.crash.kit.experiment import Scene
from tests.servers.valkey import ValkeyServer

EVERYSEC_LOSES_MS = 2_000
"""What docs/reliability.md says of ``appendfsync everysec``."""


async def power_cuts(scene: Scene) -> None:
    """Runs in a mount namespace of its own."""
    await Cuts(scene, ALWAYS).take(scene.pick(smoke=1, full=10))
    await Cuts(scene, EVERYSEC).take(scene.pick(smoke=1, full=10))


async def full_disk(scene: Scene) -> None:
    """Runs in a mount namespace of its own. A server that syncs always ends when it cannot write its log.

    A worker that meets a full disk asks again after half a minute: in small it comes later.
    """
    for host in scene.pick(smoke=(EVERYSEC,), full=(ALWAYS, EVERYSEC)):
        await fill_disk(scene, host, beside=scene.pick(smoke=False, full=True))


def _host(syncs: str, *, may_lose_ms: int = 0) -> Host:
    @contextmanager
    def started(folder: Path) -> Iterator[Started]:
        settings = {"appendonly": "yes", "appendfsync": syncs}
        with ValkeyServer.start(folder, settings=settings) as server:
            yield Started(server=server, url=server.url(), still=lambda: _paused(server))

    name = f"appendfsync {syncs}"
    return Host(name=name, started=started, disk_mb=100, small_disk_mb=60, may_lose_ms=may_lose_ms)


@contextmanager
def _paused(server: ValkeyServer) -> Iterator[None]:
    server.pause()
    try:
        yield
    finally:
        server.resume()


ALWAYS = _host("always")
EVERYSEC = _host("everysec", may_lose_ms=EVERYSEC_LOSES_MS)

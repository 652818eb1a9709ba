"""E11: many processes on one SQLite file, and what a file or a process may be that breaks its locks."""

import asyncio
from pathlib import Path
from typing import Self
from unittest.mock import patch

import apsw

from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.errors import NetworkFilesystem
from headrace.stores.open import open_store
from headrace.stores.sqlite import mounts
from headrace.stores.sqlite.connection import WAL_LIMIT
from tests.crash.kit.children import Child, Fleet
from tests.crash.kit.clocks import PATIENCE, mono_ms, until
from tests.crash.kit.experiment import Scene, experiment
from tests.crash.kit.history import Client, History
from tests.crash.kit.ledger import Phase
from tests.crash.kit.neighbours import MODULE
from tests.crash.kit.target import FILES
from tests.crash.kit.worker import WorkerSpec, start_worker

WORKERS = 2
SLICE_S = 0.05


@experiment(
    "E11",
    "SQLite contention",
    "Two workers, a producer, a lister and two processes that force checkpoints share a file, while a reader"
    " keeps a transaction open; a handler forks and its child tries the store; a network disk is faked.",
    on=FILES,
)
async def contention(scene: Scene) -> None:
    seconds = scene.pick(smoke=3.0, full=120.0)
    assert scene.target.file is not None
    async with scene.client() as (client, store):
        with scene.fleet() as fleet:
            crowd = Crowd(scene, fleet)
            with _Reader(scene.target.file) as reader:
                await crowd.go(client, seconds)
                reader.read_again(scene)
            scene.findings.figures["WAL beside an open reader"] = (
                f"{_wal_bytes(scene.target.file) / 2**20:.1f} MB"
            )
            await crowd.finish(client)
            await _fork_is_refused(scene, fleet)
            await _wal_shrinks(scene, client, scene.target.file)
        await scene.check(store)
    _sound(scene, scene.target.file)
    await _network_disk_is_refused(scene)


class Crowd:
    """The processes on the file."""

    def __init__(self, scene: Scene, fleet: Fleet) -> None:
        self._scene = scene
        self._fleet = fleet
        # The leases are long: this is about locks, and a rescue would hide what a slow commit did.
        spec = WorkerSpec(url=scene.target.url, lease_ms=30_000)
        self._workers = [start_worker(fleet, spec) for _ in range(WORKERS)]
        self._stop = scene.folder / "stop"
        told = (scene.target.url, scene.history.path, self._stop)
        self._neighbours: list[Child] = [
            fleet.start(MODULE, what, *told, name=name)
            for what, name in (
                ("produce", "producer"),
                ("list", "lister"),
                ("checkpoint", "checkpointer-1"),
                ("checkpoint", "checkpointer-2"),
            )
        ]

    async def go(self, client: Client, seconds: float) -> None:
        """All of them at once, for so long; this process enqueues too."""
        await until("workers run", lambda: all("worker_started" in one.said() for one in self._workers))
        end = mono_ms() + seconds * 1000
        while mono_ms() < end:
            await client.enqueue(EnqueueRequest(type="on_loop", payload={"ms": 1}))
            await asyncio.sleep(SLICE_S)
        self._scene.findings.did["processes"] = len(self._neighbours) + len(self._workers) + 1

    async def finish(self, client: Client) -> None:
        """Waits until all jobs are done, and looks for errors of any kind."""
        self._stop.touch()
        codes = [await one.ended(PATIENCE) for one in self._neighbours]
        async with asyncio.timeout(PATIENCE):
            while (await client.operations.stats()).count(State.PENDING, State.PROCESSING):
                await asyncio.sleep(0.02)
        codes += await self._fleet.stop(self._workers)
        findings = self._scene.findings
        findings.demand(not any(codes), "C49", "-", f"processes ended with {codes}")
        for child in (*self._neighbours, *self._workers):
            findings.demand("locked" not in child.said(), "C49", child.name, child.said()[-800:])
        calls = History(self._scene.history.path).calls()
        failed = [call for call in calls if call.ended != "ok"]
        findings.demand(not failed, "C49", "-", f"{len(failed)} calls did not end well, such as {failed[:1]}")
        times = sorted(call.took_ms for call in calls if call.what == "enqueue" and call.took_ms is not None)
        findings.did["calls"] = len(calls)
        findings.did["jobs"] = len(self._scene.history.acked())
        findings.figures["enqueue p50/p99"] = (
            f"{times[len(times) // 2]:.0f}/{times[len(times) * 99 // 100]:.0f} ms"
        )


class _Reader:
    """A connection of another program that keeps a read transaction open."""

    def __init__(self, file: Path) -> None:
        self._db = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READWRITE)
        self._db.pragma("wal_autocheckpoint", 0)

    def __enter__(self) -> Self:
        self._db.execute("begin")
        self._seen = self._count()
        return self

    def __exit__(self, *_: object) -> None:
        self._db.execute("rollback")
        self._db.close()

    def read_again(self, scene: Scene) -> None:
        """Its snapshot must still be the one it began with."""
        scene.findings.demand(self._count() == self._seen, "C48", "-", "an open snapshot has changed")

    def _count(self) -> int:
        return next(iter(self._db.execute("select count(*) from job")))[0]


async def _fork_is_refused(scene: Scene, fleet: Fleet) -> None:
    """A handler's forked child that uses the store it inherited gets a clear error; the parent goes on."""
    child = fleet.start(
        MODULE, "fork", scene.target.url, scene.history.path, scene.folder / "stop", name="forker"
    )
    code = await child.ended(PATIENCE)
    scene.findings.demand(code == 0, "C4", "-", f"a forked child: {child.said()[-500:]}")
    forked = [row.note for row in scene.ledger.rows(Phase.LATE)]
    scene.findings.demand(forked == ["UsedAfterFork"], "C4", "-", f"the forked child got {forked}")
    scene.findings.did["forks"] = 1


async def _wal_shrinks(scene: Scene, client: Client, file: Path) -> None:
    """Once nobody reads, the log goes back under its limit."""
    for _ in range(3):
        await client.enqueue(EnqueueRequest(type="on_loop", payload={"ms": 1}, delay_ms=3_600_000))
    await until("the WAL is small again", lambda: _wal_bytes(file) <= WAL_LIMIT)
    scene.findings.figures["WAL after it"] = f"{_wal_bytes(file) / 2**20:.1f} MB"


def _sound(scene: Scene, file: Path) -> None:
    db = apsw.Connection(str(file))
    told = [row[0] for row in db.execute("pragma integrity_check")]
    db.close()
    scene.findings.demand(told == ["ok"], "C4", "-", f"integrity_check says {told[:3]}")


async def _network_disk_is_refused(scene: Scene) -> None:
    faked = scene.folder / "mounts"
    faked.write_text("server:/export / nfs4 rw 0 0\n", encoding="ascii")
    with patch.object(mounts, "_MOUNTS", faked):
        try:
            await (await open_store(scene.target.url)).close()
        except NetworkFilesystem:
            refused = True
        else:
            refused = False
        await (await open_store(f"{scene.target.url}?force=1")).close()
    scene.findings.demand(refused, "C4", "-", "a file on a network disk was opened")


def _wal_bytes(file: Path) -> int:
    wal = file.with_name(f"{file.name}-wal")
    return wal.stat().st_size if wal.exists() else 0

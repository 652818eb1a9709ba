"""E12 on a server: the power goes while it writes; its disk becomes full. Which server, a ``Host`` says."""

import asyncio
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.errors import OutcomeUnknown, StoreError, StoreFull, StoreUnavailable
from headrace.stores.open import open_store
from tests.crash.kit.apart import disk_image, make_image
from tests.crash.kit.checker import checked
from tests.crash.kit.children import Child, Fleet, cpu_share
from tests.crash.kit.clocks import PATIENCE, store_ms, until
from tests.crash.kit.dump import Dump, dumped
from tests.crash.kit.experiment import Scene
from tests.crash.kit.history import Client, History
from tests.crash.kit.ledger import Ledger, Phase
from tests.crash.kit.neighbours import MODULE as NEIGHBOURS
from tests.crash.kit.target import Server
from tests.crash.kit.worker import WorkerSpec, start_worker

PAYLOAD = "".join(f"{number:x}" for number in range(20_000))
BUSY = 0.2
REFUSALS = 20
MOST_TRIES = 2_000


class Running(Server, Protocol):
    """A server that may end by itself."""

    @property
    def running(self) -> bool:
        """Whether it does."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A server that was started on a folder. Within ``still`` none of its processes runs."""

    server: Running
    url: str
    still: Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A server that keeps its data in a folder: ``started`` starts it there, on the data that it finds.

    ``may_lose_ms`` says how old what it has acknowledged must be to outlive a power cut.
    """

    name: str
    started: Callable[[Path], AbstractContextManager[Started]]
    disk_mb: int
    small_disk_mb: int
    may_lose_ms: int = 0


async def fill_disk(scene: Scene, host: Host, *, beside: bool = True) -> None:
    """The disk beneath the server is filled, stays full, and is freed, ``beside`` a worker or before one."""
    folder = scene.folder / host.name
    folder.mkdir(exist_ok=True)
    _let_pass(folder)
    image, disk = folder / "small-image", folder / "small-disk"
    make_image(image, host.small_disk_mb)
    with disk_image(image, disk), host.started(disk / "server") as started:
        target = replace(scene.target, url=started.url, server=started.server, file=None)
        at = replace(scene, target=target, folder=folder)
        async with at.client() as (client, store):
            with at.fleet() as fleet:
                await _filled_and_freed(at, started.server, client, fleet, disk, beside=beside)
            await at.check(store)


async def _filled_and_freed(
    scene: Scene, server: Running, client: Client, fleet: Fleet, disk: Path, *, beside: bool
) -> None:
    findings = scene.findings
    await client.enqueue(*(EnqueueRequest(type="on_loop", payload={"ms": 50}) for _ in range(100)))
    worker = await _working(scene, fleet) if beside else None
    filler = disk / "filler"
    filler.write_bytes(b"\0" * max(0, shutil.disk_usage(disk).free - 2**20))
    await _until_refused(scene, client)
    if worker is not None:
        share = await cpu_share(worker, scene.pick(smoke=2, full=20))
        findings.demand(share < BUSY, "I8", worker.name, f"uses {share:.0%} of a core while the disk is full")
        findings.figures["worker on a server with a full disk"] = f"{share:.1%} of a core"
    filler.unlink()
    if not server.running:  # it ends when it cannot write its log: then its keeper has to start it again
        server.restart()
        findings.did["restarts of the server"] += 1
    worker = worker or await _working(scene, fleet)
    async with asyncio.timeout(PATIENCE * 2):
        while await _left(client):
            findings.demand(worker.alive, "C49", worker.name, "died of the server's full disk")
            await asyncio.sleep(0.1)
    codes = await fleet.stop([worker])
    findings.demand(codes == [0], "C20", "-", f"the worker ended with {codes}")


async def _working(scene: Scene, fleet: Fleet) -> Child:
    worker = start_worker(fleet, WorkerSpec(url=scene.target.url, lease_ms=2_000), name="worker")
    await until("the worker works", lambda: scene.ledger.count(Phase.EFFECT) > 0)
    return worker


async def _until_refused(scene: Scene, client: Client) -> None:
    """Enqueues until the server has no space, and a little longer: each refusal is an error with a name."""
    findings, refused = scene.findings, 0
    for _ in range(MOST_TRIES):
        try:
            await client.enqueue(*(EnqueueRequest(type="fat", payload={"text": PAYLOAD}) for _ in range(5)))
        except (StoreFull, StoreUnavailable, OutcomeUnknown) as error:
            findings.did[f"refused with {type(error).__name__}"] += 1
            findings.did["refused as full"] += 1
            refused += 1
            if refused >= REFUSALS:
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


class Cuts:
    """Images of a server's disk under load, each as the moment of a power cut would leave it."""

    def __init__(self, scene: Scene, host: Host) -> None:
        self._scene = scene
        self._host = host
        self._folder = scene.folder / host.name
        self._folder.mkdir(exist_ok=True)
        self._disk = self._folder / "disk"
        self._image = self._folder / "image"
        self._history = History(self._folder / "history")
        self._ledger = Ledger(self._folder / "ledger")

    async def take(self, images: int) -> None:
        """Lets a producer and a worker run and takes images of the disk beneath the server."""
        _let_pass(self._folder)
        make_image(self._image, self._host.disk_mb)
        stop = self._folder / "stop"
        with (
            disk_image(self._image, self._disk),
            self._host.started(self._disk / "server") as started,
            replace(self._scene, folder=self._folder).fleet() as fleet,
        ):
            store = await open_store(started.url)
            await store.migrate()
            await store.close()
            worker = start_worker(fleet, WorkerSpec(url=started.url, lease_ms=30_000), name="worker")
            producer = fleet.start(
                NEIGHBOURS, "produce", started.url, self._history.path, stop, name="producer"
            )
            for number in range(images):
                acked = len(self._history.acked())
                await until("jobs come", lambda least=acked: len(self._history.acked()) > least + 20)
                await self._scene.nemesis.strike_within(0.05, 0.5)
                await self._cut(number, started, [worker, producer])
            stop.touch()
            await fleet.stop([producer, worker])

    async def _cut(self, number: int, started: Started, writers: list[Child]) -> None:
        """What lies in the image is on the disk; what only the page cache had is gone."""
        place = self._folder / f"cut-{number}"
        place.mkdir()
        place.chmod(0o755)
        for child in writers:
            await child.freeze()
        with started.still():
            cut = store_ms()
            shutil.copyfile(self._image, place / "image")
        for source in (self._history.path, self._ledger.path):
            if source.exists():
                shutil.copyfile(source, place / source.name)
        for child in writers:
            child.thaw()
        with disk_image(place / "image", place / "disk"):
            await self._open(place, cut)
        (place / "image").unlink()

    async def _open(self, place: Path, cut: int) -> None:
        with self._host.started(place / "disk" / "server") as started:
            store = await open_store(started.url)
            dump = await dumped(store)
            await store.close()
        history, findings = History(place / self._history.path.name), self._scene.findings
        calls = [call for call in history.calls("enqueue") if call.ended == "ok"]
        gone = [call for call in calls if not dump.jobs.keys() >= set(call.jobs)]
        if self._host.may_lose_ms:
            self._judge_loss(place.name, dump, [cut - (call.answered_at or cut) for call in gone])
        else:
            findings.found(checked(dump, Ledger(place / self._ledger.path.name), history))
            findings.demand(not gone, "C4", place.name, f"{len(gone)} of {len(calls)} enqueues are gone")
            findings.did["power cuts"] += 1
        findings.did["acknowledged before them"] += sum(len(call.jobs) for call in calls)

    def _judge_loss(self, where: str, dump: Dump, ages: list[int]) -> None:
        """Only the newest may be gone, and nothing may be there by half."""
        findings, oldest = self._scene.findings, max(ages, default=0)
        findings.demand(oldest <= self._host.may_lose_ms, "C4", where, f"what is {oldest} ms old is gone")
        findings.demand(dump.tallies == dump.recounted, "I7", where, "the tallies are not a recount's")
        findings.did[f"power cuts with {self._host.name}"] += 1
        name = f"oldest that was lost with {self._host.name}"
        known = int(findings.figures.get(name, "0 ms").split()[0])
        findings.figures[name] = f"{max(known, oldest)} ms, as documented"

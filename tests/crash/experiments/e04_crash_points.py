"""E04: one operation is killed before each of its system calls that change a file."""

import asyncio
import shutil
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from shutil import which

import apsw

from headrace.stores.open import open_store
from tests.crash.experiments.e04_network import over_the_network
from tests.crash.kit.children import Fleet
from tests.crash.kit.clocks import until
from tests.crash.kit.dump import Dump, dumped
from tests.crash.kit.experiment import NotHere, Scene, experiment
from tests.crash.kit.step import MODULE, OPEN, STEPS, Step
from tests.crash.kit.target import FILES, REDIS, sqlite_at
from tests.crash.kit.traced import traced

CALLS = ("pwrite64", "fdatasync", "fsync", "ftruncate", "unlink")
SMOKE_STEPS = ("enqueue", "complete", OPEN)
KILLED = -9
AT_MOST = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """All that a file says: its schema, and the jobs in it."""

    version: int
    names: frozenset[str]
    dump: Dump | None


@experiment(
    "E04",
    "crash-point sweep",
    "One operation is killed by strace before its n-th write, sync or truncation, or before it sends or reads"
    " for the n-th time, for every n until it gets through; the store must hold the state before or the state"
    " after, and once acknowledged the latter.",
    on=FILES | {REDIS.name},
)
async def crash_points(scene: Scene) -> None:
    if which("strace") is None:
        raise NotHere("strace is not installed")
    if scene.target.file is None:
        await over_the_network(scene)
        return
    for name in scene.pick(smoke=SMOKE_STEPS, full=tuple(STEPS)):
        await Sweep(scene, name, STEPS[name]).go()


class Sweep:
    """All crash points of one step."""

    def __init__(self, scene: Scene, name: str, step: Step) -> None:
        self._scene = scene
        self._name = name
        self._step = step
        self._folder = scene.folder / name.replace(" ", "-")
        self._folder.mkdir()
        self._template = self._folder / "template.db"

    async def go(self) -> None:
        """Sweeps. In smoke size only some of the points are tried, chosen by the seed."""
        before, after = await self._states()
        for call in CALLS:
            stride = self._scene.pick(smoke=10 if call == "pwrite64" else 1, full=1)
            first = self._scene.nemesis.rng.randrange(stride) + 1
            for number in count(first, stride):
                if not await self._point(call, number, before, after):
                    break
                assert number < AT_MOST, f"{self._name} never gets through {call}"

    async def _states(self) -> tuple[Sight, Sight]:
        if self._name != OPEN:
            await self._play(self._template, self._step.before)
        before = await sight(self._template)
        whole = self._copy("whole")
        await self._play(whole, self._step.act)
        after = await sight(whole)
        assert before != after, f"{self._name} changes nothing that could be seen"
        return before, after

    async def _play(self, file: Path, act: object) -> None:
        store = await open_store(sqlite_at(file).url)
        await act(store)  # type: ignore[operator]
        await store.close()

    def _copy(self, name: str) -> Path:
        file = self._folder / f"{name}.db"
        if self._template.exists():
            shutil.copyfile(self._template, file)
        return file

    async def _point(self, call: str, number: int, before: Sight, after: Sight) -> bool:
        """Tries one point; False once the step gets through untouched."""
        name = f"{call}-{number}"
        file = self._copy(name)
        with self._scene.fleet() as fleet:
            code = await self._run(fleet, file, f"{call}:signal=KILL:when={number}")
        if code == 0:
            return False
        assert code == KILLED, f"{self._name} ended with {code}"
        acked = file.with_name(f"{file.name}.ack").exists()
        where = f"{self._name} killed before {call} {number}"
        found = await sight(file)
        demand = self._scene.findings.demand
        demand(integrity(file), "C4", where, "PRAGMA integrity_check complains")
        demand(found in (before, after), "C3", where, f"is neither before nor after: {found}")
        demand(not acked or found == after, "C4", where, "was acknowledged and is not there")
        if found == before and self._name != "close":
            await self._play(file, self._step.act)
            demand(await sight(file) == after, "C5", where, "cannot be done again")
        self._scene.findings.did["points"] += 1
        self._scene.findings.did["found before" if found == before else "found after"] += 1
        return True

    async def _run(self, fleet: Fleet, file: Path, inject: str) -> int:
        child = fleet.start(
            MODULE, self._name, sqlite_at(file).url, file, name=f"{file.stem}-{self._folder.name}"
        )
        await until("the step is ready", lambda: "ready" in child.said() or not child.alive)
        tracer = await traced(fleet, child, inject)
        file.with_name(f"{file.name}.gate").touch()
        code = await child.ended()
        await tracer.ended()
        return code


async def sight(file: Path) -> Sight:
    """What a file holds; opening it lets SQLite recover what was committed."""
    if not file.exists():
        return Sight(version=0, names=frozenset(), dump=None)
    db = await asyncio.to_thread(apsw.Connection, str(file))
    try:
        version = int(str(db.pragma("user_version")))
        names = frozenset(str(name) for (name,) in db.execute("select name from sqlite_schema"))
    finally:
        db.close()
    if not names:
        return Sight(version=version, names=names, dump=None)
    store = await open_store(sqlite_at(file).url)
    try:
        return Sight(version=version, names=names, dump=await dumped(store))
    finally:
        await store.close()


def integrity(file: Path) -> bool:
    """Whether SQLite finds the file sound."""
    db = apsw.Connection(str(file))
    try:
        return [row[0] for row in db.execute("pragma integrity_check")] == ["ok"]
    finally:
        db.close()

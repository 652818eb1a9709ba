"""E04 with a server: the client is killed before it sends or reads for the n-th time."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import redis

from headrace.stores.open import open_store
from tests.crash.kit.clocks import until
from tests.crash.kit.dump import Dump, dumped
from tests.crash.kit.experiment import Scene
from tests.crash.kit.step import MODULE, STEPS, Act, Step
from tests.crash.kit.traced import traced
from tests.servers.valkey import client_of

CALLS: Final = ("sendto", "recvfrom")
STEPS_TAKEN: Final = ("enqueue", "bulk", "claim", "complete", "fail and retry")
SMOKE_STEPS: Final = ("enqueue", "complete")
KILLED: Final = -9
AT_MOST: Final = 200
SMOKE_STRIDE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """All that a server holds: every key, and the jobs that they mean."""

    keys: Mapping[str, object]
    dump: Dump


async def over_the_network(scene: Scene) -> None:
    """Sweeps each step, with the server knowing the scripts already, and not."""
    for name in scene.pick(smoke=SMOKE_STEPS, full=STEPS_TAKEN):
        for known in scene.pick(smoke=(name != "enqueue",), full=(True, False)):
            await _Sweep(scene, name, STEPS[name], known=known).go()


class _Sweep:
    """All crash points of one step."""

    def __init__(self, scene: Scene, name: str, step: Step, *, known: bool) -> None:
        self._scene = scene
        self._name = name
        self._step = step
        self._known = known
        self._folder = scene.folder / f"{name.replace(' ', '-')}-{known}"
        self._folder.mkdir()

    async def go(self) -> None:
        """Sweeps. In smoke size only some of the points are tried, chosen by the seed."""
        with closing(client_of(self._scene.target.url)) as client:
            client.flushdb()
            await self._play(self._step.before)
            template = {key: client.dump(key) for key in client.scan_iter()}
            before = await self._sight(client)
            await self._play(self._step.act)
            after = await self._sight(client)
            assert before != after, f"{self._name} changes nothing that could be seen"
            for call in CALLS:
                stride = self._scene.pick(smoke=SMOKE_STRIDE, full=1)
                for number in count(self._scene.nemesis.rng.randrange(stride) + 1, stride):
                    _restore(client, template)
                    if not self._known:
                        client.script_flush("SYNC")
                    if not await self._point(client, f"{call}-{number}", before, after):
                        break
                    assert number < AT_MOST, f"{self._name} never gets through {call}"

    async def _point(self, client: redis.Redis, name: str, before: Sight, after: Sight) -> bool:
        """Tries one point; False once the step gets through untouched."""
        call, _, number = name.partition("-")
        place = self._folder / name
        code = await self._run(place, f"{call}:signal=KILL:when={number}")
        if code == 0:
            return False
        assert code == KILLED, f"{self._name} ended with {code}"
        acked = Path(f"{place}.ack").exists()
        found = await self._sight(client)
        where, demand = f"{self._name} killed before {call} {number}", self._scene.findings.demand
        demand(found in (before, after), "C3", where, f"is neither before nor after: {found}")
        demand(not acked or found == after, "C4", where, "was acknowledged and is not there")
        if found == before:
            await self._play(self._step.act)
            demand(await self._sight(client) == after, "C5", where, "cannot be done again")
        self._scene.findings.did["points"] += 1
        self._scene.findings.did["found before" if found == before else "found after"] += 1
        return True

    async def _run(self, place: Path, inject: str) -> int:
        with self._scene.fleet() as fleet:
            url = self._scene.target.url
            child = fleet.start(MODULE, self._name, url, place, name=f"{place.name}-{self._folder.name}")
            await until("the step is ready", lambda: "ready" in child.said() or not child.alive)
            tracer = await traced(fleet, child, inject)
            Path(f"{place}.gate").touch()
            code = await child.ended()
            await tracer.ended()
        return code

    async def _play(self, act: Act) -> None:
        store = await open_store(self._scene.target.url)
        try:
            await act(store)
        finally:
            await store.close()

    async def _sight(self, client: redis.Redis) -> Sight:
        store = await open_store(self._scene.target.url)
        try:
            dump = await dumped(store)
        finally:
            await store.close()
        return Sight(keys={key.decode(): contents(client, key) for key in client.scan_iter()}, dump=dump)


def contents(client: redis.Redis, key: bytes) -> object:
    """What a key holds, the same whatever the order in which it came there."""
    reads: dict[bytes, Any] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda one: client.lrange(one, 0, -1),
        b"set": client.smembers,
        b"zset": lambda one: client.zrange(one, 0, -1, withscores=True),
        b"stream": client.xrange,
    }
    return reads[client.type(key)](key)


def _restore(client: redis.Redis, template: Mapping[bytes, bytes]) -> None:
    client.flushdb()
    for key, value in template.items():
        client.restore(key, 0, value)

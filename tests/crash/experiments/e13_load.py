"""E13: jobs come and run while the server forgets its scripts, restarts, and swaps with a replica."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from dataclasses import replace
from typing import Final

import redis

from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.errors import StoreError, StoreUnavailable
from headrace.stores.open import open_store
from headrace.stores.protocol import Store
from tests.builders import a_job, enqueue
from tests.crash.kit.beside import meanwhile
from tests.crash.kit.clocks import PATIENCE, until
from tests.crash.kit.dump import Dump
from tests.crash.kit.experiment import Scene
from tests.crash.kit.history import Client
from tests.crash.kit.ledger import Phase
from tests.crash.kit.target import DURABLE_VALKEY
from tests.crash.kit.worker import WorkerSpec, start_worker
from tests.servers.valkey import ValkeyServer

FORGET_EVERY: Final = 1.0
READ_ONLY: Final = "read only replica"
LEASE_MS: Final = 4_000


async def under_load(scene: Scene) -> None:
    """One blow after the other, and an account of all jobs at the end."""
    folder = scene.folder / "load"
    folder.mkdir()
    at = replace(scene, folder=folder)
    server = scene.target.server
    assert isinstance(server, ValkeyServer)
    with at.fleet() as fleet, ValkeyServer.start(settings=DURABLE_VALKEY, replica_of=server) as replica:
        async with at.client() as (client, store):
            load = _Load(at, client, store)
            worker = start_worker(fleet, WorkerSpec(url=scene.target.url, lease_ms=LEASE_MS))
            async with meanwhile(load.enqueue, lambda: _forget_scripts(scene, server)):
                await load.goes_on()
                for _ in range(scene.pick(smoke=1, full=5)):
                    await _restart(load, server)
                for _ in range(scene.pick(smoke=1, full=5)):
                    await _change_places(load, server, replica)
                await _replica_refuses(scene, replica)
            await load.drained()
            codes = await fleet.stop([worker])
            scene.findings.demand(codes == [0], "C20", worker.name, f"ended with {codes}")
            load.judge(await at.check(store))


class _Load:
    """A client that enqueues all the time, each job with its key until it is acknowledged."""

    def __init__(self, scene: Scene, client: Client, store: Store) -> None:
        self.scene = scene
        self._client = client
        self._store = store
        self._keys = 0
        self._acked = 0

    async def enqueue(self) -> None:
        """Enqueues until it is cancelled."""
        while True:
            self._keys += 1
            await self._until_acked(f"load-{self._keys}")
            self._acked += 1
            await asyncio.sleep(0.01)

    async def goes_on(self) -> None:
        """Returns when jobs have come and run again since it was called."""
        acked, begun = self._acked, self.scene.ledger.count(Phase.START)
        await until("jobs are taken", lambda: self._acked > acked + 5)
        await until("jobs run", lambda: self.scene.ledger.count(Phase.START) > begun + 5)

    async def drained(self) -> None:
        """Returns when all jobs have ended."""
        async with asyncio.timeout(PATIENCE):
            while (await self._client.operations.stats()).count(State.PENDING, State.PROCESSING):
                await asyncio.sleep(0.05)

    def judge(self, dump: Dump) -> None:
        """Every key has one job, and nobody was charged."""
        findings = self.scene.findings
        count = len(dump.jobs)
        # the last key may have been asked for, and the answer not waited for
        findings.demand(self._acked <= count <= self._keys, "C31", "-", f"{count} jobs, {self._keys} keys")
        for job in dump.jobs.values():
            findings.demand(job.state is State.COMPLETED, "I1", job.id, f"is {job.state}")
            findings.again["after a rescue"] += job.placement.crashes
        findings.did["jobs under blows"] = count

    async def _until_acked(self, key: str) -> None:
        request = EnqueueRequest(type="on_loop", payload={"ms": 5}, idempotency_key=key)
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    await self._client.enqueue(request)
                    return
                except StoreError as error:
                    told = "refused, read-only" if READ_ONLY in str(error) else "without an answer"
                    self.scene.findings.did[told] += 1
                    await asyncio.sleep(0.05)


async def _forget_scripts(scene: Scene, server: ValkeyServer) -> None:
    while True:
        with suppress(redis.ConnectionError), closing(server.client()) as client:
            client.script_flush("SYNC")
            scene.findings.did["times scripts were forgotten"] += 1
        await asyncio.sleep(scene.pick(smoke=FORGET_EVERY / 4, full=FORGET_EVERY))


async def _restart(load: _Load, server: ValkeyServer) -> None:
    """A new server with the same data, which knows no script; replicas come by themselves."""
    await asyncio.to_thread(server.stop)
    server.restart()
    load.scene.findings.did["restarts"] += 1
    await load.goes_on()


async def _change_places(load: _Load, server: ValkeyServer, replica: ValkeyServer) -> None:
    """The replica takes over, the server takes no writes for a while, and takes over again."""
    findings = load.scene.findings
    before = findings.did["refused, read-only"]
    await _hand_over(server, replica)
    await until("somebody is refused", lambda: findings.did["refused, read-only"] > before)
    await _hand_over(replica, server)
    findings.did["changes of places"] += 1
    await load.goes_on()


async def _hand_over(primary: ValkeyServer, to: ValkeyServer) -> None:
    """FAILOVER waits until the other one has everything."""
    await _until_true(lambda: _is_followed(primary, to))
    primary.run("FAILOVER")
    await _until_true(lambda: _role(to) == "master" and _role(primary) == "slave")


async def _until_true(happens: Callable[[], bool]) -> None:
    await until("the servers agree", happens)


def _is_followed(primary: ValkeyServer, by: ValkeyServer) -> bool:
    with suppress(redis.ConnectionError):
        return by.follows(primary, primary.info("replication")["master_repl_offset"])
    return False


def _role(server: ValkeyServer) -> str:
    with suppress(redis.ConnectionError):
        return str(server.info("replication")["role"])
    return ""


async def _replica_refuses(scene: Scene, replica: ValkeyServer) -> None:
    """Whoever is led to a replica is told that it takes no writes."""
    store = await open_store(replica.url())
    try:
        asks: tuple[Callable[[], Awaitable[object]], ...] = (store.check, lambda: enqueue(store, a_job()))
        for ask in asks:
            try:
                await ask()
                scene.findings.demand(False, "C49", "-", "a replica takes writes")
            except StoreUnavailable:
                scene.findings.did["refused by a replica"] += 1
    finally:
        await store.close()

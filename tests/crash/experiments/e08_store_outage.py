"""E08: the store cannot be reached, in every way in which a network or a server can fail."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from headrace.clock import StoreClock
from headrace.core.job import AttemptOutcome
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.engine.local import LocalOperations
from headrace.errors import StoreError
from headrace.stores.open import open_store
from tests.crash.kit.children import Fleet, cpu_share
from tests.crash.kit.clocks import PATIENCE, mono_ms, until
from tests.crash.kit.dump import Dump
from tests.crash.kit.experiment import Scene, experiment
from tests.crash.kit.history import Client
from tests.crash.kit.ledger import Phase
from tests.crash.kit.stubborn import GATES, registry
from tests.crash.kit.target import SERVERS, Server, Wire
from tests.crash.kit.worker import WorkerSpec, start_worker
from tests.servers.behaviours import BlackHole, Pass
from tests.servers.proxy import Proxy

T = TypeVar("T")

BUSY = 0.2
BACKLOG = 40
POLL_MS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A way to be away: how it begins, how it ends, and how long it lasts in full size."""

    name: str
    begin: Callable[[], None]
    end: Callable[[], None]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """Two clients of the store: one past the proxy, one through it."""

    direct: Client
    through: Client


@experiment(
    "E08",
    "store outage",
    "A proxy refuses connections or swallows everything, the server is killed and started again, wake-ups go"
    " dead, renewals alone are swallowed; jobs run before, and a client goes on enqueueing throughout.",
    on=SERVERS,
)
async def outages(scene: Scene) -> None:
    gates = scene.folder / "gates"
    gates.mkdir()
    with scene.target.proxy() as proxy, scene.fleet({GATES: str(gates)}) as fleet:
        async with scene.client() as (client, store), _client_through(scene, proxy) as through:
            bench = Bench(scene, fleet, proxy, Ways(direct=client, through=through))
            for outage in _ways(scene, proxy):
                await bench.survive(outage)
            await bench.deaf_listener()
            await bench.renewals_swallowed()
            await bench.stop()
            _judged(scene, await scene.check(store))


@asynccontextmanager
async def _client_through(scene: Scene, proxy: Proxy) -> AsyncIterator[Client]:
    store = await open_store(proxy.through(scene.target.url))
    try:
        operations = LocalOperations(store, StoreClock(await store.now()), registry=registry)
        yield Client(operations, scene.history)
    finally:
        await store.close()


def _ways(scene: Scene, proxy: Proxy) -> list[Outage]:
    server = scene.target.server
    assert server is not None
    return [
        Outage(name="refused", begin=proxy.down, end=proxy.up, seconds=30),
        Outage(
            name="swallowed",
            begin=lambda: proxy.set(BlackHole()),
            end=lambda: proxy.set(Pass()),
            seconds=60,
        ),
        Outage(name="server killed", begin=server.kill, end=_back(server), seconds=10),
    ]


def _wire(scene: Scene) -> Wire:
    assert scene.target.wire is not None
    return scene.target.wire


def _back(server: Server) -> Callable[[], None]:
    return server.restart


class Bench:
    """A worker that reaches the store through the proxy only, and a client that does too."""

    def __init__(self, scene: Scene, fleet: Fleet, proxy: Proxy, ways: Ways) -> None:
        self._scene = scene
        self._fleet = fleet
        self._proxy = proxy
        self._direct = ways.direct
        self._through = ways.through
        self._spec = WorkerSpec(
            url=proxy.through(scene.target.url),
            lease_ms=scene.pick(smoke=2_000, full=6_000),
            poll_ms=POLL_MS,
        )
        self._worker = start_worker(fleet, self._spec, name="behind-the-proxy")

    async def survive(self, outage: Outage) -> None:
        """Jobs run; the store goes and comes back; everything goes on by itself."""
        await self._enqueue(BACKLOG)
        started = self._scene.ledger.count(Phase.START)
        await until("jobs run", lambda: self._scene.ledger.count(Phase.START) > started)
        repeating = asyncio.create_task(self._go_on_enqueueing(outage.name))
        outage.begin()
        share = await cpu_share(self._worker, self._scene.pick(smoke=2.5, full=outage.seconds))
        outage.end()
        back = mono_ms()
        (last,) = await self._enqueue(1)
        await self._ended((last,))
        self._figure(f"first job after {outage.name}", f"{(mono_ms() - back) / 1000:.1f} s")
        self._figure(f"worker while {outage.name}", f"{share:.0%} of a core")
        demand = self._scene.findings.demand
        demand(share < BUSY, "I8", outage.name, f"the worker uses {share:.0%} of a core")
        demand(self._worker.alive, "C49", outage.name, "the worker died")
        await repeating
        await self._drained()
        self._scene.findings.did[f"outages ({outage.name})"] += 1

    async def deaf_listener(self) -> None:
        """The connection that hears wake-ups is dead and does not know; polling must do."""
        listens = _wire(self._scene).listens
        await until("somebody listens", lambda: any(map(listens, self._proxy.connections)))
        lost = self._proxy.lose_server(listens)
        began = mono_ms()
        await self._ended(await self._enqueue(1))
        self._figure(
            "job with dead wake-ups", f"{(mono_ms() - began) / 1000:.1f} s, polling every {POLL_MS} ms"
        )
        self._scene.findings.did["listeners made deaf"] += lost

    async def renewals_swallowed(self) -> None:
        """A worker that cannot renew stops its handler before anybody else may start it (C15)."""
        renews = _wire(self._scene).renews
        (job,) = await self._direct.enqueue(EnqueueRequest(type="patient", payload={}))
        await until("it runs", lambda: self._scene.ledger.count(Phase.START, job) == 1)
        await until("it is renewed", lambda: any(map(renews, self._proxy.connections)))
        self._proxy.set(BlackHole(), renews)
        heir = start_worker(self._fleet, replace(self._spec, url=self._scene.target.url), name="heir")
        await until("it is started again", lambda: self._scene.ledger.count(Phase.START, job) > 1)
        rows = [row for row in self._scene.ledger.rows() if row.job == job]
        stopped = [row.mono for row in rows if row.phase is Phase.STOPPED and row.fence == rows[0].fence]
        again = next(row.mono for row in rows if row.phase is Phase.START and row.fence > rows[0].fence)
        in_time = bool(stopped) and stopped[0] <= again
        self._scene.findings.demand(in_time, "C15", job, f"stopped at {stopped}, started again at {again}")
        self._proxy.set(Pass())
        (self._scene.folder / "gates" / "patience ends").touch()
        await self._ended((job,))
        await self._fleet.stop([heir])
        self._scene.findings.did["renewals swallowed"] += 1

    async def stop(self) -> None:
        """The worker still stops as it should."""
        await self._drained()
        codes = await self._fleet.stop([self._worker])
        self._scene.findings.demand(codes == [0], "C20", "-", f"the worker ended with {codes}")

    async def _enqueue(self, count: int) -> tuple[str, ...]:
        requests = [EnqueueRequest(type="on_loop", payload={"ms": 100}) for _ in range(count)]
        return await _answered(lambda: self._direct.enqueue(*requests))

    async def _go_on_enqueueing(self, name: str) -> None:
        """Through the proxy, each with its key, and again until it is acknowledged (C5)."""
        for number in range(10):
            request = EnqueueRequest(type="on_loop", payload={"ms": 5}, idempotency_key=f"{name}-{number}")
            await self._until_acked(request)

    async def _until_acked(self, request: EnqueueRequest) -> None:
        async with asyncio.timeout(PATIENCE * 2):
            while True:
                try:
                    await self._through.enqueue(request)
                    return
                except StoreError:
                    self._scene.findings.did["calls without an answer"] += 1
                    await asyncio.sleep(0.1)

    async def _ended(self, ids: tuple[str, ...]) -> None:
        for job_id in ids:
            await _answered(lambda one=job_id: self._direct.operations.wait(one, timeout_ms=60_000))

    async def _drained(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                stats = await _answered(self._direct.operations.stats)
                if not stats.count(State.PENDING, State.PROCESSING):
                    return
                await asyncio.sleep(0.05)

    def _figure(self, name: str, text: str) -> None:
        self._scene.findings.figures[name] = text


async def _answered(ask: Callable[[], Awaitable[T]]) -> T:
    """Asks past the proxy until there is an answer: a server that was killed drops all connections."""
    while True:
        try:
            return await ask()
        except StoreError:
            await asyncio.sleep(0.1)


def _judged(scene: Scene, dump: Dump) -> None:
    keyed = [job for job in dump.jobs.values() if job.facts.payload == '{"ms":5}']
    scene.findings.demand(len(keyed) == 30, "C31", "-", f"{len(keyed)} jobs under 30 keys")
    for job in dump.jobs.values():
        outcomes = [attempt.outcome for attempt in dump.histories[job.id].attempts]
        scene.findings.demand(job.state is State.COMPLETED, "I1", job.id, f"ended {job.state}: {outcomes}")
        again = outcomes.count(AttemptOutcome.RELEASED)
        scene.findings.again["given up because the lease could not be renewed"] += again
        scene.findings.again["after a rescue"] += job.placement.crashes
    scene.findings.did["jobs"] = len(dump.jobs)

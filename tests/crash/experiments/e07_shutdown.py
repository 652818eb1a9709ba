"""E07: workers are told to stop at random moments, once or twice, while handlers do as they like."""

import asyncio
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from headrace.core.job import AttemptOutcome
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.engine.work import LocalWork
from headrace.stores.protocol import Store
from headrace.worker.settings import WorkerSettings
from headrace.worker.worker import Life, Worker
from tests.crash.kit.children import Child, Fleet
from tests.crash.kit.clocks import PATIENCE, mono_ms, until
from tests.crash.kit.dump import Dump
from tests.crash.kit.experiment import Scene, experiment
from tests.crash.kit.history import Client
from tests.crash.kit.ledger import Phase
from tests.crash.kit.nemesis import Nemesis
from tests.crash.kit.stubborn import GATES, registry
from tests.crash.kit.worker import WorkerSpec, start_worker

WAYS = (
    (signal.SIGTERM,),
    (signal.SIGINT,),
    (signal.SIGTERM, signal.SIGTERM),
    (signal.SIGTERM, signal.SIGINT),
)
KINDS = ("obedient", "ignores_cancel", "in_thread", "apart", "stuck_in_c", "ends_with_signal")
GRACE_MS = 500
STOP_AFTER_MS = 500
# What a stop may take beyond the grace: telling and forcing handlers, settling what ended, closing the
# store; and ten times as much again, because other processes use this machine too.
MARGIN_MS = 25_000
CALLS = ("start", "stop", "quiet", "request_stop", "interrupt")
REPLACE_ME = 75
DRAIN_EVERY = 20
EARLY = 0.1  # so often a worker is told to stop before it has begun
STARTED = "worker_started"
STOPPED = "worker_stopped"
BY_SIGNAL = {-signal.SIGTERM, -signal.SIGINT, 130}
COMPLAINTS = ("Task was destroyed", "Traceback", "never awaited", "never retrieved")


@experiment(
    "E07",
    "shutdown",
    "Workers get SIGTERM, SIGINT or two of them at random moments, with handlers that obey, ignore it, sit in"
    " C or end in the same turn; they are started and stopped in random order; users cancel running jobs.",
)
async def shutdowns(scene: Scene) -> None:
    rounds = scene.pick(smoke=5, full=200)
    gates = scene.folder / "gates"
    gates.mkdir()
    async with scene.client() as (client, store):
        with scene.fleet({GATES: str(gates)}) as fleet:
            stops = Stops(scene, fleet, client, gates)
            for number in range(rounds):
                await stops.round(number)
                if number % DRAIN_EVERY == DRAIN_EVERY - 1 or number == rounds - 1:
                    await stops.drain()
            _no_complaints(scene, fleet)
        _judged(scene, await scene.check(store))
        await _calls_in_any_order(scene, client, store)


@dataclass(frozen=True, slots=True)
class Told:
    """How one worker was told to stop, and how it went."""

    took_ms: float
    code: int


class Stops:
    """One worker after the other, each stopped amid its work."""

    def __init__(self, scene: Scene, fleet: Fleet, client: Client, gates: Path) -> None:
        self._scene = scene
        self._nemesis: Nemesis = scene.nemesis
        self._fleet = fleet
        self._client = client
        self._gates = gates
        self._spec = WorkerSpec(
            url=scene.target.url,
            lease_ms=30_000,
            grace_ms=GRACE_MS,
            stop_after_ms=STOP_AFTER_MS,
            upkeep=False,
            threads=3,
            processes=1,
        )
        self._slowest = 0.0

    async def round(self, number: int) -> None:
        """Enqueues, starts a worker, strikes at a moment of chance, and looks how it ended."""
        way = self._nemesis.one_of(WAYS)
        # A job that sends a signal itself makes one more: a third one ends a worker at once.
        kinds = KINDS if len(way) == 1 else KINDS[:-1]
        mark = self._gates / "signalled"
        mark.unlink(missing_ok=True) if len(way) == 1 else mark.touch()
        ids = await self._client.enqueue(*self._requests(kinds))
        worker = start_worker(self._fleet, self._spec, name=f"stopped-{number}")
        seen = len(self._scene.ledger.rows(Phase.START))
        begun = 0 if self._nemesis.rng.random() < EARLY else self._nemesis.rng.randint(1, 3)
        await until(
            "handlers run",
            lambda: len(self._scene.ledger.rows(Phase.START)) >= seen + begun or not worker.alive,
        )
        if self._nemesis.rng.random() < 0.5:
            await self._client.cancel(self._nemesis.one_of(ids))
        told = await self._stopped(worker, way)
        self._slowest = max(self._slowest, told.took_ms)
        demand = self._scene.findings.demand
        late = told.took_ms - GRACE_MS - STOP_AFTER_MS
        demand(late <= MARGIN_MS, "C20", worker.name, f"took {told.took_ms:.0f} ms to stop")
        if STARTED in worker.said():
            demand(_well(told.code, worker.said()), "C23", worker.name, f"ended with {told.code}")
        else:
            self._scene.findings.did["stopped before they started"] += 1
        self._scene.findings.did["stops"] += 1

    async def _stopped(self, worker: Child, way: Sequence[signal.Signals]) -> Told:
        began = mono_ms()
        for number in way:
            if worker.alive:
                worker.send(number)
            await self._nemesis.strike_within(0.0, 0.3)
        code = await worker.ended(PATIENCE)
        self._scene.findings.did[" then ".join(one.name for one in way)] += 1
        return Told(mono_ms() - began, code)

    async def drain(self) -> None:
        """A worker that nobody disturbs does the rest."""
        self._scene.findings.figures["slowest stop"] = (
            f"{self._slowest / 1000:.1f} s with {GRACE_MS} ms grace"
        )
        (self._gates / "undisturbed").touch()
        spec = replace(self._spec, upkeep=True, concurrency=100, threads=30, processes=4)
        worker = start_worker(self._fleet, spec, name="undisturbed")
        async with asyncio.timeout(PATIENCE):
            while (await self._client.operations.stats()).count(State.PENDING, State.PROCESSING):
                assert worker.alive, worker.said()
                await asyncio.sleep(0.02)
        codes = await self._fleet.stop([worker])
        self._scene.findings.demand(codes == [0], "C20", worker.name, f"ended with {codes}")
        (self._gates / "undisturbed").unlink()

    def _requests(self, kinds: Sequence[str]) -> list[EnqueueRequest]:
        rng = self._nemesis.rng
        drawn = [rng.choice(kinds) for _ in range(9)]
        return [
            EnqueueRequest(type=kind, payload={} if kind == KINDS[-1] else {"ms": rng.randrange(5, 900)})
            for kind in drawn
        ]


def _well(code: int, said: str) -> bool:
    """A signal that comes when all is settled, just before the process ends, does what signals do."""
    return code in {0, REPLACE_ME} or (STOPPED in said and code in BY_SIGNAL)


def _no_complaints(scene: Scene, fleet: Fleet) -> None:
    """Nothing that Python says of tasks and errors left behind; before its start a process may say it."""
    for child in fleet.all:
        said = child.said()
        told = [line for line in said.splitlines() if any(one in line for one in COMPLAINTS)]
        # Before its start, and once all is settled, a signal may end a process in Python's own way.
        by_signal = STARTED not in said or (STOPPED in said and "KeyboardInterrupt" in said)
        scene.findings.demand(not told or by_signal, "C20", child.name, f"its log says {said[-1500:]}")


def _judged(scene: Scene, dump: Dump) -> None:
    findings = scene.findings
    cancelled = scene.history.acked("cancel")
    for job in dump.jobs.values():
        placement, outcomes = job.placement, Counter(one.outcome for one in dump.histories[job.id].attempts)
        ended = job.state is State.COMPLETED or (job.state is State.CANCELLED and job.id in cancelled)
        findings.demand(ended, "C26", job.id, f"{job.facts.type} ended {job.state}: {placement.error}")
        charged = (placement.failures, placement.crashes)
        findings.demand(charged == (0, 0), "C20", job.id, f"{job.facts.type} was charged {charged}")
        findings.again["given back by a worker that stopped"] += outcomes[AttemptOutcome.RELEASED]
    findings.did["jobs"] = len(dump.jobs)
    findings.did["cancels"] = len(cancelled)


async def _calls_in_any_order(scene: Scene, client: Client, store: Store) -> None:
    """start, stop, quiet, request_stop and interrupt, in any order and at once, end in a stopped worker."""
    work = LocalWork(store, client.operations._clock, client.operations)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    for _ in range(scene.pick(smoke=20, full=400)):
        worker = Worker(work, registry, WorkerSettings(grace_ms=100, poll_ms=20))
        calls = [
            scene.nemesis.rng.choice(("start", "stop", "quiet", "request_stop", "interrupt"))
            for _ in range(5)
        ]
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(_call(worker, call, scene.nemesis.rng.randrange(20)) for call in calls))
            await worker.stop()
        stopped = worker.life is Life.STOPPED or "start" not in calls
        scene.findings.demand(stopped, "C20", "-", f"{calls} leave the worker {worker.life}")
        scene.findings.did["random call orders"] += 1
    structlog.reset_defaults()
    scene.findings.demand(
        not await store.workers(client.operations.namespace), "C20", "-", "a worker says it lives"
    )


async def _call(worker: Worker, call: str, turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
    answer = getattr(worker, call)()
    if answer is not None:
        await answer

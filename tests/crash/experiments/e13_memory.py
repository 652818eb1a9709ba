"""E13: the memory of the server is full. What is there is worked off; what would come is refused."""

import asyncio
from dataclasses import replace
from typing import Final

from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.errors import StoreFull
from tests.crash.kit.clocks import PATIENCE, until
from tests.crash.kit.dump import Dump
from tests.crash.kit.experiment import Scene
from tests.crash.kit.history import Client
from tests.crash.kit.ledger import Phase
from tests.crash.kit.worker import WorkerSpec, start_worker
from tests.servers.valkey import ValkeyServer

ROOM: Final = 4 * 2**20
PAYLOAD: Final = "x" * 20_000
REFUSALS: Final = 20
MOST_TRIES: Final = 2_000
WAITING: Final = 40
LEASE_MS: Final = 1_000
LONG_MS: Final = 3 * LEASE_MS


async def full_memory(scene: Scene) -> None:
    """Fills the memory beside a worker, and gives the server more in the end."""
    folder = scene.folder / "memory"
    folder.mkdir()
    with ValkeyServer.start() as server:
        target = replace(scene.target, url=server.url(), server=server)
        at = replace(scene, target=target, folder=folder)
        async with at.client() as (client, store):
            with at.fleet() as fleet:
                worker = start_worker(fleet, WorkerSpec(url=server.url(), lease_ms=LEASE_MS, concurrency=4))
                long = await client.enqueue(EnqueueRequest(type="on_loop", payload={"ms": LONG_MS}))
                await until("the long job runs", lambda: at.ledger.count(Phase.START) == 1)
                await _fill(at, server, client)
                await _worked_off(at, client)
                server.run("CONFIG", "SET", "maxmemory", "0")
                await client.enqueue(_big())
                await _drained(client)
                codes = await fleet.stop([worker])
                scene.findings.demand(codes == [0], "C20", worker.name, f"ended with {codes}")
            _judged(scene, await at.check(store), long)


async def _fill(scene: Scene, server: ValkeyServer, client: Client) -> None:
    used = server.info("memory")["used_memory"]
    server.run("CONFIG", "SET", "maxmemory", used + ROOM)
    requests = [EnqueueRequest(type="on_loop", payload={"ms": 5}) for _ in range(WAITING)]
    await client.enqueue(*requests)
    refused = 0
    for _ in range(MOST_TRIES):
        try:
            await client.enqueue(_big())
        except StoreFull:
            refused += 1
        if refused == REFUSALS:
            scene.findings.did["refused for want of memory"] += refused
            return
    raise AssertionError("the memory never became full")


async def _worked_off(scene: Scene, client: Client) -> None:
    """All that is there ends, although the server is full."""
    try:
        await _drained(client)
        scene.findings.did["times a full server was worked off"] += 1
    except TimeoutError:
        stats = await client.operations.stats()
        left = stats.count(State.PENDING, State.PROCESSING)
        scene.findings.demand(False, "C49", "-", f"{left} jobs wait for ever on a server that is full")


async def _drained(client: Client) -> None:
    async with asyncio.timeout(PATIENCE / 2):
        while (await client.operations.stats()).count(State.PENDING, State.PROCESSING):
            await asyncio.sleep(0.05)


def _judged(scene: Scene, dump: Dump, long: tuple[str, ...]) -> None:
    for job_id in long:
        starts = dump.jobs[job_id].placement.starts
        scene.findings.demand(starts == 1, "C13", job_id, f"was taken from its holder: {starts} starts")
    for job in dump.jobs.values():
        scene.findings.demand(job.state is State.COMPLETED, "I1", job.id, f"is {job.state}")


def _big() -> EnqueueRequest:
    return EnqueueRequest(type="fat", payload={"text": PAYLOAD})

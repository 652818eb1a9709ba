"""E31: primaries of a cluster that are killed under load, one after the other."""

import asyncio
import time
from dataclasses import dataclass

from headrace.core.states import State
from headrace.stores.open import open_store
from headrace.stores.protocol import Store
from tests.builders import NAMESPACE
from tests.crash.kit.checker import Violation
from tests.crash.kit.experiment import Scene, experiment
from tests.crash.kit.target import REDIS
from tests.servers.valkey_cluster import ValkeyCluster
from tests.stores.redis.clustered import Load, drained, insisted, there

PRIMARIES = 3
PARTITIONS = 6
BETWEEN_S = 1.0
LAG_S = 0.3
LOST_WITHIN_S = 1.0
"""docs/decisions/0025: an acknowledged job may be lost if its primary died within so many seconds."""


@dataclass(frozen=True, slots=True)
class _Kill:
    began: float
    over: float


@experiment(
    "E31",
    "killed primaries",
    "Jobs of a queue with six partitions come and run on a cluster of three primaries with a replica each,"
    " while one primary after the other is killed and comes back, every second one cut off from its replica"
    " for 0.3 s before: what was acknowledged and is gone must have"
    " been acknowledged within the last second before a kill, and everything else ends.",
    on=frozenset({REDIS.name}),
)
async def killed_primaries(scene: Scene) -> None:
    rounds = scene.pick(smoke=1, full=12)
    with ValkeyCluster.start(primaries=PRIMARIES, replicas=1) as cluster:
        hosts = ",".join(f"{host}:{port}" for host, port in cluster.hosts())
        url = f"redis+cluster://{hosts}/?partitions={PARTITIONS}&connect_timeout=2&timeout=2"
        store = await open_store(url)
        try:
            await _killed(scene, cluster, store, rounds)
        finally:
            await store.close()


async def _killed(scene: Scene, cluster: ValkeyCluster, store: Store, rounds: int) -> None:
    load = Load(store)
    running = asyncio.create_task(load.run())
    kills: list[_Kill] = []
    for number in range(rounds):
        await asyncio.sleep(BETWEEN_S)
        lag = 0 if number % 2 else LAG_S
        kills.append(await asyncio.to_thread(_kill, cluster, number % PRIMARIES, lag))
    await asyncio.sleep(BETWEEN_S)
    load.stop()
    await running
    await insisted(lambda: drained(store))
    await _told(scene, store, load, kills)


def _kill(cluster: ValkeyCluster, shard: int, lag: float) -> _Kill:
    """Kills a primary from which the replica has heard nothing for so many seconds."""
    if lag:
        primary = cluster.primary(shard)
        primary.run("ACL", "SETUSER", "default", "-psync", "-sync")  # until its end: nobody saves it
        primary.run("CLIENT", "KILL", "TYPE", "replica")
        time.sleep(lag)
    began = time.monotonic()
    killed = cluster.kill_primary(shard)
    cluster.wait_until_serving()
    over = time.monotonic()
    killed.restart()
    cluster.wait_until_serving()
    cluster.wait_until_replicated()
    return _Kill(began, over)


async def _told(scene: Scene, store: Store, load: Load, kills: list[_Kill]) -> None:
    findings = scene.findings
    found = await insisted(lambda: there(store, list(load.acknowledged)))
    lost = {job_id: at for job_id, at in load.acknowledged.items() if job_id not in found}
    near = {
        job_id for job_id, at in lost.items() if any(abs(one.began - at) <= LOST_WITHIN_S for one in kills)
    }
    early = lost.keys() - near
    findings.found(Violation("C4", job_id, "acknowledged long before a kill, and lost") for job_id in early)
    live = {job_id: job.state for job_id, job in found.items() if job.state is not State.COMPLETED}
    findings.found(Violation("C49", job_id, f"is {state}") for job_id, state in live.items())
    findings.did["jobs"] += len(load.acknowledged)
    findings.did["kills"] += len(kills)
    findings.did["refused"] += load.refused
    again = sum(job.placement.starts > 1 for job in found.values())
    findings.again["after a kill"] += again
    findings.figures["acknowledged and lost, as is said"] = f"{len(near)}"
    findings.figures["slots served again after"] = f"{max(kill.over - kill.began for kill in kills):.1f} s"
    tallied = sum(one.count for one in await store.tallies(NAMESPACE))
    findings.demand(tallied >= len(found), "C3", "-", f"{tallied} jobs are counted, {len(found)} are there")

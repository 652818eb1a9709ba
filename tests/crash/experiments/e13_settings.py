"""E13: which servers are refused, and what is told of the others."""

import asyncio
import sys
import urllib.error
import urllib.request
from typing import Final

from headrace.errors import StoreUnusable
from headrace.stores.open import open_store
from headrace.stores.values import Tier
from tests.builders import a_job, enqueue
from tests.crash.kit.children import Fleet
from tests.crash.kit.clocks import PATIENCE
from tests.crash.kit.experiment import Scene
from tests.crash.kit.frontdoor import ANSWER_WITHIN, FrontDoor
from tests.crash.kit.target import DURABLE_VALKEY
from tests.servers.valkey import ValkeyServer

EVICTING: Final = ("allkeys-lru", "allkeys-lfu", "allkeys-random")
TIERS: Final = {
    Tier.POWER_LOSS: (DURABLE_VALKEY, ""),
    Tier.PROCESS_DEATH: ({"appendonly": "yes", "appendfsync": "everysec"}, "appendfsync is everysec"),
    Tier.NOTHING: ({"appendonly": "no"}, "appendonly is no"),
}
CLI: Final = "import sys; from headrace import cli; sys.exit(cli.run(sys.argv[1:]))"


async def settings_told(scene: Scene) -> None:
    """Evicting servers are refused by name, and the command line and the service tell each tier."""
    for policy in scene.pick(smoke=EVICTING[:1], full=EVICTING):
        with ValkeyServer.start(settings={"maxmemory-policy": policy, "maxmemory": "20mb"}) as server:
            await _refused(scene, server.url(), policy)
    for tier, (settings, warning) in TIERS.items():
        with ValkeyServer.start(settings=settings) as server, scene.fleet() as fleet:
            for by, told in (
                ("doctor", await _doctor(fleet, server.url())),
                ("/health", await _health(fleet, server.url())),
            ):
                fits = tier.value in told and warning in told
                scene.findings.demand(fits, "C4", by, f"tells of {dict(settings)}: {told}")
                scene.findings.did["tiers told"] += 1


async def _refused(scene: Scene, url: str, policy: str) -> None:
    """Nothing is kept where it would be thrown away, unless somebody says that this is right."""
    findings = scene.findings
    store = await open_store(url)
    try:
        await enqueue(store, a_job())
        findings.demand(False, "C4", policy, "took a job")
    except StoreUnusable as error:
        findings.demand(
            "maxmemory-policy" in str(error), "C49", policy, f"is refused without a word: {error}"
        )
        findings.did["evicting servers refused"] += 1
    finally:
        await store.close()
    store = await open_store(f"{url}?allow_eviction=true")
    try:
        await enqueue(store, a_job())
        warned = [one for one in (await store.check()).warnings if policy in one]
        findings.demand(warned, "C49", policy, "is allowed, and nobody is warned")
    finally:
        await store.close()
    with scene.fleet() as fleet:
        door = FrontDoor(fleet, url, lease_ms=2_000).process
        code = await door.ended()
        findings.demand(code != 0 and policy in door.said(), "C49", policy, f"the service ended with {code}")


async def _doctor(fleet: Fleet, url: str) -> str:
    store = await open_store(url)
    await store.migrate()
    await store.close()
    child = fleet.start_command([sys.executable, "-c", CLI, "doctor", "--url", url], name="doctor")
    await child.ended()
    return child.said()


async def _health(fleet: Fleet, url: str) -> str:
    door = FrontDoor(fleet, url, lease_ms=2_000)
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await asyncio.to_thread(_get, f"http://127.0.0.1:{door.port}/health")
            except urllib.error.URLError:
                assert door.process.alive, door.process.said()
                await asyncio.sleep(0.05)


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=ANSWER_WITHIN) as answer:
        return answer.read().decode()

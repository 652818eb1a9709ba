"""E13: whatever changes more than one key is one script, and all keys of a namespace lie in one slot."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any, Final

import redis
from redis.crc import key_slot

from headrace.stores.redis.keys import Keys
from tests.crash.experiments.e15_batches import batches
from tests.crash.experiments.e16_uniqueness import uniqueness
from tests.crash.experiments.e18_limits import limits
from tests.crash.experiments.e30_flows import flows
from tests.crash.kit.experiment import Findings, Scene, Size
from tests.crash.kit.target import Target
from tests.servers.valkey import ValkeyServer, client_of

PREFIX: Final = "headrace"
OF_NO_NAMESPACE: Final = {("SADD", f"{PREFIX}:namespaces"), ("SET", f"{PREFIX}:schema")}
BESIDE: Final = OF_NO_NAMESPACE | {("SET", Keys(PREFIX, "default").insistence)}
"""What is written without a script: one key each, on which no other one depends."""

SOURCE_OF_SCRIPTS: Final = "lua"


async def only_by_scripts(scene: Scene) -> None:
    """Listens to all commands while other experiments run in small."""
    for part in scene.pick(smoke=(flows,), full=(flows, limits, batches, uniqueness)):
        folder = scene.folder / f"by-scripts-{part.__name__}"
        folder.mkdir()
        found = Findings()
        with closing(client_of(scene.target.url, decode_responses=True)) as client:
            client.flushdb()
            inner = replace(scene, folder=folder, size=Size.SMOKE, findings=found)
            with _heard(scene.target) as heard:
                await part(inner)
            _judge(scene, client, heard)
            await _in_one_slot(scene, client)
        scene.findings.found(found.violations)
        scene.findings.did["experiments listened to"] += 1


class Heard:
    """Commands that clients have sent, with their first key, counted; scripts' own ones apart."""

    def __init__(self) -> None:
        self.from_clients: Counter[tuple[str, str]] = Counter()
        self.in_scripts = 0

    def take(self, command: dict[str, Any]) -> None:
        """One line of MONITOR."""
        if command["client_type"] == SOURCE_OF_SCRIPTS:
            self.in_scripts += 1
            return
        name, key, *_ = [*command["command"].split(" "), "", ""]
        self.from_clients[name.upper(), key] += 1


@contextmanager
def _heard(target: Target) -> Iterator[Heard]:
    heard, server = Heard(), target.server
    assert isinstance(server, ValkeyServer)
    with closing(client_of(target.url)) as client, client.monitor() as monitor:

        def listen() -> None:
            try:
                for command in monitor.listen():
                    heard.take(command)
            except (redis.ConnectionError, OSError, ValueError):  # the end
                return

        listening = threading.Thread(target=listen, name="monitor", daemon=True)
        listening.start()
        try:
            yield heard
        finally:
            server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            listening.join()


def _judge(scene: Scene, client: redis.Redis, heard: Heard) -> None:
    """Of all that came from clients, only what is known to be beside scripts has written."""
    known = client.command()
    writing = {name for name, _ in heard.from_clients if "write" in known[name.lower()]["flags"]}
    for (name, key), count in heard.from_clients.items():
        if name in writing:
            beside = (name, key) in BESIDE
            scene.findings.demand(beside, "C3", key, f"was written by {name} without a script, {count} times")
            scene.findings.did["writes beside scripts"] += count
    scene.findings.did["commands in scripts"] += heard.in_scripts
    scene.findings.demand(heard.in_scripts, "C3", "-", "no script was heard")


async def _in_one_slot(scene: Scene, client: redis.Redis) -> None:
    """A cluster can run a script only if all its keys are in the same slot."""
    keys = await asyncio.to_thread(lambda: list(client.scan_iter(count=1_000)))
    slot = key_slot(Keys(PREFIX, "default").root.encode())
    own = {key for _, key in OF_NO_NAMESPACE}
    strays = [key for key in keys if key not in own and key_slot(key.encode()) != slot]
    scene.findings.demand(not strays, "C3", "-", f"{len(strays)} keys are in other slots: {strays[:3]}")
    scene.findings.did["keys in one slot"] += len(keys) - len(own & set(keys))

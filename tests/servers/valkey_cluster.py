"""A cluster of one's own: primaries that share the slots, and replicas that take over.

    with ValkeyCluster.start(primaries=3, replicas=1) as cluster:
        client = RedisCluster(startup_nodes=[ClusterNode(*host) for host in cluster.hosts()])
        cluster.kill_primary(0)
        cluster.wait_until_serving()

Methods are synchronous, and return when what they say has happened.
"""

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Self

import redis

from tests.servers.ports import free_port
from tests.servers.processes import until
from tests.servers.valkey import HOST, NOTHING, ValkeyServer

SLOTS = 16_384
ASK_AGAIN_AFTER = 6.0  # seconds: a node gives a planned change up after five

FOR_CLUSTERS = MappingProxyType(
    {
        "cluster-enabled": "yes",
        "cluster-node-timeout": "1500",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A server, and the port at which other nodes talk to it."""

    server: ValkeyServer
    bus: int


class ValkeyCluster:
    """Shards of one primary and its replicas each. Nodes that were killed can be restarted one by one."""

    def __init__(self, ends: ExitStack) -> None:
        self.shards: list[list[ValkeyServer]] = []
        self._ends = ends

    @classmethod
    def start(
        cls,
        *,
        primaries: int = 3,
        replicas: int = 1,
        settings: Mapping[str, str] = NOTHING,
        program: Path | None = None,
    ) -> Self:
        """A cluster that serves all slots, each with so many replicas that have caught up."""
        with ExitStack() as ends:
            cluster = cls(ends)
            nodes = _started(primaries * (1 + replicas), settings, program, ends)
            _acquaint(nodes)
            servers = [node.server for node in nodes]
            cluster.shards = [servers[shard::primaries] for shard in range(primaries)]
            for first, last, shard in zip(*_shares(primaries), cluster.shards, strict=True):
                shard[0].run("CLUSTER ADDSLOTSRANGE", first, last)
            cluster._replicate()
            cluster.wait_until_serving()
            cluster._ends = ends.pop_all()
        return cluster

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def servers(self) -> list[ValkeyServer]:
        """All nodes, also those that are down."""
        return [server for shard in self.shards for server in shard]

    def hosts(self) -> list[tuple[str, int]]:
        """Where the nodes are, also those that are down, primaries of the beginning first."""
        ranks = zip(*self.shards, strict=True)
        return [(HOST, server.port) for rank in ranks for server in rank]

    def primary(self, shard: int) -> ValkeyServer:
        """The running server that accepts the writes of a shard now."""
        found = _primaries(self.shards[shard])
        if len(found) != 1:
            raise LookupError(f"shard {shard} has {len(found)} running primaries")
        return found[0]

    def kill_primary(self, shard: int) -> ValkeyServer:
        """Kills the server that accepts the writes of a shard now, and returns it."""
        server = self.primary(shard)
        server.kill()
        return server

    def change_places(self, shard: int) -> None:
        """Lets a replica take over from the primary of a shard, which lives on and follows it.

        Nodes that have not heard yet whose replica that is ignore the request without a word, and so do
        those that have just voted for another one.
        """
        primary = self.primary(shard)
        replica = next(server for server in self.shards[shard] if server is not primary)
        asked_at = -ASK_AGAIN_AFTER

        def taken_over() -> bool:
            nonlocal asked_at
            if _primaries([replica]):
                return True
            known = all(_is_replica(replica, primary, seen_by=server) for server in _running(self.servers))
            if known and time.monotonic() > asked_at + ASK_AGAIN_AFTER:
                asked_at = time.monotonic()
                with suppress(redis.ResponseError):  # it has taken over in this moment
                    replica.run("CLUSTER FAILOVER")
            return False

        until(taken_over, what=f"the replica of shard {shard} takes over")
        self.wait_until_serving()

    def wait_until_serving(self) -> None:
        """Returns when all running nodes name the same running primaries for all slots, and are in order."""
        until(self._serves, what="the cluster serves all slots")

    def wait_until_replicated(self) -> None:
        """Returns when all running replicas have what their primaries have."""
        until(lambda: all(_replicated(shard) for shard in self.shards), what="the cluster's replicas stream")

    def close(self) -> None:
        """Ends all servers at once, and removes what they have kept."""
        self._ends.close()

    # -------------------------------------------------------- making

    def _replicate(self) -> None:
        for primary, *replicas in self.shards:
            node = primary.run("CLUSTER MYID")
            for replica in replicas:
                replica.run("CLUSTER REPLICATE", node)
        self.wait_until_replicated()

    # -------------------------------------------------------- looking

    def _serves(self) -> bool:
        running = _running(self.servers)
        if not all(_in_order(server) for server in running):
            return False
        views = {_owners(server) for server in running}
        primaries = {server.port for server in _primaries(running)}
        return len(views) == 1 and {port for _, _, port in views.pop()} <= primaries


def _started(count: int, settings: Mapping[str, str], program: Path | None, ends: ExitStack) -> list[Node]:
    """So many nodes that do not know each other."""
    ports = _free_ports(2 * count)

    def one(port: int, bus: int) -> Node:
        own = FOR_CLUSTERS | settings | {"cluster-port": str(bus)}
        server = ends.enter_context(ValkeyServer.start(port=port, settings=own, program=program))
        return Node(server=server, bus=bus)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, ports[:count], ports[count:]))


def _free_ports(count: int) -> list[int]:
    """So many different ones: a port that is not yet used is free more than once."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return list(ports)


def _acquaint(nodes: list[Node]) -> None:
    """Lets all nodes know each other, each with an epoch of its own so that they need not sort that out."""
    for epoch, node in enumerate(nodes, start=1):
        node.server.run("CLUSTER SET-CONFIG-EPOCH", epoch)
    for one in nodes:
        for other in nodes:
            if other is not one:
                one.server.run("CLUSTER MEET", HOST, other.server.port, other.bus)
    until(lambda: all(_knows(node.server) == len(nodes) for node in nodes), what="all nodes know each other")


def _shares(primaries: int) -> tuple[list[int], list[int]]:
    """The first and the last slots of so many equal shares."""
    edges = [SLOTS * shard // primaries for shard in range(primaries + 1)]
    return edges[:-1], [edge - 1 for edge in edges[1:]]


def _running(servers: Iterable[ValkeyServer]) -> list[ValkeyServer]:
    return [server for server in servers if server.running]


def _primaries(servers: Iterable[ValkeyServer]) -> list[ValkeyServer]:
    """Those that run and take themselves for primaries."""
    return [server for server in _running(servers) if server.info("replication")["role"] == "master"]


def _is_replica(replica: ValkeyServer, primary: ValkeyServer, *, seen_by: ValkeyServer) -> bool:
    """Whether a server takes the one for the other's replica."""
    one, other = replica.run("CLUSTER MYID").decode(), primary.run("CLUSTER MYID").decode()
    nodes = seen_by.run("CLUSTER NODES").values()
    return any(node["node_id"] == one and node["master_id"] == other for node in nodes)


def _replicated(shard: list[ValkeyServer]) -> bool:
    if len(primaries := _primaries(shard)) != 1:
        return False
    (primary,) = primaries
    offset = primary.info("replication")["master_repl_offset"]
    return all(server.follows(primary, offset) for server in _running(shard) if server is not primary)


def _in_order(server: ValkeyServer) -> bool:
    seen = server.run("CLUSTER INFO")
    return seen["cluster_state"] == "ok" and int(seen["cluster_slots_ok"]) == SLOTS


def _owners(server: ValkeyServer) -> frozenset[tuple[int, int, int]]:
    """The first slot, the last slot and the port of every primary, as a server sees it."""
    return frozenset((first, last, owner[1]) for first, last, owner, *_ in server.run("CLUSTER SLOTS"))


def _knows(server: ValkeyServer) -> int:
    """How many nodes a server knows by name; those it is about to meet have none yet."""
    nodes = server.run("CLUSTER NODES")
    return sum("handshake" not in node["flags"] for node in nodes.values())

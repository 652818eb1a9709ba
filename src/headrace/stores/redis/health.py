"""The state of the server, read from the server itself."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.errors import StoreUnavailable, StoreUnusable
from headrace.stores.redis.database import Database
from headrace.stores.redis.info import Info
from headrace.stores.redis.location import Location
from headrace.stores.redis.readiness import refuse_server
from headrace.stores.redis.schema import NEWEST
from headrace.stores.values import Health, Tier
from headrace.stores.waking import Wakeups

NEARLY_FULL: Final = 0.8
"""Beyond this part of the memory, or of the connections, that the server allows there is a warning."""
_SETTINGS: Final = ("appendfsync", "no-appendfsync-on-rewrite", "maxclients", "save")
_NOT_TOLD: Final = "unknown"
_TIERS: Final = (Tier.NOTHING, Tier.PROCESS_DEATH, Tier.POWER_LOSS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """A server that takes writes, and those of its settings that it does not tell in INFO."""

    info: Info
    settings: Mapping[str, str]

    @property
    def keeps_log(self) -> bool:
        return self.info.text("aof_enabled") == "1"

    @property
    def syncs(self) -> str:
        return self.settings.get("appendfsync", _NOT_TOLD)

    @property
    def most_clients(self) -> int:
        return self.info.number("maxclients") or int(self.settings.get("maxclients", "0"))


async def now(database: Database) -> int:
    """The store's time in milliseconds."""
    seconds, microseconds = await database.call("TIME")
    return int(seconds) * 1000 + int(microseconds) // 1000


async def incarnation(database: Database) -> str:
    """Changes when the store comes back as another server: a restart, a new primary."""
    return " ".join(sorted(info.incarnation for info in await _infos(database)))


async def check(database: Database, wakeups: Wakeups) -> Health:
    """The server's state. Raises StoreUnavailable if it takes no writes, StoreUnusable if it will not do."""
    location = database.location
    nodes = await _nodes(database)
    for node in nodes:
        refuse_server(node.info, location)
        if node.info.is_replica:
            msg = f"{location.name} is a replica, and accepts no writes"
            raise StoreUnavailable(msg)
    return Health(
        store=nodes[0].info.product,
        version=nodes[0].info.version,
        schema=NEWEST,
        tier=min((_tier(node) for node in nodes), key=_TIERS.index),
        warnings=tuple(dict.fromkeys(said for node in nodes for said in _warnings(node))),
        details={
            **_details(nodes, location),
            "poolInUse": _pool_in_use(database),
            "wakeups": await wakeups.described(),
        },
    )


async def _infos(database: Database) -> Sequence[Info]:
    return [Info.of(text) for text in await database.everywhere("INFO")]


async def _nodes(database: Database) -> Sequence[_Node]:
    infos, settings = await asyncio.gather(_infos(database), _settings(database))
    return [_Node(info=info, settings=settings) for info in infos]


async def _settings(database: Database) -> Mapping[str, str]:
    """Settings that INFO does not tell, of one of the servers; nothing where we may not ask for them."""
    found: dict[str, str] = {}
    try:
        for name in _SETTINGS:
            said = await database.call("CONFIG", "GET", name)
            found |= dict(zip(said[::2], said[1::2], strict=True))
    except StoreUnusable:  # hosted servers have no CONFIG, and a careful administrator grants none
        return found
    return found


def _tier(node: _Node) -> Tier:
    if not node.keeps_log:
        return Tier.NOTHING
    if node.syncs == "always" and node.settings.get("no-appendfsync-on-rewrite") != "yes":
        return Tier.POWER_LOSS
    return Tier.PROCESS_DEATH


def _warnings(node: _Node) -> Iterator[str]:
    yield from _durability_warnings(node)
    yield from _room_warnings(node)


def _durability_warnings(node: _Node) -> Iterator[str]:
    info = node.info
    if not node.keeps_log:
        lost = (
            "all jobs are lost"
            if node.settings.get("save") == ""
            else "jobs are lost since its last snapshot"
        )
        yield f"appendonly is no: when the server stops, {lost}"
        return
    match node.syncs:
        case "always":
            if node.settings.get("no-appendfsync-on-rewrite") == "yes":
                yield "no-appendfsync-on-rewrite is yes: a power cut while the log is rewritten loses jobs"
        case "everysec":
            yield "appendfsync is everysec: a power cut loses up to two seconds of what was acknowledged"
        case "no":
            yield "appendfsync is no: a power cut loses what the system had not written, often half a minute"
        case _:
            yield "CONFIG GET is not allowed: whether acknowledged jobs survive a power cut is unknown"
    if info.text("aof_last_write_status") not in {"ok", ""}:
        yield "the server could not write its append-only file: is its disk full?"


def _room_warnings(node: _Node) -> Iterator[str]:
    info = node.info
    used, most = info.number("used_memory"), info.number("maxmemory")
    if info.evicts:
        yield f"maxmemory-policy is {info.text('maxmemory_policy')}: jobs are lost when the memory is full"
    if info.number("evicted_keys"):
        yield f"the server has evicted {info.number('evicted_keys')} keys, maybe of jobs"
    if most and used > most * NEARLY_FULL:
        yield f"{used} of {most} bytes of memory are used: when they are full, no job can be enqueued"
    clients = info.number("connected_clients")
    if node.most_clients and clients > node.most_clients * NEARLY_FULL:
        yield f"{clients} of {node.most_clients} connections are taken (maxclients)"
    if info.text("rdb_last_bgsave_status") not in {"ok", ""}:
        yield "the server's last snapshot failed: it may refuse writes until one succeeds"


def _details(nodes: Sequence[_Node], location: Location) -> Mapping[str, str]:
    infos = [node.info for node in nodes]
    total = {name: sum(info.number(name) for info in infos) for name in ("used_memory", "connected_clients")}
    return {
        "server": location.name,
        "prefix": location.prefix,
        "incarnation": " ".join(sorted(info.incarnation for info in infos)),
        "role": "replica" if infos[0].is_replica else "primary",
        "replication": _replication(infos),
        "persistence": _persistence(nodes[0]),
        "usedMemory": str(total["used_memory"]),
        "maxMemory": str(sum(info.number("maxmemory") for info in infos)) if _bounded(infos) else "unbounded",
        "evictionPolicy": infos[0].text("maxmemory_policy") or _NOT_TOLD,
        "connectedClients": str(total["connected_clients"]),
        "maxClients": str(sum(node.most_clients for node in nodes) or _NOT_TOLD),
        "keys": str(sum(_keys(info, location.database) for info in infos)),
    }


def _pool_in_use(database: Database) -> str:
    """How many connections of this event loop are in use, of so many that it may open."""
    pools = database.line().pools
    return f"{sum(pool.taken for pool in pools)} of {sum(pool.most for pool in pools)}"


def _bounded(infos: Sequence[Info]) -> bool:
    return all(info.number("maxmemory") for info in infos)


def _replication(infos: Sequence[Info]) -> str:
    replicas = sum(info.number("connected_slaves") for info in infos)
    return f"asynchronous, {replicas} connected" if replicas else "none"


def _persistence(node: _Node) -> str:
    if node.keeps_log:
        return f"appendonly, appendfsync {node.syncs}"
    return {None: _NOT_TOLD, "": "none"}.get(node.settings.get("save"), "snapshots")


def _keys(info: Info, database: int) -> int:
    """How many keys the logical database has, of all programs."""
    keys = info.text(f"db{database}").partition(",")[0].removeprefix("keys=")
    return int(keys) if keys else 0

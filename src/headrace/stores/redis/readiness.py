"""Refuses servers on which jobs would be lost, or nothing would work."""

from collections.abc import Awaitable, Callable
from typing import Any

from headrace.errors import StoreUnusable
from headrace.stores.redis.info import OLDEST_SERVER, Info
from headrace.stores.redis.location import Kind, Location
from headrace.stores.redis.schema import present_in, refuse_newer

Ask = Callable[..., Awaitable[Any]]
"""Sends one command, and returns its answer."""


async def refuse_unready(ask: Ask, location: Location) -> None:
    """Raises StoreUnusable for a server that will not do, SchemaTooNew for the keys of a newer version."""
    refuse_server(Info.of(await ask("INFO")), location)
    refuse_newer(present_in(await ask("GET", f"{location.prefix}:schema"), location), location)
    if location.partitions is None and await ask("GET", f"{location.prefix}:partitioned"):
        msg = f"{location.name} has queues with partitions: name any number of them, such as ?partitions=1"
        raise StoreUnusable(msg)


def refuse_server(info: Info, location: Location) -> None:
    """Raises StoreUnusable for a server that is too old, of another kind than its URL says, or evicts."""
    if info.is_too_old:
        oldest = ".".join(map(str, OLDEST_SERVER))
        msg = f"{location.name} runs {info.product} {info.version}; Headrace needs {oldest} or newer"
        raise StoreUnusable(msg)
    if info.is_cluster and location.kind is not Kind.CLUSTER:
        msg = f"{location.name} is a node of a cluster: use redis+cluster://host:port,host:port"
        raise StoreUnusable(msg)
    if info.evicts and not location.allow_eviction:
        msg = (
            f"{location.name} deletes keys, and jobs with them, when its memory is full"
            f" (maxmemory-policy {info.text('maxmemory_policy')}): set it to noeviction, or say"
            " ?allow_eviction=true if these jobs may be lost"
        )
        raise StoreUnusable(msg)

"""What the partitions of a namespace must agree on: definitions of limits, and whether events are logged."""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.core.limit_register import KEY as LIMITS
from headrace.core.limit_register import limits_of
from headrace.stores.redis.database import Database
from headrace.stores.redis.partitions.limits import shared_lanes
from headrace.stores.redis.session import Write


async def agree(databases: Sequence[Database], namespace: str, counts: Mapping[str, int]) -> int:
    """Brings partitions to what the first of them, the home, says; the revision of limits they have then.

    ``counts`` says among how many partitions each queue is spread. One after the other, the home first: where
    a rate is divided among more of them from now on, the first ones must know it before the last ones.
    """
    home, *others = databases
    value, revision = await home.call("HMGET", home.keys(namespace).register(LIMITS), "v", "n")
    limits: list[Write] = []
    if value is not None:
        most = max(counts.values(), default=1)
        lanes = shared_lanes(limits_of(value, int(revision)), most, counts)
        limits = [("limits_as", value, int(revision)), ("limits_shared", lanes, int(revision), most)]
    log = await _log(home, namespace)
    for number, database in enumerate((home, *others)):
        if writes := [*limits, *(log if number else ())]:
            await database.write(database.keys(namespace), writes)
    return int(revision or 0)


async def revisions(databases: Sequence[Database], namespace: str) -> list[int]:
    """The revision of limits that each partition knows with what of them is shared."""
    home = databases[0]
    known = await home.call("HGET", home.keys(namespace).register(LIMITS), "n")
    shared = [await one.call("HGET", one.keys(namespace).shared, "revision") for one in databases]
    return [int(revision or 0) for revision in (known, *shared)]


async def _log(home: Database, namespace: str) -> list[tuple[Any, ...]]:
    fields = ("epoch", "since", "keep_ms", "keep_count")
    epoch, *rest = await home.call("HMGET", home.keys(namespace).log, *fields)
    return [] if epoch is None else [("log_as", int(epoch), *map(int, rest))]

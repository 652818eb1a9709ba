"""What the partitions of a namespace must agree on: definitions of limits, and whether events are logged."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from headrace.core.limit_register import KEY as LIMITS
from headrace.core.limit_register import Definitions, limits_of
from headrace.errors import StaleRegister, StoreUnavailable
from headrace.stores.redis.database import Database
from headrace.stores.redis.partitions.limits import shared_lanes
from headrace.stores.redis.session import Write

_TRIES: Final = 10
_NONE: Final = Definitions().dumps()


@dataclass(frozen=True, slots=True)
class _Known:
    """What a partition has of limits: their revision and text, and the revision of what of them is shared."""

    revision: int
    digest: str
    shared: int


async def agree(databases: Sequence[Database], namespace: str, counts: Mapping[str, int]) -> int:
    """Brings partitions to what the first of them, the home, says; the revision of limits they have then.

    ``counts`` says among how many partitions each queue is spread. One after the other, the home first: where
    a rate is divided among more of them from now on, the first ones must know it before the last ones.
    """
    home = databases[0]
    value, revision = await _newest(databases, namespace)
    limits: list[Write] = []
    if value is not None:
        most = max(counts.values(), default=1)
        lanes = shared_lanes(limits_of(value, revision), most, counts)
        limits = [("limits_as", value, revision), ("limits_shared", lanes, revision, most)]
    log = await _log(home, namespace)
    for number, database in enumerate(databases):
        if writes := [*limits, *(log if number else ())]:
            await database.write(database.keys(namespace), writes)
    return revision


async def is_agreed(databases: Sequence[Database], namespace: str) -> bool:
    """Whether all partitions have the definitions of limits that the home has, and share them so."""
    home, *others = [await _known(one, namespace) for one in databases]
    agreed = _Known(home.revision, home.digest, shared=home.revision)
    return all(one == agreed for one in (home, *others))


async def _newest(databases: Sequence[Database], namespace: str) -> tuple[str | None, int]:
    """The definitions of the home, and a revision that stands for them and no others in any partition.

    A home that has lost what it had acknowledged gives a revision once more: other partitions have it for
    other definitions, and whoever has read these would take them for the new ones.
    """
    home = databases[0]
    for _ in range(_TRIES):
        value, revision = await home.call("HMGET", home.keys(namespace).register(LIMITS), "v", "n")
        own = _Known(int(revision or 0), _digest(value), shared=0)
        known = [await _known(one, namespace) for one in databases]
        if (taken := max(_taken(one, own) for one in known)) == 0:
            return value, own.revision
        await _rewrite(home, namespace, value, own.revision, taken)
    raise StoreUnavailable("limits change too fast; try again")


def _taken(known: _Known, own: _Known) -> int:
    """The revision that a partition has for something else than the home has; 0 if there is none."""
    other = known.revision == own.revision and known.digest != own.digest
    highest = max(known.revision, known.shared)
    return highest if other or highest > own.revision else 0


async def _rewrite(home: Database, namespace: str, value: str | None, seen: int, taken: int) -> None:
    """Gives the home's definitions, if they are still those, a revision above one that is taken."""
    removed = [] if value is None else [(LIMITS, seen, None, None)]
    made = (LIMITS, 0, _NONE if value is None else value, None)
    with suppress(StaleRegister):
        await home.write(home.keys(namespace), [("registers_beyond", taken), ("swap", [*removed, made])])


async def _known(database: Database, namespace: str) -> _Known:
    revision, digest, shared = await database.look(database.keys(namespace), "limits_known")
    return _Known(int(revision), digest, int(shared))


async def _log(home: Database, namespace: str) -> list[tuple[Any, ...]]:
    fields = ("epoch", "since", "keep_ms", "keep_count")
    epoch, *rest = await home.call("HMGET", home.keys(namespace).log, *fields)
    return [] if epoch is None else [("log_as", int(epoch), *map(int, rest))]


def _digest(value: str | None) -> str:
    """As lua/limits_known.lua makes it."""
    return "" if value is None else hashlib.sha1(value.encode(), usedforsecurity=False).hexdigest()

"""The state of the server, read from the server itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from headrace.errors import StoreUnavailable, StoreUnusable
from headrace.stores.postgres.database import Database
from headrace.stores.postgres.schema import newest
from headrace.stores.postgres.session import Session
from headrace.stores.values import Health, Tier
from headrace.stores.waking import Wakeups

OLD_SECONDS: Final = 300
"""From this age on, a transaction of anybody's that keeps the vacuum from its work is worth a warning."""
MANY_DEAD_ROWS: Final = 100_000
"""So many are five times what the table's own settings let lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    version: str
    read_only: bool
    fsync: bool
    full_page_writes: bool
    synchronous_commit: str
    has_synchronous_standbys: bool
    standbys: int
    autovacuum: bool
    sees_others: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Vacuum:
    dead_rows: int
    live_rows: int
    bytes: int
    oldest_seconds: float
    idle_slot: str | None


async def now(database: Database) -> int:
    """The store's time in milliseconds."""
    ((milliseconds,),) = await database.read(lambda session: session.rows("now"))
    return int(milliseconds)


async def incarnation(database: Database) -> str:
    """Changes when the store comes back as another server: a restart, a new primary."""
    try:
        (row,) = await database.read(lambda session: session.rows("incarnation"))
    except StoreUnusable:  # a right or a function is missing, as in some hosted databases
        (row,) = await database.read(lambda session: session.rows("incarnation_seen"))
    return "/".join(str(part) for part in row)


async def check(database: Database, wakeups: Wakeups) -> Health:
    """The server's state. Raises StoreUnavailable if it accepts no writes."""
    server = await database.alone(_server)
    if server.read_only:
        msg = f"{database.location.name} accepts no writes"
        raise StoreUnavailable(msg)
    vacuum = await database.read(_vacuum)
    return Health(
        store="postgresql",
        version=server.version,
        schema=newest(),
        tier=_tier(server),
        warnings=(*_durability_warnings(server), *_vacuum_warnings(server, vacuum)),
        details={
            "server": database.location.name,
            "schemaName": database.location.schema,
            "incarnation": await incarnation(database),
            "pooler": database.location.pooler.value,
            "wakeups": await wakeups.described(),
            "replication": _replication(server),
            "bytes": str(vacuum.bytes),
            "liveRows": str(vacuum.live_rows),
            "deadRows": str(vacuum.dead_rows),
            "oldestTransactionSeconds": f"{vacuum.oldest_seconds:.0f}",
        },
    )


async def _server(session: Session) -> _Server:
    (
        (version, read_only, fsync, full_pages, commit, synchronous, standbys, autovacuum, sees, _),
    ) = await session.rows("server_state")
    return _Server(
        version=version,
        read_only=read_only,
        fsync=fsync,
        full_page_writes=full_pages,
        synchronous_commit=commit,
        has_synchronous_standbys=synchronous,
        standbys=standbys,
        autovacuum=autovacuum,
        sees_others=sees,
    )


async def _vacuum(session: Session) -> _Vacuum:
    ((dead, live, size, oldest, slot),) = await session.rows("vacuum_state")
    return _Vacuum(dead_rows=dead, live_rows=live, bytes=size, oldest_seconds=oldest, idle_slot=slot)


def _tier(server: _Server) -> Tier:
    """What a commit survives. Without a wait for the log even the server's own crash loses the last ones."""
    if server.synchronous_commit == "off":
        return Tier.NOTHING
    if server.fsync and server.full_page_writes:
        return Tier.POWER_LOSS
    return Tier.PROCESS_DEATH


def _replication(server: _Server) -> str:
    if server.has_synchronous_standbys and server.synchronous_commit not in {"off", "local"}:
        return f"synchronous, {server.standbys} connected"
    return f"asynchronous, {server.standbys} connected" if server.standbys else "none"


def _durability_warnings(server: _Server) -> Iterator[str]:
    if not server.fsync:
        yield "fsync is off: a power cut destroys the database"
    if not server.full_page_writes:
        yield "full_page_writes is off: a power cut may destroy pages"
    if server.synchronous_commit == "off":
        yield "synchronous_commit is off: a crash of the server loses what it acknowledged last"
    if server.synchronous_commit == "local" and server.has_synchronous_standbys:
        yield "synchronous_commit is local: a failover loses what the standbys have not received yet"


def _vacuum_warnings(server: _Server, vacuum: _Vacuum) -> Iterator[str]:
    if not server.autovacuum:
        yield "autovacuum or track_counts is off: claims become slower with every job"
    if vacuum.oldest_seconds > OLD_SECONDS:
        yield (
            f"a transaction has been open for {vacuum.oldest_seconds:.0f} s: dead rows cannot be cleared away"
            " (see pg_stat_activity and pg_prepared_xacts)"
        )
    if vacuum.idle_slot is not None:
        yield f"the replication slot {vacuum.idle_slot} is unused, and keeps dead rows in the tables"
    if vacuum.dead_rows > MANY_DEAD_ROWS:
        yield f"the table live has {vacuum.dead_rows} dead rows: autovacuum does not keep up"
    if not server.sees_others:
        yield "this role does not see the transactions of others: grant it pg_read_all_stats"

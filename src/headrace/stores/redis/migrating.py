"""Marks the layout of the keys: there is nothing to make before the first of them."""

from headrace.stores.redis.database import Database
from headrace.stores.redis.schema import MARK, present_in, refuse_newer


async def migrate(database: Database) -> int:
    """Marks the layout, unless somebody has; returns its number. Two at once are safe."""
    await database.call("SET", database.schema_key, MARK, "NX")
    present = present_in(await database.call("GET", database.schema_key), database.location)
    refuse_newer(present, database.location)
    return present.number


async def plan(database: Database) -> str:
    """What ``migrate`` would do, as a command; empty if there is nothing to do."""
    present = present_in(await database.call("GET", database.schema_key), database.location)
    refuse_newer(present, database.location)
    return "" if present.number else f'SET {database.schema_key} "{MARK}" NX\n'

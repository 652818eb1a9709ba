"""Brings a database to this version's schema, or refuses it.

Each number is a transaction of its own, so a migrator that is killed leaves a whole number behind and the
next one goes on from there. A second migrator waits, and finds the work done.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import asyncpg

from headrace.errors import StoreUnusable
from headrace.stores.postgres.connecting import open_for
from headrace.stores.postgres.database import Database
from headrace.stores.postgres.faults import translated
from headrace.stores.postgres.location import Location
from headrace.stores.postgres.schema import (
    Present,
    newest,
    present_in,
    read_present,
    refuse_server,
    refuse_strange,
)
from headrace.stores.postgres.session import Session
from headrace.stores.postgres.statements import Statements, in_schema, migrations

_NUMBER: Final = "@number@"


async def migrate(database: Database) -> int:
    """Runs what is missing; returns the schema's number. A database that lacks nothing is only read."""
    location, statements = database.location, database.statements
    try:
        async with open_for(replace(location, timeout=None)) as connection:
            refuse_server(connection, location)
            while True:
                present = await present_in(connection, statements)
                refuse_strange(present, location)
                if present.number >= newest():
                    return present.number
                await _step(connection, location, statements)
    except asyncpg.InsufficientPrivilegeError as error:
        msg = (
            f"schema {location.schema!r} of {location.name} lacks tables of this version, and this role may"
            f" not make them ({error}): run `headrace migrate` as one that may"
        )
        raise StoreUnusable(msg) from error
    except Exception as error:  # boundary: the driver's errors become ours
        raise translated(error, location.name, sent=False) from error  # trying again does no harm


async def present(database: Database) -> Present:
    """What the database has now. Raises StoreUnusable for another program's schema."""
    location = database.location
    try:
        async with open_for(location) as connection:
            refuse_server(connection, location)
            found = await present_in(connection, database.statements)
    except Exception as error:  # boundary: the driver's errors become ours
        raise translated(error, location.name, sent=False) from error
    refuse_strange(found, location)
    return found


def plan(location: Location, present: Present) -> str:
    """The SQL that ``migrate`` would run, for ``psql``; empty if there is nothing to do.

    It refuses to run on a schema that has another number by then.
    """
    statements = Statements(location.schema)
    steps: list[str] = []
    found = present
    for number, script in _missing(found):
        guard = statements["migrate_is_next"] if found.number else statements["migrate_is_first"]
        steps.append(
            "\n\n".join(
                (
                    f"-- Schema {location.schema!r}: from {found.number} to {number}.\nbegin;",
                    f"{statements['migrate_lock']};",
                    f"{guard.replace(_NUMBER, str(found.number))};",
                    _change(location, statements, found, (number, script)),
                    "commit;\n",
                )
            )
        )
        found = Present(exists=True, number=number, oldest=number)
    return "\n".join(steps)


async def _step(connection: Any, location: Location, statements: Statements) -> None:  # noqa: ANN401
    """Runs the next number, unless somebody else has by the time it is our turn."""
    async with connection.transaction():
        session = Session(connection, statements)
        await session.row("migrate_lock")
        found = await read_present(session)
        refuse_strange(found, location)
        missing = _missing(found)
        if missing:
            await connection.execute(_change(location, statements, found, missing[0]))


def _missing(found: Present) -> Sequence[tuple[int, str]]:
    return [(number, script) for number, script in migrations() if number > found.number]


def _change(location: Location, statements: Statements, found: Present, script: tuple[int, str]) -> str:
    """What one number changes, and the note that it did."""
    number, text = script
    parts = [in_schema(text, location.schema).strip(), f"{statements['migrate_mark']};"]
    if not found.exists:
        parts.insert(0, f'create schema "{location.schema}";')
    return "\n\n".join(parts).replace(_NUMBER, str(number))

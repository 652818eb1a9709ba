"""Which schema a database has, and whether this version of the program may use it."""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import asyncpg

from headrace.errors import SchemaTooNew, StoreUnusable
from headrace.stores.postgres.location import Location
from headrace.stores.postgres.session import Session
from headrace.stores.postgres.statements import Statements, migrations

OLDEST_SERVER: Final = 14
_PROGRAM: Final = "headrace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What was found. ``number`` is 0 where our tables are not there yet.

    ``oldest`` is the number of the oldest schema whose programs can work with this one: while programs are
    exchanged one by one, the old ones go on with the schema of the new ones (C50).
    ``stranger`` is a relation of another program.
    """

    exists: bool
    number: int = 0
    oldest: int = 0
    stranger: str | None = None


@cache
def newest() -> int:
    """The number of this version's schema."""
    return migrations()[-1][0]


async def present_in(connection: Any, statements: Statements) -> Present:  # noqa: ANN401 - the driver has no types
    """What the database has, on one snapshot. Needs no right to change anything."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await read_present(Session(connection, statements))


async def read_present(session: Session) -> Present:
    """What the database has, inside a transaction that is open."""
    row = await session.row("schema_contents", session.schema)
    exists, marked, relation = row or (False, False, None)
    if not marked:
        return Present(exists=exists, stranger=relation)
    try:
        said = {str(row[0]): str(row[1]) for row in await session.rows("schema_meta")}
    except asyncpg.UndefinedColumnError:
        return Present(exists=True, stranger="meta")
    if said.get("program") != _PROGRAM:
        return Present(exists=True, stranger="meta")
    number = int(said["schema"])
    return Present(exists=True, number=number, oldest=int(said.get("oldest", number)))


def refuse_server(connection: Any, location: Location) -> None:  # noqa: ANN401 - the driver has no types
    """Raises StoreUnusable for a server that is too old, or a database that cannot hold every text."""
    version = connection.get_server_version()
    if version.major < OLDEST_SERVER:
        msg = f"{location.name} runs PostgreSQL {version.major}; Headrace needs {OLDEST_SERVER} or newer"
        raise StoreUnusable(msg)
    encoding = connection.get_settings().server_encoding
    if encoding != "UTF8":
        msg = (
            f"{location.name} has the encoding {encoding}; Headrace needs a database made with encoding UTF8"
        )
        raise StoreUnusable(msg)


def refuse_strange(present: Present, location: Location) -> None:
    """Raises StoreUnusable for another program's schema, SchemaTooNew for a newer version's."""
    place = f"schema {location.schema!r} of {location.name}"
    if present.stranger is not None:
        msg = (
            f"{place} holds {present.stranger!r} of another program;"
            " Headrace wants a schema of its own: name one with ?schema="
        )
        raise StoreUnusable(msg)
    if present.oldest > newest():
        msg = f"{place} has number {present.number}, this Headrace knows {newest()}: upgrade this program"
        raise SchemaTooNew(msg)


async def refuse_unready(connection: Any, location: Location, statements: Statements) -> None:  # noqa: ANN401
    """Raises StoreUnusable for a connection whose schema is not one that this version works with."""
    refuse_server(connection, location)
    present = await present_in(connection, statements)
    refuse_strange(present, location)
    if present.number < newest():
        had = f"has number {present.number}" if present.number else "has not been made"
        msg = (
            f"schema {location.schema!r} of {location.name} {had}, this Headrace needs {newest()}:"
            " run `headrace migrate`"
        )
        raise StoreUnusable(msg)

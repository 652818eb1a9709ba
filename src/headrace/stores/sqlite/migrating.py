"""Brings a file to this version's schema, or refuses it."""

import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Final

import apsw

from headrace.errors import SchemaTooNew, StoreUnusable
from headrace.stores.sqlite.statements import pragma, run

# "Hdrc", so that `file` and we know whose database it is.
APPLICATION_ID: Final = 0x48647263

_PACKAGE: Final = "headrace.stores.sqlite"
_NUMBER: Final = re.compile(r"(\d{4})_\w+\.sql")


def scripts() -> Sequence[tuple[int, str]]:
    """All migrations, by number."""
    folder = files(_PACKAGE).joinpath("migrations")
    found = [(match, entry) for entry in folder.iterdir() if (match := _NUMBER.fullmatch(entry.name))]
    return sorted((int(match[1]), entry.read_text(encoding="utf-8")) for match, entry in found)


def newest() -> int:
    """The number of this version's schema."""
    return scripts()[-1][0]


def refuse_strangers(db: apsw.Connection, name: str) -> None:
    """Raises StoreUnusable for another program's database, SchemaTooNew for a newer version's."""
    owner, number = pragma(db, "application_id"), pragma(db, "user_version")
    if owner == APPLICATION_ID:
        if number > newest():
            msg = f"{name} has schema {number}, this Headrace knows {newest()}: upgrade this program"
            raise SchemaTooNew(msg)
        return
    if owner or number or _has_our_names(db):
        msg = f"{name} is another program's database; Headrace wants a file of its own"
        raise StoreUnusable(msg)


def migrate(db: apsw.Connection, name: str) -> int:
    """Runs what is missing inside the open write transaction; returns the schema's number."""
    refuse_strangers(db, name)
    present: int = pragma(db, "user_version")
    for number, script in scripts():
        if number > present:
            for _ in run(db, script):
                pass
            pragma(db, "user_version", number)
            pragma(db, "application_id", APPLICATION_ID)
    return newest()


def _has_our_names(db: apsw.Connection) -> bool:
    query = "select 1 from sqlite_schema where name in ('job', 'body', 'queue', 'worker', 'record', 'meta')"
    return next(run(db, query), None) is not None

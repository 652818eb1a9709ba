"""Where the database is and how it is reached, from its URL."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from headrace.stores.postgres.server import OUR_OPTIONS, Server, server_at, split_options
from headrace.stores.postgres.statements import DEFAULT_SCHEMA
from headrace.stores.urls import flag, invalid, number

_IDENTIFIER: Final = re.compile(r"[a-z_][a-z0-9_]{0,47}")
_MAX_POOL: Final = 100
_MAX_TIMEOUT: Final = 3600.0


class Pooler(StrEnum):
    """What stands between us and the server. Behind ``transaction`` a session is one transaction long."""

    NONE = "none"
    TRANSACTION = "transaction"


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A database and the schema in it.

    ``listen`` is where wake-ups are heard (None: nowhere, then workers poll). ``pool`` bounds the connections
    of one event loop. ``timeout`` is how many seconds a statement may take (None: any time). The queries of
    ``tuned`` sessions are planned as ours want it, those of others as the program's own are used to.
    """

    server: Server
    schema: str = DEFAULT_SCHEMA
    pooler: Pooler = Pooler.NONE
    listen: Server | None = None
    notify: bool = True
    pool: int = 5
    timeout: float | None = 30.0
    tuned: bool = True

    @property
    def name(self) -> str:
        """The server and database as messages show them: without the password."""
        return self.server.name


def parse(url: str) -> Location:
    """Reads a ``postgresql:`` URL. Raises InvalidInput, whose message never repeats the password.

    Our own options are ``schema``, ``pooler``, ``listen``, ``notify``, ``pool`` and ``timeout``; all others
    are those of PostgreSQL's own URLs, and one that nobody knows is refused.
    """
    base, options = split_options(url)
    own = {name: options.pop(name) for name in OUR_OPTIONS if name in options}
    server = server_at(base, options)
    pooler = _pooler(own.get("pooler", Pooler.NONE))
    return Location(
        server=server,
        schema=_schema(own.get("schema", DEFAULT_SCHEMA)),
        pooler=pooler,
        listen=_listen(own["listen"]) if "listen" in own else server if pooler is Pooler.NONE else None,
        notify=flag(own.get("notify", "on"), "notify"),
        pool=round(number(own.get("pool", "5"), "pool", 2, _MAX_POOL)),
        timeout=number(own.get("timeout", "30"), "timeout", 1, _MAX_TIMEOUT),
    )


def _schema(name: str) -> str:
    if not _IDENTIFIER.fullmatch(name) or name.startswith("pg_"):
        msg = (
            f"schema={name!r}: use up to 48 lower-case letters, digits and _,"
            " not beginning with a digit or with pg_"
        )
        raise invalid(msg)
    return name


def _pooler(word: str) -> Pooler:
    try:
        return Pooler(word.lower())
    except ValueError as error:
        msg = f"pooler={word!r} is neither none nor transaction"
        raise invalid(msg) from error


def _listen(url: str) -> Server | None:
    if url.lower() == "off":
        return None
    return server_at(*split_options(url))

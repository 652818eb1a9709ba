"""A server and a database on it, from a URL that has PostgreSQL's own options only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit

from headrace.stores.urls import (
    Host,
    host_of,
    invalid,
    number,
    one_of,
    options_of,
    port_of,
    refuse_unencoded,
    refuse_unknown,
    split,
)

HELP: Final = "use postgresql://user:password@host:5432/database?schema=headrace"
OUR_OPTIONS: Final = ("schema", "pooler", "listen", "notify", "pool", "timeout")

# What the driver understands of the options that PostgreSQL's own programs know.
_OPTIONS: Final = (
    "application_name", "database", "dbname", "gsslib", "host", "krbsrvname", "options", "passfile",
    "password", "port", "service", "sslcert", "sslcrl", "sslkey", "sslmode", "sslnegotiation",
    "sslpassword", "sslrootcert", "ssl_max_protocol_version", "ssl_min_protocol_version",
    "target_session_attrs", "user",
)  # fmt: skip
# Options of which only these values are kept, by doing nothing.
_HARMLESS: Final[Mapping[str, frozenset[str]]] = {
    "channel_binding": frozenset({"disable", "prefer"}),
    "client_encoding": frozenset({"auto", "unicode", "utf-8", "utf8"}),
    "gssencmode": frozenset({"disable", "prefer"}),
}
_SSL_MODES: Final = frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"})
_TARGETS: Final = frozenset({"any", "primary", "read-write"})
CONNECT_WITHIN: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where to connect. ``hosts`` empty: where the driver finds the server by itself.

    ``target`` is which of several servers will do, as in ``target_session_attrs``; ``connect_within`` is
    how many seconds a call waits for a connection, be it a free one or a new one. The password is in no
    representation of this value.
    """

    dsn: str = field(repr=False)
    hosts: tuple[Host, ...] = ()
    database: str = ""
    target: str = "read-write"
    connect_within: float = CONNECT_WITHIN

    @property
    def name(self) -> str:
        """The hosts and the database, as messages show them."""
        return f"{','.join(map(str, self.hosts)) or 'localhost'}/{self.database}"


def split_options(url: str) -> tuple[str, dict[str, str]]:
    """The URL without its options, and these. Raises InvalidInput; no message repeats the URL."""
    parts = split(url, HELP)
    if parts.scheme not in {"postgresql", "postgres"} or not url.startswith(f"{parts.scheme}://"):
        raise invalid(f"this is no URL of a PostgreSQL database: {HELP}")
    refuse_unencoded(parts, url)
    return urlunsplit(("postgresql", parts.netloc, parts.path, "", "")), options_of(parts.query)


def server_at(base: str, options: Mapping[str, str]) -> Server:
    """The server of a split URL. Raises InvalidInput for options that nobody would keep."""
    left = dict(options)
    _refuse_unkept(left)
    parts = urlsplit(base)
    connect_within = number(left.pop("connect_timeout", str(CONNECT_WITHIN)), "connect_timeout", 1, 3600)
    target = one_of(left.pop("target_session_attrs", "read-write"), "target_session_attrs", _TARGETS)
    if "sslmode" in left:
        one_of(left["sslmode"], "sslmode", _SSL_MODES)
    hosts = _hosts(parts.netloc.rpartition("@")[2], left.pop("host", ""), left.pop("port", ""))
    left.setdefault("application_name", "headrace")
    return Server(
        dsn=urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(left), "")),
        hosts=hosts,
        database=unquote(parts.path.removeprefix("/")) or left.get("dbname", "") or left.get("database", ""),
        target=target,
        connect_within=connect_within,
    )


def _refuse_unkept(options: dict[str, str]) -> None:
    for name, kept in _HARMLESS.items():
        word = options.pop(name, None)
        if word is not None and word.lower() not in kept:
            raise invalid(f"{name}={word!r} cannot be kept by the driver; it knows {', '.join(sorted(kept))}")
    known = (*_OPTIONS, "connect_timeout")
    for name in options:
        refuse_unknown(
            name, known, (*_HARMLESS, *OUR_OPTIONS), "a server's setting goes into options=-c name=value"
        )


def _hosts(written: str, host: str, port: str) -> tuple[Host, ...]:
    """The hosts of ``a:1,b:2`` as they are written in a URL, or of the options ``host=a,b&port=1,2``."""
    if written and (host or port):
        raise invalid("this URL names its host twice")
    if written:
        return tuple(host_of(one, HELP) for one in written.split(","))
    names = host.split(",") if host else []
    ports = port.split(",") if port else []
    if not names:
        return (Host(name="localhost", port=port_of(ports[0])),) if ports else ()
    if len(ports) not in {0, 1, len(names)}:
        raise invalid(f"there are {len(names)} hosts and {len(ports)} ports")
    ports = ports * len(names) if len(ports) == 1 else ports or [""] * len(names)
    return tuple(Host(name=name, port=port_of(one)) for name, one in zip(names, ports, strict=True))

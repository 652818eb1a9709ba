"""A server and a database on it, from a URL that has PostgreSQL's own options only."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from headrace.errors import InvalidInput

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
_HOST: Final = re.compile(r"(?P<host>\[[^\]]+\]|[^:\[\]]*)(?::(?P<port>\d*))?")
_OPTION: Final = re.compile(r"[a-z_]+")
_ENCODE: Final = "write @ : / ? # in a user name or password as %40 %3A %2F %3F %23"
_MAX_PORT: Final = 65_535
CONNECT_WITHIN: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One of the hosts of a URL, or the folder of a Unix socket. ``port`` None: the driver's default."""

    name: str
    port: int | None = None

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port is None else f"{name}:{self.port}"


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
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _invalid(f"this URL cannot be read: {HELP}") from None  # its own error may repeat the password
    if parts.scheme not in {"postgresql", "postgres"} or not url.startswith(f"{parts.scheme}://"):
        raise _invalid(f"this is no URL of a PostgreSQL database: {HELP}")
    if parts.fragment or "#" in url or "@" in parts.path or parts.netloc.count("@") > 1:
        raise _invalid(_ENCODE)
    # a plus is a plus in PostgreSQL's URLs
    options = dict(parse_qsl(parts.query.replace("+", "%2B"), keep_blank_values=True))
    return urlunsplit(("postgresql", parts.netloc, parts.path, "", "")), options


def server_at(base: str, options: Mapping[str, str]) -> Server:
    """The server of a split URL. Raises InvalidInput for options that nobody would keep."""
    left = dict(options)
    _refuse_unkept(left)
    parts = urlsplit(base)
    connect_within = number(left.pop("connect_timeout", str(CONNECT_WITHIN)), "connect_timeout", 1, 3600)
    target = _one_of(left.pop("target_session_attrs", "read-write"), "target_session_attrs", _TARGETS)
    if "sslmode" in left:
        _one_of(left["sslmode"], "sslmode", _SSL_MODES)
    hosts = _hosts(parts.netloc.rpartition("@")[2], left.pop("host", ""), left.pop("port", ""))
    left.setdefault("application_name", "headrace")
    return Server(
        dsn=urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(left), "")),
        hosts=hosts,
        database=unquote(parts.path.removeprefix("/")) or left.get("dbname", "") or left.get("database", ""),
        target=target,
        connect_within=connect_within,
    )


def number(text: str, name: str, lowest: float, highest: float) -> float:
    """The number an option gives. Raises InvalidInput."""
    try:
        found = float(text)
    except ValueError:
        found = float("nan")
    if not lowest <= found <= highest:
        raise _invalid(f"{name}={text!r}: use a number between {lowest:g} and {highest:g}")
    return found


def _refuse_unkept(options: dict[str, str]) -> None:
    for name, kept in _HARMLESS.items():
        word = options.pop(name, None)
        if word is not None and word.lower() not in kept:
            raise _invalid(
                f"{name}={word!r} cannot be kept by the driver; it knows {', '.join(sorted(kept))}"
            )
    known = (*_OPTIONS, "connect_timeout")
    for name in options:
        if not _OPTION.fullmatch(name):  # it may be the end of a password
            raise _invalid(_ENCODE)
        if name not in known:
            near = get_close_matches(name, (*known, *_HARMLESS, *OUR_OPTIONS), 1)
            hint = (
                f"did you mean {near[0]}?" if near else "a server's setting goes into options=-c name=value"
            )
            raise _invalid(f"unknown option {name!r} of a PostgreSQL URL: {hint}")


def _hosts(written: str, host: str, port: str) -> tuple[Host, ...]:
    """The hosts of ``a:1,b:2`` as they are written in a URL, or of the options ``host=a,b&port=1,2``."""
    if written and (host or port):
        raise _invalid("this URL names its host twice")
    if written:
        return tuple(_host(one) for one in written.split(","))
    names = host.split(",") if host else []
    ports = port.split(",") if port else []
    if not names:
        return (Host(name="localhost", port=_port(ports[0])),) if ports else ()
    if len(ports) not in {0, 1, len(names)}:
        raise _invalid(f"there are {len(names)} hosts and {len(ports)} ports")
    ports = ports * len(names) if len(ports) == 1 else ports or [""] * len(names)
    return tuple(Host(name=name, port=_port(one)) for name, one in zip(names, ports, strict=True))


def _host(written: str) -> Host:
    match = _HOST.fullmatch(written)
    if match is None:
        raise _invalid(f"a host of this URL cannot be read: {HELP}")
    return Host(name=unquote(match["host"].strip("[]")) or "localhost", port=_port(match["port"] or ""))


def _port(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MAX_PORT):
        raise _invalid(f"a port must lie between 1 and {_MAX_PORT}")
    return int(text)


def _one_of(word: str, name: str, words: frozenset[str]) -> str:
    if word not in words:
        raise _invalid(f"{name}={word!r} is none of {', '.join(sorted(words))}")
    return word


def _invalid(message: str) -> InvalidInput:
    return InvalidInput(message, field="url")

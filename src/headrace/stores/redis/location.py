"""Where the server is and how it is reached, from its URL."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import SplitResult, unquote

from headrace.stores.redis.partitions.places import Wanted, wanted
from headrace.stores.urls import (
    Host,
    flag,
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

HELP: Final = "use redis://user:password@host:6379/0"
NOTHING: Final[Mapping[str, str]] = {}
DEFAULT_PREFIX: Final = "headrace"
DEFAULT_PORT: Final = 6379
SENTINEL_PORT: Final = 26_379

_PREFIX: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_OWN: Final = (
    "prefix", "pool", "timeout", "connect_timeout", "notify", "allow_eviction", "db", "client_name",
    "partitions",
)  # fmt: skip
_OF_SENTINELS: Final = ("sentinel_username", "sentinel_password")
_OF_TLS: Final = ("ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname")
_CERT_REQS: Final = frozenset({"required", "optional", "none"})
_MAX_POOL: Final = 1_000
_MAX_TIMEOUT: Final = 3600.0
_MAX_DATABASE: Final = 2**31 - 1


class Kind(StrEnum):
    """What the hosts of a URL are."""

    SERVER = "server"
    SENTINELS = "sentinels"
    CLUSTER = "cluster"


_SCHEMES: Final[Mapping[str, tuple[Kind, bool]]] = {
    "redis": (Kind.SERVER, False),
    "rediss": (Kind.SERVER, True),
    "valkey": (Kind.SERVER, False),
    "valkeys": (Kind.SERVER, True),
    "unix": (Kind.SERVER, False),
    "redis+unix": (Kind.SERVER, False),
    "redis+sentinel": (Kind.SENTINELS, False),
    "rediss+sentinel": (Kind.SENTINELS, True),
    "redis+cluster": (Kind.CLUSTER, False),
    "rediss+cluster": (Kind.CLUSTER, True),
}
SCHEMES: Final = frozenset(_SCHEMES)
"""The schemes of the URLs that are read here."""
_UNIX: Final = frozenset({"unix", "redis+unix"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """As whom we speak to a server. The password is in no representation of this value."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How the server's certificate is checked, and which one we show. Paths are those of PEM files."""

    cert_reqs: str = "required"
    check_hostname: bool = True
    ca_certs: str | None = None
    certfile: str | None = None
    keyfile: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A server and the prefix of our keys on it.

    ``hosts`` are the server, or the sentinels that know where ``service`` is, or some nodes of a cluster;
    ``socket`` is the path of a Unix socket in their place. ``pool`` bounds the connections of one event loop.
    ``timeout`` is how many seconds a reply may take, ``connect_within`` how many a call waits for a free
    connection or a new one. ``notify``: whether wake-ups are sent and heard.
    """

    kind: Kind = Kind.SERVER
    hosts: tuple[Host, ...] = ()
    socket: str | None = None
    service: str | None = None
    database: int = 0
    login: Login = Login()
    sentinel_login: Login = Login()
    tls: Tls | None = None
    prefix: str = DEFAULT_PREFIX
    pool: int = 10
    timeout: float = 30.0
    connect_within: float = 10.0
    notify: bool = True
    allow_eviction: bool = False
    client_name: str = "headrace"
    partitions: Wanted | None = None

    @property
    def name(self) -> str:
        """The hosts and the database, as messages show them: without the password."""
        hosts = self.socket or ",".join(map(str, self.hosts))
        service = "" if self.service is None else f"/{self.service}"
        return f"{hosts}{service}/{self.database}"


def parse(url: str, environment: Mapping[str, str] = NOTHING) -> Location:
    """Reads a URL of one of ``SCHEMES``. Raises InvalidInput, whose message never repeats the password.

    ``redis:`` without a host is the server that the environment names: REDIS_HOST, REDIS_PORT,
    REDIS_USERNAME, REDIS_PASSWORD and REDIS_DB, each with the usual default.
    """
    parts = split(url, HELP)
    kind, tls = _SCHEMES.get(parts.scheme, (None, False))
    if kind is None:
        raise invalid(f"this is no URL of a Redis or Valkey server: {HELP}")
    refuse_unencoded(parts, url)
    options = options_of(parts.query)
    _refuse_unkept(options, kind, tls=tls)
    if parts.scheme in {"redis", "rediss"} and not parts.netloc and parts.path in {"", "/", "//"}:
        place = _of_environment(environment)
    elif parts.scheme in _UNIX:
        place = _Place(socket=_socket(parts), login=_login(parts))
    elif not parts.netloc:
        raise invalid(f"this URL names no host: {HELP}")
    else:
        place = _of_hosts(parts, kind)
    return Location(
        kind=kind,
        hosts=place.hosts,
        socket=place.socket,
        service=place.service,
        database=_database(options["db"], kind) if "db" in options else place.database,
        login=place.login,
        sentinel_login=Login(
            username=options.get("sentinel_username"), password=options.get("sentinel_password")
        ),
        tls=_tls(options) if tls else None,
        prefix=_prefix(options.get("prefix", DEFAULT_PREFIX)),
        pool=round(number(options.get("pool", "10"), "pool", 2, _MAX_POOL)),
        timeout=number(options.get("timeout", "30"), "timeout", 0.1, _MAX_TIMEOUT),
        connect_within=number(options.get("connect_timeout", "10"), "connect_timeout", 0.1, _MAX_TIMEOUT),
        notify=flag(options.get("notify", "on"), "notify"),
        allow_eviction=flag(options.get("allow_eviction", "off"), "allow_eviction"),
        client_name=_client_name(options.get("client_name", "headrace")),
        partitions=wanted(options["partitions"]) if "partitions" in options else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """What a URL says before its options."""

    hosts: tuple[Host, ...] = ()
    socket: str | None = None
    service: str | None = None
    database: int = 0
    login: Login = Login()


def _of_environment(environment: Mapping[str, str]) -> _Place:
    port = port_of(environment.get("REDIS_PORT", ""))
    return _Place(
        hosts=(Host(name=environment.get("REDIS_HOST") or "localhost", port=port or DEFAULT_PORT),),
        database=_database(environment.get("REDIS_DB", ""), Kind.SERVER),
        login=Login(
            username=environment.get("REDIS_USERNAME") or None,
            password=environment.get("REDIS_PASSWORD") or None,
        ),
    )


def _of_hosts(parts: SplitResult, kind: Kind) -> _Place:
    usual = SENTINEL_PORT if kind is Kind.SENTINELS else DEFAULT_PORT
    written = [host_of(one, HELP) for one in parts.netloc.rpartition("@")[2].split(",")]
    if kind is Kind.SERVER and len(written) > 1:
        raise invalid(
            "several hosts are sentinels or a cluster: use redis+sentinel://host,host/service"
            " or redis+cluster://host,host"
        )
    service, path = None, parts.path.strip("/")
    if kind is Kind.SENTINELS:
        service, _, path = path.partition("/")
        if not service:
            raise invalid("sentinels need the name of a service: redis+sentinel://host,host/service/0")
    return _Place(
        hosts=tuple(Host(name=one.name, port=one.port or usual) for one in written),
        service=None if service is None else unquote(service),
        database=_database(unquote(path), kind),
        login=_login(parts),
    )


def _login(parts: SplitResult) -> Login:
    user, colon, password = parts.netloc.rpartition("@")[0].partition(":")
    return Login(username=unquote(user) or None, password=(unquote(password) or None) if colon else None)


def _socket(parts: SplitResult) -> str:
    if parts.netloc.rpartition("@")[2]:
        raise invalid("a socket's path begins with a slash: use unix:///run/redis/redis.sock?db=0")
    path = unquote(parts.path)
    if path in {"", "/"}:
        raise invalid("this URL names no socket: use unix:///run/redis/redis.sock?db=0")
    return path


def _database(text: str, kind: Kind) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and int(text) <= _MAX_DATABASE):
        raise invalid("a database of a Redis server is a number, such as 0")
    if kind is Kind.CLUSTER and int(text):
        raise invalid("a cluster has the database 0 only: keep several apart with prefix=")
    return int(text)


def _tls(options: Mapping[str, str]) -> Tls:
    requires = one_of(options.get("ssl_cert_reqs", "required"), "ssl_cert_reqs", _CERT_REQS)
    usual = "off" if requires == "none" else "on"
    checks = flag(options.get("ssl_check_hostname", usual), "ssl_check_hostname")
    if checks and requires == "none":
        raise invalid("ssl_check_hostname=true needs a certificate that is checked: ssl_cert_reqs=required")
    return Tls(
        cert_reqs=requires,
        check_hostname=checks,
        ca_certs=options.get("ssl_ca_certs"),
        certfile=options.get("ssl_certfile"),
        keyfile=options.get("ssl_keyfile"),
    )


def _refuse_unkept(options: Mapping[str, str], kind: Kind, *, tls: bool) -> None:
    known = [*_OWN]
    if kind is Kind.SENTINELS:
        known += _OF_SENTINELS
    if tls:
        known += _OF_TLS
    for name in options:
        if name in _OF_TLS and not tls:
            raise invalid(f"{name}= belongs to rediss:// URLs: this one does not encrypt")
        refuse_unknown(name, known, (), f"there are {', '.join(sorted(known))}")


def _prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        raise invalid(f"prefix={text!r}: use up to 64 letters, digits and _ . : -")
    return text


def _client_name(text: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text or not text:
        raise invalid("client_name= may hold printable characters only, and no blanks")
    return text

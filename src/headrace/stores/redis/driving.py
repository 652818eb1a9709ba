"""The driver's connections, made from a location."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import RedisError

from headrace.stores.redis.location import Kind, Location, Login, Tls
from headrace.stores.urls import Host

Raw = Any
"""A connection of the driver, whose own types are too wide."""

ASK_WITHIN: Final = 1.0
"""How many seconds a sentinel has before the next one is asked."""

_TCP: Final = cast("Any", Connection)
_TLS: Final = cast("Any", SSLConnection)
_SOCKET: Final = cast("Any", UnixDomainSocketConnection)


async def connected(location: Location, host: Host | None = None) -> Raw:
    """An open connection to the host, or to the server that takes writes just now.

    Answers are texts. They are not waited for here, nor is anything sent a second time.
    """
    arguments = {**_ours(location), "db": location.database, **_login(location.login)}
    if location.socket is not None:
        return await _open(_SOCKET(path=location.socket, **arguments))
    if host is None and location.kind is Kind.SENTINELS:
        host = await primary_of(location)
    if host is None and location.kind is Kind.CLUSTER:
        return await _any(location, arguments)
    return await _open(_network(location, host or location.hosts[0], arguments))


@asynccontextmanager
async def connection(location: Location, within: float) -> AsyncGenerator[Raw]:
    """A connection of one's own to the server that takes writes, for as long as the block lasts."""
    async with asyncio.timeout(within):
        raw = await connected(location)
    try:
        yield raw
    finally:
        await raw.disconnect(nowait=True)


async def primary_of(location: Location) -> Host:
    """Where the sentinels say that the service takes writes. Raises ConnectionError if none of them knows."""
    why = "none answered"
    for sentinel in location.hosts:
        try:
            async with asyncio.timeout(ASK_WITHIN):
                found = await _asked(location, sentinel)
        except (RedisError, OSError, TimeoutError) as error:
            why = f"{sentinel}: {error}" if str(error) else f"{sentinel} does not answer"
            continue
        if found is not None:
            return found
        why = f"{sentinel} does not know it"
    msg = f"the sentinels name no primary of {location.service}: {why}"
    raise NoConnection(msg)


async def _any(location: Location, arguments: dict[str, Any]) -> Raw:
    """An open connection to one of the hosts: what is published is heard at all nodes of a cluster."""
    *others, last = random.sample(location.hosts, len(location.hosts))
    for host in others:
        try:
            return await _open(_network(location, host, arguments))
        except (RedisError, OSError, TimeoutError):
            continue
    return await _open(_network(location, last, arguments))


async def _asked(location: Location, sentinel: Host) -> Host | None:
    arguments = {**_ours(location), **_login(location.sentinel_login)}
    raw = await _open(_network(location, sentinel, arguments))
    try:
        await raw.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", location.service)
        said = await raw.read_response()
    finally:
        await raw.disconnect(nowait=True)
    return None if said is None else Host(name=said[0], port=int(said[1]))


async def _open(raw: Raw) -> Raw:
    try:
        await raw.connect()
    except BaseException:
        await raw.disconnect(nowait=True)
        raise
    return raw


def _ours(location: Location) -> dict[str, Any]:
    return {
        "client_name": location.client_name,
        "decode_responses": True,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),  # a write that the driver repeats by itself might be done twice
        "socket_timeout": None,
        "socket_connect_timeout": location.connect_within,
    }


def _network(location: Location, host: Host, arguments: dict[str, Any]) -> Raw:
    arguments = arguments | {"host": host.name, "port": host.port, "socket_keepalive": True}
    return _TCP(**arguments) if location.tls is None else _TLS(**arguments, **_tls(location.tls))


def _login(login: Login) -> dict[str, str]:
    named = {"username": login.username, "password": login.password}
    return {name: value for name, value in named.items() if value is not None}


def _tls(tls: Tls) -> dict[str, Any]:
    return {
        "ssl_cert_reqs": tls.cert_reqs,
        "ssl_check_hostname": tls.check_hostname,
        "ssl_ca_certs": tls.ca_certs,
        "ssl_certfile": tls.certfile,
        "ssl_keyfile": tls.keyfile,
    }

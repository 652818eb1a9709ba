"""Sockets to listen on, on loopback only: there are no credentials that could guard more."""

import ipaddress
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from headrace.errors import InvalidInput

MAX_PORT = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Bound sockets, and the names under which requests may reach them."""

    sockets: tuple[socket.socket, ...]
    url: str
    hosts: frozenset[str]

    @classmethod
    def on(cls, host: str, port: int) -> Self:
        """Binds every address of ``host``. Raises InvalidInput for one that is not loopback, OSError."""
        if not 0 <= port <= MAX_PORT:
            raise InvalidInput(f"--port must lie between 0 and {MAX_PORT}, not {port}", field="port")
        addresses = _addresses(host)
        if not all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in addresses):
            raise InvalidInput(
                f"refusing to listen on {host}: no credentials are configured, so only this machine "
                "may connect; use 127.0.0.1, ::1 or localhost",
                field="host",
            )
        sockets = _bound(addresses, port)
        actual = sockets[0].getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        return cls(sockets=sockets, url=f"http://{name}:{actual}", hosts=frozenset({name.lower()}))

    def close(self) -> None:
        """Closes the sockets. Idempotent."""
        for one in self.sockets:
            one.close()


def _addresses(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise InvalidInput(
            f"cannot listen on {host!r}: it is no address of this machine", field="host"
        ) from error
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def _bound(addresses: Sequence[str], port: int) -> tuple[socket.socket, ...]:
    """One socket per address, all on the same port. A port of 0 takes any that is free."""
    sockets: list[socket.socket] = []
    try:
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            chosen = sockets[0].getsockname()[1] if sockets else port
            sockets.append(socket.create_server((address, chosen), family=family, backlog=2048))
    except OSError as error:
        for one in sockets:
            one.close()
        raise OSError(
            error.errno, f"cannot listen on port {port}: {os.strerror(error.errno or 0)}"
        ) from error
    return tuple(sockets)

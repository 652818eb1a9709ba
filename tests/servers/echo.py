"""A server that echoes lines, behind a proxy, and clients in front of it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from tests.servers.framing import Pieces
from tests.servers.link import RESET_ON_CLOSE
from tests.servers.proxy import Proxy

GONE = (ConnectionError, asyncio.IncompleteReadError)


@dataclass(slots=True)
class Echo:
    """A server that answers each line with the same line, and remembers what it saw."""

    heard: list[bytes] = field(default_factory=list)
    clients: list[asyncio.StreamWriter] = field(default_factory=list)
    left: int = 0
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.clients.append(writer)
        with suppress(ConnectionError):
            while line := await reader.readline():
                await self._tell(line)
                writer.write(line)
                await writer.drain()
        await self._tell(None)
        writer.close()

    async def _tell(self, line: bytes | None) -> None:
        async with self._news:
            if line is None:
                self.left += 1
            else:
                self.heard.append(line)
            self._news.notify_all()

    async def until(self, *, heard: int = 0, left: int = 0) -> None:
        async with asyncio.timeout(30), self._news:
            await self._news.wait_for(lambda: len(self.heard) >= heard and self.left >= left)


@dataclass(slots=True)
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, line: bytes) -> None:
        self.writer.write(line)

    async def hear(self) -> bytes:
        async with asyncio.timeout(30):
            return await self.reader.readuntil(b"\n")

    async def ask(self, line: bytes) -> bytes:
        self.send(line)
        return await self.hear()

    def reset(self) -> None:
        """Goes without a good-bye."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.writer.transport.abort()

    async def sees_its_end(self) -> None:
        with pytest.raises(GONE):
            await self.hear()


class Rig:
    """An echo server behind a proxy, and clients in front of it."""

    def __init__(self, echo: Echo, proxy: Proxy) -> None:
        self.echo = echo
        self.proxy = proxy
        self.clients: list[Client] = []

    async def client(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.proxy.port))
        self.clients.append(client)
        return client

    def leave(self) -> None:
        for client in self.clients:
            client.writer.transport.abort()

    async def talking(self, number: int) -> Client:
        """A client that has heard an answer: the proxy knows it by this number."""
        client = await self.client()
        assert await client.ask(b"hello\n") == b"hello\n"
        assert self.proxy.accepted == number
        return client

    async def proxy_has_read(self, text: bytes, number: int) -> None:
        """Returns once the proxy holds what a client has sent."""
        async with asyncio.timeout(30):
            while not any(
                text in sight.opening for sight in self.proxy.connections if sight.number == number
            ):
                await asyncio.sleep(0)


@asynccontextmanager
async def a_rig() -> AsyncIterator[Rig]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with Proxy(f"tcp://127.0.0.1:{port}", framing=Pieces) as proxy:
        rig = Rig(echo, proxy)
        yield rig
        rig.leave()
    server.close()

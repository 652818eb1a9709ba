"""A TCP proxy between a client and a server, for everything that goes wrong with networks.

    with Proxy(server.url("jobs")) as proxy:
        store = await open_store(proxy.url)
        proxy.set(BlackHole())
        …
        proxy.set(Pass())

It works in a thread of its own. All methods are synchronous, take a moment, and may be called while a loop
runs; what they say holds when they return.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from tests.servers.behaviours import Behaviour, Pass, Reset, Selection, Sight, every
from tests.servers.framing import Framing, PostgresMessages
from tests.servers.link import BROKEN, CLIENT_GONE, SERVER_GONE, Ending, Link, Rules
from tests.servers.ports import free_port

T = TypeVar("T")

HOST = "127.0.0.1"
USUAL_PORT = 5432
PATIENCE = 30


class Proxy:
    """Listens at a port of its own and forwards connections to the server of a URL, as it has been told."""

    def __init__(self, url: str, *, framing: Callable[[], Framing] = PostgresMessages) -> None:
        target = urlsplit(url)
        self._address = (target.hostname or HOST, target.port or USUAL_PORT)
        self._framing = framing
        self._links: list[Link] = []
        self._accepted = 0
        self._door: asyncio.Task[None] | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="proxy", daemon=True)
        self.port = free_port()
        self.url = self.through(url)

    def through(self, url: str) -> str:
        """The same URL, but by way of this proxy."""
        parts = urlsplit(url)
        user, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{user}{at}{HOST}:{self.port}").geturl()

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._started.wait(PATIENCE):
            raise TimeoutError("the proxy did not start")
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()
        self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join(PATIENCE)

    # -------------------------------------------------------- what is seen

    @property
    def accepted(self) -> int:
        """How many connections it has accepted so far."""
        return self._accepted

    @property
    def connections(self) -> list[Sight]:
        """The connections that are open, oldest first."""
        return [link.sight for link in list(self._links) if link.open]

    # -------------------------------------------------------- what goes wrong

    def set(self, behaviour: Behaviour, where: Selection = every) -> None:
        """Treats the selected connections like this from now on, those that are open and those to come.

        The newest selection wins; for every connection, it ends all others.
        """
        self._do(self._set(behaviour, where))

    def reset(self, where: Selection = every) -> int:
        """Resets open connections on both sides, and ends half-open ones; how many were open."""
        return self._do(self._end(BROKEN, where))

    def lose_server(self, where: Selection = every) -> int:
        """Leaves open connections half open: the server sees a reset, the client hears nothing ever again."""
        return self._do(self._end(SERVER_GONE, where))

    def lose_client(self, where: Selection = every) -> int:
        """Leaves open connections half open: the client sees a reset, the server hears nothing ever again."""
        return self._do(self._end(CLIENT_GONE, where))

    def refuse(self) -> None:
        """Refuses new connections, as a machine does whose server is down."""
        self._do(self._close_door())

    def listen(self) -> None:
        """Accepts new connections again."""
        self._do(self._open_door())

    def down(self) -> None:
        """Does as a server that has died: resets what is open and refuses what comes."""
        self.refuse()
        self.reset()

    def up(self) -> None:
        """Ends everything that goes wrong, but for connections that are half open."""
        self.set(Pass())
        self.listen()

    # -------------------------------------------------------- in the proxy's own thread

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rules = Rules()
        self._leave = asyncio.Event()
        async with asyncio.TaskGroup() as self._tasks:
            self._started.set()
            await self._leave.wait()

    async def _open_door(self) -> None:
        if self._door is None:
            listener = socket.create_server((HOST, self.port))
            listener.setblocking(False)
            self._door = self._tasks.create_task(self._accept(listener))

    async def _close_door(self) -> None:
        if self._door is not None:
            self._door.cancel()
            await asyncio.wait([self._door])
            self._door = None

    async def _accept(self, listener: socket.socket) -> None:
        with listener:
            while True:
                client, _ = await self._loop.sock_accept(listener)
                self._accepted += 1
                link = Link(self._accepted, client, self._rules, self._framing())
                self._links.append(link)
                self._tasks.create_task(link.run(self._address))

    async def _set(self, behaviour: Behaviour, where: Selection) -> None:
        self._rules.set(behaviour, where)
        if isinstance(behaviour, Reset):
            await self._end(BROKEN, where)

    async def _end(self, ending: Ending, where: Selection) -> int:
        chosen = [link for link in self._links if where(link.sight)]
        count = sum(link.open for link in chosen)
        for link in chosen:
            await link.end(ending)
        return count

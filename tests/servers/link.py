"""One connection through a proxy."""

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import assert_never

from tests.servers.behaviours import (
    Behaviour,
    BlackHole,
    CutAfter,
    CutAfterBytes,
    Delay,
    Direction,
    Pass,
    Reset,
    Selection,
    Sight,
)
from tests.servers.framing import Framing, Pieces

PIECE = 65_536
OPENING = 4_096
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
BACK = {Direction.TO_SERVER: Direction.TO_CLIENT, Direction.TO_CLIENT: Direction.TO_SERVER}


class Leave(Enum):
    """How the proxy leaves one side of a connection."""

    CLOSED = auto()
    RESET = auto()
    FINISHED = auto()  # says that no more will come, and hears no more
    SILENT = auto()  # the side hears nothing at all


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What the two sides see when a connection ends."""

    client: Leave
    server: Leave


PROPER = Ending(client=Leave.CLOSED, server=Leave.CLOSED)
BROKEN = Ending(client=Leave.RESET, server=Leave.RESET)
# Closing with an answer unread would reset the server, before it has read what it was sent.
CUT = Ending(client=Leave.RESET, server=Leave.FINISHED)
SERVER_GONE = Ending(client=Leave.SILENT, server=Leave.RESET)
CLIENT_GONE = Ending(client=Leave.RESET, server=Leave.SILENT)


class CutError(Exception):
    """The connection has come to the message at which it breaks."""


class Rules:
    """How connections are treated now."""

    def __init__(self) -> None:
        self._rules: list[tuple[Selection, Behaviour]] = []
        self._changed = asyncio.Event()

    def behaviour(self, sight: Sight) -> Behaviour:
        return next((behaviour for where, behaviour in self._rules if where(sight)), Pass())

    def set(self, behaviour: Behaviour, where: Selection) -> None:
        """The newest rule wins."""
        self._rules.insert(0, (where, behaviour))
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self) -> None:
        """Returns when the rules have changed."""
        await self._changed.wait()


class Link:
    """Forwards between a client and the server as the rules say, until one of them or the proxy ends it."""

    def __init__(self, number: int, client: socket.socket, rules: Rules, framing: Framing) -> None:
        self._number = number
        self._client = client
        self._server = socket.socket()
        self._rules = rules
        self._framing = framing
        self._opening = b""
        self._counted: tuple[Behaviour, int] = (Pass(), 0)
        self._ending = PROPER
        self._task: asyncio.Task[None] | None = None
        self._over = asyncio.Event()
        self._kept: list[socket.socket] = []

    @property
    def open(self) -> bool:
        """Whether it still forwards."""
        return not self._over.is_set()

    @property
    def sight(self) -> Sight:
        return Sight(number=self._number, opening=self._opening)

    async def run(self, address: tuple[str, int]) -> None:
        """Returns when the connection has ended."""
        self._task = asyncio.current_task()
        try:
            if self._ending is PROPER:
                await self._forward(address)
        except* OSError:
            self._ending = BROKEN
        except* CutError:
            self._ending = CUT
        except* asyncio.CancelledError:
            pass  # ``end`` has said how
        finally:
            self._over.set()
            self._leave(self._client, self._ending.client)
            self._leave(self._server, self._ending.server)

    async def end(self, ending: Ending) -> None:
        """Ends the connection like this; one that has ended tells it to the side that was left in silence."""
        if not self._over.is_set():
            self._ending = ending
            if self._task is not None:
                self._task.cancel()
            await self._over.wait()
        elif ending is BROKEN:
            for side in self._kept:
                self._leave(side, Leave.RESET)
            self._kept.clear()

    async def _forward(self, address: tuple[str, int]) -> None:
        await self._may_pass(Direction.TO_SERVER)
        for side in (self._client, self._server):
            side.setblocking(False)
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(self._server, address)
        async with asyncio.TaskGroup() as directions:
            directions.create_task(self._pump(Direction.TO_SERVER, self._client, self._server, self._framing))
            directions.create_task(self._pump(Direction.TO_CLIENT, self._server, self._client, Pieces()))

    async def _pump(
        self, direction: Direction, source: socket.socket, sink: socket.socket, framing: Framing
    ) -> None:
        while piece := await self._received(direction, source):
            await self._late()
            for message in framing.feed(piece):
                await self._may_pass(direction)
                await self._send(direction, sink, message)
        await self._may_pass(direction)
        await self._send(direction, sink, framing.rest())
        sink.shutdown(socket.SHUT_WR)

    async def _received(self, direction: Direction, source: socket.socket) -> bytes:
        try:
            piece = await asyncio.get_running_loop().sock_recv(source, PIECE)
        except OSError:
            await self._may_pass(direction)  # that a side is gone does not come through a black hole either
            raise
        if direction is Direction.TO_SERVER:
            self._opening = (self._opening + piece)[:OPENING]
        return piece

    async def _send(self, direction: Direction, sink: socket.socket, message: bytes) -> None:
        cut = False
        if direction is Direction.TO_SERVER:
            message, cut = self._counted_off(message)
        try:
            await asyncio.get_running_loop().sock_sendall(sink, message)
        except OSError:
            await self._may_pass(BACK[direction])
            raise
        if cut:
            raise CutError

    async def _late(self) -> None:
        behaviour = self._rules.behaviour(self.sight)
        if isinstance(behaviour, Delay):
            await asyncio.sleep(behaviour.seconds)

    async def _may_pass(self, direction: Direction) -> None:
        """Returns when the rules let something pass."""
        while True:
            behaviour = self._rules.behaviour(self.sight)
            match behaviour:
                case Pass() | Delay() | CutAfter() | CutAfterBytes():
                    return
                case BlackHole(directions=directions):
                    if direction not in directions:
                        return
                    await self._rules.change()
                case Reset():
                    raise ConnectionResetError
                case _:
                    assert_never(behaviour)

    def _counted_off(self, message: bytes) -> tuple[bytes, bool]:
        """What of a message passes, and whether the connection breaks then."""
        behaviour = self._rules.behaviour(self.sight)
        count = self._counted[1] if self._counted[0] is behaviour else 0
        passing, cut = message, False
        if isinstance(behaviour, CutAfter) and message and behaviour.counts(message):
            count += 1
            cut = count >= behaviour.messages
            passing = message if behaviour.delivered or not cut else b""
        elif isinstance(behaviour, CutAfterBytes):
            passing = message[: behaviour.count - count]
            count += len(passing)
            cut = count >= behaviour.count
        self._counted = (behaviour, count)
        return passing, cut

    def _leave(self, side: socket.socket, leave: Leave) -> None:
        match leave:
            case Leave.CLOSED:
                side.close()
            case Leave.RESET:
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                side.close()
            case Leave.FINISHED:
                with suppress(OSError):  # the server may have gone first
                    side.shutdown(socket.SHUT_WR)
                self._kept.append(side)
            case Leave.SILENT:
                self._kept.append(side)
            case _:
                assert_never(leave)

"""The connections of one event loop.

The driver binds a connection to the loop it was opened in, so every loop that uses the store has connections
of its own.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, cast

from redis.connection import HiredisRespSerializer
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import MovedError, ReadOnlyError, ResponseError

from headrace.stores.redis.driving import Raw, connected
from headrace.stores.redis.location import Kind, Location
from headrace.stores.redis.pooling import Pool
from headrace.stores.redis.readiness import refuse_unready
from headrace.stores.redis.slots import Slots
from headrace.stores.urls import Host

Command = Sequence[Any]
Moved = Callable[[Command, MovedError], Awaitable[Any]]

_pack: Final[Callable[..., list[bytes]]] = cast("Any", HiredisRespSerializer()).pack
_REDIRECTIONS: Final = 8
_LOST: Final = (NoConnection, OSError, TimeoutError)
_OF_TRANSACTIONS: Final = frozenset({"WATCH", "MULTI", "EXEC"})


class Line:
    """Where one loop's commands go: ``most`` connections to a server, answers within ``timeout`` seconds."""

    def __init__(self, location: Location, *, most: int | None = None, timeout: float | None = None) -> None:
        self.loop: Final = asyncio.get_running_loop()
        self._location = location
        self._timeout = timeout or location.timeout
        self._most = most or location.pool
        self._pools: dict[Host | None, Pool] = {}
        self._slots = Slots(location) if location.kind is Kind.CLUSTER else None
        self._is_ready = False
        self._end: AsyncGenerator[None] | None = None

    @property
    def pools(self) -> Sequence[Pool]:
        """All connections, by server."""
        return list(self._pools.values())

    @property
    def is_cluster(self) -> bool:
        """Whether keys are on several servers."""
        return self._slots is not None

    def connection(self, key: str) -> "LentReady":
        """A connection to where a key is, for a block. The first one refuses servers that will not do."""
        return LentReady(self, lambda: self.owner(key))

    def connection_to(self, host: Host | None) -> "LentReady":
        """As ``connection``, to a node of a cluster; None is the server that takes writes."""
        return LentReady(self, lambda: _at_once(host))

    async def primaries(self) -> Sequence[Host | None]:
        """All servers that take writes."""
        return [None] if self._slots is None else await self._slots.primaries()

    async def owner(self, key: str) -> Host | None:
        """The server of a key."""
        return None if self._slots is None else await self._slots.owner(key)

    async def close(self) -> None:
        """Closes all connections that are not in use."""
        for pool in self.pools:
            await pool.close()
        end, self._end = self._end, None
        if end is not None:
            with suppress(RuntimeError):  # it is the caller
                await end.aclose()

    async def take(self, host: Host | None) -> tuple[Pool, Raw]:
        """An open connection, and the pool that it has to be given back to."""
        if self._end is None:
            # an asynchronous generator is closed when its loop shuts down, while the loop still turns
            self._end = self._closed_with_loop()
            await anext(self._end)
        pool = self._pool_of(host)
        return pool, await pool.take()

    def speaking(self, raw: Raw) -> "Connection":
        """A connection of the driver as ops use it."""
        return Connection(raw, self._timeout, self._moved if self._slots else None)

    async def refuse_unready(self, connection: "Connection") -> None:
        """Raises StoreUnusable for a server that will not do; asked once."""
        if not self._is_ready:
            await refuse_unready(connection.ask, self._location)
            self._is_ready = True

    def _pool_of(self, host: Host | None) -> Pool:
        pool = self._pools.get(host)
        if pool is None:
            location = self._location
            pool = self._pools[host] = Pool(
                lambda: connected(location, host), most=self._most, within=location.connect_within
            )
        return pool

    def forget_owners(self) -> None:
        """Lets it be asked anew which server has which keys."""
        if self._slots is not None:
            self._slots.forget()

    async def _moved(self, command: Command, error: MovedError) -> Any:  # noqa: ANN401 - whatever the server says
        """The answer to a command of the node that has the key by now, as the one that was asked says."""
        answer: Any = error
        for _ in range(_REDIRECTIONS):
            if self._slots is None or not isinstance(answer, MovedError):
                break
            owner = self._slots.learn(answer)
            async with Lent(self, lambda owner=owner: _at_once(owner)) as connection:
                answer = await connection.ask_here(command)
        return answer

    async def _closed_with_loop(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            self._end = None
            await self.close()


class Lent:
    """A connection that is nobody else's for as long as the block lasts.

    One that is left in the middle of something is closed: what comes late must not be taken for the next. It
    is a class and no generator, because every round trip needs one.
    """

    __slots__ = ("_connection", "_line", "_owner", "_pool", "_raw")

    def __init__(self, line: Line, owner: Callable[[], Awaitable[Host | None]]) -> None:
        self._line = line
        self._owner = owner
        self._pool: Pool
        self._raw: Raw
        self._connection: Connection

    async def __aenter__(self) -> "Connection":
        line = self._line
        try:
            self._pool, self._raw = await line.take(await self._owner())
        except _LOST:
            line.forget_owners()
            raise
        self._connection = line.speaking(self._raw)
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection = self._connection
        if isinstance(error, _LOST):
            self._line.forget_owners()  # maybe another node has its keys by now
        await self._pool.give(self._raw, keep=connection.is_idle and not connection.is_outdated)


class Connection:
    """One connection of the driver: commands go out, and as many answers come in, in order."""

    def __init__(self, raw: Raw, timeout: float, moved: Moved | None = None) -> None:
        self._raw = raw
        self._timeout = timeout
        self._moved = moved
        self._awaited = 0
        self.heard: list[Any] = []
        """What was answered so far of what was sent last, also where the connection broke then."""
        self.watching = False
        self.is_outdated = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing is awaited of it and nothing is watched."""
        return not self._awaited and not self.watching

    async def ask(self, *command: Any) -> Any:  # noqa: ANN401 - whatever the server says
        """The answer to one command. Raises what the server refuses with."""
        (answer,) = await self.ask_all([command])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def ask_all(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to commands that are sent in one go; refusals are among them.

        What another node of a cluster has by now is asked there, but for what belongs to a transaction: none
        of that may be done elsewhere, where it would stand alone.
        """
        answers = await self._sent(commands)
        if self._moved is None or self.watching or commands[0][0] == "MULTI":
            return answers
        return [
            await self._moved(command, answer)
            if isinstance(answer, MovedError) and command[0] not in _OF_TRANSACTIONS
            else answer
            for command, answer in zip(commands, answers, strict=True)
        ]

    async def ask_here(self, command: Command) -> Any:  # noqa: ANN401 - whatever the server says
        """The answer of this very server, or its refusal."""
        (answer,) = await self._sent([command])
        return answer

    async def _sent(self, commands: Sequence[Command]) -> list[Any]:
        if self.watching and not self._raw.is_connected:
            # the driver would connect anew, and what was watched would be forgotten
            raise NoConnection("the connection was lost")
        async with asyncio.timeout(self._timeout):
            self._awaited += len(commands)
            heard = self.heard = []
            await self._raw.send_packed_command(_packed(commands), check_health=False)
            for _ in commands:
                heard.append(await self._answer())  # noqa: PERF401 - one may be the last before the connection breaks
            return heard

    async def _answer(self) -> Any:  # noqa: ANN401 - whatever the server says
        try:
            found = await self._raw.read_response()
        except ResponseError as error:
            # a server that takes no writes any more is a replica now: the next connection finds the primary
            self.is_outdated |= isinstance(error, ReadOnlyError)
            found = error
        self._awaited -= 1
        return found


class LentReady(Lent):
    """The same, of a server that will do. Raises StoreUnusable."""

    __slots__ = ()

    async def __aenter__(self) -> "Connection":
        connection = await super().__aenter__()
        try:
            await self._line.refuse_unready(connection)
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        return connection


async def _at_once(host: Host | None) -> Host | None:
    return host


def _packed(commands: Sequence[Command]) -> bytes:
    """Commands as they are sent. The driver's asynchronous side does it in Python: eight times as slow."""
    return b"".join([part for command in commands for part in _pack(*command)])

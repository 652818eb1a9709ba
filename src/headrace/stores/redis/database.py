"""A server as the store's ops see it: looks, scripts, and ops that decide between a look and a commit."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, TypeVar

from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import MovedError

from headrace.errors import HeadraceError, StoreUnavailable
from headrace.stores.gating import Returned
from headrace.stores.per_loop import PerLoop
from headrace.stores.redis.connecting import Command, Connection, Lent, Line
from headrace.stores.redis.faults import translated
from headrace.stores.redis.keys import Keys
from headrace.stores.redis.location import Kind, Location
from headrace.stores.redis.session import (
    Again,
    Refused,
    Session,
    Write,
    answers_of,
    attempted,
    evaluated,
    writes_text,
)
from headrace.stores.redis.whereabouts import Whereabouts
from headrace.stores.urls import Host

__all__ = ["Again", "Database", "Reader", "Refused"]

T = TypeVar("T")

_TRIES: Final = 30
_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.1
_NAMED_FOR: Final = 60.0


class Database:
    """Usable from all event loops of one process, and not from its forked children.

    ``on_return`` is told of jobs that ops have brought back from lanes.
    """

    def __init__(self, location: Location) -> None:
        self.location: Final = location
        self.whereabouts: Final = Whereabouts()
        self.namespaces_key: Final = f"{location.prefix}:namespaces"
        self.schema_key: Final = f"{location.prefix}:schema"
        self.on_return: Callable[[Sequence[Returned]], None] = _tell_nobody
        self._lines = PerLoop(lambda: Line(location), location.name)
        self._keys: dict[str, Keys] = {}
        self._named: dict[str, float] = {}

    def keys(self, namespace: str) -> Keys:
        """The keys of a namespace."""
        found = self._keys.get(namespace)
        if found is None:
            found = self._keys[namespace] = Keys(self.location.prefix, namespace)
        return found

    def at(self, keys: Keys) -> "Reader":
        """Reads of one namespace."""
        return Reader(self, keys)

    async def call(self, *command: Any) -> Any:  # noqa: ANN401 - whatever the server says
        """The answer to one command."""
        return (await self.pipe([command]))[0]

    async def pipe(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to commands that are sent in one go; nothing keeps others from coming between them.

        They read, or may be repeated.
        """
        if not commands:
            return []
        if self.location.kind is Kind.CLUSTER and len(commands) > 1:
            return await self._pipe_by_owner(commands)
        return await self._read(_key_of(commands[0]), lambda connection: _answered(connection, commands))

    async def everywhere(self, *command: Any) -> list[Any]:  # noqa: ANN401 - whatever the server says
        """The answer of each server that takes writes."""
        try:
            hosts = await self.line().primaries()
        except Exception as error:  # boundary: the driver's errors become ours
            raise translated(error, self.location.name, sent=False) from error
        return [await self._of(host, command) for host in hosts]

    async def look(self, keys: Keys, name: str, *args: object) -> Any:  # noqa: ANN401 - each script has its own reply
        """The reply of a reading script."""
        return (await self.looks(keys, name, [args]))[0]

    async def looks(self, keys: Keys, name: str, many_args: Sequence[Sequence[object]]) -> list[Any]:
        """The replies of one reading script to each of several lists of arguments, in one round trip."""
        if not many_args:
            return []
        return await self._read(keys.root, lambda connection: evaluated(connection, keys, name, many_args))

    async def run(self, keys: Keys, name: str, *args: object) -> Any:  # noqa: ANN401 - each script has its own reply
        """The reply of a script that writes by itself."""
        return (await self.runs(keys, name, [args]))[0]

    async def runs(self, keys: Keys, name: str, many_args: Sequence[Sequence[object]]) -> list[Any]:
        """The replies of one writing script to each of several lists of arguments, in one round trip."""
        if not many_args:
            return []
        await self._name(keys)
        async with self._connection(keys.root) as connection:
            return await evaluated(connection, keys, name, many_args)

    async def run_times(self, keys: Keys, name: str, args: object, *, times: int) -> list[Any]:
        """The replies of a writing script, run so many times in one round trip, without those that failed.

        What others have written stands, so it is answered also where the connection broke after it. Raises if
        none succeeded.
        """
        await self._name(keys)
        async with self._connection(keys.root) as connection:
            try:
                found = await attempted(connection, keys, name, [(args,)] * times)
            except (NoConnection, OSError, TimeoutError):
                if not (found := _succeeded(connection.heard)):
                    raise
            if not (done := _succeeded(found)):
                raise found[0]
            return done

    async def write(self, keys: Keys, writes: Sequence[Write]) -> list[Any]:
        """Does all writes or none; their answers, in order. Raises Again, and what checks refuse with."""
        return answers_of(await self.run(keys, "commit", writes_text(writes)))

    async def together(self, keys: Keys, op: Callable[[Session], Awaitable[T]]) -> T:
        """The result of an op that looks, decides and commits; it starts over if others were in the way."""
        await self._name(keys)
        for attempt in range(_TRIES):
            try:
                return await self._tried(keys, op)
            except Again:
                await asyncio.sleep(random.uniform(0, min(_LONGEST_PAUSE, _PAUSE * 2**attempt)))
        raise StoreUnavailable(f"{self.location.name} is busy with other writers of the same jobs")

    async def namespaces(self) -> list[str]:
        """All namespaces in which anything was ever written."""
        return sorted({*(await self.call("SMEMBERS", self.namespaces_key)), *self._named})

    def line(self) -> Line:
        """The running loop's connections."""
        return self._lines.here()

    async def close(self) -> None:
        """Closes all connections of all loops. Idempotent."""
        await self._lines.close()

    async def _tried(self, keys: Keys, op: Callable[[Session], Awaitable[T]]) -> T:
        session: Session | None = None
        try:
            async with self.line().connection(keys.root) as connection:
                session = Session(connection, keys)
                try:
                    result = await op(session)
                except (Again, Refused, HeadraceError):
                    await session.end()  # else the connection would be closed, with what it watches
                    raise
                await session.end()
                return result
        except (Again, Refused):
            raise
        except MovedError as error:  # in a transaction, so that nothing was done
            self.line().forget_owners()
            raise Again from error
        except Exception as error:  # boundary: the driver's errors become ours
            sent = session is not None and session.sent
            raise translated(error, self.location.name, sent=sent) from error

    async def _read(self, key: str, work: Callable[[Connection], Awaitable[T]]) -> T:
        """What is read; once more if the connection was lost, for the next one often finds the server."""
        try:
            async with self.line().connection(key) as connection:
                return await work(connection)
        except (NoConnection, ConnectionError):
            async with self._connection(key, sent=False) as connection:
                return await work(connection)
        except Exception as error:  # boundary: the driver's errors become ours
            raise translated(error, self.location.name, sent=False) from error

    async def _of(self, host: Host | None, command: Command) -> Any:  # noqa: ANN401 - whatever the server says
        try:
            async with self.line().connection_to(host) as connection:
                return await connection.ask(*command)
        except Exception as error:  # boundary: the driver's errors become ours
            raise translated(error, self.location.name, sent=False) from error

    async def _pipe_by_owner(self, commands: Sequence[Command]) -> list[Any]:
        """As ``pipe``, where the keys of the commands are on several servers."""
        try:
            owners = [await self.line().owner(_key_of(one)) for one in commands]
        except Exception as error:  # boundary: the driver's errors become ours
            raise translated(error, self.location.name, sent=False) from error
        answers: dict[int, Any] = {}
        for owner in dict.fromkeys(owners):
            indexes = [index for index, one in enumerate(owners) if one == owner]
            some = [commands[index] for index in indexes]
            ask = partial(_answered, commands=some)
            answers |= zip(indexes, await self._read(_key_of(some[0]), ask), strict=True)
        return [answers[index] for index in range(len(commands))]

    def _connection(self, key: str, *, sent: bool = True) -> "_Ours":
        return _Ours(self, key, sent=sent)

    async def _name(self, keys: Keys) -> None:
        """Adds the namespace to those that there are; now and then again: a server may lose its memory."""
        last, now = self._named.get(keys.namespace), time.monotonic()
        if last is None or now - last > _NAMED_FOR:
            # asked first: a server whose memory is full takes no SADD, even if it changes nothing
            if not await self.call("SISMEMBER", self.namespaces_key, keys.namespace):
                await self.call("SADD", self.namespaces_key, keys.namespace)
            self._named[keys.namespace] = now


class _Ours:
    """A connection for a block whose errors become ours. ``sent``: the block writes."""

    __slots__ = ("_database", "_key", "_lent", "_sent")

    def __init__(self, database: Database, key: str, *, sent: bool) -> None:
        self._database = database
        self._key = key
        self._sent = sent
        self._lent: Lent

    async def __aenter__(self) -> Connection:
        try:
            self._lent = self._database.line().connection(self._key)
            return await self._lent.__aenter__()
        except Exception as error:  # boundary: the driver's errors become ours
            raise self._translated(error, sent=False) from error

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._lent.__aexit__(kind, error, trace)
        if isinstance(error, Exception) and not isinstance(error, Again | Refused | HeadraceError):
            raise self._translated(error, sent=self._sent) from error

    def _translated(self, error: Exception, *, sent: bool) -> Exception:
        return translated(error, self._database.location.name, sent=sent)


class Reader:
    """Keeps ``headrace.stores.redis.session.Look``, each time on any connection."""

    def __init__(self, database: Database, keys: Keys) -> None:
        self.keys: Final = keys
        self._database = database

    async def look(self, name: str, *args: object) -> Any:  # noqa: ANN401 - each script has its own reply
        """The reply of a reading script."""
        return await self._database.look(self.keys, name, *args)

    async def looks(self, name: str, many_args: Sequence[Sequence[object]]) -> list[Any]:
        """The replies of one script to each of several lists of arguments, in one round trip."""
        return await self._database.looks(self.keys, name, many_args)

    async def call(self, *command: Any) -> Any:  # noqa: ANN401 - whatever the server says
        """The answer to one reading command."""
        return await self._database.call(*command)


def _tell_nobody(jobs: Sequence[Returned]) -> None:
    del jobs


def _succeeded(replies: Sequence[Any]) -> list[Any]:
    return [reply for reply in replies if not isinstance(reply, Exception)]


def _key_of(command: Command) -> str:
    return str(command[1]) if len(command) > 1 else ""


async def _answered(connection: Connection, commands: Sequence[Command]) -> list[Any]:
    answers = await connection.ask_all(commands)
    for one in answers:
        if isinstance(one, Exception):
            raise one
    return answers

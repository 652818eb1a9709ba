"""One connection while an op runs: what it looks at, and what it writes at its end."""

import json
from collections.abc import Sequence
from typing import Any, Final, Protocol, cast

from redis.exceptions import NoScriptError

from headrace.errors import InvalidInput, JobNotFound, LeaseLost, StaleRegister
from headrace.stores.redis.connecting import Connection
from headrace.stores.redis.keys import Keys
from headrace.stores.redis.scripts import script

Write = tuple[Any, ...]
"""What a commit is to do: a name, and arguments out of which JSON can be made."""

_AS_THEY_ARE: Final = frozenset({str, int})
_QUEUED: Final = 3  # answers: to MULTI, to what is queued, to EXEC


class Again(Exception):
    """An op's assumptions were broken by another one: nothing was written, and it starts over."""


class Refused(Exception):
    """A check of a commit has refused it all; nothing was written. What it said is in ``args``."""


class Look(Protocol):
    """Whatever reads of one namespace can be done with."""

    @property
    def keys(self) -> Keys:
        """The keys of the namespace."""
        ...

    async def look(self, name: str, *args: object) -> Any:  # noqa: ANN401 - each script has its own reply
        """The reply of a reading script."""
        ...

    async def looks(self, name: str, many_args: Sequence[Sequence[object]]) -> list[Any]:
        """The replies of one script to each of several lists of arguments, in one round trip."""
        ...

    async def call(self, *command: Any) -> Any:  # noqa: ANN401 - whatever the server says
        """The answer to one reading command."""
        ...


class Session:
    """Keeps ``Look``, on one connection, and collects writes for one commit."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self.keys: Final = keys
        self.sent = False
        self._connection = connection
        self._writes: list[Write] = []

    @property
    def namespace(self) -> str:
        """The namespace of the op."""
        return self.keys.namespace

    async def watch(self, *names: str) -> None:
        """From here to the commit nobody else may change these keys; else the op starts over."""
        if names:
            self._connection.watching = True
            await self._connection.ask("WATCH", *names)

    async def look(self, name: str, *args: object) -> Any:  # noqa: ANN401 - each script has its own reply
        """The reply of a reading script."""
        return (await self.looks(name, [args]))[0]

    async def looks(self, name: str, many_args: Sequence[Sequence[object]]) -> list[Any]:
        """The replies of one script to each of several lists of arguments, in one round trip."""
        return await evaluated(self._connection, self.keys, name, many_args)

    async def call(self, *command: Any) -> Any:  # noqa: ANN401 - whatever the server says
        """The answer to one reading command."""
        return await self._connection.ask(*command)

    def add(self, *writes: Write) -> None:
        """Collects writes."""
        self._writes += writes

    async def commit(self) -> list[Any]:
        """Does all writes or none; their answers, in order. Raises Again, and what checks refuse with."""
        text = writes_text(self._writes)
        if not self._connection.watching:
            self.sent = True
            (reply,) = await evaluated(self._connection, self.keys, "commit", [(text,)])
            return answers_of(reply)
        # with its text and not by its name: a script that the server has not would leave half an op
        commit = ("EVAL", script("commit").text, 1, self.keys.root, text)
        self.sent = True
        said = await self._connection.ask_all([("MULTI",), commit, ("EXEC",)])
        self._connection.watching = False
        for one in said:
            if isinstance(one, Exception):
                raise one
        executed = said[_QUEUED - 1]
        if executed is None:
            raise Again
        (reply,) = executed
        if isinstance(reply, Exception):
            raise reply
        return answers_of(reply)

    async def end(self) -> None:
        """Lets go of what is watched."""
        if self._connection.watching:
            await self._connection.ask("UNWATCH")
            self._connection.watching = False


async def evaluated(
    connection: Connection, keys: Keys, name: str, many_args: Sequence[Sequence[object]]
) -> list[Any]:
    """The replies of a script to each of several lists of arguments, in one round trip if the server has it.

    A script that the server has not is sent to it, and run for those for which it was not.
    """
    found = await attempted(connection, keys, name, many_args)
    for reply in found:
        if isinstance(reply, Exception):
            raise reply
    return found


async def attempted(
    connection: Connection, keys: Keys, name: str, many_args: Sequence[Sequence[object]]
) -> list[Any]:
    """As ``evaluated``, refusals among the replies."""
    wanted = script(name)
    packed = [[one if one.__class__ in _AS_THEY_ARE else argument(one) for one in args] for args in many_args]
    found = await connection.ask_all([("EVALSHA", wanted.sha, 1, keys.root, *args) for args in packed])
    for index, reply in enumerate(found):
        if isinstance(reply, NoScriptError):
            (found[index],) = await connection.ask_all([("EVAL", wanted.text, 1, keys.root, *packed[index])])
    return found


def argument(given: object) -> str | int:
    """How a script is given something: numbers and texts as they are, nothing as '', the rest as JSON."""
    if given is None or given is False:
        return ""
    if given is True:
        return 1
    if isinstance(given, str | int):
        return given
    return dumps(given)


def writes_text(writes: Sequence[Write]) -> str:
    """The argument of a commit."""
    return dumps(writes)


def dumps(given: object) -> str:
    """JSON in which nothing is ``false``: in Lua, null would be true."""
    text = json.dumps(given, ensure_ascii=False, separators=(",", ":"))
    return (
        text
        if "null" not in text
        else json.dumps(_without_none(given), ensure_ascii=False, separators=(",", ":"))
    )


def _without_none(given: object) -> object:
    if given is None:
        return False
    if isinstance(given, list | tuple):
        return [_without_none(one) for one in cast("Sequence[object]", given)]
    if isinstance(given, dict):
        return {name: _without_none(one) for name, one in cast("dict[str, object]", given).items()}
    return given


def answers_of(reply: Sequence[Any]) -> list[Any]:
    """What a commit answers to each write. Raises what a check has refused with."""
    kind, *said = reply
    match kind:
        case "ok":
            return said[0]
        case "again":
            raise Again
        case "stale":
            raise StaleRegister(said[0])
        case "lost":
            raise LeaseLost(said[0], int(said[1]))
        case "missing":
            raise JobNotFound(said[0])
        case "exists":
            raise InvalidInput(f"a job with this id is there already: {said[0]}", field="id")
        case _:
            raise Refused(*said)

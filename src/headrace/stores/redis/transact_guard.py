"""The pipeline that a program's function is given while it runs inside a transaction of ours."""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, Final, NoReturn, cast

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import Pipeline

from headrace.errors import MisuseError
from headrace.stores.redis.connecting import Command, Connection
from headrace.stores.redis.location import Location

Opened = Callable[[str], Awaitable[Connection]]
"""Gives the transaction's connection, opened to where a key is when it is first wanted."""

_REFUSED: Final = frozenset(
    {"AUTH", "DISCARD", "EXEC", "HELLO", "MULTI", "QUIT", "RESET", "SELECT", "SUBSCRIBE", "UNWATCH"}
)


class TransactionPipeline(Pipeline):
    """A redis-py pipeline, for as long as the function runs; what it holds is executed when that returns.

    Commands wait, as in any pipeline with MULTI. After ``await pipe.watch(...)`` they are done at once and
    answered, as texts, until ``pipe.multi()``.
    """

    def __init__(self, location: Location, opened: Opened) -> None:
        client = _client()
        super().__init__(client.connection_pool, client.response_callbacks, transaction=True, shard_hint=None)
        self.location: Final = location
        self.after_commit: list[Callable[[], None]] = []
        self._opened = opened
        self._open = True

    @property
    def has_watched(self) -> bool:
        """Whether the function, or an enqueue in it, depends on what it has read."""
        return self.watching

    @property
    def commands(self) -> list[Command]:
        """What waits to be executed."""
        return [args for args, _ in cast("list[tuple[Command, object]]", self.command_stack)]

    def refuse_closed(self) -> None:
        """Raises MisuseError once the function has ended."""
        if not self._open:
            raise MisuseError("this pipeline was good only inside the function that it was given to")

    def close_guard(self) -> None:
        """After the function has ended."""
        self._open = False

    def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - the driver's own
        self.refuse_closed()
        name = str(args[0]) if args else ""
        if name.upper() in _REFUSED:
            raise _refused(name)
        return cast("Any", super()).execute_command(*args, **options)

    async def immediate_execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - the driver's own
        self.refuse_closed()
        connection = await self._opened(key_of(args))
        name = str(args[0]) if args else ""
        if name == "WATCH":
            self.watching = connection.watching = True
        answer = await connection.ask(*args)
        callback = cast("Any", self.response_callbacks).get(name)
        options.pop("keys", None)  # what the driver's cache would be told
        return answer if callback is None else callback(answer, **options)

    async def execute(self, raise_on_error: bool = True) -> NoReturn:  # noqa: FBT001, FBT002, ARG002 - the driver's own
        raise _refused("execute")

    async def reset(self) -> NoReturn:
        raise _refused("reset")


def key_of(command: Command) -> str:
    """A key of a command: in a cluster a whole transaction must be where it is."""
    place = 3 if str(command[0]).upper() in {"EVAL", "EVALSHA"} else 1
    return str(command[place]) if len(command) > place else ""


@cache
def _client() -> Any:  # noqa: ANN401 - the driver's types are too wide
    """Knows what the driver makes of answers; never connected."""
    return Redis(connection_pool=ConnectionPool(protocol=2))


def _refused(what: str) -> MisuseError:
    return MisuseError(
        f"{what} is refused here: the transaction is executed when the function returns, and nothing of it "
        "is done when it raises"
    )

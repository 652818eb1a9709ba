"""A pipeline of the program's: what is looked at on its connection, and what is put into it."""

import inspect
from collections.abc import Sequence
from typing import Any, Final, cast

from redis.exceptions import RedisError

from headrace.errors import MisuseError
from headrace.stores.redis.connecting import Command, Connection
from headrace.stores.redis.keys import Keys
from headrace.stores.redis.session import Session, Write


class CallersPipeline:
    """What a session asks of a connection: commands that are done at once, though the pipeline's wait."""

    def __init__(self, pipeline: Any) -> None:  # noqa: ANN401 - two classes of two libraries
        self._pipeline = pipeline

    def refuse_unfit(self) -> None:
        """Raises MisuseError where what is put into it would not be executed together with the rest."""
        if self._pipeline.watching and not self._pipeline.explicit_transaction:
            raise MisuseError(
                "this pipeline watches keys and does everything at once, so the job would be there whatever "
                "becomes of your other writes: enqueue after pipeline.multi()"
            )
        if not (_is_transaction(self._pipeline) or self._pipeline.explicit_transaction):
            raise MisuseError(
                "this pipeline is no transaction, so the job would be there whatever becomes of your other "
                "writes: use client.pipeline(transaction=True)"
            )

    async def ask(self, *command: Any) -> Any:  # noqa: ANN401 - whatever the server says
        """The answer to one command. Raises what the server refuses with."""
        answer = self._pipeline.immediate_execute_command(*command)
        if inspect.isawaitable(answer):
            answer = await answer
        if command[0] == "WATCH":
            self._pipeline.explicit_transaction = True  # else what the program adds next would not wait
        return _texts(answer)

    async def ask_all(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to commands; refusals are among them."""
        return [await self._answer(command) for command in commands]

    def put(self, command: Command) -> None:
        """Has a command wait in the pipeline."""
        self._pipeline.execute_command(*command)

    async def _answer(self, command: Command) -> Any:  # noqa: ANN401 - whatever the server says
        try:
            return await self.ask(*command)
        except RedisError as error:
            return error


class CallerSession(Session):
    """A session on a pipeline; what it collects is not committed by it."""

    def __init__(self, pipeline: CallersPipeline | Connection, keys: Keys) -> None:
        super().__init__(cast("Connection", pipeline), keys)  # of which it asks no more than is kept here
        self.collected: Final[list[Write]] = []

    def add(self, *writes: Write) -> None:
        """Collects writes."""
        self.collected.extend(writes)


def _is_transaction(pipeline: Any) -> bool:  # noqa: ANN401 - two classes of two libraries
    """Whether it was made with ``transaction=True``: the synchronous class has another name for that."""
    said: bool | None = getattr(pipeline, "is_transaction", None)
    return bool(pipeline.transaction) if said is None else said


def _texts(answer: object) -> Any:  # noqa: ANN401 - whatever the server says
    """An answer with texts for bytes, whatever the program's client makes of them."""
    if isinstance(answer, bytes):
        return answer.decode()
    if isinstance(answer, list):
        return [_texts(one) for one in cast("list[object]", answer)]
    return answer

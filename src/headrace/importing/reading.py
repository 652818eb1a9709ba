"""Reading a queue's keys: pages of ids, jobs, counts. Every command here is one that only reads."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from headrace.importing.bull import FIELDS, LISTS, BullQueue, Entry, Part, due_of
from headrace.stores.redis.connecting import Connection
from headrace.stores.redis.driving import connected
from headrace.stores.redis.faults import translated
from headrace.stores.redis.location import Kind, Location, parse
from headrace.stores.redis.slots import Slots

PAGE: Final = 500


class BullReader:
    """One queue of BullMQ, over one connection. ``where`` is for people, and holds no password."""

    def __init__(self, connection: Connection, queue: BullQueue, where: str) -> None:
        self._connection = connection
        self.queue = queue
        self.where = where

    async def ask(self, *command: Any) -> Any:  # noqa: ANN401 - whatever the server says
        """The answer to one command. Raises StoreError."""
        try:
            return await self._connection.ask(*command)
        except Exception as error:  # boundary: the driver's errors are told as a store's are
            raise translated(error, self.where, sent=False) from error

    async def ask_all(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """The answers to several commands, in order. Raises StoreError for the first that is refused."""
        if not commands:
            return []
        try:
            answers = await self._connection.ask_all(commands)
        except Exception as error:  # boundary: as in ask
            raise translated(error, self.where, sent=False) from error
        for one in answers:
            if isinstance(one, Exception):
                raise translated(one, self.where, sent=False) from one
        return answers

    async def count(self, *parts: str) -> dict[str, int]:
        """How many ids each part has: a list, or a sorted set."""
        lists = (*LISTS, "active")
        commands = [("LLEN" if part in lists else "ZCARD", self.queue.key(part)) for part in parts]
        return dict(zip(parts, map(int, await self.ask_all(commands)), strict=True))

    async def waiting(self) -> AsyncIterator[list[Entry]]:
        """All that wait, in pages, in the order in which workers would take them."""
        for part in LISTS:
            async for page in self._list(part):
                yield page
        async for scored in self.scored(Part.PRIORITIZED):
            yield [Entry(part=Part.PRIORITIZED, id=one) for one, _ in scored]
        async for scored in self.scored(Part.DELAYED):
            yield [Entry(part=Part.DELAYED, id=one, due_at=due_of(score)) for one, score in scored]

    async def scored(self, part: str) -> AsyncIterator[list[tuple[str, float]]]:
        """The members of a sorted set with their scores, in pages.

        It is walked by scores, so that what is added meanwhile shifts nothing.
        """
        last, seen = "-inf", 0
        while True:
            found: list[str] = await self.ask(
                "ZRANGEBYSCORE", self.queue.key(part), last, "+inf", "WITHSCORES", "LIMIT", seen, PAGE
            )
            if not found:
                return
            page = [
                (one, float(score))
                for one, score in zip(islice(found, 0, None, 2), islice(found, 1, None, 2), strict=True)
            ]
            yield page
            at_last = sum(score == page[-1][1] for _, score in page)
            seen = seen + at_last if found[-1] == last else at_last
            last = found[-1]

    async def jobs(self, ids: Sequence[str]) -> list[Sequence[str | None]]:
        """The ``FIELDS`` of jobs, in order."""
        return await self.ask_all([("HMGET", self.queue.key(one), *FIELDS) for one in ids])

    async def hashes(self, keys: Sequence[str], fields: Sequence[str]) -> list[dict[str, str | None]]:
        """Fields of hashes, in order."""
        found = await self.ask_all([("HMGET", key, *fields) for key in keys])
        return [dict(zip(fields, values, strict=True)) for values in found]

    async def _list(self, part: Part) -> AsyncIterator[list[Entry]]:
        """A list from its tail. Producers add at its head, which moves no index counted from the tail."""
        first = 1
        while found := await self.ask("LRANGE", self.queue.key(part), -(first + PAGE - 1), -first):
            # BullMQ 4 kept markers among the ids, which are none
            yield [Entry(part=part, id=one) for one in reversed(found) if not one.startswith("0:")]
            first += PAGE


@asynccontextmanager
async def bull_reader(url: str, queue: BullQueue) -> AsyncGenerator[BullReader]:
    """Opens a reader. Raises InvalidInput for a URL of another kind, StoreError."""
    # an account that may only read may not name its connection
    location = replace(parse(url), client_name="")
    try:
        raw = await _connected(location, queue)
    except Exception as error:  # boundary: the driver's errors are told as a store's are
        raise translated(error, location.name, sent=False) from error
    try:
        yield BullReader(Connection(raw, location.timeout), queue, location.name)
    finally:
        await raw.disconnect(nowait=True)


async def _connected(location: Location, queue: BullQueue) -> Any:  # noqa: ANN401 - the driver's connection
    if location.kind is not Kind.CLUSTER:
        return await connected(location)
    # in a cluster BullMQ keeps all keys of a queue on one node: its prefix has braces
    return await connected(location, await Slots(location).owner(queue.key("meta")))

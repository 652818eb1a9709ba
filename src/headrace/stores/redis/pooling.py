"""The connections of one event loop to one server."""

import asyncio
import select
from collections.abc import Awaitable, Callable
from typing import Final

from redis.exceptions import ConnectionError as NoConnection

from headrace.stores.redis.driving import Raw


class Pool:
    """Connections to one server, at most so many at once; the one that was used last is taken first.

    The driver's own pool measures whatever it does, which costs more than the server's answer.
    """

    def __init__(self, connect: Callable[[], Awaitable[Raw]], *, most: int, within: float) -> None:
        self.most: Final = most
        self._connect = connect
        self._within = within
        self._idle: list[Raw] = []
        self._places = asyncio.Semaphore(most)
        self._taken = 0
        self._closed = False

    @property
    def taken(self) -> int:
        """How many are in use."""
        return self._taken

    async def take(self) -> Raw:
        """An open connection, to be given back. Raises ConnectionError if there is none in time."""
        if not self._places.locked() and (raw := await self._idle_one()):
            await self._places.acquire()  # there is one, so this does not wait
            self._taken += 1
            return raw
        try:
            async with asyncio.timeout(self._within):
                await self._places.acquire()
                try:
                    raw = await self._idle_one() or await self._connect()
                except BaseException:
                    self._places.release()
                    raise
        except TimeoutError as error:
            why = "all connections are in use" if self._taken == self.most else "the server does not answer"
            msg = f"no connection within {self._within:g} s: {why} ({self._taken} of {self.most})"
            raise NoConnection(msg) from error
        self._taken += 1
        return raw

    async def give(self, raw: Raw, *, keep: bool) -> None:
        """Takes a connection back; one that is not kept is closed."""
        self._taken -= 1
        self._places.release()
        if keep and not self._closed:
            self._idle.append(raw)
        else:
            await raw.disconnect(nowait=True)

    async def close(self) -> None:
        """Closes those that are not in use, and the others when they are given back."""
        self._closed = True
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)

    async def _idle_one(self) -> Raw | None:
        while self._idle:
            raw = self._idle.pop()
            if _is_open(raw):
                return raw
            await raw.disconnect(nowait=True)
        return None


def _is_open(raw: Raw) -> bool:
    """Whether the server has not closed it meanwhile, as far as one can know without asking.

    On a connection of which nothing is awaited, only its end can be there to be read. The loop may not have
    seen it yet.
    """
    writer = raw._writer  # noqa: SLF001 - the driver tells it only by a read, which costs a turn of the loop
    if writer is None or writer.is_closing() or raw._reader.at_eof():  # noqa: SLF001 - the same
        return False
    waiting = select.poll()
    waiting.register(writer.get_extra_info("socket"), select.POLLIN)
    return not waiting.poll(0)

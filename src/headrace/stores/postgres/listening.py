"""Hears the wake-ups of other processes, over one connection per process.

The connection belongs to one event loop. Nothing depends on it: while it is down, workers poll. It proves
every half minute that it is alive by a word to itself, because a connection that is cut on the way says
nothing.
"""

import asyncio
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from headrace.core.backoff import Backoff, Jitter
from headrace.errors import StoreUnavailable
from headrace.stores.postgres.connecting import open_for
from headrace.stores.postgres.database import Database
from headrace.stores.postgres.faults import translated
from headrace.stores.postgres.location import Pooler
from headrace.stores.postgres.noted import Noted
from headrace.stores.postgres.notice import Notice, channel_of, read, written

CLOSE_WITHIN: Final = 5.0
SETTLE_WITHIN: Final = 2.0
_RETRY: Final = Backoff.exponential(0.25, cap=30, jitter=Jitter.EQUAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """How often a listener talks to itself, and how long it waits for its own word. In seconds."""

    every: float = 30.0
    answer_within: float = 10.0


class Listener:
    """Gives each notice of another process to ``on_notice``; its own it passes over.

    ``on_deaf`` is called whenever a connection begins to hear: what was said before may be lost.
    """

    def __init__(
        self,
        database: Database,
        sender: str,
        on_notice: Callable[[Notice], None],
        on_deaf: Callable[[], None],
        heartbeat: Heartbeat,
    ) -> None:
        self.trouble: Final = Noted("wakeups_not_heard")
        self._location = database.location
        self._statements = database.statements
        self._channel = channel_of(database.location.schema)
        self._sender = sender
        self._on_notice = on_notice
        self._on_deaf = on_deaf
        self._heartbeat = heartbeat
        self._rng = random.Random()
        self._lock = threading.Lock()
        self._closed = False
        self._task: asyncio.Task[None] | None = None
        self._ended: Future[None] | None = None
        self._heard = False
        self._tried: Future[None] | None = None
        self._beats = 0
        self._last_beat = 0

    @property
    def heard(self) -> bool:
        """Whether a connection listens."""
        task = self._task
        return self._heard and task is not None and task.get_loop().is_running()

    @property
    def why_not(self) -> str | None:
        """Why nobody listens, if that was settled from the start."""
        if not self._location.notify:
            return "notify=off"
        if self._location.listen is not None:
            return None
        if self._location.pooler is Pooler.NONE:
            return "listen=off"
        return "a pooler forgets who listens, and no listen= names the server itself"

    def begin(self) -> None:
        """Listens in the running loop, unless some loop does already."""
        if self._listens_somewhere() or self.why_not:
            return
        with self._lock:
            if self._closed or self._listens_somewhere():
                return
            ended = self._ended = Future[None]()
            self._tried = Future[None]()
            task = self._task = asyncio.create_task(self._listen_for_ever(), name="headrace-listen")
        task.add_done_callback(lambda _task: self._end(ended))

    async def settled(self) -> None:
        """Returns when it is known whether listening works, or after two seconds."""
        if self._tried is not None and not self._tried.done():
            await asyncio.wait([asyncio.wrap_future(self._tried)], timeout=SETTLE_WITHIN)

    async def close(self) -> None:
        """Stops listening, in whatever loop that is."""
        with self._lock:
            self._closed = True
            task, ended = self._task, self._ended
        if task is None or ended is None or not task.get_loop().is_running():
            return
        with suppress(RuntimeError):  # its loop ended just now, and the connection with it
            task.get_loop().call_soon_threadsafe(task.cancel)
            await asyncio.wait([asyncio.wrap_future(ended)], timeout=CLOSE_WITHIN)

    def _listens_somewhere(self) -> bool:
        task = self._task
        return task is not None and not task.done() and not task.get_loop().is_closed()

    def _settle(self) -> None:
        if self._tried is not None and not self._tried.done():
            self._tried.set_result(None)

    def _end(self, ended: Future[None]) -> None:
        """If only the loop has ended, the next one to wait takes over."""
        self._heard = False
        self._settle()
        ended.set_result(None)

    async def _listen_for_ever(self) -> None:
        failures = 0
        while True:
            try:
                await self._listen()
            except Exception as error:  # boundary: polling goes on, whatever is wrong with the listening
                failures = 1 if self._heard else failures + 1
                self._heard = False
                self.trouble.note(translated(error, self._location.name, sent=False))
                self._settle()
            await asyncio.sleep(_RETRY.delay_ms(failures, self._rng) / 1000)

    async def _listen(self) -> None:
        """Listens until something is wrong with the connection, and raises it."""
        server = self._location.listen or self._location.server
        place = replace(self._location, server=server, pooler=Pooler.NONE)
        async with open_for(place) as connection:
            lost = asyncio.Event()
            connection.add_termination_listener(partial(_set, lost))
            await connection.add_listener(self._channel, self._hear)
            await self._beat(connection)
            self._heard = True
            self.trouble.clear()
            self._settle()
            self._on_deaf()
            while not await _set_within(lost, self._heartbeat.every):
                await self._beat(connection)
        msg = "the server closed the connection that listens"
        raise StoreUnavailable(msg)

    async def _beat(self, connection: Any) -> None:  # noqa: ANN401 - the driver has no types
        """Raises if a word to oneself does not arrive over this very connection."""
        self._beats += 1
        payload = written(Notice(sender=self._sender, beat=self._beats))
        timeout = self._heartbeat.answer_within
        await connection.fetch(self._statements["notify"], self._channel, payload, timeout=timeout)
        # what a connection tells itself comes before the answer, and is handed on in the loop's next turn
        await asyncio.sleep(0)
        if self._last_beat != self._beats:
            msg = "the connection that listens does not hear itself: is its URL that of a pooler?"
            raise StoreUnavailable(msg)

    def _hear(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        notice = read(payload)
        if notice.sender != self._sender:
            self._on_notice(notice)
        elif notice.beat is not None:
            self._last_beat = notice.beat


def _set(event: asyncio.Event, _connection: object) -> None:
    event.set()


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()

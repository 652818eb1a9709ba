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
from dataclasses import dataclass
from typing import Final

from headrace.core.backoff import Backoff, Jitter
from headrace.errors import StoreUnavailable
from headrace.stores.channel import Channel, Ear
from headrace.stores.noted import Noted
from headrace.stores.notice import Notice, read, written

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
        channel: Channel,
        sender: str,
        on_notice: Callable[[Notice], None],
        on_deaf: Callable[[], None],
        heartbeat: Heartbeat,
    ) -> None:
        self.trouble: Final = Noted("wakeups_not_heard", channel.logger)
        self._channel = channel
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

    def begin(self) -> None:
        """Listens in the running loop, unless some loop does already."""
        if self._listens_somewhere() or self._channel.why_deaf:
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
                self.trouble.note(self._channel.translated(error))
                self._settle()
            await asyncio.sleep(_RETRY.delay_ms(failures, self._rng) / 1000)

    async def _listen(self) -> None:
        """Listens until something is wrong with the connection, and raises it."""
        async with self._channel.listen(self._hear) as ear:
            await self._beat(ear)
            self._heard = True
            self.trouble.clear()
            self._settle()
            self._on_deaf()
            while not await _set_within(ear.lost, self._heartbeat.every):
                await self._beat(ear)
        msg = "the server closed the connection that listens"
        raise StoreUnavailable(msg)

    async def _beat(self, ear: Ear) -> None:
        """Raises if a word to oneself does not arrive over this very connection."""
        self._beats += 1
        await ear.beat(written(Notice(sender=self._sender, beat=self._beats)), self._heartbeat.answer_within)
        if self._last_beat != self._beats:
            msg = "the connection that listens does not hear itself: is its URL that of a pooler?"
            raise StoreUnavailable(msg)

    def _hear(self, payload: str) -> None:
        notice = read(payload)
        if notice.sender != self._sender:
            self._on_notice(notice)
        elif notice.beat is not None:
            self._last_beat = notice.beat


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()

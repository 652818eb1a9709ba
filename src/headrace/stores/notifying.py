"""Tells the other processes where there is work, after the commit and never more often than is of use.

They are sent by the application and gathered: never by a trigger, never a row at a time. (In PostgreSQL a
notification takes a lock on the whole database at its commit.) They are hints: one that cannot be sent is
dropped, and whoever missed it finds the work by polling.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from headrace.stores.channel import Channel
from headrace.stores.coalescing import Coalescer, Place
from headrace.stores.noted import Noted
from headrace.stores.notice import Notice, written

AFTER_TROUBLE: Final = 1.0
FLUSH_WITHIN: Final = 2.0


class Timing(Protocol):
    """What is needed of an event loop: its clock, and to be called later."""

    def time(self) -> float:
        """Seconds."""
        ...

    def call_later(self, delay: float, callback: Callable[[], object], /) -> object:
        """Calls back when the seconds are over."""
        ...


class Notifier:
    """Sends notices from whatever event loop has them. ``timing`` None: that of the loop."""

    def __init__(self, channel: Channel, sender: str, timing: Timing | None = None) -> None:
        self.trouble: Final = Noted("wakeup_not_sent", channel.logger)
        self._channel = channel
        self._sender = sender
        self._timing = timing
        self._lock = threading.Lock()
        self._gathered = Coalescer()
        self._sending: asyncio.Task[None] | None = None
        self._timer_at: float | None = None
        self._not_before = 0.0
        self._closed = False

    def tell(self, namespace: str, queues: frozenset[str]) -> None:
        """Notes that there is work. Returns at once; without a running loop nobody is told."""
        if not self._channel.speaks or self._closed:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        with self._lock:
            now = (self._timing or loop).time()
            self._gathered.add(((namespace, queue) for queue in queues), now)
            self._go_on(loop)

    async def close(self) -> None:
        """Sends what waits, within two seconds, without waiting for its turn; then no more. Idempotent."""
        with self._lock:
            self._closed = True
            sending = self._sending
            places = self._gathered.take_all()
        if places:
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_WITHIN):
                    await self._send(places)
        if sending is not None and sending.get_loop() is asyncio.get_running_loop():
            await asyncio.wait([sending], timeout=FLUSH_WITHIN)

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Sees to it that what waits is sent in its turn. Called under the lock."""
        sending = self._sending
        if sending is not None and not sending.done() and sending.get_loop().is_running():
            return
        timing = self._timing or loop
        now = timing.time()
        next_at = self._gathered.next_at()
        if next_at is None:
            return
        next_at = max(next_at, self._not_before)
        if next_at <= now:
            self._sending = loop.create_task(self._send_due(timing), name="headrace-notify")
        elif self._timer_at is None or self._timer_at < now:  # one that did not go off died with its loop
            self._timer_at = next_at
            timing.call_later(next_at - now, lambda: self._ring(loop))

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._timer_at = None
            self._go_on(loop)

    async def _send_due(self, timing: Timing) -> None:
        try:
            while True:
                with self._lock:
                    places = self._gathered.take(timing.time())
                if not places:
                    break
                if not await self._send(places):
                    self._not_before = timing.time() + AFTER_TROUBLE
                    break
        except asyncio.CancelledError:
            with self._lock:
                self._forget_sending()  # the loop ends; the next one to tell goes on
            raise
        with self._lock:
            self._forget_sending()
            self._go_on(asyncio.get_running_loop())

    def _forget_sending(self) -> None:
        # while this loop stood still, another one may have begun to send
        if self._sending is asyncio.current_task():
            self._sending = None

    async def _send(self, places: frozenset[Place]) -> bool:
        payload = written(Notice(sender=self._sender, places=places))
        try:
            await self._channel.say(payload)
        except Exception as error:  # boundary: a hint may be lost, whatever the reason
            self.trouble.note(error)
            return False
        self.trouble.clear()
        return True

"""The one way from synchronous code into the engine: an event loop in a thread of its own."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from headrace.errors import MisuseError
from headrace.stores.transactions import refuse_inside_transaction

T = TypeVar("T")

_CANCELLED_WITHIN: Final = 5.0


class Portal:
    """Runs coroutines for callers without an event loop. Started at the first call."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def call(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Runs the coroutine to its end and returns what it returns.

        Raises MisuseError in a thread that runs an event loop, which this would block, and inside the
        function of a transaction, which the store would wait for.
        """
        refuse_inside_transaction()
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._submit(make).result()
        msg = "a synchronous call inside an event loop would block it; await the async method instead"
        raise MisuseError(msg)

    def post(self, call: Callable[[], object]) -> None:
        """Has something called soon, in the portal's loop. Returns at once."""

        async def called() -> None:
            call()

        self._submit(called)

    def close(self) -> None:
        """Stops the loop and its thread; calls under way end with CancelledError. Idempotent."""
        self._forget_parent()
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _submit(self, make: Callable[[], Coroutine[Any, Any, T]]) -> "Future[T]":
        self._forget_parent()
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="headrace-portal", daemon=True
                )
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(make(), self._loop)

    def _forget_parent(self) -> None:
        """A forked child has its parent's loop but not the thread that turns it, and maybe a held lock."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._lock = threading.Lock()
            self._loop = self._thread = None


async def _cancel_all() -> None:
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    if rest:
        await asyncio.wait(rest, timeout=_CANCELLED_WITHIN)

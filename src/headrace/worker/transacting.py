"""Runs handlers' functions in transactions that complete their jobs.

A function runs in the worker's loop (PostgreSQL) or on the store's own thread (SQLite), with the context
variables of its handler. When the handler stops waiting, a transaction that has not committed is undone.
A handler that has lost its job learns of it by the LeaseLost that it is given, and not by being cancelled.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Collection

from headrace.engine.work import Completion, Holder, Work, WorkSource
from headrace.errors import LeaseLost
from headrace.worker.link import Said


class Transacting:
    """The ``Transactor`` of a worker. ``flush`` writes what handlers of these jobs told so far."""

    def __init__(self, work: WorkSource, flush: Callable[[Collection[Holder]], Awaitable[None]]) -> None:
        self._work = work
        self._flush = flush
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def transact(self, holder: Holder, work: Work, completion: Completion, done: Said[object]) -> None:
        context = contextvars.copy_context()

        def spawn() -> None:
            if self._closed:
                done.set_exception(LeaseLost(holder.job_id, holder.fence))
                return
            running = self._run(holder, work, completion, done)
            task = self._loop.create_task(running, context=context)
            done.unwanted = lambda: self._loop.call_soon_threadsafe(task.cancel)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._loop.call_soon_threadsafe(spawn)

    def close(self) -> None:
        """Undoes what has not committed, and begins nothing more."""
        self._closed = True
        for task in self._tasks:
            task.cancel()

    async def _run(self, holder: Holder, work: Work, completion: Completion, done: Said[object]) -> None:
        try:
            await self._flush((holder,))  # what was told before is written before the outcome, as always
            done.set_result(await self._work.transaction(holder, work, completion))
        except BaseException as error:  # boundary: belongs to the handler that waits for it
            done.set_exception(error)

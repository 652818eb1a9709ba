"""Runs messages of chunks in the test's own event loop, each in a chunk of its own."""

import asyncio

from headrace.core.outcomes import Report
from headrace.engine.work import LocalWork
from headrace.worker.chunk_call import HeldMessage
from headrace.worker.chunk_runner import ChunkRunner
from headrace.worker.held import Held, Why
from headrace.worker.runner import Runner
from headrace.worker.settings import WorkerSettings


class SingleChunks:
    """Calls handlers of chunks with one message at a time."""

    def __init__(self, runner: Runner, work: LocalWork, settings: WorkerSettings) -> None:
        self._over = asyncio.Event()
        self._reports: dict[str, Report] = {}
        self._chunks = ChunkRunner(
            runner,
            settings,
            clock=work.clock,
            settle=self._settled,
            ended=lambda _: self._over.set(),
            on_event=None,
        )

    async def run(self, message: HeldMessage) -> Report:
        """What became of the message, once the handler has ended."""
        self._over.clear()
        self._chunks.start(self._chunks.call_of([message]))
        await self._over.wait()
        await asyncio.sleep(0)  # what was answered is settled by the loop, a turn later
        return self._reports.pop(message.job.id)

    def time_out(self, message: HeldMessage) -> None:
        """Tells the handler to stop."""
        if message.call is not None:
            message.call.stopping = Why.TIMEOUT
            message.call.told(Why.TIMEOUT)
            self._chunks.tell(message.call)

    def close(self) -> None:
        """Lets the threads go."""
        self._chunks.close()

    def _settled(self, held: Held, report: Report) -> None:
        self._reports[held.job.id] = report

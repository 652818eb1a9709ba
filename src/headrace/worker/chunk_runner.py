"""Runs the handlers of chunks: as tasks of the loop, or in threads, and settles each message for itself."""

import asyncio
import contextvars
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from headrace.clock import Clock
from headrace.core.outcomes import Outcome, Report, Succeeded
from headrace.engine.arguments import arguments_of
from headrace.engine.chunk import Chunk, Message
from headrace.engine.operations import Runs
from headrace.worker import endings
from headrace.worker.chunk_call import Answers, CallLink, HeldChunk, HeldMessage
from headrace.worker.events import OnEvent, Started
from headrace.worker.held import Held, Why
from headrace.worker.runner import Runner
from headrace.worker.settings import WorkerSettings
from headrace.worker.threads import Crew, Performed

_ACKED: Final = Succeeded()
_ONLY: Final = "payload"
"""The one argument that the schema of a message gives."""


class ChunkRunner:
    """Starts and stops calls. ``settle`` takes what becomes of a message, ``ended`` a call that is over."""

    def __init__(  # noqa: PLR0913 - what it works with, and whom it tells
        self,
        runner: Runner,
        settings: WorkerSettings,
        *,
        clock: Clock,
        settle: Callable[[Held, Report], None],
        ended: Callable[[Held], None],
        on_event: OnEvent | None,
    ) -> None:
        self._runner = runner
        self._clock = clock
        self._files = settings.files
        self._settle = settle
        self._ended = ended
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._clean = contextvars.copy_context()
        self._crew = Crew("chunk", settings.threads, self._run_here, self._performed)

    def call_of(self, messages: Sequence[HeldMessage]) -> HeldChunk:
        """The call of these messages, which were claimed together."""
        return HeldChunk(messages, self._settled_soon)

    def start(self, call: HeldChunk) -> None:
        """Starts the handler; its slot is free already."""
        if self._on_event is not None:
            for message in call.parts:
                self._on_event(Started(message.job))
        if call.limit_ms is not None:
            call.deadline = math.inf
        if call.runs is Runs.ASYNC:
            call.task = self._loop.create_task(self._run(call), context=self._clean.copy())
            for message in call.parts:
                message.task = call.task  # so that it is named if it blocks the loop
        else:
            self._crew.put(call)

    def tell(self, call: HeldChunk) -> None:
        """Tells a running handler to stop. ``chunk.cancelled`` is true by now."""
        # a task that has not begun would end without a word; it looks at ``stopping`` when it begins
        if call.task is not None and call.begun:
            call.task.cancel()

    def force(self, call: HeldChunk) -> None:
        """The handler did not stop in time: with more force, ``call.forced`` times by now."""
        if call.runs is Runs.ASYNC:
            self.tell(call)
        elif call.forced == 1:
            self._crew.interrupt(call)

    def close(self) -> None:
        """Lets the threads go."""
        self._crew.close()

    async def _run(self, call: HeldChunk) -> None:
        call.begun = True
        outcome: Outcome | None = None
        try:
            if (chunk := self._opened(call)) is not None:
                await call.kind.handler(chunk)
            outcome = _ACKED
        except BaseException as error:  # boundary: a handler may raise anything
            if call.stopping is None or not endings.interrupted(error):
                outcome = endings.raised(call.kind, error, self._clock.now())
        self._end(call, outcome)

    def _run_here(self, held: Held) -> Outcome | None:
        """Runs a plain function in the calling thread; None if it ended by being interrupted."""
        return self._clean.copy().run(self._called_here, held)

    def _called_here(self, held: Held) -> Outcome | None:
        if not isinstance(held, HeldChunk):
            msg = f"{held!r} is no call of a chunk"
            raise TypeError(msg)
        try:
            if (chunk := self._opened(held)) is not None:
                held.kind.handler(chunk)
            return _ACKED
        except BaseException as error:  # boundary: a handler may raise anything
            if held.stopping is not None and endings.interrupted(error):
                return None
            return endings.raised(held.kind, error, self._clock.now())

    def _performed(self, batch: Sequence[Performed]) -> None:
        for held, outcome in batch:
            if isinstance(held, HeldChunk):
                self._end(held, outcome)

    def _opened(self, call: HeldChunk) -> Chunk[Any] | None:
        """What the handler is given; None if no message is left that may start.

        A message that cannot be read fails by itself, before the others are handed out.
        """
        messages: list[Message[Any]] = []
        now = self._clock.now()
        for message in call.parts:
            if message.stopping is None:
                message.stopping = self._too_late(message, now)
            if message.stopping is not None:
                call.answer(message, endings.settled(message, None))
                continue
            message.started_at = now
            try:
                payload = arguments_of(call.kind, message.job.facts)[_ONLY]
            except Exception as error:  # boundary: an upgrade or codec may raise anything
                call.answer(message, endings.raised(call.kind, error, now))
            else:
                link = Answers(call, message, self._clock.now)
                messages.append(Message(payload, endings.job_info(message.job), link))
        if not messages:
            return None
        if call.limit_ms is not None:
            call.deadline = self._loop.time() + call.limit_ms / 1000
        return Chunk(messages, CallLink(call), files=self._files, deps=self._runner.deps)

    def _too_late(self, message: HeldMessage, now: int) -> Why | None:
        """Why it may not start any more: others may have run it by now, or its rate let it start earlier."""
        if now >= message.lease_until:
            return Why.LAPSED
        return Why.LATE if self._runner.too_late(message) else None

    def _end(self, call: HeldChunk, outcome: Outcome | None) -> None:
        """The call is over: what has no answer yet ends with it."""
        for message in call.parts:
            final = outcome
            if final is None or message.stopping is not None:
                final = endings.settled(message, final)
            call.answer(message, final)
        call.close()
        self._ended(call)

    def _settled_soon(self, message: HeldMessage, outcome: Outcome) -> bool:
        if threading.get_ident() == self._thread:
            self._settled(message, outcome)
            return True
        try:
            self._loop.call_soon_threadsafe(self._settled, message, outcome)
        except RuntimeError:
            return False  # the loop is closed: this message was given up when its worker stopped
        return True

    def _settled(self, message: HeldMessage, outcome: Outcome) -> None:
        if not message.abandoned:
            self._settle(message, self._runner.report(message, outcome))

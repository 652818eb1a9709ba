"""A chunk in a worker: one call of a handler, and the messages it was claimed with.

The call holds a slot and a time limit as one job does. Everything else belongs to the messages: each has its
lease, is renewed, asked to cancel and settled by itself.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from headrace.core.chunk import call_limit_ms
from headrace.core.job import Job
from headrace.core.outcomes import ErrorInfo, Failed, Outcome
from headrace.core.policy import ErrorClass
from headrace.engine.operations import Runs
from headrace.engine.registry import Registered
from headrace.worker import endings
from headrace.worker.held import Held, Why

Settle = Callable[["HeldMessage", Outcome], bool]
"""Reports how a message ended, from any thread; False if nobody is left to report it."""


class HeldMessage(Held):
    """One message, from its claim until its outcome is settled."""

    __slots__ = ("answered", "call")

    def __init__(self, job: Job, kind: Registered, runs: Runs) -> None:
        super().__init__(job, kind, runs)
        self.answered = False
        self.call: HeldChunk | None = None


class HeldChunk(Held):
    """One call. Its ``parts`` are the messages that have no answer yet."""

    __slots__ = ("_lock", "_messages", "_settle", "limit_ms")

    def __init__(self, messages: Sequence[HeldMessage], settle: Settle) -> None:
        first = messages[0]
        super().__init__(first.job, first.kind, first.runs)
        self.limit_ms = call_limit_ms([message.job for message in messages])
        self._messages = tuple(messages)
        self._settle = settle
        self._lock = threading.Lock()
        for message in messages:
            message.call = self

    @property
    def parts(self) -> Sequence[HeldMessage]:
        """The messages that have no answer yet."""
        return [message for message in self._messages if not message.answered]

    def answer(self, message: HeldMessage, outcome: Outcome) -> bool:
        """Takes the first answer to a message, and says whether this is it. From any thread."""
        with self._lock:
            if message.answered:
                return False
            message.answered = True
        return self._settle(message, outcome)

    def close(self) -> None:
        """Takes no answers any more."""
        with self._lock:
            for message in self._messages:
                message.answered = True

    def told(self, why: Why) -> None:
        """The call is told to stop: so is each of its messages that was not told before."""
        for message in self.parts:
            if message.stopping is None:
                message.stopping = why


class Answers:
    """The ``MessageLink`` of one message. ``now`` gives store time in any thread."""

    def __init__(self, call: HeldChunk, message: HeldMessage, now: Callable[[], int]) -> None:
        self._call = call
        self._message = message
        self._now = now

    @property
    def cancelled(self) -> bool:
        return self._message.stopping is not None or self._call.stopping is not None

    @property
    def answered(self) -> bool:
        return self._message.answered

    def ack(self, result: object) -> bool:
        if self._message.answered:
            return False
        return self._call.answer(self._message, endings.succeeded(self._message.kind, result))

    def retry(self, error: BaseException | str, delay_ms: int | None) -> bool:
        kind = self._message.kind
        if isinstance(error, str):
            failed = Failed(error=ErrorInfo(type="Retry", message=error))
        else:
            told = endings.raised(kind, error, self._now())
            failed = told if isinstance(told, Failed) else Failed(error=_named(error))
        info = failed.error
        if (
            info.error_class is ErrorClass.PERMANENT
        ):  # the handler has looked at it, and wants another attempt
            info = replace(info, error_class=ErrorClass.TRANSIENT)
        if delay_ms is not None:
            info = replace(info, retry_after_ms=delay_ms)
        return self._call.answer(self._message, Failed(error=info, backoff=failed.backoff))

    def fail(self, reason: str) -> bool:
        info = ErrorInfo(type="Permanent", message=reason, error_class=ErrorClass.PERMANENT)
        return self._call.answer(self._message, Failed(error=info))


class CallLink:
    """The ``ChunkLink`` of a call."""

    def __init__(self, call: HeldChunk) -> None:
        self._call = call

    @property
    def cancelled(self) -> bool:
        return self._call.stopping is not None


def _named(error: BaseException) -> ErrorInfo:
    return ErrorInfo(type=type(error).__name__, message=str(error))

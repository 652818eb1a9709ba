"""What the handler of a chunk receives: its messages, and what each of them can be answered with."""

import math
from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar, overload

from headrace.core.policy import MAX_DURATION_MS
from headrace.engine.context import JobInfo
from headrace.errors import InvalidInput, MisuseError
from headrace.files.protocol import FileStore

M = TypeVar("M")


class MessageLink(Protocol):
    """What a message needs of the worker that holds its job. All methods may be called from any thread."""

    @property
    def cancelled(self) -> bool:
        """Whether its job is asked to stop, or is not this worker's any more."""
        ...

    @property
    def answered(self) -> bool:
        """Whether no answer is taken any more."""
        ...

    def ack(self, result: object) -> bool:
        """Completes the job; whether this was the first answer. Raises InvalidInput."""
        ...

    def retry(self, error: BaseException | str, delay_ms: int | None) -> bool:
        """Ends the attempt with an error that is retried; whether this was the first answer."""
        ...

    def fail(self, reason: str) -> bool:
        """Ends the job as failed; whether this was the first answer."""
        ...


class ChunkLink(Protocol):
    """What a chunk needs of the worker that runs its call."""

    @property
    def cancelled(self) -> bool:
        """Whether the call should stop."""
        ...


class Message(Generic[M]):
    """One message of a chunk: a job of its own, with its own attempts, history and outcome.

    The first answer counts, and is written at once. A later one is ignored, and so is one to a job that
    another worker holds by now: then these methods return False.
    """

    __slots__ = ("_link", "job", "payload")

    def __init__(self, payload: M, job: JobInfo, link: MessageLink) -> None:
        self.payload = payload
        self.job = job
        self._link = link

    def __repr__(self) -> str:
        return f"Message({self.job.id!r})"

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self.job.attempt

    @property
    def idempotency_key(self) -> str:
        """The same for all attempts of this message: send it along, so that receivers can drop a repeat."""
        return self.job.id

    @property
    def cancelled(self) -> bool:
        """True once the message is not wanted any more; the rest of the chunk may still be."""
        return self._link.cancelled

    @property
    def answered(self) -> bool:
        """Whether it has its answer, or was lost to another worker: no answer counts any more."""
        return self._link.answered

    def ack(self, result: object = None) -> bool:
        """Completes the job with a result, which must have a JSON form. Raises InvalidInput, TooLarge."""
        return self._link.ack(result)

    def retry(self, *, delay: float | None = None, error: BaseException | str = "asked to retry") -> bool:
        """Ends this attempt as one that failed, so that there is another one, if any is left.

        It comes after the job type's back-off, or after ``delay`` seconds (a day at most). ``error`` is what
        the history shows of the attempt.
        """
        return self._link.retry(error, None if delay is None else _milliseconds(delay))

    def fail(self, reason: str) -> bool:
        """Ends the job as failed, whatever attempts are left."""
        return self._link.fail(reason)


class Chunk(Sequence[Message[M]], Generic[M]):
    """The messages of one call, in the order of the queue. Annotate the handler's parameter with it.

    When the handler returns, each message that has no answer is completed. When it raises, each that has none
    ends its attempt with that error. ``deps`` is what the app's lifespan opened.
    """

    def __init__(
        self,
        messages: Sequence[Message[M]],
        link: ChunkLink,
        *,
        files: FileStore | None = None,
        deps: object = None,
    ) -> None:
        self.deps = deps
        self._messages = tuple(messages)
        self._link = link
        self._files = files

    def __repr__(self) -> str:
        return f"Chunk({len(self._messages)} messages)"

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[Message[M]]:
        return iter(self._messages)

    @overload
    def __getitem__(self, index: int) -> Message[M]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Message[M]]: ...
    def __getitem__(self, index: int | slice) -> Message[M] | Sequence[Message[M]]:
        return self._messages[index]

    @property
    def cancelled(self) -> bool:
        """True once the call should stop. Long plain handlers look at it between two messages."""
        return self._link.cancelled

    @property
    def files(self) -> FileStore:
        """The stored files. Raises MisuseError where the worker was given no file store."""
        if self._files is None:
            msg = "this worker has no file store"
            raise MisuseError(msg)
        return self._files


def _milliseconds(seconds: float) -> int:
    if not (math.isfinite(seconds) and 0 <= seconds * 1000 <= MAX_DURATION_MS):
        msg = f"delay must be a number of seconds from 0 on, not {seconds}"
        raise InvalidInput(msg, field="delay")
    return round(seconds * 1000)

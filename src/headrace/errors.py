"""Every error Headrace raises, in one tree.

HeadraceError
├── InvalidInput            the caller can mend it; nothing was written
│   ├── InvalidPayload      names each field that is wrong
│   ├── UnknownJobType
│   ├── Undecodable         the codec cannot read a stored payload or result
│   └── TooLarge
├── Refused                 the input is fine, the present state is not; nothing was written
│   ├── DuplicateJob        a live job holds the unique key
│   ├── IdempotencyMismatch the same idempotency key came with another body
│   ├── IllegalMove         e.g. cancel of a finished job, retry of a live one
│   ├── NotADeadLetter      the job is live, ended well, or was dealt with before
│   ├── BatchSealed         no member may be added to the batch any more
│   ├── BatchClosed         all members of the batch have ended
│   ├── EventLogOff         the namespace keeps no log of events
│   ├── CursorTooOld        what comes after the cursor is not all kept any more
│   └── StaleRegister       a register was changed meanwhile
├── NotFound
│   ├── JobNotFound
│   ├── AlertNotFound
│   ├── ScheduleNotFound
│   ├── LimitNotFound
│   ├── BreakerNotFound
│   ├── BatchNotFound
│   └── FileNotFound
├── LeaseLost               the job has another holder now; nothing was written
├── StoreError
│   ├── StoreUnavailable    try again later
│   ├── OutcomeUnknown      the reply was lost: repeat with the same key or fence
│   ├── StoreFull           no space left
│   └── StoreUnusable       it will not work until somebody changes the set-up
│       ├── SchemaTooNew
│       ├── NetworkFilesystem
│       ├── UsedAfterFork
│       └── SecondSQLiteLibrary
├── MisuseError             the program calls the library wrongly
├── WaitTimeout             a result did not come in time; the job goes on
├── SignalTimeout           a signal that a handler waited for did not come in time
└── JobEnded                what ``handle.result()`` raises
    ├── JobFailed
    └── JobCancelled

HandlerSignal               words a handler raises to say how its attempt ends
├── Permanent               failed at once, no retry
├── Transient               worth another attempt
├── Exhausted               a resource is used up: linear back-off, ``retry_after`` honoured
├── Snooze                  come back later; costs no attempt
└── Cancel                  end as cancelled
"""

from dataclasses import dataclass


class HeadraceError(Exception):
    """Base of every error the library raises to its callers."""


class InvalidInput(HeadraceError):
    """Something in the request cannot be accepted. Nothing was written.

    ``field`` names what is wrong, ``index`` which of several requests it is in, from 0.
    """

    index: int | None = None

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """One wrong field: where it is (a JSON Pointer) and what is wrong with it."""

    pointer: str
    message: str


class InvalidPayload(InvalidInput):
    """The payload does not fit the job type's schema."""

    def __init__(self, job_type: str, errors: tuple[FieldError, ...]) -> None:
        self.job_type = job_type
        self.errors = errors
        details = "; ".join(f"{error.pointer or '/'}: {error.message}" for error in errors)
        super().__init__(f"payload of {job_type!r} is not valid: {details}", field="payload")


class UnknownJobType(InvalidInput):
    """No handler is registered under this name."""

    def __init__(self, job_type: str, known: tuple[str, ...] = ()) -> None:
        self.job_type = job_type
        self.known = known
        hint = f"; known types: {', '.join(known)}" if known else ""
        super().__init__(f"unknown job type {job_type!r}{hint}", field="type")


class Undecodable(InvalidInput):
    """A stored payload or result cannot be read with what this program has. Says nothing of its content."""


class TooLarge(InvalidInput):
    """A size limit was passed; the message names the limit."""


class Refused(HeadraceError):
    """The request is well formed but the present state does not allow it. Nothing was written.

    ``index`` says which of several requests was refused, from 0, where that is known.
    """

    index: int | None = None


class DuplicateJob(Refused):
    """A live job already holds the unique key, and the caller chose to be refused."""

    def __init__(self, unique_key: str, existing_id: str) -> None:
        self.unique_key = unique_key
        self.existing_id = existing_id
        super().__init__(f"unique key {unique_key!r} is held by job {existing_id}")


class IdempotencyMismatch(Refused):
    """The idempotency key was used before with another body."""

    def __init__(self, key: str, job_id: str) -> None:
        self.key = key
        self.job_id = job_id
        super().__init__(f"idempotency key {key!r} was used with another body, for job {job_id}")


class IllegalMove(Refused):
    """The job's state does not allow this operation."""

    def __init__(self, job_id: str, state: str, operation: str) -> None:
        self.job_id = job_id
        self.state = state
        self.operation = operation
        super().__init__(f"cannot {operation} job {job_id}: it is {state}")


class NotADeadLetter(Refused):
    """The job is no failed job that waits to be dealt with: it is live, ended well, or was dealt with."""

    def __init__(self, job_id: str, state: str) -> None:
        self.job_id = job_id
        self.state = state
        super().__init__(f"job {job_id} is no dead letter: it is {state}, or somebody has dealt with it")


class BatchSealed(Refused):
    """Members are added before a batch is sealed, later only by its own running members."""


class BatchClosed(Refused):
    """All members of the batch have ended, so there is nothing left to cancel."""


class EventLogOff(Refused):
    """The namespace keeps no log of events: switch it on before you read it."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        super().__init__(
            f"the event log of namespace {namespace!r} is off: `headrace events --keep 7d` or "
            "`await app.keep_events()` switches it on"
        )


class CursorTooOld(Refused):
    """Events after this cursor were trimmed, so going on would leave a gap. Begin again with ``oldest``."""

    def __init__(self, cursor: str) -> None:
        self.cursor = cursor
        super().__init__(f"events after {cursor!r} are not all kept any more: begin again with 'oldest'")


class QueueFull(Refused):
    """A queue holds as many waiting jobs as it may, and drops none for newer ones."""

    def __init__(self, queue: str, max_length: int, *, waiting: int, coming: int) -> None:
        self.queue = queue
        self.max_length = max_length
        self.waiting = waiting
        self.coming = coming
        super().__init__(
            f"queue {queue!r} takes at most {max_length} waiting jobs, holds {waiting} and cannot take "
            f"{coming} more: try again later, enqueue fewer at once, or raise its max_length"
        )


class StaleRegister(Refused):
    """A register has another revision than the one expected."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"register {key!r} was changed meanwhile")


class NotFound(HeadraceError):
    """What was asked for does not exist here."""


class JobNotFound(NotFound):
    """No such job in this namespace."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"no job {job_id!r}")


class BatchNotFound(NotFound):
    """No such batch in this namespace."""

    def __init__(self, batch_id: str) -> None:
        self.batch_id = batch_id
        super().__init__(f"no batch {batch_id!r}")


class ScheduleNotFound(NotFound):
    """No such schedule in this namespace."""

    def __init__(self, schedule_id: str) -> None:
        self.schedule_id = schedule_id
        super().__init__(f"no schedule {schedule_id!r}")


class LimitNotFound(NotFound):
    """No limit of this name is defined in this namespace."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"no limit {name!r} is defined")


class BreakerNotFound(NotFound):
    """No job type names this breaker, and nobody has opened it."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"no breaker {name!r}")


class AlertNotFound(NotFound):
    """No alert rule of this name in this namespace."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"no alert rule {name!r}")


class FileNotFound(NotFound):
    """No such stored file in this namespace."""

    def __init__(self, file_id: str) -> None:
        self.file_id = file_id
        super().__init__(f"no file {file_id!r}")


class LeaseLost(HeadraceError):
    """The job's fence has moved on: somebody else holds it, or it has ended. Nothing was written."""

    def __init__(self, job_id: str, fence: int) -> None:
        self.job_id = job_id
        self.fence = fence
        super().__init__(f"lease of job {job_id} (fence {fence}) is lost")


class StoreError(HeadraceError):
    """The store could not do what was asked."""


class StoreUnavailable(StoreError):
    """The store does not answer, or is too busy. Nothing is known to be written; try again later."""


class OutcomeUnknown(StoreError):
    """The reply was lost, so the write may or may not have happened.

    Repeating with the same idempotency key or the same fence is safe.
    """


class StoreFull(StoreError):
    """There is no space left on the store's device. Nothing was written."""


class StoreUnusable(StoreError):
    """The store refuses to work until somebody changes the set-up; waiting does not help."""


class SchemaTooNew(StoreUnusable):
    """The store was written by a newer Headrace. Upgrade this program."""


class NetworkFilesystem(StoreUnusable):
    """The SQLite file lies on a network file system, where its locks do not hold."""


class UsedAfterFork(StoreUnusable):
    """An open store was carried into a forked child. Open a new one in the child."""


class SecondSQLiteLibrary(StoreUnusable):
    """Another SQLite library has the file open in this process, which destroys the file's locks."""


class MisuseError(HeadraceError):
    """The library was called in a way that cannot work; the message says what to do instead."""


class WaitTimeout(HeadraceError):
    """The result did not come within the time given. The job goes on."""


class SignalTimeout(HeadraceError):
    """The signal did not come within the time given. A repeated attempt is told the same.

    A handler that lets it out fails its job at once: another attempt would be told nothing else.
    """

    def __init__(self, signal: str) -> None:
        self.signal = signal
        super().__init__(f"signal {signal!r} did not come in time")


class JobEnded(HeadraceError):
    """The job ended without a result."""


class JobFailed(JobEnded):
    """The job failed for good."""

    def __init__(self, job_id: str, error_type: str, message: str) -> None:
        self.job_id = job_id
        self.error_type = error_type
        self.error_message = message
        super().__init__(f"job {job_id} failed: {error_type}: {message}")


class JobCancelled(JobEnded):
    """The job was cancelled. ``reason`` says why, where nobody asked for it."""

    def __init__(self, job_id: str, reason: str = "") -> None:
        self.job_id = job_id
        self.reason = reason
        super().__init__(f"job {job_id} was cancelled{reason and ': '}{reason}")


class HandlerSignal(Exception):
    """Base of the words a handler raises to end its attempt in a certain way."""


class Permanent(HandlerSignal):
    """Retrying cannot help: the job fails at once."""


class Transient(HandlerSignal):
    """The fault should pass: retry with the ordinary back-off."""


class Exhausted(HandlerSignal):
    """A resource (quota, memory, connections) is used up: retry with linear back-off.

    ``retry_after`` is in seconds and wins over the back-off, within the policy's cap.
    """

    def __init__(self, message: str = "resource exhausted", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Snooze(HandlerSignal):
    """Come back in ``delay`` seconds. Costs no attempt; bounded by the policy's ``max_snoozes``."""

    def __init__(self, delay: float, reason: str = "") -> None:
        super().__init__(reason or f"snoozed for {delay} s")
        self.delay = delay


class Cancel(HandlerSignal):
    """End this job as cancelled."""

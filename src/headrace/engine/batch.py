"""A batch as its program uses it: add members, seal, watch, wait."""

from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Protocol, Self

from headrace.core.batch import Counts
from headrace.core.batch_request import NewBatch
from headrace.core.batch_wire import BatchView
from headrace.core.filters import JobFilter, Page
from headrace.core.job import Job
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.engine.flow import Flow, requests_of
from headrace.engine.handle import Handle
from headrace.engine.operations import Operations
from headrace.errors import MisuseError

_AT_ONCE = 1_000


class BatchSource(Protocol):
    """Where a batch reaches the engine."""

    async def operations(self) -> Operations:
        """The engine, opened."""
        ...

    async def enqueue_many(
        self, requests: Sequence[EnqueueRequest], *, tx: object = None
    ) -> Sequence[Handle[Any]]:
        """Enqueues all requests or none, in order."""
        ...


class Batch:
    """Jobs that are counted, watched and finished together.

    ``async with app.batch(on_complete=...) as batch`` makes it, and seals it at the end of the block. A
    block that raises leaves it open, so that no callback takes half a batch for a whole one: go on with
    ``app.open_batch(batch.id)``, or cancel it.
    """

    def __init__(
        self,
        source: BatchSource,
        *,
        new: NewBatch | None = None,
        batch_id: str | None = None,
        seal: bool = True,
    ) -> None:
        self._source = source
        self._new = new
        self._id = batch_id
        self._seals = seal

    async def __aenter__(self) -> Self:
        if self._id is None:
            operations = await self._source.operations()
            self._id = (await operations.create_batch(self._new or NewBatch())).state.id
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._seals:
            await self.seal()

    def __repr__(self) -> str:
        return f"Batch({self._id!r})"

    @property
    def id(self) -> str:
        """Its id, ``batch_<milliseconds>_<entropy>``. Raises MisuseError before it is made."""
        if self._id is None:
            msg = "this batch is not made yet: enter it with `async with app.batch(...) as batch`"
            raise MisuseError(msg)
        return self._id

    async def add(self, *requests: EnqueueRequest | Flow) -> Sequence[Handle[Any]]:
        """Enqueues members, all or none, in order; they may start at once. One handle each.

        A request whose unique key or idempotency key stands for a job that is there already adds no member.
        Raises BatchSealed, and what ``app.enqueue_many`` raises.
        """
        members = [replace(one, batch_id=self.id) for one in requests_of(requests)]
        return await self._source.enqueue_many(members)

    async def seal(self) -> None:
        """Nobody but running members may add more. Once all members have ended, the callbacks come."""
        await (await self._source.operations()).seal_batch(self.id)

    async def view(self) -> BatchView:
        """The batch as it is now, with the numbers of its members."""
        return await (await self._source.operations()).batch(self.id)

    async def summary(self) -> Counts:
        """How many members there are in all and in each state."""
        return (await self.view()).counts

    async def jobs(self, *states: State) -> Sequence[Job]:
        """Its members, in the order in which they were added; of these states, if any are named."""
        operations = await self._source.operations()
        wanted = JobFilter(batch_id=self.id, states=frozenset(states))
        found: list[Job] = []
        cursor = None
        while True:
            page = await operations.jobs(wanted, Page(limit=_AT_ONCE, before=cursor))
            found.extend(page.jobs)
            cursor = page.cursor
            if cursor is None:
                return found[::-1]

    async def cancel(self) -> int:
        """Seals it, cancels members that wait and asks those that run to stop; returns how many there were.

        Raises BatchClosed if all have ended.
        """
        return await (await self._source.operations()).cancel_batch(self.id)

    async def retry(self) -> int:
        """Runs all failed members again and returns how many. A closed batch will call back once more."""
        return await (await self._source.operations()).retry_batch(self.id)

    async def wait(self, timeout: float | None = None) -> Counts:
        """The numbers of its members once it is sealed and all of them have ended.

        ``timeout`` is in seconds. Raises WaitTimeout.
        """
        operations = await self._source.operations()
        timeout_ms = None if timeout is None else round(timeout * 1000)
        return (await operations.wait_for_batch(self.id, timeout_ms=timeout_ms)).counts

"""What handlers tell while they run, gathered and written in batches under their fence.

Progress of a job is written at most twice a second, the newest wins; log lines travel with it. A checkpoint
or a step goes out at once. Everything is written before the outcome of its job.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeVar

from headrace.core.coalescing import Coalescer
from headrace.core.flow import Parent
from headrace.core.request import EnqueueRequest
from headrace.core.steps import Kept, Step, StepKind
from headrace.engine.work import Holder, LogLine, Note, WorkSource
from headrace.errors import LeaseLost, StoreError
from headrace.worker.link import Said
from headrace.worker.waiting import Patience, rings

PACE: Final = 0.5
MAX_LINES: Final = 1_000
T = TypeVar("T")


@dataclass(slots=True)
class _Draft:
    progress: str | None = None
    checkpoint: str | None = None
    timed_out_at: int | None = None
    lines: list[LogLine] = field(default_factory=list[LogLine])
    left_out: int = 0
    steps: list[Step] = field(default_factory=list[Step])
    waiting: list[Said[None]] = field(default_factory=list[Said[None]])

    def note(self, holder: Holder) -> Note:
        lines = tuple(self.lines)
        if self.left_out:
            message = f"{self.left_out} lines left out: the job logs faster than they can be kept"
            lines += (LogLine(at=lines[-1].at, level="warning", message=message),)
        return Note(
            holder=holder,
            progress=self.progress,
            checkpoint=self.checkpoint,
            timed_out_at=self.timed_out_at,
            lines=lines,
            steps=tuple(self.steps),
        )

    def under(self, newer: "_Draft") -> "_Draft":
        """This draft, not written after all, with what was told since laid over it."""
        return _Draft(
            checkpoint=newer.checkpoint or self.checkpoint,
            timed_out_at=newer.timed_out_at or self.timed_out_at,
            lines=(self.lines + newer.lines)[-MAX_LINES:],
            left_out=self.left_out + newer.left_out,
            steps=self.steps + newer.steps,
            waiting=self.waiting + newer.waiting,
        )


class Notes:
    """The ``Outbox`` of a worker."""

    def __init__(self, work: WorkSource, on_lost: Callable[[frozenset[Holder]], None]) -> None:
        self._work = work
        self._on_lost = on_lost
        self._lock = threading.Lock()
        self._drafts: dict[Holder, _Draft] = {}
        self._progress: Coalescer[Holder, str] = Coalescer(PACE)
        self._loop = asyncio.get_running_loop()
        self._dirty = asyncio.Event()
        self._urgent = asyncio.Event()
        self._writing = asyncio.Lock()
        self._asked: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def waiting(self) -> bool:
        """Whether anything is not written yet; what is being written is not either."""
        return bool(self._drafts) or self._progress.waiting or self._writing.locked()

    def progress(self, holder: Holder, progress: str) -> None:
        with self._lock:
            self._progress.offer(holder, progress)
        self._ring(self._dirty)

    def log(self, holder: Holder, level: str, message: str, data: str | None) -> None:
        line = LogLine(at=self._work.clock.now(), level=level, message=message, data=data)
        with self._lock:
            draft = self._draft(holder)
            if len(draft.lines) < MAX_LINES:
                draft.lines.append(line)
            else:
                draft.left_out += 1
        self._ring(self._dirty)

    def checkpoint(self, holder: Holder, data: str, done: Said[None]) -> None:
        with self._lock:
            draft = self._draft(holder)
            draft.checkpoint = data
            draft.waiting.append(done)
            closed = self._closed
        if closed:
            done.set_exception(LeaseLost(holder.job_id, holder.fence))
        self._ring(self._urgent)

    def timed_out(self, holder: Holder, at: int) -> None:
        """Notes that the job is past its time limit and still runs."""
        with self._lock:
            self._draft(holder).timed_out_at = at
        self._ring(self._urgent)

    def enqueue(
        self, holder: Holder, requests: Sequence[EnqueueRequest], done: Said[tuple[str, ...]]
    ) -> None:
        self._ask(holder, partial(self._work.enqueue, holder, requests), done)

    def parents(self, holder: Holder, done: Said[tuple[Parent, ...]]) -> None:
        self._ask(holder, partial(self._read, partial(self._work.parents, holder)), done)

    def kept(self, holder: Holder, done: Said[Kept]) -> None:
        self._ask(holder, partial(self._read, partial(self._work.kept, holder)), done)

    def keep(self, holder: Holder, step: Step, done: Said[None]) -> None:
        if step.kind is StepKind.STEP:  # a handler in a child process does not know store time
            now = self._work.clock.now()
            step = replace(step, at=now, ended_at=now)
        with self._lock:
            draft = self._draft(holder)
            draft.steps.append(step)
            draft.waiting.append(done)
            closed = self._closed
        if closed:
            done.set_exception(LeaseLost(holder.job_id, holder.fence))
        self._ring(self._urgent)

    async def run(self) -> None:
        """Writes what is told, for as long as the worker lives."""
        patience = Patience()
        while True:
            await self._dirty.wait()
            try:
                await self.flush_paced()
                patience.answered()
            except StoreError as error:
                await asyncio.sleep(patience.failed(error))
                self._dirty.set()
            await rings(self._urgent, PACE)

    async def flush(self) -> None:
        """Writes all that was told so far. Raises StoreError, and keeps it for the next time."""
        async with self._writing:
            self._quieten()
            with self._lock:
                drafts = self._taken(self._progress.take_all(self._loop.time()))
            await self._write_all(drafts)

    async def flush_paced(self, ending: Collection[Holder] = ()) -> None:
        """As ``flush``, but progress that comes too soon after the last is left for later.

        Of those whose attempt is ending everything is written.
        """
        async with self._writing:
            self._quieten()
            with self._lock:
                drafts = self._taken(self._progress.take(self._loop.time(), ending))
            await self._write_all(drafts)

    def _taken(self, progress: Mapping[Holder, str]) -> dict[Holder, _Draft]:
        for holder, text in progress.items():
            self._draft(holder).progress = text
        drafts, self._drafts = self._drafts, {}
        return drafts

    def _quieten(self) -> None:
        """Before the drafts are taken: what a thread tells after that rings again."""
        self._dirty.clear()
        self._urgent.clear()

    async def _write_all(self, drafts: dict[Holder, _Draft]) -> None:
        if drafts:
            await self._write(drafts)
        if self._progress.waiting:
            self._dirty.set()

    def close(self) -> None:
        """Takes nothing more: whoever still runs has lost its job."""
        with self._lock:
            self._closed = True
            drafts, self._drafts = self._drafts, {}
            self._progress.clear()
        for holder, draft in drafts.items():
            for done in draft.waiting:
                done.set_exception(LeaseLost(holder.job_id, holder.fence))
        for task in self._asked:
            task.cancel()

    async def _write(self, drafts: dict[Holder, _Draft]) -> None:
        self._drop_superseded(drafts)
        try:
            lost = await self._work.note([draft.note(holder) for holder, draft in drafts.items()])
        except (StoreError, asyncio.CancelledError):
            with self._lock:
                self._progress.put_back(
                    {holder: draft.progress for holder, draft in drafts.items() if draft.progress is not None}
                )
                for holder, draft in drafts.items():
                    draft.progress = None
                    self._drafts[holder] = draft.under(self._drafts.get(holder, _Draft()))
            raise
        except Exception as error:  # boundary: a note that cannot be written must not stop the worker
            for draft in drafts.values():
                for done in draft.waiting:
                    done.set_exception(error)
            return
        for holder, draft in drafts.items():
            for done in draft.waiting:
                if holder.job_id in lost:
                    done.set_exception(LeaseLost(holder.job_id, holder.fence))
                else:
                    done.set_result(None)
        if lost:
            self._on_lost(frozenset(holder for holder in drafts if holder.job_id in lost))

    def _drop_superseded(self, drafts: dict[Holder, _Draft]) -> None:
        """Leaves out what a past attempt still tells of a job that tells under a newer fence.

        The store names lost jobs by their id, which must not be taken for the newer attempt's.
        """
        newest: dict[str, int] = {}
        for holder in drafts:
            newest[holder.job_id] = max(holder.fence, newest.get(holder.job_id, 0))
        for holder in [one for one in drafts if one.fence < newest[one.job_id]]:
            for done in drafts.pop(holder).waiting:
                done.set_exception(LeaseLost(holder.job_id, holder.fence))

    async def _read(self, read: Callable[[], Awaitable[T]]) -> T:
        """Waits for a store that does not answer, as what is written does."""
        patience = Patience()
        while True:
            try:
                return await read()
            except StoreError as error:
                await asyncio.sleep(patience.failed(error))

    async def _answer(self, holder: Holder, ask: Callable[[], Awaitable[T]], done: Said[T]) -> None:
        try:
            done.set_result(await ask())
        except BaseException as error:  # boundary: belongs to the handler that waits for it
            done.set_exception(error)
            if isinstance(error, LeaseLost):
                self._on_lost(frozenset({holder}))

    def _ask(self, holder: Holder, ask: Callable[[], Awaitable[T]], done: Said[T]) -> None:
        if self._closed:
            done.set_exception(LeaseLost(holder.job_id, holder.fence))
        else:
            self._loop.call_soon_threadsafe(partial(self._spawn, holder, ask, done))

    def _spawn(self, holder: Holder, ask: Callable[[], Awaitable[T]], done: Said[T]) -> None:
        if self._closed:  # meanwhile
            done.set_exception(LeaseLost(holder.job_id, holder.fence))
            return
        task = self._loop.create_task(self._answer(holder, ask, done))
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    def _draft(self, holder: Holder) -> _Draft:
        draft = self._drafts.get(holder)
        if draft is None:
            draft = self._drafts[holder] = _Draft()
        return draft

    def _ring(self, bell: asyncio.Event) -> None:
        if not bell.is_set() and not self._closed:
            self._loop.call_soon_threadsafe(self._wake, bell)

    def _wake(self, bell: asyncio.Event) -> None:
        bell.set()
        self._dirty.set()

"""The worker's organs, and how they are wired."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from headrace.core.outcomes import Outcome, Parked, Released, Report
from headrace.engine.registry import Registry
from headrace.engine.work import Holder, WorkerHello, WorkSource
from headrace.errors import StoreError
from headrace.worker import endings
from headrace.worker.buffer import Buffer
from headrace.worker.chunk_call import HeldChunk, HeldMessage
from headrace.worker.chunk_runner import ChunkRunner
from headrace.worker.events import OnEvent, StopAsked
from headrace.worker.feed import Feed
from headrace.worker.held import Held, Holdings, Why
from headrace.worker.limits import Limits
from headrace.worker.log import log
from headrace.worker.notes import Notes
from headrace.worker.pools import Pools
from headrace.worker.pulse import Pulse
from headrace.worker.runner import Runner
from headrace.worker.settings import WorkerSettings
from headrace.worker.settler import Settler
from headrace.worker.transacting import Transacting

FLUSH_S: Final = 5.0

_MOOT: Final = frozenset({Why.CANCEL, Why.LOST, Why.LAPSED})
"""No reason to stop a handler that has completed its job in a transaction: there is no lease any more."""


class Organs:
    """Everything a running worker is made of."""

    def __init__(  # noqa: PLR0913 - what the organs share
        self,
        work: WorkSource,
        registry: Registry,
        settings: WorkerSettings,
        *,
        hello: Callable[[], WorkerHello],
        exit_wanted: Callable[[], None],
        on_event: OnEvent | None,
    ) -> None:
        self.gave_up = False
        self._settings = settings
        self._exit_wanted = exit_wanted
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._empty = asyncio.Event()
        self._alone_turn = asyncio.Event()
        self._fed: asyncio.Task[None] | None = None
        self.holdings = Holdings()
        self.notes = Notes(work, self._lost_by_note)
        self.settler = Settler(work, self.notes, self.holdings, on_event)
        self.runner = Runner(work, settings, self.notes, on_event)
        self.transacting = Transacting(work, self.notes.flush_paced)
        self.runner.transactor = self.transacting
        self.pools = Pools(self.runner, settings, self._ended)
        self.buffer = Buffer(settings, self._start)
        self.chunks = ChunkRunner(
            self.runner,
            settings,
            clock=work.clock,
            settle=self.settler.put,
            ended=self.buffer.ended,
            on_event=on_event,
        )
        self.feed = Feed(
            work,
            registry,
            settings,
            holdings=self.holdings,
            buffer=self.buffer,
            settler=self.settler,
            give_back=self._give_back,
            park=self._park,
            superseded=self._superseded,
            can_isolate=self.pools.can_isolate,
            call_of=self.chunks.call_of,
            on_event=on_event,
        )
        self.limits = Limits(
            self.buffer.running,
            settings,
            clock=work.clock,
            notes=self.notes,
            stop=self.stop_one,
            force=self._force,
            give_up=self._give_up,
            on_event=on_event,
        )
        self.pulse = Pulse(
            work,
            settings,
            self.holdings,
            tell=self.stop_all,
            hello=hello,
            died=self._pulse_died,
            on_event=on_event,
        )
        self.buffer.emptied = self._emptied
        self.settler.relieved = self.feed.ring
        self.feed.hinted = self.pulse.hurry

    def spawn(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Starts the loops of all organs."""
        self._fed = group.create_task(self.feed.run())
        others = (self.feed.listen, self.settler.run, self.notes.run, self._run_alone)
        return [self._fed, *(group.create_task(loop()) for loop in others)]

    def quiet(self) -> None:
        """Claims nothing more, and gives back what has not started."""
        self.feed.quiet()
        self._give_back(self.buffer.drain(), Why.SHUTDOWN.value)

    async def wind_down(self, grace_s: float, hurry: asyncio.Event) -> None:
        """Brings the worker to rest: everything is settled or given up when this returns."""
        self.quiet()
        await self._until_empty(grace_s, hurry)
        self.stop_all(tuple(self.buffer.running), Why.SHUTDOWN)
        half = self._settings.stop_after_ms / 2000
        if not await self._until_empty(half, asyncio.Event()):
            for held in tuple(self.buffer.running):
                held.forced += 1
                self._force(held)
            await self._until_empty(half, asyncio.Event())
        if self._fed is not None:
            await asyncio.wait([self._fed], timeout=FLUSH_S)
        self._abandon()
        if not await self.settler.settled(FLUSH_S):
            log("outcomes_not_settled", jobs=self.settler.unsettled)
        else:
            await self._flush_notes()

    def close(self) -> tuple[str, ...]:
        """Lets go of everything; returns the types of handlers that still run."""
        self.limits.close()
        self.transacting.close()
        self.notes.close()
        self.pools.close()
        self.chunks.close()
        for held in self.buffer.running:
            held.abandoned = True
            if held.task is not None:
                held.task.cancel()
        return tuple(sorted(held.job.facts.type for held in self.buffer.running))

    def stop_all(self, batch: Sequence[Held], why: Why) -> None:
        """Tells these jobs to stop."""
        for held in batch:
            self.stop_one(held, why)

    def stop_one(self, held: Held, why: Why) -> None:
        """Tells a job to stop, and its handler if it runs. The first reason stands, but for a lost lease."""
        if isinstance(held, HeldMessage):
            self._stop_message(held, why)
            return
        if held.stopping is not None and why is not Why.LOST:
            return
        if why in _MOOT and held.link is not None and held.link.completed:
            return
        told = held.stopping is not None
        held.stopping = why
        held.stop_since = self._loop.time()
        if held.link is not None:
            held.link.cancelled = True
        if isinstance(held, HeldChunk):
            held.told(why)
        if self.buffer.drop(held):
            self._settle_parts(held, lambda part: endings.settled(part, None))
        elif held in self.buffer.running and not told:
            if self._on_event is not None:
                self._on_event(StopAsked(held.job, why.value))
            if isinstance(held, HeldChunk):
                self.chunks.tell(held)
            else:
                self.pools.tell(held, why)
            self.limits.arm()

    def _stop_message(self, message: HeldMessage, why: Why) -> None:
        """A message of a chunk is not wanted any more. Its call goes on while there are others."""
        call = message.call
        if message.answered or call is None or (message.stopping is not None and why is not Why.LOST):
            return
        message.stopping = why
        if why is Why.LOST or call not in self.buffer.running:
            call.answer(message, endings.settled(message, None))
        if all(part.stopping is not None for part in call.parts):
            self.stop_one(call, why)

    def _force(self, held: Held) -> None:
        if isinstance(held, HeldChunk):
            self.chunks.force(held)
        else:
            self.pools.force(held)

    def _start(self, held: Held) -> None:
        if isinstance(held, HeldChunk):
            self.chunks.start(held)
        else:
            self.pools.start(held)
        if held.deadline is not None:
            self.limits.arm()

    def _ended(self, held: Held, report: Report) -> None:
        if not held.abandoned:
            self.settler.put(held, report)
        self.buffer.ended(held)

    def _give_back(self, batch: Sequence[Held], reason: str) -> None:
        for held in batch:
            self._settle_parts(held, lambda _: Released(reason=reason))

    def _settle_parts(self, held: Held, outcome_of: Callable[[Held], Outcome]) -> None:
        """Reports a job, or each message of a call; its handler has no say any more."""
        for part in held.parts:
            self.settler.put(part, self.runner.report(part, outcome_of(part)))
        if isinstance(held, HeldChunk):
            held.close()

    def _park(self, held: Held, lane: str) -> None:
        self.settler.put(held, self.runner.report(held, Parked(lane=lane)))

    def _superseded(self, batch: Sequence[Held]) -> None:
        self.stop_all(batch, Why.LOST)

    def _lost_by_note(self, holders: frozenset[Holder]) -> None:
        for holder in holders:
            held = self.holdings.get(holder.job_id)
            if held is not None and held.job.fence == holder.fence:
                self.stop_one(held, Why.LOST)

    def _give_up(self, held: Held) -> None:
        """The handler cannot be stopped: claims nothing more, finishes the rest, asks for a new process."""
        if not self.gave_up:
            self.gave_up = True
            log("handler_cannot_be_stopped", job=held.job.id, type=held.job.facts.type)
            self._exit_wanted()

    def _pulse_died(self) -> None:
        """Nobody renews any more: what runs must stop before somebody else may start it."""
        self.gave_up = True
        self.stop_all(self.holdings.all(), Why.LAPSED)
        self._exit_wanted()

    def _emptied(self) -> None:
        self._empty.set()
        self._alone_turn.set()

    async def _until_empty(self, seconds: float, hurry: asyncio.Event) -> bool:
        """Whether no handler runs any more; waits for it, but no longer than until ``hurry``."""
        deadline = self._loop.time() + seconds
        while self.buffer.running and not hurry.is_set():
            self._empty.clear()
            empty, hurried = (self._loop.create_task(one.wait()) for one in (self._empty, hurry))
            left = max(0.0, deadline - self._loop.time())
            done, rest = await asyncio.wait(
                [empty, hurried], timeout=left, return_when=asyncio.FIRST_COMPLETED
            )
            for task in rest:
                task.cancel()
            if not done:
                break
        return not self.buffer.running

    def _abandon(self) -> None:
        """Gives back what cannot be stopped; the fence keeps it from changing anything any more.

        A job past its time limit is left to the rescue, which counts the failure (C21, C23).
        """
        for held in self.buffer.running:
            held.abandoned = True
            if held.stopping is not Why.TIMEOUT:
                self._settle_parts(held, lambda _: Released(reason=Why.SHUTDOWN.value))
            elif isinstance(held, HeldChunk):
                held.close()

    async def _flush_notes(self) -> None:
        """Writes what is known of jobs that have no outcome, such as that they are past their time limit."""
        try:
            async with asyncio.timeout(FLUSH_S):
                await self.notes.flush()
        except (StoreError, TimeoutError) as error:
            log("notes_not_written", error=repr(error))

    async def _run_alone(self) -> None:
        """Runs jobs that must run by themselves: nothing else is held here while one of them runs (C22)."""
        was_alone = False
        while True:
            await self._alone_turn.wait()
            self._alone_turn.clear()
            if self.buffer.running:
                continue
            if self.buffer.solo:
                was_alone = True
                await self._make_room_for_one()
            elif was_alone:
                was_alone = False
                self.buffer.fill()
                self.feed.ring()

    async def _make_room_for_one(self) -> None:
        first = self.buffer.solo[0]
        back = [held for held in self.buffer.drain() if held is not first]
        self._give_back(back, f"{first.job.facts.type} runs alone")
        self.buffer.solo.clear()
        self.buffer.solo.append(first)
        while not await self.settler.settled(FLUSH_S):
            log("alone_waits_for_the_store", job=first.job.id)
        if self.buffer.solo and not self.buffer.running:
            self.buffer.start_alone()

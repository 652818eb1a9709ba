"""Collects outcomes and reports them in batches, again and again until the store has them.

Repeating is safe: a report carries the fence of its attempt, and the second one is answered with
the first one's effect. While a report is under way the next batch gathers by itself.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from headrace.core.outcomes import Report
from headrace.engine.work import Holder, Reported, WorkSource
from headrace.errors import StoreError, StoreUnusable
from headrace.worker.events import Finished, LeaseGone, OnEvent, StoreLost
from headrace.worker.held import Held, Holdings
from headrace.worker.log import log
from headrace.worker.notes import Notes
from headrace.worker.waiting import Patience, rings

BATCH: Final = 1_000
BEHIND: Final = 2 * BATCH
LINGER_TURNS: Final = 4

Ended = tuple[Held, Report]


class Settler:
    """Takes outcomes and settles them."""

    def __init__(self, work: WorkSource, notes: Notes, holdings: Holdings, on_event: OnEvent | None) -> None:
        self.counts: Counter[str] = Counter()
        self.relieved: Callable[[], None] = _nothing
        self._work = work
        self._notes = notes
        self._holdings = holdings
        self._on_event = on_event
        self._waiting: list[Ended] = []
        self._under_way: Sequence[Ended] = ()
        self._bell = asyncio.Event()
        self._settled = asyncio.Event()
        self._hurried = asyncio.Event()
        self._patience = Patience()

    @property
    def unsettled(self) -> int:
        """How many outcomes the store does not have yet."""
        return len(self._waiting) + len(self._under_way)

    @property
    def behind(self) -> bool:
        """Whether so much is unsettled that nothing new should be claimed."""
        return len(self._waiting) > BEHIND

    def put(self, held: Held, report: Report) -> None:
        """Takes the outcome of an attempt."""
        self._waiting.append((held, report))
        if len(self._waiting) == 1:
            self._bell.set()

    async def run(self) -> None:
        """Settles, for as long as the worker lives."""
        while True:
            await self._bell.wait()
            self._bell.clear()
            await self._gather()
            while self._waiting:
                self._under_way = self._waiting[:BATCH]
                del self._waiting[:BATCH]
                await self._settle(self._under_way)
                self._under_way = ()
                self._settled.set()
                if len(self._waiting) <= BEHIND:
                    self.relieved()

    async def settled(self, seconds: float) -> bool:
        """Waits until nothing is unsettled; False if that takes longer."""
        deadline = asyncio.get_running_loop().time() + seconds
        while self.unsettled:
            self._settled.clear()
            self._hurried.set()
            if not await rings(self._settled, deadline - asyncio.get_running_loop().time()):
                return not self.unsettled
        return True

    async def _gather(self) -> None:
        """Lets outcomes that end in these very turns of the loop come along."""
        for _ in range(LINGER_TURNS):
            before = len(self._waiting)
            await asyncio.sleep(0)
            if len(self._waiting) == before or before >= BATCH:
                return

    async def _settle(self, batch: Sequence[Ended]) -> None:
        while True:
            try:
                await self._flush_notes(batch)
                self._answered(batch, await self._work.report([report for _, report in batch]))
            except StoreUnusable:
                raise
            except StoreError as error:
                pause = self._patience.failed(error)
                log("outcomes_not_settled", error=repr(error), jobs=len(batch), retry_in=pause)
                if self._on_event is not None:
                    self._on_event(StoreLost("report", error, pause))
                self._hurried.clear()
                await rings(self._hurried, pause)
            except Exception as error:  # boundary: one bad report must not hold up the rest
                await self._one_by_one(batch, error)
                return
            else:
                self._patience.answered()
                return

    async def _flush_notes(self, batch: Sequence[Ended]) -> None:
        if self._notes.waiting:
            await self._notes.flush_paced(
                frozenset(Holder(job_id=one.job_id, fence=one.fence) for _, one in batch)
            )

    async def _one_by_one(self, batch: Sequence[Ended], error: Exception) -> None:
        if len(batch) > 1:
            for one in batch:
                await self._settle((one,))
            return
        held, _ = batch[0]
        log("outcome_refused", job=held.job.id, type=held.job.facts.type, error=repr(error))
        self._holdings.remove([held])

    def _answered(self, batch: Sequence[Ended], answers: Sequence[Reported]) -> None:
        self._holdings.remove([held for held, _ in batch])
        counts = self.counts
        for (_, report), answer in zip(batch, answers, strict=True):
            counts["lost" if answer.lost else type(report.outcome).__name__] += 1
        if self._on_event is not None:
            for (held, report), answer in zip(batch, answers, strict=True):
                self._on_event(
                    LeaseGone(held.job) if answer.lost else Finished(held.job, report.outcome, answer.state)
                )


def _nothing() -> None:
    return None

"""The service that runs the chores, each at its own pace, for as long as it is open."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Any, Final, Self

from headrace.clock import Clock
from headrace.core.backoff import Backoff, Jitter
from headrace.engine.aftermath import Aftermath
from headrace.engine.alert_delivery import AlertFunction
from headrace.engine.local import LocalOperations
from headrace.errors import StoreError, StoreUnusable
from headrace.stores.protocol import Store
from headrace.upkeep.alerts import WatchAlerts
from headrace.upkeep.breakers import HealBreakers
from headrace.upkeep.chore import Chore, ChoreResult
from headrace.upkeep.close_batches import CloseBatches, ForgetBatches
from headrace.upkeep.dead_queues import FillDeadLetterQueues
from headrace.upkeep.fire import FireSchedules
from headrace.upkeep.free_children import FreeChildren
from headrace.upkeep.loops import SweepLoops
from headrace.upkeep.open_lanes import ForgetLanes, OpenLanes
from headrace.upkeep.prune import PruneBeyondCount, PruneJobs, TrimRecords
from headrace.upkeep.queues import ForgetLines, PutInLine
from headrace.upkeep.rescue import Rescue
from headrace.upkeep.sweep import Sweepable, SweepFiles
from headrace.upkeep.trim_events import TrimEvents
from headrace.upkeep.unpark import Unpark

JITTER: Final = 0.2
_RETRY: Final = Backoff.exponential(0.5, cap=30, jitter=Jitter.EQUAL)


@dataclass(frozen=True, slots=True)
class ChoreDone:
    """A chore ran."""

    name: str
    result: ChoreResult


@dataclass(frozen=True, slots=True)
class ChoreFailed:
    """The store did not let a chore run; it is tried again in ``retry_in`` seconds."""

    name: str
    error: Exception
    retry_in: float


OnChore = Callable[[ChoreDone | ChoreFailed], None]


def usual_chores(  # noqa: PLR0913 - what the chores stand on
    store: Store,
    clock: Clock,
    *,
    namespace: str,
    lease_ms: int,
    files: Sweepable | None = None,
    aftermath: Aftermath | None = None,
    alert_functions: Sequence[AlertFunction] = (),
) -> tuple[Chore, ...]:
    """The chores every installation needs; ``files`` is the file store to sweep, if there is one.

    ``aftermath`` is told of the jobs that are rescued; ``alert_functions`` are those of the program.
    """
    engine = LocalOperations(store, clock, namespace=namespace)
    chores: tuple[Chore, ...] = (
        Rescue(
            store,
            clock,
            every_ms=min(5_000, lease_ms // 2),
            hold_off_ms=lease_ms,
            aftermath=aftermath,
        ),
        Unpark(store, clock),
        OpenLanes(store, clock),
        ForgetLanes(store, clock),
        PruneJobs(store, clock),
        PruneBeyondCount(store, clock, namespace=namespace),
        TrimRecords(store, clock),
        TrimEvents(store, clock),
        FreeChildren(store, clock, aftermath=aftermath),
        CloseBatches(store, clock),
        ForgetBatches(store, clock, namespace=namespace),
        FireSchedules(store, clock),
        PutInLine(store, clock),
        ForgetLines(store, clock),
        SweepLoops(engine.loop_engine),
        HealBreakers(engine.breaker_engine),
        FillDeadLetterQueues(store, clock, namespace=namespace),
        WatchAlerts(store, clock, namespace=namespace, functions=alert_functions),
    )
    return chores if files is None else (*chores, SweepFiles(files))


class Upkeep:
    """Runs chores. An async context manager; ``start`` and ``stop`` are idempotent."""

    def __init__(self, chores: Sequence[Chore], *, on_event: OnChore | None = None) -> None:
        self._chores = tuple(chores)
        self._on_event = on_event
        self._rng = random.Random()
        self._main: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Starts the chores."""
        if self._main is None:
            self._main = asyncio.create_task(self._live(), name="headrace-upkeep")

    async def run(self) -> None:
        """Runs the chores until cancelled. Raises StoreUnusable if the store never will work."""
        await self.start()
        if self._main is not None:
            await self._main

    async def stop(self) -> None:
        """Stops after the store calls under way."""
        if self._main is not None:
            self._main.cancel()
            await asyncio.wait([self._main])

    async def _live(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for chore in self._chores:
                    group.create_task(self._repeat(chore))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _repeat(self, chore: Chore) -> None:
        failures = 0
        # processes started together must not do the same chore at the same moment for ever
        await asyncio.sleep(self._rng.uniform(0, chore.every_ms / 1000 * JITTER))
        while True:
            try:
                result = await chore.run_once()
            except StoreUnusable:
                raise
            except StoreError as error:
                failures += 1
                pause = _RETRY.delay_ms(failures, self._rng) / 1000
                self._failed(chore, error, pause)
            except Exception as error:  # boundary: one chore that cannot be done must not stop the others
                failures += 1
                pause = _RETRY.delay_ms(failures, self._rng) / 1000 + chore.every_ms / 1000
                self._failed(chore, error, pause)
            else:
                failures = 0
                pause = self._until_next(chore, result)
                self._done(chore, result)
            await asyncio.sleep(pause)

    def _until_next(self, chore: Chore, result: ChoreResult) -> float:
        if result.more:
            return 0.0
        if result.again_in_ms is not None:
            return max(0, result.again_in_ms) / 1000
        return self._about(chore.every_ms / 1000)

    def _about(self, seconds: float) -> float:
        return seconds * self._rng.uniform(1 - JITTER, 1 + JITTER)

    def _done(self, chore: Chore, result: ChoreResult) -> None:
        if result.done:
            _logger().info("chore_done", chore=chore.name, done=result.done)
        if self._on_event is not None:
            self._on_event(ChoreDone(chore.name, result))

    def _failed(self, chore: Chore, error: Exception, pause: float) -> None:
        _logger().warning("chore_failed", chore=chore.name, error=repr(error), retry_in=round(pause, 3))
        if self._on_event is not None:
            self._on_event(ChoreFailed(chore.name, error, pause))


@cache
def _logger() -> Any:  # noqa: ANN401 - structlog's loggers have no static type
    import structlog  # noqa: PLC0415 - quiet upkeep never needs it

    return structlog.get_logger("headrace.upkeep")

"""Claimed jobs that wait for a slot, and the slots.

One line per queue and pool. A line may hold what its pool gets through in one second, as measured,
and all lines together at most two batches, one to work on while the next is fetched: a job that waits
here is hidden from other workers.
"""

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from itertools import takewhile
from typing import Final

from headrace.core.job import Isolation
from headrace.engine.operations import Runs
from headrace.worker.held import Held, Line, Pool, QueueSlots
from headrace.worker.settings import WorkerSettings

AHEAD_S: Final = 1.0
BATCHES: Final = 2
MEASURE_EVERY: Final = 0.02
MEASURE_FIRST: Final = 0.002
NO_LIMIT: Final = 1_000_000_000

SOON_S: Final = 0.1
"""A slot that will be free within this time is as good as a free one to a job that must start at once."""

EMPTY_EVERY: Final = 1.0


class Buffer:
    """Starts claimed jobs as slots become free."""

    def __init__(self, settings: WorkerSettings, start: Callable[[Held], None]) -> None:
        self.running: set[Held] = set()
        self.solo: deque[Held] = deque()
        self.alone: Held | None = None
        self.hungry = False
        self.roomy: Callable[[], None] = _nothing
        self.emptied: Callable[[], None] = _nothing
        self._settings = settings
        self._start = start
        self._free = settings.concurrency
        self._waiting = 0
        self._calls: list[Held] = []
        self._pools = {
            Runs.ASYNC: _pool(Runs.ASYNC, settings.concurrency),
            Runs.THREAD: _pool(Runs.THREAD, min(settings.threads, settings.concurrency)),
            Runs.PROCESS: _pool(Runs.PROCESS, min(settings.processes, settings.concurrency)),
        }
        self._queues: dict[str, QueueSlots] = {}
        self._lines: dict[tuple[str, Runs], Line] = {}

    @property
    def closed(self) -> bool:
        """Whether a job that must run by itself keeps all others from starting."""
        return self.alone is not None or bool(self.solo)

    @property
    def waiting(self) -> int:
        """How many jobs wait here."""
        return self._waiting + len(self.solo) + len(self._calls)

    def put(self, batch: Iterable[Held]) -> None:
        """Takes claimed jobs and starts those that find a slot, first those that must start at once."""
        prompt: list[tuple[Held, Line]] = []
        for held in batch:
            if _must_run_alone(held):
                self.solo.append(held)
                continue
            line = self._line(held.job.facts.queue, held.runs)
            held.line = line
            line.pool.waiting += 1
            self._waiting += 1
            if held.job.placement.slot_key is not None and held.prompt:
                prompt.append((held, line))
            else:
                line.waiting.append(held)
        for held, line in reversed(prompt):
            line.waiting.appendleft(held)
        self.fill()
        if self.solo and not self.running:
            self.emptied()

    def put_calls(self, calls: Iterable[Held]) -> None:
        """Takes calls of chunks: each starts with the next slot that is free, ahead of what waits in lines.

        What waits in a line is sure of its turn, while a call would be held up by every job that comes.
        """
        for call in calls:
            if _must_run_alone(call):
                self.solo.append(call)
            else:
                call.line = self._line(call.job.facts.queue, call.runs)
                self._calls.append(call)
        self.fill()
        if self.solo and not self.running:
            self.emptied()

    def fill(self) -> None:
        """Starts what can be started."""
        if self.closed:
            return
        if self._calls:
            self._begin_calls()
        for line in tuple(self._lines.values()):
            if line.waiting:
                self._serve(line)
        # the first line is not always first: a full total would otherwise starve the others
        if len(self._lines) > 1:
            key = next(iter(self._lines))
            self._lines[key] = self._lines.pop(key)

    def ended(self, held: Held) -> None:
        """A handler has ended: its slot is free."""
        self.running.discard(held)
        line = held.line
        if line is not None:
            line.queue.running -= 1
            line.pool.free += 1
            line.done += 1
            self._free += 1
            if held is self.alone:
                self.alone = None
            if self.closed:
                pass
            elif self._calls:
                self.fill()
            elif line.waiting and line.queue.running < line.queue.limit:
                self._serve(line)
            elif self._waiting:
                self.fill()
            if self.hungry and line.pool.waiting <= line.pool.low:
                self.hungry = False
                self.roomy()
        if not self.running:
            self.emptied()

    def drop(self, held: Held) -> bool:
        """Takes out one job that waits; False if it does not."""
        if held in self.solo:
            self.solo.remove(held)
            return True
        if held in self._calls:
            self._calls.remove(held)
            return True
        line = held.line
        if line is None or held not in line.waiting:
            return False
        line.waiting.remove(held)
        line.pool.waiting -= 1
        self._waiting -= 1
        return True

    def drain(self, queues: Collection[str] | None = None) -> list[Held]:
        """Takes out all that waits, of these queues or of all."""
        out = [held for held in self.solo if queues is None or held.job.facts.queue in queues]
        self.solo = deque(held for held in self.solo if held not in out)
        calls = [call for call in self._calls if queues is None or call.job.facts.queue in queues]
        self._calls = [call for call in self._calls if call not in calls]
        out += calls
        for line in self._lines.values():
            if queues is None or line.queue.name in queues:
                out.extend(line.waiting)
                line.pool.waiting -= len(line.waiting)
                self._waiting -= len(line.waiting)
                line.waiting.clear()
        return out

    def start_alone(self) -> None:
        """Starts the next job that must run by itself; nothing else runs now."""
        held = self.alone = self.solo.popleft()
        line = self._line(held.job.facts.queue, held.runs)
        held.line = line
        self._begin(held, line)

    def room(self, runs: Runs) -> int:
        """How many more jobs of that kind are wanted: free slots, and one second of work ahead."""
        pool = self._pools[runs]
        ahead = self._ahead_of(pool)
        free = min(self._free - self._waiting, pool.free - pool.waiting)
        if free > 0:
            pool.emptied_at = time.monotonic()
        elif pool.waiting > ahead // 2 or self._runs_empty(pool, self._rate_of(pool)):
            return 0
        return max(0, min(free + ahead, self._settings.batch))

    def room_for_call(self, runs: Runs) -> bool:
        """Whether a call of a chunk would soon find a slot, and none waits for one."""
        return self.room(runs) > 0 and not any(call.runs is runs for call in self._calls)

    def free(self, runs: Runs) -> int:
        """How many more jobs of that kind would start at once, as they go before those that wait."""
        pool = self._pools[runs]
        free = min(self._free - self._waiting - len(self._calls), pool.free - pool.waiting)
        if free > 0:
            return free
        lines = [line for line in self._lines.values() if line.pool is pool]
        return max(0, int(self._rate_of(pool) * SOON_S) - _prompt_in(lines))

    def free_of(self, queue: str) -> int:
        """As ``free``, by the queue's own limit here."""
        slots = self._queue(queue)
        lines = [line for line in self._lines.values() if line.queue is slots]
        free = slots.limit - slots.running - sum(len(line.waiting) for line in lines)
        if free > 0:
            return free
        return max(0, int(sum(line.rate for line in lines) * SOON_S) - _prompt_in(lines))

    def room_of(self, queue: str, runs: Runs) -> int:
        """How many more jobs of that kind are wanted of one queue."""
        slots = self._queue(queue)
        line = self._lines.get((queue, runs))
        held = sum(len(one.waiting) for one in self._lines.values() if one.queue is slots)
        free = slots.limit - slots.running - held
        if free > 0:
            slots.emptied_at = time.monotonic()
        elif line is None or self._runs_empty(slots, line.rate):
            return free
        return free + (0 if line is None else self._ahead(line))

    def measure(self) -> None:
        """Takes the speed of every line, at most every 20 ms."""
        now = time.monotonic()
        for line in self._lines.values():
            passed = now - line.measured_at
            if passed < (MEASURE_EVERY if line.rate else MEASURE_FIRST):
                continue
            done = line.done - line.measured_done
            if done or line.waiting or line.queue.running:
                speed = done / passed
                line.rate = speed if line.rate == 0 else (line.rate + speed) / 2
            line.measured_at, line.measured_done = now, line.done
        for pool in self._pools.values():
            pool.low = self._ahead_of(pool) // 2

    def _runs_empty(self, slots: Pool | QueueSlots, rate: float) -> bool:
        """Whether nothing more is fetched ahead until a slot is free, as once in a while.

        Else a job that must start at once would never find one where others always wait for it. Those that
        are fast enough do without: there a slot is soon free.
        """
        return rate * SOON_S < 1 and time.monotonic() - slots.emptied_at >= EMPTY_EVERY

    def _rate_of(self, pool: Pool) -> float:
        return sum(line.rate for line in self._lines.values() if line.pool is pool)

    def _ahead_of(self, pool: Pool) -> int:
        lines = (line for line in self._lines.values() if line.pool is pool)
        return min(BATCHES * self._settings.batch, sum(self._ahead(line) for line in lines))

    def _ahead(self, line: Line) -> int:
        return min(BATCHES * self._settings.batch, int(line.rate * AHEAD_S))

    def _serve(self, line: Line) -> None:
        waiting, queue, pool = line.waiting, line.queue, line.pool
        while waiting and self._free > 0 and pool.free > 0 and queue.running < queue.limit:
            held = waiting.popleft()
            pool.waiting -= 1
            self._waiting -= 1
            self._begin(held, line)

    def _begin_calls(self) -> None:
        for call in tuple(self._calls):
            line = call.line
            if line is None or self._free <= 0 or line.pool.free <= 0:
                continue
            if line.queue.running < line.queue.limit:
                self._calls.remove(call)
                self._begin(call, line)

    def _begin(self, held: Held, line: Line) -> None:
        line.queue.running += 1
        line.pool.free -= 1
        self._free -= 1
        self.running.add(held)
        self._start(held)

    def _queue(self, name: str) -> QueueSlots:
        slots = self._queues.get(name)
        if slots is None:
            limits = self._settings.queues
            limit = NO_LIMIT if limits is None else limits.get(name, NO_LIMIT)
            slots = self._queues[name] = QueueSlots(name=name, limit=limit)
        return slots

    def _line(self, queue: str, runs: Runs) -> Line:
        line = self._lines.get((queue, runs))
        if line is None:
            line = self._lines[queue, runs] = Line(
                queue=self._queue(queue),
                pool=self._pools[runs],
                waiting=deque(),
                measured_at=time.monotonic(),
            )
        return line


def _prompt_in(lines: Iterable[Line]) -> int:
    """How many jobs that must start at once stand before all others."""
    return sum(1 for line in lines for _ in takewhile(_is_prompt, line.waiting))


def _is_prompt(held: Held) -> bool:
    return held.prompt


def _must_run_alone(held: Held) -> bool:
    """Whether the job took workers down before, and no child process of its own shields the others."""
    isolation = held.job.placement.isolation
    return isolation is Isolation.ALONE or (isolation is Isolation.CHILD and held.runs is not Runs.PROCESS)


def _pool(runs: Runs, size: int) -> Pool:
    return Pool(runs=runs, size=size, free=size)


def _nothing() -> None:
    return None

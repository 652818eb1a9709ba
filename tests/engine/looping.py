"""Loops in tests: rows in a list, runs driven by hand, time that passes only while a run waits."""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.clock import ManualClock
from headrace.core.decide import decide
from headrace.core.job import Job
from headrace.core.loop import (
    Debounce,
    Idle,
    LoopConfig,
    LoopDefinition,
    LoopInfo,
    LoopStatus,
    Work,
)
from headrace.core.outcomes import ErrorInfo, Failed, Outcome, Report, Rescued, Succeeded
from headrace.core.policy import Policy
from headrace.engine.local import LocalOperations
from headrace.engine.loop_calls import Call
from headrace.engine.loop_run import LoopFunctions, LoopRun
from headrace.engine.loops import Loops
from headrace.engine.work import Claim, LocalWork
from headrace.stores.protocol import Applied, Holder, Store

NAME = "events"
LEASE_MS = 30_000
Hook = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Table:
    """The program's own rows, and its two functions over them.

    ``before_answer`` are called one after the other, each between a fetch's look and its answer.
    """

    rows: list[int] = field(default_factory=list)
    batches: list[list[int]] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    at_once: int = 10
    idle: Idle = field(default_factory=lambda: Idle(cooldown=0))
    says: Debounce | None = None
    raises: Exception | None = None
    before_answer: list[Hook | None] = field(default_factory=list)
    in_process: Hook | None = None

    async def fetch(self, name: str) -> Work[list[int]] | Idle:
        self.fetched.append(name)
        seen = self.rows[: self.at_once]
        if self.before_answer and (hook := self.before_answer.pop(0)) is not None:
            await hook()
        return Work(seen) if seen else self.idle

    async def process(self, batch: list[int]) -> Debounce | None:
        if self.in_process is not None:
            await self.in_process()
        if self.raises is not None:
            raise self.raises
        self.batches.append(batch)
        self.rows = [row for row in self.rows if row not in batch]
        return self.says


class Scene:
    """A store with a loop over a table. Each process is a set of operations of its own."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self.table = Table()
        self.definition = LoopDefinition(type="loop.events", queue="default")
        self.waited: list[float] = []
        self.log_level = "error"
        self._operations = LocalOperations(store, clock)

    @property
    def loops(self) -> Loops:
        return self._operations.loop_engine

    @property
    def operations(self) -> LocalOperations:
        return self._operations

    def configure(self, **config: int) -> None:
        """What the program says of its loop from now on."""
        self.definition = LoopDefinition(type="loop.events", queue="default", config=LoopConfig(**config))

    async def insert(self, *rows: int) -> None:
        """Rows of the program, and a ping."""
        self.table.rows.extend(rows)
        await self.ping()

    async def ping(self, name: str = NAME) -> LoopInfo:
        info = await self.loops.ping(name, self.definition)
        assert info is not None
        return info

    async def info(self, name: str = NAME) -> LoopInfo:
        info = await self.loops.status(name)
        assert info is not None
        return info

    async def status(self, name: str = NAME) -> LoopStatus:
        return (await self.info(name)).status

    async def job(self, name: str = NAME) -> Job:
        job_id = (await self.info(name)).job_id
        assert job_id is not None
        return await self.operations.job(job_id)

    def worker(self) -> LocalWork:
        return LocalWork(self.store, self.clock, LocalOperations(self.store, self.clock))

    async def claim(self, work: LocalWork | None = None, *, n: int = 10) -> Sequence[Job]:
        """What a worker of the loop's type is given now."""
        claim = Claim(
            worker="w",
            queues={"default": n},
            types=frozenset({self.definition.type}),
            limit=n,
            lease_ms=LEASE_MS,
        )
        return await (work or self.worker()).claim(claim)

    def run_of(self, job: Job, table: Table | None = None, name: str = NAME) -> LoopRun:
        rows = table or self.table
        functions = LoopFunctions(
            definition=self.definition,
            fetch=Call("fetch", rows.fetch, ("name",), least=0),
            process=Call("process", rows.process, ("batch", "name"), least=1),
            log_level=self.log_level,
            sleep=self.sleep,
        )
        holder = Holder(job_id=job.id, fence=job.fence)
        return LoopRun(self.operations.loop_engine.kept, functions, name, holder, None)

    async def turn(self, name: str = NAME) -> Job:
        """One worker claims the loop's job, runs it and reports; the job as it was claimed."""
        work = self.worker()
        (job,) = await self.claim(work)
        await self.finish(work, job, name)
        return job

    async def finish(self, work: LocalWork, job: Job, name: str = NAME) -> None:
        outcome: Outcome = Succeeded()
        started = self.clock.now()
        try:
            await self.run_of(job, name=name).run()
        except Exception as error:
            told = ErrorInfo(type=type(error).__name__, message=str(error))
            outcome = Failed(error=told, backoff=self.definition.config.backoff)
        await work.report(
            [
                Report(
                    job_id=job.id,
                    fence=job.fence,
                    started_at=started,
                    ended_at=self.clock.now(),
                    outcome=outcome,
                )
            ]
        )

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.clock.advance(seconds)

    async def rescue(self) -> int:
        """Takes away every job whose lease has run out, as upkeep does."""
        now = self.clock.now()
        expired = await self.store.expired(now=now, limit=10)
        taken = [decide(job, Rescued(), policy=Policy(), now=now, rng=random.Random(1)) for job in expired]
        answers = await self.store.apply(taken, now=now)
        assert all(answer == Applied() for answer in answers)
        return len(taken)


def recorded(monkeypatch: Any) -> list[tuple[str, str, dict[str, Any]]]:
    """What loops log from now on: level, event, fields."""
    said: list[tuple[str, str, dict[str, Any]]] = []

    class Logger:
        def __getattr__(self, level: str) -> Callable[..., None]:
            return lambda event, **fields: said.append((level, event, fields))

    monkeypatch.setattr("headrace.engine.loop_log._logger", Logger)
    return said

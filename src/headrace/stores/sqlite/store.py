"""The SQLite store: every method is one op for the writer, or one read."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from headrace.core.filters import JobFilter, Page
from headrace.core.flow import Edge
from headrace.core.job import History, Job, Transition
from headrace.core.lanes import UNPARK_AT_ONCE
from headrace.core.states import State
from headrace.core.steps import Kept, Signal, Step
from headrace.errors import MisuseError, StaleRegister
from headrace.stores.chunking import ChunkFound, ChunkRequest
from headrace.stores.lining import Room
from headrace.stores.openings import Openings
from headrace.stores.protocol import Caller, Renewer
from headrace.stores.sqlite import (
    batching,
    erasing,
    listing,
    migrating,
    noting,
    queueing,
    reading,
    records,
    registers,
    stepping,
    workers,
)
from headrace.stores.sqlite.adopting import AdoptsJobs
from headrace.stores.sqlite.applying import Application
from headrace.stores.sqlite.chunking import ChunkClaim
from headrace.stores.sqlite.claiming import Claim
from headrace.stores.sqlite.database import Database
from headrace.stores.sqlite.dead import KeepsDeadLetters
from headrace.stores.sqlite.eventing import KeepsEvents
from headrace.stores.sqlite.flow_store import KeepsFlows
from headrace.stores.sqlite.gate import Gates
from headrace.stores.sqlite.inserting import Insertion
from headrace.stores.sqlite.lane_store import KeepsLanes
from headrace.stores.sqlite.lining import LooksAtQueues
from headrace.stores.sqlite.location import parse
from headrace.stores.sqlite.standing import TellsStanding
from headrace.stores.sqlite.transact_callers import caller_of
from headrace.stores.sqlite.transacting import Transaction
from headrace.stores.sqlite.transaction import Write
from headrace.stores.transactions import Decide, Work
from headrace.stores.values import (
    ApplyAnswer,
    ClaimRequest,
    Health,
    Holder,
    Inserted,
    JobPage,
    LogLine,
    NewJob,
    Note,
    ParkedCount,
    QueueState,
    Record,
    Register,
    Renewal,
    Swap,
    Tally,
    WorkerHello,
)


async def open_sqlite(url: str) -> "SqliteStore":
    """Opens the database of a ``sqlite:`` URL; makes it and brings it up to date if need be."""
    location = parse(url)
    return SqliteStore(await asyncio.to_thread(Database, location))


class SqliteStore(
    AdoptsJobs, KeepsLanes, KeepsDeadLetters, LooksAtQueues, KeepsEvents, KeepsFlows, TellsStanding
):
    """Keeps ``headrace.stores.protocol.Store``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gates = Gates(openings=Openings(database.wake))

    async def insert(  # noqa: PLR0913 - all that one op inserts
        self,
        namespace: str,
        jobs: Sequence[NewJob],
        *,
        now: int,
        parent: Holder | None = None,
        swaps: Sequence[Swap] = (),
        steps: Sequence[Step] = (),
        edges: Sequence[Edge] = (),
        room: Room | None = None,
    ) -> Sequence[Inserted]:
        op = Insertion(
            namespace=namespace,
            jobs=jobs,
            now=now,
            parent=parent,
            swaps=swaps,
            steps=steps,
            edges=edges,
            room=room,
        )
        return await self._database.write(op, rows=len(jobs) + len(edges))

    async def claim(self, request: ClaimRequest) -> Sequence[Job]:
        jobs = await self._database.write(Claim(request, self._gates), rows=request.limit)
        self._gates.openings.arm(request.now)
        return jobs

    async def claim_chunk(self, request: ChunkRequest) -> ChunkFound:
        chunk = await self._database.write(ChunkClaim(request, self._gates), rows=request.most)
        self._gates.openings.arm(request.now)
        return chunk

    async def apply(
        self, transitions: Sequence[Transition], *, now: int, swaps: Sequence[Swap] = ()
    ) -> Sequence[ApplyAnswer]:
        if not transitions:
            return []
        application = Application(transitions, swaps, now, self._gates.limits)
        return await self._database.write(application, rows=len(transitions))

    async def note(self, notes: Sequence[Note], *, now: int) -> frozenset[str]:
        return await self._database.write(lambda at: noting.write_notes(at, notes, now), rows=len(notes))

    async def expired(self, *, now: int, limit: int) -> Sequence[Job]:
        return await self._database.read(lambda db: reading.expired_jobs(db, now, limit))

    async def erase(self, *, now: int, limit: int) -> int:
        return await self._database.write(lambda at: erasing.erase(at, now, limit), rows=limit)

    async def erase_beyond(
        self, namespace: str, job_type: str, state: State, *, keep: int, limit: int
    ) -> int:
        op = erasing.Surplus(namespace=namespace, type=job_type, state=state, keep=keep, limit=limit)
        return await self._database.write(op, rows=limit)

    def caller(self, connection: object) -> Caller:
        return caller_of(connection, self._database.location)

    def insert_statement(self, jobs: Sequence[NewJob]) -> tuple[str, str]:
        del jobs
        raise MisuseError("there is no statement for other drivers on SQLite: use app.transaction(fn)")

    async def transact(self, work: Work) -> Any:  # noqa: ANN401 - what it returns
        return await Transaction(work).run(self._database)

    async def settle_within(self, work: Work, decide: Decide) -> Any:  # noqa: ANN401 - what it returns
        return await Transaction(work, decide).run(self._database)

    def renewer(self) -> AbstractAsyncContextManager[Renewer]:
        return _renewer(self._database)

    async def get(self, namespace: str, ids: Sequence[str]) -> Mapping[str, Job]:
        return await self._database.read(lambda db: reading.jobs_by_id(db, namespace, ids))

    async def find(self, namespace: str, wanted: JobFilter, page: Page) -> JobPage:
        return await self._database.read(lambda db: listing.find(db, namespace, wanted, page))

    async def tallies(self, namespace: str) -> Sequence[Tally]:
        return await self._database.read(lambda db: reading.tallies(db, namespace))

    async def history(self, namespace: str, job_id: str) -> History:
        return await self._database.read(lambda db: reading.history(db, namespace, job_id))

    async def log_lines(self, namespace: str, job_id: str) -> Sequence[LogLine]:
        return await self._database.read(lambda db: reading.log_lines(db, namespace, job_id))

    async def kept(self, namespace: str, job_id: str, *, now: int) -> Kept:
        return await self._database.read(lambda db: stepping.kept(db, namespace, job_id, now))

    async def signal(self, namespace: str, job_id: str, signal: Signal) -> None:
        await self._database.write(lambda at: stepping.write_signal(at, namespace, job_id, signal))

    async def forget_steps(self, namespace: str, job_id: str, *, revision: int) -> int | None:
        return await self._database.write(lambda at: stepping.forget(at, namespace, job_id, revision))

    async def parked(self, namespace: str) -> Sequence[ParkedCount]:
        return await self._database.read(lambda db: reading.parked(db, namespace))

    async def batch_counts(self, namespace: str, batches: Sequence[str]) -> Mapping[str, Mapping[State, int]]:
        return await self._database.read(lambda db: batching.batch_counts(db, namespace, batches))

    async def live_batches(self, namespace: str, batches: Sequence[str]) -> frozenset[str]:
        return await self._database.read(lambda db: batching.live_batches(db, namespace, batches))

    async def first_in_line(self, namespace: str, batch: str, lane: str) -> Job | None:
        return await self._database.read(lambda db: batching.first_in_line(db, namespace, batch, lane))

    async def ended_since(self, namespace: str, batch: str, at: int) -> bool:
        return await self._database.read(lambda db: batching.ended_since(db, namespace, batch, at))

    async def newest_batches(self, namespace: str, page: Page) -> tuple[Sequence[Register], str | None]:
        return await self._database.read(lambda db: batching.newest_batches(db, namespace, page))

    async def read(self, namespace: str, keys: Sequence[str]) -> Mapping[str, Register]:
        return await self._database.read(lambda db: registers.read_registers(db, namespace, keys))

    async def scan(self, namespace: str, prefix: str) -> Sequence[Register]:
        return await self._database.read(lambda db: registers.scan_registers(db, namespace, prefix))

    async def due(self, kind: str, *, now: int, limit: int) -> Sequence[tuple[str, Register]]:
        return await self._database.read(lambda db: registers.due_registers(db, kind, now, limit))

    async def swap(self, namespace: str, swaps: Sequence[Swap]) -> bool:
        try:
            await self._database.write(lambda at: registers.swap(at, namespace, swaps))
        except StaleRegister:
            return False
        return True

    async def append(self, namespace: str, kind: str, records: Sequence[Record]) -> None:
        await self._database.write(partial(_append, namespace, kind, records), rows=len(records))

    async def records(self, namespace: str, kind: str, keys: Sequence[str]) -> Mapping[str, Record]:
        return await self._database.read(lambda db: records.read_records(db, namespace, kind, keys))

    async def list_records(
        self, namespace: str, kind: str, page: Page
    ) -> tuple[Sequence[Record], str | None]:
        return await self._database.read(lambda db: records.newest(db, namespace, kind, page))

    async def remove_records(self, namespace: str, kind: str, keys: Sequence[str]) -> int:
        return await self._database.write(lambda at: records.remove(at, namespace, kind, keys))

    async def trim(self, *, now: int, limit: int) -> int:
        return await self._database.write(lambda at: records.trim(at, now, limit), rows=limit)

    async def migrate(self) -> int:
        """Nothing is left to do: a SQLite file is brought up to date when it is opened."""
        return migrating.newest()

    async def migration_plan(self) -> str:
        return ""

    async def check(self) -> Health:
        return await self._database.check()

    async def now(self) -> int:
        return self._database.now()

    async def incarnation(self) -> str:
        """A file has no server that could be another one after an outage."""
        return "sqlite"

    async def queues(self, namespace: str) -> Sequence[QueueState]:
        now = self._database.now()
        return await self._database.read(lambda db: queueing.queue_states(db, namespace, now))

    async def set_paused(self, namespace: str, queue: str, *, paused: bool) -> None:
        await self._database.write(lambda at: queueing.set_paused(at, namespace, queue, paused=paused))

    async def hello(self, hello: WorkerHello) -> None:
        while await self._database.write(lambda at: workers.hello(at, hello)) == UNPARK_AT_ONCE:
            pass

    async def goodbye(self, namespace: str, worker: str) -> None:
        await self._database.write(lambda at: workers.goodbye(at, namespace, worker))

    async def workers(self, namespace: str) -> Sequence[WorkerHello]:
        return await self._database.read(lambda db: workers.workers(db, namespace))

    async def unpark_known(self, *, now: int) -> int:
        return await self._database.write(lambda at: workers.unpark_known(at, now))

    def wake(self, namespace: str, queues: frozenset[str]) -> None:
        self._database.wake(namespace, queues)

    async def woken(self, namespace: str, queues: frozenset[str] | None, *, timeout_ms: int) -> bool:
        return await self._database.woken(namespace, queues, timeout_ms)

    async def close(self) -> None:
        self._gates.openings.close()
        await asyncio.to_thread(self._database.close)


class _Renewer:
    """Keeps ``headrace.stores.protocol.Renewer`` on the writer of the store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def renew(self, holders: Sequence[Holder], *, now: int, lease_until: int) -> Renewal:
        del now
        return await self._database.write(
            lambda at: noting.renew(at, holders, lease_until), rows=len(holders), urgent=True
        )


@asynccontextmanager
async def _renewer(database: Database) -> AsyncGenerator[Renewer]:
    yield _Renewer(database)


def _append(namespace: str, kind: str, given: Sequence[Record], at: Write) -> None:
    records.append(at, namespace, kind, given)

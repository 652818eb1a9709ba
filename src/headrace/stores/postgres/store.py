"""The PostgreSQL store: every method is one op, or one read."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from headrace.core.filters import JobFilter, Page
from headrace.core.flow import Edge
from headrace.core.job import History, Job, Transition
from headrace.core.lanes import UNPARK_AT_ONCE
from headrace.core.states import State
from headrace.core.steps import Kept, Signal, Step
from headrace.errors import StaleRegister
from headrace.stores.chunking import ChunkFound, ChunkRequest
from headrace.stores.lining import Room
from headrace.stores.openings import Openings
from headrace.stores.postgres import (
    batching,
    chunking,
    erasing,
    health,
    listing,
    migrating,
    queueing,
    reading,
    records,
    registers,
    stepping,
    tallying,
    workers,
)
from headrace.stores.postgres.adopting import AdoptsJobs
from headrace.stores.postgres.applying import Application
from headrace.stores.postgres.callers import Callers
from headrace.stores.postgres.channel import NotifyChannel
from headrace.stores.postgres.claiming import Claims
from headrace.stores.postgres.database import Database
from headrace.stores.postgres.dead import KeepsDeadLetters
from headrace.stores.postgres.eventing import KeepsEvents
from headrace.stores.postgres.flow_store import KeepsFlows
from headrace.stores.postgres.gathering import Gatherer
from headrace.stores.postgres.inserting import Insertion, jobs_text
from headrace.stores.postgres.lane_store import KeepsLanes
from headrace.stores.postgres.lining import LooksAtQueues, first_ranked
from headrace.stores.postgres.location import Location, parse
from headrace.stores.postgres.noting import Noting
from headrace.stores.postgres.renewing import open_renewer
from headrace.stores.postgres.session import Session
from headrace.stores.postgres.standing import TellsStanding
from headrace.stores.postgres.transacting import Transactor
from headrace.stores.protocol import Caller, Renewer
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
    Swap,
    Tally,
    WorkerHello,
)
from headrace.stores.waking import Wakeups


async def open_postgres(url: str) -> "PostgresStore":
    """Opens the database of a ``postgresql:`` URL. Nothing is sent before the first call."""
    return PostgresStore(parse(url))


class PostgresStore(
    AdoptsJobs, KeepsLanes, KeepsDeadLetters, LooksAtQueues, KeepsEvents, KeepsFlows, TellsStanding
):
    """Keeps ``headrace.stores.protocol.Store``."""

    def __init__(self, location: Location) -> None:
        self._database = Database(location)
        self._wakeups = Wakeups(NotifyChannel(self._database))
        self._openings = Openings(self._wakeups.remind)
        self._claims = Claims(self._database, self._openings)
        self._gatherer = Gatherer(self._database)
        self._callers = Callers(self._database, self._inserted)
        self._transactor = Transactor(location)
        self._database.on_return = self._transactor.on_return = self._returned

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
        insertion = Insertion(
            namespace=namespace,
            jobs=jobs,
            now=now,
            parent=parent,
            swaps=swaps,
            steps=steps,
            edges=edges,
            room=room,
        )
        try:
            return await insertion.run(self._database, self._gatherer)
        finally:
            self._inserted(jobs)

    async def claim(self, request: ClaimRequest) -> Sequence[Job]:
        return await self._claims.claim(request)

    async def claim_chunk(self, request: ChunkRequest) -> ChunkFound:
        return await chunking.claim_chunk(self._database, self._claims, request)

    async def apply(
        self, transitions: Sequence[Transition], *, now: int, swaps: Sequence[Swap] = ()
    ) -> Sequence[ApplyAnswer]:
        if not transitions:
            return []
        application = Application(transitions, swaps, now, self._claims.remembered.limits)
        try:
            return await application.run(self._database)
        finally:
            for one in transitions:
                if one.placement.due_at is None:
                    continue
                self._claims.marks.written(one.job.facts, one.placement, one.job.seq)

    async def note(self, notes: Sequence[Note], *, now: int) -> frozenset[str]:
        return await Noting(notes, now).run(self._database)

    async def expired(self, *, now: int, limit: int) -> Sequence[Job]:
        return await self._database.read(lambda session: reading.expired_jobs(session, now, limit))

    async def erase(self, *, now: int, limit: int) -> int:
        count = await erasing.erase(self._database, now, limit)
        if count < limit:
            # Upkeep comes by here regularly, and every erasure has left moves of its own.
            await tallying.fold(self._database)
        return count

    async def erase_beyond(
        self, namespace: str, job_type: str, state: State, *, keep: int, limit: int
    ) -> int:
        surplus = erasing.Surplus(namespace=namespace, type=job_type, state=state, keep=keep, limit=limit)
        return await surplus.run(self._database)

    def caller(self, connection: object) -> Caller:
        return self._callers.of(connection)

    def insert_statement(self, jobs: Sequence[NewJob]) -> tuple[str, str]:
        return self._database.statements["insert_jobs_strictly"], jobs_text(jobs)

    async def transact(self, work: Work) -> Any:  # noqa: ANN401 - what it returns
        return await self._transactor.run(work)

    async def settle_within(self, work: Work, decide: Decide) -> Any:  # noqa: ANN401 - what it returns
        return await self._transactor.run(work, decide)

    def renewer(self) -> AbstractAsyncContextManager[Renewer]:
        return open_renewer(self._database)

    async def get(self, namespace: str, ids: Sequence[str]) -> Mapping[str, Job]:
        if not ids:
            return {}
        return await self._database.read(lambda session: reading.jobs_by_id(session, namespace, ids))

    async def find(self, namespace: str, wanted: JobFilter, page: Page) -> JobPage:
        return await self._database.snapshot(lambda session: listing.find(session, namespace, wanted, page))

    async def tallies(self, namespace: str) -> Sequence[Tally]:
        found, many_moves = await self._database.read(lambda session: reading.tallies(session, namespace))
        if many_moves:
            await tallying.fold_for_reader(self._database)
        return found

    async def history(self, namespace: str, job_id: str) -> History:
        return await self._database.read(lambda session: reading.history(session, namespace, job_id))

    async def log_lines(self, namespace: str, job_id: str) -> Sequence[LogLine]:
        return await self._database.read(lambda session: reading.log_lines(session, namespace, job_id))

    async def kept(self, namespace: str, job_id: str, *, now: int) -> Kept:
        return await self._database.snapshot(lambda session: stepping.kept(session, namespace, job_id, now))

    async def signal(self, namespace: str, job_id: str, signal: Signal) -> None:
        await self._database.alone(lambda session: stepping.write_signal(session, namespace, job_id, signal))

    async def forget_steps(self, namespace: str, job_id: str, *, revision: int) -> int | None:
        return await self._database.alone(
            lambda session: stepping.forget(session, namespace, job_id, revision)
        )

    async def parked(self, namespace: str) -> Sequence[ParkedCount]:
        return await self._database.read(lambda session: reading.parked(session, namespace))

    async def batch_counts(self, namespace: str, batches: Sequence[str]) -> Mapping[str, Mapping[State, int]]:
        return await self._database.read(lambda session: batching.batch_counts(session, namespace, batches))

    async def live_batches(self, namespace: str, batches: Sequence[str]) -> frozenset[str]:
        return await self._database.read(lambda session: batching.live_batches(session, namespace, batches))

    async def first_in_line(self, namespace: str, batch: str, lane: str) -> Job | None:
        return await self._database.snapshot(
            lambda session: batching.first_in_line(session, namespace, batch, lane)
        )

    async def ended_since(self, namespace: str, batch: str, at: int) -> bool:
        return await self._database.read(lambda session: batching.ended_since(session, namespace, batch, at))

    async def newest_batches(self, namespace: str, page: Page) -> tuple[Sequence[Register], str | None]:
        return await self._database.read(lambda session: batching.newest_batches(session, namespace, page))

    async def read(self, namespace: str, keys: Sequence[str]) -> Mapping[str, Register]:
        if not keys:
            return {}
        return await self._database.read(lambda session: registers.read_registers(session, namespace, keys))

    async def scan(self, namespace: str, prefix: str) -> Sequence[Register]:
        return await self._database.read(lambda session: registers.scan_registers(session, namespace, prefix))

    async def due(self, kind: str, *, now: int, limit: int) -> Sequence[tuple[str, Register]]:
        return await self._database.read(lambda session: registers.due_registers(session, kind, now, limit))

    async def swap(self, namespace: str, swaps: Sequence[Swap]) -> bool:
        try:
            await self._database.together(lambda session: registers.swap(session, namespace, swaps))
        except StaleRegister:
            return False
        return True

    async def append(self, namespace: str, kind: str, records: Sequence[Record]) -> None:
        await self._database.alone(partial(_append, namespace, kind, records))

    async def records(self, namespace: str, kind: str, keys: Sequence[str]) -> Mapping[str, Record]:
        if not keys:
            return {}
        return await self._database.read(lambda session: records.read_records(session, namespace, kind, keys))

    async def list_records(
        self, namespace: str, kind: str, page: Page
    ) -> tuple[Sequence[Record], str | None]:
        return await self._database.read(lambda session: records.newest(session, namespace, kind, page))

    async def remove_records(self, namespace: str, kind: str, keys: Sequence[str]) -> int:
        return await self._database.alone(lambda session: records.remove(session, namespace, kind, keys))

    async def trim(self, *, now: int, limit: int) -> int:
        return await self._database.alone(lambda session: records.trim(session, now, limit))

    async def migrate(self) -> int:
        return await migrating.migrate(self._database)

    async def migration_plan(self) -> str:
        return migrating.plan(self._database.location, await migrating.present(self._database))

    async def check(self) -> Health:
        return await health.check(self._database, self._wakeups)

    async def now(self) -> int:
        return await health.now(self._database)

    async def incarnation(self) -> str:
        return await health.incarnation(self._database)

    async def queues(self, namespace: str) -> Sequence[QueueState]:
        found, many_moves = await self._database.read(
            lambda session: queueing.queue_states(session, namespace)
        )
        if many_moves:
            await tallying.fold_for_reader(self._database)
        return found

    async def set_paused(self, namespace: str, queue: str, *, paused: bool) -> None:
        await self._database.together(
            lambda session: queueing.set_paused(session, namespace, queue, paused=paused)
        )

    async def hello(self, hello: WorkerHello) -> None:
        await self._database.alone(lambda session: workers.greet(session, hello))
        if not hello.types:
            return
        while True:
            count = await self._database.alone(lambda session: workers.unpark_for(session, hello))
            if count:
                self._claims.marks.forget()
            if count < UNPARK_AT_ONCE:
                return

    async def goodbye(self, namespace: str, worker: str) -> None:
        await self._database.alone(lambda session: workers.goodbye(session, namespace, worker))

    async def workers(self, namespace: str) -> Sequence[WorkerHello]:
        return await self._database.read(lambda session: workers.workers(session, namespace))

    async def unpark_known(self, *, now: int) -> int:
        count = await self._database.alone(lambda session: workers.unpark_known(session, now))
        if count:
            self._claims.marks.forget()
        return count

    def wake(self, namespace: str, queues: frozenset[str]) -> None:
        self._wakeups.wake(namespace, queues)

    async def woken(self, namespace: str, queues: frozenset[str] | None, *, timeout_ms: int) -> bool:
        return await self._wakeups.woken(namespace, queues, timeout_ms)

    async def close(self) -> None:
        self._openings.close()
        await self._wakeups.close()
        await self._transactor.close()
        await self._database.close()

    def _inserted(self, jobs: Sequence[NewJob]) -> None:
        for new in jobs:
            self._claims.marks.written(new.facts, first_ranked(new))


async def _append(namespace: str, kind: str, given: Sequence[Record], session: Session) -> None:
    await records.append(session, namespace, kind, given)

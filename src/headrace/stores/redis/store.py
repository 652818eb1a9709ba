"""The store on Redis and Valkey: every method is one op, or one read."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from headrace.core.flow import Edge
from headrace.core.job import History, Job, Transition
from headrace.core.steps import Step
from headrace.stores.gating import Returned
from headrace.stores.known_limits import KnownLimits
from headrace.stores.lining import Room
from headrace.stores.openings import Openings
from headrace.stores.protocol import Renewer
from headrace.stores.redis import reading
from headrace.stores.redis.adopting import AdoptsJobs
from headrace.stores.redis.applying import Application
from headrace.stores.redis.batching import ReadsBatches
from headrace.stores.redis.channel import PubSubChannel
from headrace.stores.redis.chunking import ClaimsChunks
from headrace.stores.redis.claiming import Claims
from headrace.stores.redis.database import Database, Reader
from headrace.stores.redis.dead import KeepsDeadLetters
from headrace.stores.redis.erasing import ErasesJobs
from headrace.stores.redis.eventing import KeepsEvents
from headrace.stores.redis.flow_store import KeepsFlows, Numbered
from headrace.stores.redis.inserting import Inserter, Insertion
from headrace.stores.redis.lane_store import KeepsLanes
from headrace.stores.redis.lining import LooksAtQueues
from headrace.stores.redis.listing import ListsJobs
from headrace.stores.redis.noting import Noting
from headrace.stores.redis.plumbing import KeepsPlumbing
from headrace.stores.redis.records import KeepsRecords
from headrace.stores.redis.registers import KeepsRegisters
from headrace.stores.redis.renewing import open_renewer
from headrace.stores.redis.standing import TellsStanding
from headrace.stores.redis.stepping import KeepsSteps
from headrace.stores.redis.transacting import KeepsTransactions, Transactor
from headrace.stores.values import (
    ApplyAnswer,
    ClaimRequest,
    Holder,
    Inserted,
    LogLine,
    NewJob,
    Note,
    Swap,
)
from headrace.stores.waking import Wakeups


class RedisStore(
    AdoptsJobs,
    KeepsLanes,
    ClaimsChunks,
    ListsJobs,
    ReadsBatches,
    KeepsFlows,
    KeepsSteps,
    KeepsDeadLetters,
    ErasesJobs,
    LooksAtQueues,
    TellsStanding,
    KeepsEvents,
    KeepsRegisters,
    KeepsRecords,
    KeepsTransactions,
    KeepsPlumbing,
):
    """Keeps ``headrace.stores.protocol.Store``."""

    def __init__(
        self, database: Database, *, limits: KnownLimits | None = None, wakeups: Wakeups | None = None
    ) -> None:
        self._database = database
        self._limits = limits or KnownLimits()
        self._wakeups = wakeups or Wakeups(PubSubChannel(database))
        self._openings = Openings(self._wakeups.remind)
        self._numbered = Numbered()
        self._claims = Claims(database, self._limits, self._openings)
        self._inserter = Inserter(database, self._limits)
        self._transactor = Transactor(database)
        database.on_return = self._returned

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
        return await insertion.run(self._inserter)

    async def claim(self, request: ClaimRequest) -> Sequence[Job]:
        return await self._claims.claim(request)

    async def apply(
        self, transitions: Sequence[Transition], *, now: int, swaps: Sequence[Swap] = ()
    ) -> Sequence[ApplyAnswer]:
        return await Application(transitions, now, swaps, self._limits).run(self._database)

    async def note(self, notes: Sequence[Note], *, now: int) -> frozenset[str]:
        return await Noting(notes, now).run(self._database)

    async def expired(self, *, now: int, limit: int) -> Sequence[Job]:
        return await reading.expired_jobs(self._database, now, limit)

    def renewer(self) -> AbstractAsyncContextManager[Renewer]:
        return open_renewer(self._database)

    async def get(self, namespace: str, ids: Sequence[str]) -> Mapping[str, Job]:
        return await reading.jobs_by_id(self._reader(namespace), namespace, ids)

    async def history(self, namespace: str, job_id: str) -> History:
        return await reading.history(self._reader(namespace), namespace, job_id)

    async def log_lines(self, namespace: str, job_id: str) -> Sequence[LogLine]:
        return await reading.log_lines(self._reader(namespace), job_id)

    def close_openings(self) -> None:
        """Reminds nobody any more."""
        self._openings.close()

    async def close(self) -> None:
        self._openings.close()
        await self._wakeups.close()
        await self._transactor.close()
        await self._database.close()

    def _reader(self, namespace: str) -> Reader:
        return self._database.at(self._database.keys(namespace))

    def _returned(self, jobs: Sequence[Returned]) -> None:
        """Jobs that came back from lanes are claimed by whoever is free, here and elsewhere."""
        for namespace in {one.namespace for one in jobs}:
            self.wake(namespace, frozenset(one.queue for one in jobs if one.namespace == namespace))

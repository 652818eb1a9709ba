"""The store whose queues are spread over partitions."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from headrace.core.flow import Edge
from headrace.core.job import Job, Transition
from headrace.core.steps import Step
from headrace.stores.chunking import ChunkFound, ChunkRequest
from headrace.stores.lining import Room
from headrace.stores.protocol import Renewer
from headrace.stores.redis.channel import PubSubChannel
from headrace.stores.redis.database import Database
from headrace.stores.redis.flow_store import Numbered
from headrace.stores.redis.partitions.adopting import AdoptsJobs
from headrace.stores.redis.partitions.applying import Applying
from headrace.stores.redis.partitions.batching import ReadsBatches
from headrace.stores.redis.partitions.circulating import Circulation
from headrace.stores.redis.partitions.claiming import Claiming
from headrace.stores.redis.partitions.erasing import ErasesJobs
from headrace.stores.redis.partitions.eventing import KeepsEvents
from headrace.stores.redis.partitions.flowing import KeepsFlows
from headrace.stores.redis.partitions.inserting import Inserting, Wish
from headrace.stores.redis.partitions.intents import Intents
from headrace.stores.redis.partitions.lanes import KeepsLanes
from headrace.stores.redis.partitions.lines import PutInLine
from headrace.stores.redis.partitions.parts import Parts
from headrace.stores.redis.partitions.places import Wanted
from headrace.stores.redis.partitions.plumbing import KeepsHome
from headrace.stores.redis.partitions.queueing import KeepsQueues
from headrace.stores.redis.partitions.reading import ReadsJobs
from headrace.stores.redis.partitions.renewing import open_renewer
from headrace.stores.redis.partitions.transacting import KeepsTransactions
from headrace.stores.values import ApplyAnswer, ClaimRequest, Holder, Inserted, NewJob, Swap
from headrace.stores.waking import Wakeups


class PartitionedStore(
    ReadsJobs,
    ReadsBatches,
    KeepsFlows,
    KeepsLanes,
    KeepsEvents,
    KeepsQueues,
    KeepsTransactions,
    ErasesJobs,
    KeepsHome,
    AdoptsJobs,
):
    """Keeps ``headrace.stores.protocol.Store``, but for what docs/decisions/0025 names."""

    def __init__(self, database: Database, wanted: Wanted) -> None:
        self._parts = Parts(database, wanted, Wakeups(PubSubChannel(database)))
        self._intents = Intents(self._parts)
        self._numbered = Numbered()
        self._inserting = Inserting(self._parts, self._intents, PutInLine(self._parts))
        self._applying = Applying(self._parts, self._intents)
        self._circulation = Circulation(self._parts, self._intents)
        self._claiming = Claiming(self._parts, self._circulation)

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
        wish = Wish(
            namespace=namespace,
            jobs=jobs,
            now=now,
            parent=parent,
            swaps=swaps,
            steps=steps,
            edges=edges,
            room=room,
        )
        return await self._inserting.insert(wish)

    async def claim(self, request: ClaimRequest) -> Sequence[Job]:
        return await self._claiming.claim(request)

    async def claim_chunk(self, request: ChunkRequest) -> ChunkFound:
        return await self._claiming.claim_chunk(request)

    async def apply(
        self, transitions: Sequence[Transition], *, now: int, swaps: Sequence[Swap] = ()
    ) -> Sequence[ApplyAnswer]:
        return await self._applying.apply(transitions, now=now, swaps=swaps)

    async def stand_in(self, namespace: str, job: NewJob, transition: Transition, *, now: int) -> ApplyAnswer:
        return await self._inserting.stand_in(namespace, job, transition, now=now)

    async def expired(self, *, now: int, limit: int) -> Sequence[Job]:
        """Besides, it finishes what ops have left that died between partitions."""
        await self._intents.settle_all()
        return await super().expired(now=now, limit=limit)

    def renewer(self) -> AbstractAsyncContextManager[Renewer]:
        return open_renewer(self._parts)

    async def close(self) -> None:
        await self._parts.close()

"""Jobs inserted through a pipeline of the program's own, inside its own transaction (C7).

What is written waits in the pipeline until the program executes it. So whatever may refuse is looked at
before, on the pipeline's own connection, and watched: if it has changed by then, nothing is executed.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final
from weakref import WeakKeyDictionary

from headrace.core.job import Job
from headrace.errors import MisuseError, StoreUnavailable
from headrace.stores.keyed import Plan, Standing
from headrace.stores.lining import Room
from headrace.stores.notice import Notice, written
from headrace.stores.redis.caller_pipelines import CallerSession, CallersPipeline
from headrace.stores.redis.channel import channel_of
from headrace.stores.redis.connecting import Command
from headrace.stores.redis.database import Again, Database
from headrace.stores.redis.faults import translated
from headrace.stores.redis.inserting import Insertion
from headrace.stores.redis.keys import Keys
from headrace.stores.redis.lining import refuse_full
from headrace.stores.redis.location import Kind
from headrace.stores.redis.reading import jobs_by_id
from headrace.stores.redis.rows import replace_write
from headrace.stores.redis.schema import present_in
from headrace.stores.redis.scripts import script
from headrace.stores.redis.session import Session, Write, writes_text
from headrace.stores.redis.transact_guard import TransactionPipeline
from headrace.stores.transactions import Library, library_of, refused
from headrace.stores.values import Inserted, NewJob

_TRIES: Final = 10
_ACCEPTED: Final = (
    "a pipeline of redis-py on its server, client.pipeline(transaction=True), or app.transaction(fn)"
)


class Callers:
    """Makes callers for the store of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._taken: WeakKeyDictionary[Any, _Taken] = WeakKeyDictionary()
        self._fit: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()
        self._own: set[str] = set()

    def of(self, pipeline: Any) -> "PipelineCaller":  # noqa: ANN401 - two classes of two libraries
        """The transaction that waits in a pipeline. Raises MisuseError for one that will not do."""
        match library_of(pipeline):
            case Library.OURS if _is_ours(pipeline, self._database):
                pipeline.refuse_closed()
                suspends, hook = True, pipeline.after_commit.append
            case Library.REDIS_ASYNC:
                suspends, hook = True, None
            case Library.REDIS:
                suspends, hook = False, None
            case _:
                raise refused(pipeline, self._database.location.name, _ACCEPTED)
        if hook is None and self._database.location.kind is Kind.CLUSTER:
            raise refused(pipeline, self._database.location.name, "app.transaction(fn) in a cluster")
        taken = self._taken.get(pipeline)
        if taken is None or taken.stack is not pipeline.command_stack:  # it was executed or reset since
            taken = self._taken[pipeline] = _Taken(pipeline.command_stack)
        fit = self._own if hook is not None else self._fit.setdefault(pipeline.connection_pool, set())
        return PipelineCaller(self._database, pipeline, taken, fit, suspends=suspends, hook=hook)


def _is_ours(pipeline: object, database: Database) -> bool:
    return isinstance(pipeline, TransactionPipeline) and pipeline.location == database.location


@dataclass(slots=True)
class _Taken:
    """What enqueues before this one have taken in the same pipeline, and nobody else sees yet."""

    stack: object
    holders: dict[str, Job] = field(default_factory=dict[str, Job])
    receipts: dict[str, tuple[str, str | None]] = field(default_factory=dict[str, tuple[str, str | None]])

    def note(self, decided: Plan, replaced: Mapping[str, Job]) -> None:
        """Adds what a plan takes, and the jobs that it replaces, by unique key."""
        for new in decided.fresh:
            if (lock := new.placement.unique_lock) is not None:
                self.holders[lock] = Job(facts=new.facts, placement=new.placement, seq=0)
        self.holders |= replaced
        self.receipts |= {one.receipt.key: (one.job_id, one.receipt.body) for one in decided.receipts}


@dataclass(frozen=True, kw_only=True)
class _Within(Insertion):
    """An insertion that watches what it decides by, and holds nothing that others wait for.

    Fair jobs are put in line once they are committed; bounded queues are looked at and not held.
    """

    taken: _Taken
    plans: list[Plan] = field(default_factory=list[Plan])
    replaced: dict[str, Job] = field(default_factory=dict[str, Job])

    async def ready(self, session: Session, jobs: Sequence[NewJob]) -> Sequence[NewJob]:
        """The jobs. Raises QueueFull."""
        if self.room is not None:
            await refuse_full(session, jobs, self.room)
        return jobs

    async def receipts(self, session: Session, keys: Sequence[str]) -> dict[str, tuple[str, str | None]]:
        await session.watch(*map(session.keys.receipt, keys))
        return await super().receipts(session, keys) | self.taken.receipts

    async def holders(self, session: Session, locks: Sequence[str]) -> dict[str, Standing]:
        await session.watch(*map(session.keys.lock, locks))
        found = await super().holders(session, locks)
        own = {
            lock: Standing(id=job.id, seq=0, revision=job.revision, state=job.state, type=job.facts.type)
            for lock, job in self.taken.holders.items()
        }
        return found | own

    async def _decided(self, session: Session) -> Plan:
        decided = await super()._decided(session)
        self.plans.append(decided)
        return decided

    async def _replacements(self, session: Session, decided: Plan) -> list[Write]:
        await session.watch(*(session.keys.job(standing.id) for standing, _ in decided.replaced))
        ids = [standing.id for standing, _ in decided.replaced]
        found = await jobs_by_id(session, self.namespace, ids)
        found |= {job.id: job for job in self.taken.holders.values()}
        writes: list[Write] = []
        for standing, new in decided.replaced:
            holder = found.get(standing.id)
            if holder is None or holder.revision != standing.revision:
                raise Again
            writes.append(replace_write(holder, new, self.now))
            self.replaced[new.placement.unique_lock or ""] = _renewed(holder, new)
        return writes


class PipelineCaller:
    """Keeps ``headrace.stores.protocol.Caller``."""

    def __init__(  # noqa: PLR0913 - a caller is made of exactly these
        self,
        database: Database,
        pipeline: Any,  # noqa: ANN401 - two classes of two libraries
        taken: _Taken,
        fit: set[str],
        *,
        suspends: bool,
        hook: Callable[[Callable[[], None]], None] | None,
    ) -> None:
        self._database = database
        self._pipeline = pipeline
        self._taken = taken
        self._fit = fit
        self._hook = hook
        self.suspends: Final = suspends

    async def insert(
        self, namespace: str, jobs: Sequence[NewJob], *, now: int, room: Room | None = None
    ) -> Sequence[Inserted]:
        pipeline = CallersPipeline(self._pipeline)
        pipeline.refuse_unfit()
        try:
            await self._refuse_elsewhere(pipeline, namespace)
            for _ in range(_TRIES):
                with suppress(Again):
                    session = CallerSession(pipeline, self._database.keys(namespace))
                    within = _Within(namespace=namespace, jobs=jobs, now=now, room=room, taken=self._taken)
                    answers = await within.within(session)
                    self._put(pipeline, session, jobs)
                    self._taken.note(within.plans[-1], within.replaced)
                    return answers
        except Exception as error:  # boundary: the driver's errors become ours
            raise translated(error, self._database.location.name, sent=False) from error
        raise StoreUnavailable(f"{self._database.location.name} is busy with other writers of the same keys")

    def after_commit(self, call: Callable[[], None]) -> bool:
        if self._hook is None:
            return False
        self._hook(call)
        return True

    def _put(self, pipeline: CallersPipeline, session: CallerSession, jobs: Sequence[NewJob]) -> None:
        writes = session.collected
        if self._hook is None and self._database.location.notify:
            places = {(session.namespace, new.facts.queue) for new in jobs}
            notice = written(Notice(sender="", places=places))
            writes = [*writes, ("hint", channel_of(self._database.location), notice)]
        for command in commit_commands(session.keys, writes):
            pipeline.put(command)

    async def _refuse_elsewhere(self, pipeline: CallersPipeline, namespace: str) -> None:
        """Looks, once for each pool of connections, whether the jobs are there; and names the namespace."""
        if namespace in self._fit:
            return
        naming = ("SADD", self._database.namespaces_key, namespace)
        if self._hook is not None:  # it is ours, and so is its place
            await self._database.call(*naming)
            self._fit.add(namespace)
            return
        location = self._database.location
        database = self._pipeline.connection_pool.connection_kwargs.get("db") or 0
        mark = await pipeline.ask("GET", self._database.schema_key)
        if mark is None or database != location.database:
            raise MisuseError(
                f"this pipeline is of the database {database} of a server where the app's jobs are not: they "
                f"are in {location.name}, with the prefix {location.prefix!r}"
            )
        present_in(mark, location)
        await pipeline.ask(*naming)
        self._fit.add(namespace)


def commit_commands(keys: Keys, writes: Sequence[Write]) -> list[Command]:
    """What does the writes as part of a larger transaction.

    The script has its text with it: one that the server has not would leave half a transaction. The command
    before it does nothing; but by it a server that takes no more writes refuses all, not only the script.
    """
    commit = ("EVAL", script("commit").text.encode(), 1, keys.root, writes_text(writes).encode())
    return [("LPUSHX", f"{keys.root}:nothing", ""), commit]


def _renewed(holder: Job, new: NewJob) -> Job:
    """The holder of a unique key as a newer enqueue leaves it."""
    facts, wanted = new.facts, new.placement
    return replace(
        holder,
        facts=replace(holder.facts, payload=facts.payload, version=facts.version, tags=facts.tags),
        placement=replace(
            holder.placement, priority=wanted.priority, rank=wanted.rank, due_at=wanted.due_at, parked_on=None
        ),
        revision=holder.revision + 1,
    )

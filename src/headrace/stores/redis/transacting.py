"""A program's async function inside a transaction, and what is executed with it.

What the function puts into its pipeline waits until it returns, so it keeps nobody waiting, however long it
takes. These transactions have connections of their own, opened when the function first watches a key, else at
their end.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, NoReturn
from weakref import WeakKeyDictionary

from redis.exceptions import MovedError

from headrace.core.job import Transition
from headrace.errors import MisuseError, StoreError, StoreUnavailable, StoreUnusable
from headrace.stores.gating import ended_by, freed_in
from headrace.stores.known_limits import KnownLimits
from headrace.stores.redis import lanes
from headrace.stores.redis.applying import add_moves, answers_to
from headrace.stores.redis.caller_pipelines import CallerSession
from headrace.stores.redis.callers import Callers, commit_commands
from headrace.stores.redis.connecting import Command, Connection
from headrace.stores.redis.database import Again, Database
from headrace.stores.redis.faults import translated
from headrace.stores.redis.reading import jobs_by_id
from headrace.stores.redis.session import answers_of
from headrace.stores.redis.transact_guard import TransactionPipeline, key_of
from headrace.stores.transacting import Caller
from headrace.stores.transactions import (
    DECIDE_AGAIN,
    Decide,
    Work,
    changes_too_fast,
    require_async,
    settled,
    worked,
)
from headrace.stores.values import NewJob

_STORE: Final = "Redis"
_TRIES: Final = 30
_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.1


@dataclass(slots=True)
class _Running:
    """One run of a function, and its connection once that is wanted."""

    database: Database
    ends: AsyncExitStack
    found: Connection | None = None
    sent: bool = False

    async def connection(self, key: str) -> Connection:
        """The connection, to where a key is."""
        if self.found is None:
            try:
                held = self.database.line().connection(key)
                self.found = await self.ends.enter_async_context(held)
            except Exception as error:  # boundary: the driver's errors become ours
                raise translated(error, self.database.location.name, sent=False) from error
        return self.found

    async def execute(self, commands: Sequence[Command]) -> Sequence[Any]:
        """The answers of a transaction. Raises Again, and does nothing, where what is watched has changed."""
        connection = await self.connection(key_of(commands[0]))
        self.sent = True
        said = await connection.ask_all([("MULTI",), *commands, ("EXEC",)])
        self.sent = connection.watching = False
        *queued, executed = said
        if executed is None:
            raise Again
        if isinstance(executed, Exception):  # nothing was done: why, is said of the command that was refused
            raise next((one for one in queued if isinstance(one, Exception)), executed)
        return executed


class Transactor:
    """Runs functions in transactions; as many at a time, in one loop, as the store has connections."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self._database = Database(store.location)
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
        self.callers: Final = Callers(store)

    async def run(self, work: Work, decide: Decide | None = None, limits: KnownLimits | None = None) -> Any:  # noqa: ANN401 - what it returns
        """What the function returned, once all is executed. Runs it again where what it watched changed."""
        require_async(work, _STORE)
        async with self._turn():
            for attempt in range(_TRIES):
                try:
                    return await self._once(work, decide, limits or KnownLimits())
                except Again:
                    await asyncio.sleep(random.uniform(0, min(_LONGEST_PAUSE, _PAUSE * 2**attempt)))
        raise StoreUnavailable("what this transaction has watched changes too fast; try again")

    async def close(self) -> None:
        """Closes the connections. Idempotent."""
        await self._database.close()

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        loop = asyncio.get_running_loop()
        turn = self._turns.get(loop)
        if turn is None:
            turn = self._turns[loop] = asyncio.Semaphore(self._database.location.pool)
        async with turn:
            yield

    async def _once(self, work: Work, decide: Decide | None, limits: KnownLimits) -> object:
        async with AsyncExitStack() as ends:
            running = _Running(self._database, ends)
            pipeline = TransactionPipeline(self._database.location, running.connection)
            try:
                value = await worked(work, pipeline, _STORE)
                if pipeline.scripts:
                    await pipeline.load_scripts()
            finally:
                pipeline.close_guard()
            completed, answers = await self._executed(running, pipeline, decide, value)
        for call in pipeline.after_commit:
            call()
        self._store.whereabouts.forget(one.job.id for one in completed)
        await self._free(completed, limits)
        _raise_failed(answers)
        return value

    async def _executed(
        self, running: _Running, pipeline: TransactionPipeline, decide: Decide | None, value: object
    ) -> tuple[Sequence[Transition], Sequence[Any]]:
        """The completion that was written, and the answers to the function's commands."""
        try:
            if decide is not None:
                return await self._settled(running, pipeline, decide, value)
            if pipeline.commands:
                return (), await running.execute(pipeline.commands)
        except Again:
            raise
        except Exception as error:  # boundary: the driver's errors become ours, a command's stays theirs
            if isinstance(error, MovedError):
                self._database.line().forget_owners()
            ours = translated(error, self._database.location.name, sent=running.sent)
            raise error if isinstance(ours, StoreUnusable) else ours from error
        return (), ()

    async def _settled(
        self, running: _Running, pipeline: TransactionPipeline, decide: Decide, value: object
    ) -> tuple[Sequence[Transition], Sequence[Any]]:
        """Completes the job with the rest: it is watched, so that nobody else changes it in between."""
        transition = decide(value, None)
        keys = self._store.keys(transition.job.facts.namespace)
        session = CallerSession(await running.connection(keys.root), keys)
        for _ in range(DECIDE_AGAIN):
            await session.watch(keys.job(transition.job.id))
            fresh = await _fresh(session, transition)
            if fresh is not None:
                transition = decide(value, fresh)
                continue
            session.collected.clear()
            await add_moves(session, [transition], ended_by([transition]))
            try:
                *answers, said = await running.execute(
                    [*pipeline.commands, *commit_commands(keys, session.collected)]
                )
            except Again:
                if pipeline.has_watched:
                    raise
                continue
            _raise_failed([said])
            answers_of(said)
            return (transition,), answers
        raise changes_too_fast(transition)

    async def _free(self, completed: Sequence[Transition], limits: KnownLimits) -> None:
        """Gives on what the job held. Whoever is left waiting is found by the sweep."""
        with suppress(StoreError):
            for namespace, freed in freed_in(completed).items():
                await lanes.free(self._store, namespace, freed, ended_by(completed), limits)


async def _fresh(session: CallerSession, transition: Transition) -> Any:  # noqa: ANN401 - a job or None
    """The job to decide on again, None if it is as it was decided on. Raises LeaseLost."""
    job = transition.job
    current = (await jobs_by_id(session, session.namespace, [job.id])).get(job.id)
    if current is not None and (current.fence, current.revision) == (job.fence, job.revision):
        return None
    (answer,) = await answers_to(session, session.namespace, [transition], [0])
    return settled(transition, answer)


def _raise_failed(answers: Sequence[Any]) -> None:
    """Raises the first failure of a command. The others were done: the server undoes nothing."""
    for one in answers:
        if isinstance(one, Exception):
            raise one


class KeepsTransactions:
    """Keeps ``headrace.stores.transacting.Transactions``, as part of the store."""

    _transactor: Transactor
    _limits: KnownLimits

    def caller(self, connection: object) -> Caller:
        return self._transactor.callers.of(connection)

    def insert_statement(self, jobs: Sequence[NewJob]) -> NoReturn:
        del jobs
        raise MisuseError(
            "on Redis there is no statement that inserts jobs: enqueue with .using(tx=pipeline) into a "
            "pipeline of redis-py, or in the function of app.transaction(fn)"
        )

    async def transact(self, work: Work) -> Any:  # noqa: ANN401 - what the program's function returns
        return await self._transactor.run(work)

    async def settle_within(self, work: Work, decide: Decide) -> Any:  # noqa: ANN401
        return await self._transactor.run(work, decide, self._limits)

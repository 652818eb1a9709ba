"""The peers that are measured, with the best settings their documentation recommends (see ``programs``).

Results are off or dropped where the library allows it. ``waiting`` is the question that counts all jobs that
have not ended well: a query in SQL, or for Redis a script in Lua.
"""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass

import apsw
import asyncpg
import redis.asyncio

from bench.databases import multiply
from bench.environments import PEERS, peer_node, peer_python
from bench.library import Left, Library
from bench.processes import BrokenRunError, Command, Started, ask, started, wait_for
from bench.scenario import Figures, Run, Side

PROGRAMS = PEERS / "programs"
SQLITE = "sqlite:///"
SEED = 500
UUID = "gen_random_uuid()"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Where a peer keeps ended jobs, and how a copy of such a row gets keys of its own."""

    table: str
    keys: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One peer on one kind of store. ``poll`` is the longest pause between two looks of a worker that is not
    woken. One without ``history`` deletes what has ended, one without ``schema`` needs none. ``files`` is
    what its pins and its program are called, if not as itself; ``grace`` how long a worker may take to end.
    """

    name: str
    waiting: str
    jobs: int
    calls: int
    history: History | None = None
    bulk: bool = True
    poll: float = 0.0
    node: bool = False
    schema: bool = True
    files: str = ""
    grace: float = 5

    def library(self) -> Library:
        """The peer as a library that can be measured."""
        return Library(
            name=self.name,
            side=Side.PEER,
            produce=self.produce,
            work=self.work,
            watch=self.watch,
            jobs=self.jobs,
            calls=self.calls,
            history=self.remember if self.history else None,
            bulk=self.bulk,
            samples=40 if self.poll else 400,
            python=not self.node,
        )

    def produce(self, run: Run, what: str, count: int) -> Figures:
        """Runs one of the program's commands to its end."""
        if what == "prepare" and not self.schema:
            return {}
        return ask(run, self._command(what, count), extra=self._extra(), limit=900)

    @contextmanager
    def work(self, run: Run, processes: int) -> Iterator[list[Started]]:
        """Starts workers."""
        command, extra = self._command("work", 0), self._extra()
        with started(run, command, count=processes, extra=extra, grace=self.grace) as those:
            yield those

    def remember(self, run: Run, count: int) -> None:
        """Lets a worker run some jobs, and copies the rows that they leave behind."""
        assert self.history is not None
        self.produce(run, "fill", SEED)
        with self.work(run, 1) as those:
            wait_for(run, SEED, those)
            until = time.monotonic() + 60
            while (left := self.library().left(run)) and time.monotonic() < until:
                time.sleep(0.1)
        if left:
            raise BrokenRunError(f"{left} of {SEED} jobs did not end")
        for path in run.space.probe.iterdir():
            path.unlink()
        multiply(run.space.url, self.history.table, count // SEED - 1, keys=self.history.keys)

    @asynccontextmanager
    async def watch(self, run: Run) -> AsyncIterator[Left]:
        """Counts in the peer's own tables or keys."""
        async with _watcher(run.space.url)(run.space.url, self.waiting) as left:
            yield left

    def _command(self, what: str, count: int) -> Command:
        files = self.files or self.name
        if self.node:
            return [peer_node(files).program, PROGRAMS / f"{files}.mjs", what, str(count)]
        module = f"bench.peers.programs.{files.replace('-', '_')}"
        return [peer_python(files), "-m", module, what, str(count)]

    def _extra(self) -> dict[str, str]:
        pause = {"BENCH_PAUSE": str(max(0.025, 3 * self.poll))}
        if self.node:
            return {**pause, "HEADRACE_BENCH_MODULES": str(peer_node(self.files or self.name).modules)}
        return pause


def _watcher(url: str) -> Callable[[str, str], AbstractAsyncContextManager[Left]]:
    match url.partition(":")[0]:
        case "sqlite":
            return _watch_sqlite
        case "postgresql" | "postgres":
            return _watch_postgres
        case _:
            return _watch_redis


@asynccontextmanager
async def _watch_postgres(url: str, waiting: str) -> AsyncIterator[Left]:
    connection = await asyncpg.connect(url)

    async def left() -> int:
        return await connection.fetchval(waiting)

    try:
        yield left
    finally:
        await connection.close()


@asynccontextmanager
async def _watch_sqlite(url: str, waiting: str) -> AsyncIterator[Left]:
    file = apsw.Connection(url.removeprefix(SQLITE), flags=apsw.SQLITE_OPEN_READONLY)
    file.set_busy_timeout(5_000)

    async def left() -> int:
        return file.execute(waiting).get

    try:
        yield left
    finally:
        file.close()


@asynccontextmanager
async def _watch_redis(url: str, waiting: str) -> AsyncIterator[Left]:
    async with redis.asyncio.Redis.from_url(url) as connection:
        script = connection.register_script(waiting)

        async def left() -> int:
            return await script()

        yield left


DBOS_SQLITE = Peer(
    name="dbos",
    waiting="select count(*) from workflow_status where status <> 'SUCCESS'",
    jobs=2_000,
    calls=1_000,
    bulk=False,
    poll=0.1,
)
ON_POSTGRES = (
    Peer(
        name="graphile-worker",
        waiting="select count(*) from graphile_worker._private_jobs",
        jobs=60_000,
        calls=3_000,
        node=True,
    ),
    Peer(
        name="pg-boss",
        waiting="select count(*) from pgboss.job where state <> 'completed'",
        jobs=60_000,
        calls=3_000,
        history=History(table="pgboss.job", keys={"id": UUID}),
        node=True,
    ),
    Peer(
        name="pgqueuer",
        waiting=(
            "select (select count(*) from pgqueuer)"
            " + (select count(*) from pgqueuer_log where status = 'exception')"
        ),
        jobs=60_000,
        calls=4_000,
        history=History(table="pgqueuer_log", keys={"id": ""}),
    ),
    Peer(
        name="chancy",
        waiting="select count(*) from chancy_jobs where state <> 'succeeded'",
        jobs=10_000,
        calls=3_000,
        history=History(table="chancy_jobs", keys={"id": UUID}),
    ),
    Peer(
        name="procrastinate",
        waiting="select count(*) from procrastinate_jobs where status <> 'succeeded'",
        jobs=3_000,
        calls=3_000,
        history=History(table="procrastinate_jobs", keys={"id": ""}),
    ),
    Peer(
        name="saq",
        waiting="select count(*) from saq_jobs where status <> 'complete'",
        jobs=3_000,
        calls=3_000,
        bulk=False,
    ),
    Peer(
        name="dbos",
        waiting="select count(*) from dbos.workflow_status where status <> 'SUCCESS'",
        jobs=3_000,
        calls=2_000,
        history=History(table="dbos.workflow_status", keys={"workflow_uuid": f"{UUID}::text"}),
        bulk=False,
        poll=0.1,
    ),
)

"""E09: everything goes through a pooler in transaction mode, whose sessions are one transaction long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg

from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.stores.open import open_store
from tests.crash.experiments.e02_claim_race import claim_race
from tests.crash.experiments.e14_schedules import schedules
from tests.crash.kit.clocks import PATIENCE, until
from tests.crash.kit.experiment import NotHere, Scene, experiment
from tests.crash.kit.ledger import Phase
from tests.crash.kit.target import POSTGRES
from tests.crash.kit.worker import WorkerSpec, start_worker
from tests.servers import pgbouncer
from tests.servers.postgres import PostgresServer

POOL = 2
LIFETIME = 5
STARTERS = 3
LOOK_EVERY = 0.2
OLD_SECONDS = 1.0

SESSION_LOCKS = """
select count(*)
from pg_locks
join pg_stat_activity using (pid)
where locktype = 'advisory'
  and (state = 'idle' or xact_start < clock_timestamp() - make_interval(secs => $1))
"""


@experiment(
    "E09",
    "pooler",
    "All programs go through a pooler with two connections that live for five seconds: several migrate at"
    " once, race for jobs, fire schedules while they are killed; the pooler itself is killed under a worker.",
    on=frozenset({POSTGRES.name}),
)
async def pooler(scene: Scene) -> None:
    server = scene.target.server
    if pgbouncer.program() is None:
        raise NotHere("pgbouncer is not installed")
    assert isinstance(server, PostgresServer)
    with pgbouncer.PgBouncer(scene.target.url, pool=POOL, lifetime=LIFETIME) as between:
        for name, part in (("race", claim_race), ("schedules", schedules), ("outage", None)):
            server.create_database(name)
            direct = server.url(name)
            there = _through(scene, f"{between.through(direct)}?pooler=transaction", name)
            async with _watched(scene, direct):
                await _migrated_by_many(there)
                await (part(there) if part else _pooler_killed(there, between, direct))


def _through(scene: Scene, url: str, name: str) -> Scene:
    folder = scene.folder / name
    folder.mkdir()
    return replace(scene, target=replace(scene.target, url=url), folder=folder)


async def _migrated_by_many(scene: Scene) -> None:
    """Several programs that start at once make the schema once."""

    async def start() -> int:
        store = await open_store(scene.target.url)
        try:
            return await store.migrate()
        finally:
            await store.close()

    numbers = await asyncio.gather(*(start() for _ in range(STARTERS)))
    scene.findings.demand(len(set(numbers)) == 1, "C50", "-", f"starters made the schemas {numbers}")
    scene.findings.did["migrated at once"] += STARTERS


@asynccontextmanager
async def _watched(scene: Scene, direct: str) -> AsyncIterator[None]:
    """Meanwhile no session keeps an advisory lock beyond its transaction."""
    connection = await asyncpg.connect(direct)

    async def look() -> None:
        while True:
            kept = await connection.fetchval(SESSION_LOCKS, OLD_SECONDS)
            scene.findings.demand(kept == 0, "C43", "-", f"{kept} advisory locks outlive their transactions")
            scene.findings.did["looks at the locks"] += 1
            await asyncio.sleep(LOOK_EVERY)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        await connection.close()


async def _pooler_killed(scene: Scene, between: pgbouncer.PgBouncer, direct: str) -> None:
    """Jobs run through the pooler while it is killed and brought back; enqueued past it."""
    beside = replace(scene, target=replace(scene.target, url=direct))
    async with beside.client() as (client, store):
        with scene.fleet() as fleet:
            worker = start_worker(fleet, WorkerSpec(url=scene.target.url, lease_ms=2_000))
            await client.enqueue(EnqueueRequest(type="on_loop", payload={"ms": 0}))
            await until("the worker works", lambda: scene.ledger.count(Phase.EFFECT) > 0)
            for _ in range(scene.pick(smoke=2, full=20)):
                await client.enqueue(*(EnqueueRequest(type="on_loop", payload={"ms": 20}) for _ in range(40)))
                await scene.nemesis.strike_within(0.1, 0.6)
                between.kill()
                await scene.nemesis.strike_within(0.1, 1.0)
                between.restart()
                scene.findings.did["kills of the pooler"] += 1
            async with asyncio.timeout(PATIENCE * 2):
                while (await client.operations.stats()).count(State.PENDING, State.PROCESSING):
                    scene.findings.demand(worker.alive, "C49", worker.name, "died with the pooler")
                    await asyncio.sleep(0.05)
            codes = await fleet.stop([worker])
            scene.findings.demand(codes == [0], "C20", "-", f"the worker ended with {codes}")
        dump = await scene.check(store)
    crashes = sum(job.placement.crashes for job in dump.jobs.values())
    scene.findings.again["rescued while the pooler was away"] += crashes

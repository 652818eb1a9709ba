"""A primary dies, its synchronous standby takes over: everybody goes on, nothing acknowledged is lost."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import pytest

from headrace import App
from headrace.errors import OutcomeUnknown, StoreUnavailable
from headrace.settings import Settings
from headrace.stores.open import open_store
from headrace.stores.protocol import Store
from tests.builders import NAMESPACE, a_job, claim, enqueue
from tests.faces.commands import APP, running
from tests.servers.postgres import PostgresServer, multi_host_url
from tests.servers.processes import until

T = TypeVar("T")

JOBS = 60
KILLED_AT = 20
LEASE_S = "2"


@dataclass(frozen=True)
class Pair:
    primary: PostgresServer
    standby: PostgresServer
    url: str


@pytest.fixture
def pair(start_postgres):
    """A primary with the store's tables, its synchronous standby, and the URL of both."""
    primary = start_postgres()
    primary.create_database("jobs")
    asyncio.run(_migrated(primary.url("jobs")))
    with primary.standby(synchronous=True) as standby:
        yield Pair(primary, standby, multi_host_url(primary, standby, database="jobs"))


async def _migrated(url: str) -> None:
    store = await open_store(url)
    await store.migrate()
    await store.close()


async def acknowledged(call: Callable[[], Awaitable[T]]) -> T:
    """The answer of a call that is repeated until it has one, as a careful client does."""
    while True:
        try:
            return await call()
        except (StoreUnavailable, OutcomeUnknown):
            await asyncio.sleep(0.01)


async def _takes_writes(store: Store) -> bool:
    try:
        await enqueue(store, a_job())
    except StoreUnavailable:
        return False
    return True


async def test_workers_and_clients_go_on_at_the_promoted_standby(pair, tmp_path: Path):
    (tmp_path / "jobs.py").write_text(APP)
    options = ("--app", "jobs:app", "--url", pair.url, "--lease", LEASE_S)
    app = App(settings=replace(Settings(), url=pair.url))

    @app.job(name="double")
    def double(n: int) -> int:
        return n + n

    with ExitStack() as workers:
        started = [workers.enter_context(running("worker", *options, cwd=tmp_path)) for _ in range(2)]
        for worker in started:
            await asyncio.to_thread(worker.line_with, "worker_started")
        async with app:
            handles = []
            failing_over = None
            for n in range(JOBS):
                if n == KILLED_AT:
                    failing_over = asyncio.create_task(asyncio.to_thread(fail_over, pair))
                call = double.using(idempotency_key=f"job-{n}").enqueue
                handles.append(await acknowledged(lambda n=n, call=call: call(n)))
            await failing_over
            async with asyncio.timeout(120):
                results = [await acknowledged(handle.result) for handle in handles]
            stats = await (await app.operations()).stats()
        for worker in started:
            worker.send(2)
        codes = [await asyncio.to_thread(worker.ended) for worker in started]

    assert results == [n + n for n in range(JOBS)]
    assert len({handle.id for handle in handles}) == stats.count() == JOBS
    assert codes == [0, 0]


def fail_over(pair: Pair) -> None:
    pair.primary.kill()
    pair.standby.promote()


async def test_open_store_finds_the_new_primary_and_tells_that_it_is_another(pair):
    async with AsyncExitStack() as stack:
        store = await open_store(pair.url)
        stack.push_async_callback(store.close)
        before = await store.incarnation()
        job = a_job()
        await enqueue(store, job)

        await asyncio.to_thread(fail_over, pair)

        found = await acknowledged(lambda: store.get(NAMESPACE, [job.facts.id]))
        assert list(found) == [job.facts.id]
        assert await acknowledged(store.incarnation) != before
        assert len(await acknowledged(lambda: claim(store))) == 1


async def test_connection_to_a_server_that_turned_read_only_is_given_up(pair):
    """As when a primary is fenced off by hand: its connections stay, and take no more writes."""
    async with AsyncExitStack() as stack:
        store = await open_store(pair.url)
        stack.push_async_callback(store.close)
        await asyncio.gather(*(store.now() for _ in range(5)))  # more than one connection is open
        pair.primary.run_script("postgres", "alter system set default_transaction_read_only = on")
        pair.primary.run_sql("postgres", "select pg_reload_conf()")
        while await _takes_writes(store):  # the reload reaches each session a moment later
            pass
        await asyncio.to_thread(pair.standby.promote)

        last = a_job()
        await acknowledged(lambda: enqueue(store, last))

        assert pair.standby.run_sql("jobs", "select 1 from headrace.job where id = $1", last.facts.id)
        assert not pair.primary.run_sql("jobs", "select 1 from headrace.job where id = $1", last.facts.id)


async def test_slot_of_a_standby_that_is_away_is_told(pair):
    """It keeps dead rows for a standby that may never come back."""
    pair.primary.run_sql("postgres", "select pg_create_physical_replication_slot('kept')")
    following = {
        "primary_slot_name": "kept",
        "hot_standby_feedback": "on",
        "wal_receiver_status_interval": "1",
    }
    pair.primary.run_script("postgres", "alter system reset synchronous_standby_names")
    pair.primary.run_sql("postgres", "select pg_reload_conf()")
    pair.standby.restart(following)
    wanted = "select 1 from pg_replication_slots where active and xmin is not null"
    until(lambda: bool(pair.primary.run_sql("postgres", wanted)), what="the standby asks for old rows")
    store = await open_store(pair.primary.url("jobs"))

    before = await store.check()
    pair.standby.stop()
    gone = "select 1 from pg_replication_slots where not active"
    until(lambda: bool(pair.primary.run_sql("postgres", gone)), what="the slot is left alone")
    after = await store.check()
    await store.close()

    assert before.details["replication"] == "asynchronous, 1 connected"
    assert [said for said in before.warnings if "slot" in said] == []
    assert [said for said in after.warnings if "replication slot kept is unused" in said] != []


async def test_synchronous_standby_and_local_commits_are_told(pair):
    store = await open_store(pair.url)
    synchronous = await store.check()
    await store.close()
    pair.primary.run_script("postgres", "alter database jobs set synchronous_commit = local")
    store = await open_store(pair.url)
    local = await store.check()
    await store.close()

    assert synchronous.details["replication"] == "synchronous, 1 connected"
    assert not any("failover" in said for said in synchronous.warnings)
    assert any(said.startswith("synchronous_commit is local") for said in local.warnings)
    assert local.details["replication"] == "asynchronous, 1 connected"

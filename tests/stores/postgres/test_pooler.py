"""Behind a pooler in transaction mode, where a session is one transaction long."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from headrace.stores.open import open_store
from headrace.stores.values import Holder
from tests.builders import NAMESPACE, NOW, a_job, claim, enqueue, settle
from tests.faces.commands import running
from tests.servers import pgbouncer
from tests.stores.hearing import LONG_MS, ONE, hears
from tests.stores.postgres.hearing import wakeups

pytestmark = pytest.mark.skipif(pgbouncer.program() is None, reason="pgbouncer is not installed")

SERVER_CONNECTIONS = 2


@pytest.fixture
def pooled(url: str) -> Iterator[str]:
    """The database of ``url`` through few connections, which the pooler hands on after each transaction."""
    with pgbouncer.PgBouncer(url, pool=SERVER_CONNECTIONS) as pooler:
        yield f"{pooler.through(url)}?pooler=transaction"


async def test_jobs_live_through_a_pooler_with_many_clients(pooled, run_sql, url):
    stores = [await open_store(pooled) for _ in range(6)]
    done: list[str] = []

    async def work(number: int) -> None:
        store = stores[number]
        for _ in range(10):
            await enqueue(store, a_job(), a_job())
            for job in await claim(store, n=3):
                await settle(store, job)
                done.append(job.id)

    await asyncio.gather(*(work(number) for number in range(len(stores))))
    while left := await claim(stores[0], n=100):
        for job in left:
            await settle(stores[0], job)
            done.append(job.id)
    for store in stores:
        await store.close()

    assert len(done) == len(set(done)) == 120
    assert run_sql(url, "select count(*) from headrace.ended where state = 'completed'")[0][0] == 120


async def test_renewals_of_many_holders_do_not_mix_in_a_pooler(pooled):
    stores = [await open_store(pooled) for _ in range(6)]
    await enqueue(stores[0], *[a_job() for _ in range(len(stores))])
    held = [(await claim(store, n=1))[0] for store in stores]

    async def renew(number: int) -> list[frozenset[str]]:
        holder = Holder(job_id=held[number].id, fence=held[number].fence)
        async with stores[number].renewer() as renewer:
            ends = range(NOW + 30_000, NOW + 30_040)
            return [(await renewer.renew([holder], now=NOW, lease_until=end)).lost for end in ends]

    async def read(number: int) -> None:
        for _ in range(40):
            assert list(await stores[number].get(NAMESPACE, [held[number].id])) == [held[number].id]

    answers = await asyncio.gather(
        *(renew(number) for number in range(len(stores))), *(read(number) for number in range(len(stores)))
    )
    for store in stores:
        await store.close()

    assert [lost for answer in answers if answer is not None for lost in answer] == [frozenset()] * 240


async def test_nothing_is_left_behind_in_the_poolers_sessions(url, run_sql):
    with pgbouncer.PgBouncer(url, pool=1) as pooler:
        store = await open_store(f"{pooler.through(url)}?pooler=transaction")
        await enqueue(store, a_job())
        for job in await claim(store):
            await settle(store, job)
        await store.set_paused(NAMESPACE, "default", paused=True)
        await store.check()
        store.wake(NAMESPACE, ONE)
        await store.close()

        locks = run_sql(url, "select * from pg_locks where locktype = 'advisory'")
        inside = pooler.through(url)
        prepared, channels, settings = await _left_in(inside)

    assert locks == []
    assert (prepared, channels, settings) == (0, 0, 0)


async def _left_in(url: str) -> tuple[int, int, int]:
    connection = await asyncpg.connect(url, statement_cache_size=0)
    async with connection.transaction():
        row = await connection.fetchrow(
            """
            select
              (select count(*) from pg_prepared_statements where name <> ''),
              (select count(*) from pg_listening_channels()),
              (select count(*) from pg_settings where source = 'session' and name like 'enable_%')
            """
        )
    await connection.close()
    return tuple(row)


async def test_hints_are_sent_through_the_pooler_and_heard_beside_it(pooled, url):
    async with wakeups(pooled) as here, wakeups(f"{pooled}&listen={url}") as there:
        await hears(there)
        waiting = asyncio.create_task(there.woken("default", ONE, LONG_MS))
        await asyncio.sleep(0)

        here.wake("default", ONE)

        assert await waiting is True
        assert here.heard is False


@pytest.mark.parametrize(
    ("direct", "said"), [(False, "polling every 1 s (a pooler"), (True, "listening; polling every 1 s")]
)
def test_worker_says_which_wake_ups_it_uses(pooled, url, tmp_path: Path, direct, said):
    address = f"{pooled}&listen={url}" if direct else pooled

    with running("worker", "--url", address, cwd=tmp_path) as worker:
        line = worker.line_with("wake-ups: ")
        worker.line_with("worker_started")
        worker.send(2)

        assert worker.ended() == 0
    assert said in line

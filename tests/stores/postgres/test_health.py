"""What the server is said to be like is read from the server."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import asyncpg
import pytest

from headrace.errors import StoreUnavailable
from headrace.stores.open import open_store
from headrace.stores.postgres import health
from headrace.stores.protocol import Store
from headrace.stores.values import Health, Tier
from tests.builders import a_job, claim, enqueue
from tests.stores.postgres.conftest import database_of


async def checked(url: str) -> Health:
    store = await open_store(url)
    try:
        return await store.check()
    finally:
        await store.close()


async def answered(call: Callable[[], Awaitable[str]]) -> str:
    """The answer, once the connections that an old server has left behind are used up."""
    while True:
        try:
            return await call()
        except StoreUnavailable:
            continue


def new_warnings(before: Health, after: Health) -> list[str]:
    """What is told now and was not told before: a test server is not set up for safety."""
    return [said for said in after.warnings if said not in before.warnings]


@pytest.fixture
async def store(url) -> AsyncIterator[Store]:
    opened = await open_store(url)
    yield opened
    await opened.close()


async def test_details_say_where_and_how(url):
    found = await checked(url.replace("://postgres@", "://postgres:hunter2@"))

    assert found.store == "postgresql"
    assert int(found.version.partition(".")[0]) >= 14
    assert found.details["server"].endswith(f"/{database_of(url)}")
    assert found.details["schemaName"] == "headrace"
    assert found.details["pooler"] == "none"
    assert found.details["wakeups"] == "listening"
    assert found.details["replication"] == "none"
    assert int(found.details["bytes"]) > 0
    assert "hunter2" not in repr(found)


async def test_tier_and_warnings_follow_the_servers_settings(start_postgres):
    server = start_postgres(settings={"fsync": "on"})
    server.create_database("jobs")
    url = server.url("jobs")
    store = await open_store(url)
    await store.migrate()
    await store.close()

    safe = await checked(url)
    server.restart({"full_page_writes": "off", "autovacuum": "off"})
    torn = await checked(url)
    server.restart({"fsync": "off", "full_page_writes": "on", "autovacuum": "on", "track_counts": "off"})
    unsynced = await checked(url)

    assert (safe.tier, safe.warnings) == (Tier.POWER_LOSS, ())
    assert torn.tier is Tier.PROCESS_DEATH
    assert [said.partition(":")[0] for said in torn.warnings] == [
        "full_page_writes is off", "autovacuum or track_counts is off",
    ]  # fmt: skip
    assert unsynced.tier is Tier.PROCESS_DEATH
    assert [said.partition(":")[0] for said in unsynced.warnings] == [
        "fsync is off", "autovacuum or track_counts is off",
    ]  # fmt: skip


async def test_commits_that_nobody_waits_for_are_lost_with_the_server(url, run_script):
    run_script(url, f'alter database "{database_of(url)}" set synchronous_commit = off')

    found = await checked(url)

    assert found.tier is Tier.NOTHING
    assert any(said.startswith("synchronous_commit is off") for said in found.warnings)


async def test_server_that_takes_no_writes_cannot_serve(url, run_script, store):
    await store.check()
    run_script(url, f'alter database "{database_of(url)}" set default_transaction_read_only = on')

    with pytest.raises(StoreUnavailable):
        await checked(url)
    with pytest.raises(StoreUnavailable, match="accepts no writes"):
        await checked(f"{url}?target_session_attrs=any")


async def test_old_transaction_is_told(url, store, monkeypatch):
    monkeypatch.setattr(health, "OLD_SECONDS", 0)
    before = await store.check()
    other = await asyncpg.connect(url)
    await other.execute("begin isolation level repeatable read; select 1 from headrace.live")

    during = await store.check()
    await other.close()

    assert [said[:31] for said in new_warnings(before, during)] == ["a transaction has been open for"]


async def test_dead_rows_are_told(url, store, monkeypatch, run_script):
    monkeypatch.setattr(health, "MANY_DEAD_ROWS", 50)
    run_script(url, "alter table headrace.live set (autovacuum_enabled = off)")
    before = await store.check()
    for _ in range(4):
        await enqueue(store, *[a_job() for _ in range(20)])
        await claim(store, n=20)
    # a session reports what it did when it ends
    await store.close()

    async with asyncio.timeout(60):
        while not (told := new_warnings(before, await checked(url))):
            await asyncio.sleep(0.01)

    (said,) = told
    assert re.fullmatch(r"the table live has \d+ dead rows: autovacuum does not keep up", said)


async def test_store_time_is_the_servers(url, store, run_sql):
    clock = "select floor(extract(epoch from clock_timestamp()) * 1000)::bigint"
    before = run_sql(url, clock)[0][0]
    now = await store.now()
    after = run_sql(url, clock)[0][0]

    assert before - 1 <= now <= after + 1


async def test_incarnation_changes_when_the_server_restarts(start_postgres):
    server = start_postgres()
    server.create_database("jobs")
    store = await open_store(server.url("jobs"))
    await store.migrate()

    first, again = await store.incarnation(), await store.incarnation()
    server.restart()
    restarted = await answered(store.incarnation)
    await store.close()

    assert again == first
    assert restarted != first


async def test_incarnation_needs_no_rights_that_a_hosted_database_keeps(url, run_script):
    role = f"headrace_test_{uuid4().hex}"
    run_script(
        url,
        f"""
        create role {role} login;
        grant usage on schema headrace to {role};
        grant select on headrace.meta to {role};
        revoke execute on function pg_control_system() from public;
        """,
    )
    store = await open_store(re.sub(r"//[^@]*@", f"//{role}@", url))

    first, again = await store.incarnation(), await store.incarnation()
    await store.close()
    run_script(
        url,
        f"grant execute on function pg_control_system() to public; drop owned by {role}; drop role {role}",
    )

    assert first == again
    assert first.startswith("127.0.0.1")

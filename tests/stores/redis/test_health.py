"""What the server is said to be like is read from the server."""

import re

import pytest

from headrace.errors import SchemaTooNew, StoreUnavailable, StoreUnusable
from headrace.stores.open import open_store
from headrace.stores.redis.info import Info
from headrace.stores.redis.location import parse
from headrace.stores.redis.readiness import refuse_server
from headrace.stores.redis.schema import MARK, NEWEST
from headrace.stores.values import Health, Tier
from tests.builders import a_job, enqueue
from tests.servers.valkey import ValkeyServer

SAFE = {"appendonly": "yes", "appendfsync": "always"}


async def checked(url: str) -> Health:
    store = await open_store(url)
    try:
        return await store.check()
    finally:
        await store.close()


def subjects(found: Health) -> list[str]:
    return [said.partition(":")[0] for said in found.warnings]


# ------------------------------------------------------------ what is told


async def test_details_say_where_and_how(url, client):
    found = await checked(f"{url.replace('://', '://:@')}?prefix=apart")

    assert found.store in {"valkey", "redis"}
    assert int(found.version.partition(".")[0]) >= 6
    assert found.schema == NEWEST
    assert found.details["server"] == parse(url).name
    assert found.details["prefix"] == "apart"
    assert found.details["wakeups"] == "listening"
    assert found.details["role"] == "primary"
    assert found.details["replication"] == "none"
    assert found.details["evictionPolicy"] == client.config_get("maxmemory-policy")["maxmemory-policy"]
    assert int(found.details["usedMemory"]) > 0
    assert found.details["maxMemory"] == "unbounded"
    assert 0 < int(found.details["connectedClients"]) < int(found.details["maxClients"])


async def test_keys_of_the_database_are_counted(url, client, store):
    await enqueue(store, a_job())

    assert (await store.check()).details["keys"] == str(client.dbsize())


@pytest.mark.parametrize(
    ("settings", "tier", "told"),
    [
        (SAFE, Tier.POWER_LOSS, []),
        ({"appendonly": "yes", "appendfsync": "everysec"}, Tier.PROCESS_DEATH, ["appendfsync is everysec"]),
        ({"appendonly": "yes", "appendfsync": "no"}, Tier.PROCESS_DEATH, ["appendfsync is no"]),
        (
            SAFE | {"no-appendfsync-on-rewrite": "yes"},
            Tier.PROCESS_DEATH,
            ["no-appendfsync-on-rewrite is yes"],
        ),
        ({"appendonly": "no"}, Tier.NOTHING, ["appendonly is no"]),
    ],
)
async def test_c4_tier_and_warnings_follow_the_servers_settings(start_valkey, settings, tier, told):
    found = await checked(start_valkey(settings=settings).url())

    assert (found.tier, subjects(found)) == (tier, told)


@pytest.mark.parametrize(
    ("save", "persistence", "lost"),
    [("", "none", "all jobs are lost"), ("60 1", "snapshots", "jobs are lost since its last snapshot")],
)
async def test_server_without_a_log_says_what_is_lost(start_valkey, save, persistence, lost):
    found = await checked(start_valkey(settings={"save": save}).url())

    assert (found.tier, found.details["persistence"]) == (Tier.NOTHING, persistence)
    assert found.warnings == (f"appendonly is no: when the server stops, {lost}",)


async def test_tier_follows_settings_that_change_while_the_store_is_open(start_valkey):
    server = start_valkey(settings=SAFE)
    store = await open_store(server.url())

    before = (await store.check()).tier
    server.run("CONFIG SET", "appendfsync", "everysec")
    after = (await store.check()).tier
    await store.close()

    assert (before, after) == (Tier.POWER_LOSS, Tier.PROCESS_DEATH)


async def test_user_without_the_right_to_read_settings_is_told_what_is_unknown(start_valkey):
    server = start_valkey(settings=SAFE)
    server.run("ACL SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-config")

    found = await checked(server.url().replace("://", "://app:secret@"))

    assert found.tier is Tier.PROCESS_DEATH
    assert subjects(found) == ["CONFIG GET is not allowed"]
    assert found.details["persistence"] == "appendonly, appendfsync unknown"


async def test_s2_48_memory_and_connections_that_run_out_are_told(start_valkey):
    server = start_valkey(settings=SAFE | {"maxclients": "12"})
    used = server.info("memory")["used_memory"]
    server.run("CONFIG SET", "maxmemory", used * 10 // 9)
    others = [server.client() for _ in range(9)]
    for one in others:
        one.ping()

    found = await checked(server.url())
    for one in others:
        one.close()

    assert len(found.warnings) == 2
    assert re.match(r"\d+ of \d+ bytes of memory are used", found.warnings[0])
    assert re.match(r"1\d of 12 connections are taken \(maxclients\)", found.warnings[1])
    assert int(found.details["maxMemory"]) == used * 10 // 9


# ------------------------------------------------------------ servers that will not do


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
async def test_c4_server_that_evicts_jobs_is_refused(start_valkey, policy):
    server = start_valkey(settings=SAFE | {"maxmemory": "50mb", "maxmemory-policy": policy})
    store = await open_store(server.url())

    for call in (store.check, store.migrate, lambda: enqueue(store, a_job())):
        with pytest.raises(StoreUnusable, match=f"maxmemory-policy {policy}.*allow_eviction=true"):
            await call()
    await store.close()


async def test_server_that_evicts_is_used_if_losing_jobs_is_all_right(start_valkey):
    server = start_valkey(settings=SAFE | {"maxmemory": "50mb", "maxmemory-policy": "allkeys-lru"})

    found = await checked(f"{server.url()}?allow_eviction=true")

    assert subjects(found) == ["maxmemory-policy is allkeys-lru"]
    assert found.details["evictionPolicy"] == "allkeys-lru"


async def test_policy_that_evicts_only_what_has_a_time_to_live_evicts_no_job(start_valkey):
    server = start_valkey(settings=SAFE | {"maxmemory": "50mb", "maxmemory-policy": "volatile-lru"})

    found = await checked(server.url())

    assert (found.tier, found.warnings) == (Tier.POWER_LOSS, ())


async def test_policy_that_changes_while_the_store_is_open_is_refused_by_the_next_check(start_valkey):
    server = start_valkey()
    store = await open_store(server.url())
    await store.check()
    server.run("CONFIG SET", "maxmemory-policy", "allkeys-lru")

    with pytest.raises(StoreUnusable, match="maxmemory-policy allkeys-lru"):
        await store.check()
    await store.close()


async def test_replica_cannot_serve(start_valkey):
    primary = start_valkey()
    replica = start_valkey(replica_of=primary)

    with pytest.raises(StoreUnavailable, match="accepts no writes"):
        await checked(replica.url())
    found = await checked(primary.url())

    assert found.details["replication"] == "asynchronous, 1 connected"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("redis_version:6.0.16\n", "runs redis 6.0.16; Headrace needs 6.2 or newer"),
        ("redis_version:5.0.14\nserver_name:other\n", "runs other 5.0.14"),
        ("redis_version:7.2.4\nredis_mode:cluster\n", r"use redis\+cluster://"),
        ("redis_version:7.2.4\nmaxmemory_policy:allkeys-lru\n", "maxmemory-policy allkeys-lru"),
    ],
)
def test_server_that_will_not_do_is_named(text, said):
    with pytest.raises(StoreUnusable, match=said):
        refuse_server(Info.of(text.replace("\n", "\r\n")), parse("redis://cache"))


@pytest.mark.parametrize("version", ["6.2.0", "6.2.14", "7.0.15", "7.2.4", "8.0.0", "10.1"])
def test_servers_from_the_oldest_on_will_do(version):
    refuse_server(Info.of(f"# Server\r\nredis_version:{version}\r\n"), parse("redis://cache"))


# ------------------------------------------------------------ the layout of the keys


async def test_c50_migrate_marks_the_layout_once(url, client):
    store = await open_store(url)

    plan = await store.migration_plan()
    numbers = [await store.migrate(), await store.migrate()]
    nothing_left = await store.migration_plan()
    await store.close()

    assert plan == f'SET headrace:schema "{MARK}" NX\n'
    assert nothing_left == ""
    assert numbers == [NEWEST, NEWEST]
    assert client.get("headrace:schema") == MARK


async def test_c50_keys_of_a_newer_version_are_refused(url, client):
    client.set("headrace:schema", f"{NEWEST + 2} {NEWEST + 1}")
    store = await open_store(url)

    for call in (store.migrate, store.migration_plan, store.now, lambda: enqueue(store, a_job())):
        with pytest.raises(SchemaTooNew, match="upgrade this program"):
            await call()
    await store.close()


async def test_c50_keys_of_a_newer_version_that_old_programs_may_use_are_used(url, client):
    client.set("headrace:schema", f"{NEWEST + 1} {NEWEST}")
    store = await open_store(url)

    number = await store.migrate()
    await enqueue(store, a_job())
    await store.close()

    assert number == NEWEST + 1


async def test_prefix_of_another_program_is_refused(url, client):
    client.set("headrace:schema", "something else")
    store = await open_store(url)

    with pytest.raises(StoreUnusable, match=r"another program.*\?prefix="):
        await store.migrate()
    await store.close()


# ------------------------------------------------------------ time and incarnation


async def test_store_time_is_the_servers(store, client):
    before = client.time()
    now = await store.now()
    after = client.time()

    assert in_milliseconds(before) <= now <= in_milliseconds(after)


def in_milliseconds(time: tuple[int, int]) -> int:
    return time[0] * 1000 + time[1] // 1000


async def test_c21_incarnation_changes_when_the_server_restarts(start_valkey):
    server = start_valkey()
    store = await open_store(server.url())

    first, again = await store.incarnation(), await store.incarnation()
    server.restart()
    restarted = await store.incarnation()
    await store.close()

    assert again == first
    assert restarted != first


async def test_c21_incarnation_changes_when_a_replica_takes_over(start_valkey):
    primary = start_valkey()
    replica = start_valkey(replica_of=primary)
    first = await of_incarnation(primary)

    primary.kill()
    replica.promote()

    assert await of_incarnation(replica) != first


async def of_incarnation(server: ValkeyServer) -> str:
    store = await open_store(server.url())
    try:
        return await store.incarnation()
    finally:
        await store.close()

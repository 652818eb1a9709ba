"""What callers are told when the server refuses, dies, or is not heard; and that they go on afterwards."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from redis._parsers.base import BaseParser

from headrace.errors import InvalidInput, OutcomeUnknown, StoreFull, StoreUnavailable, StoreUnusable
from headrace.stores.open import open_store
from headrace.stores.protocol import Store
from headrace.stores.redis.faults import translated
from headrace.stores.values import Record, Swap
from tests.builders import NAMESPACE, a_job, claim, claimed, enqueue, settle
from tests.contract.reads import everything
from tests.servers.behaviours import BlackHole, CutAfter, numbered
from tests.servers.proxy import Proxy
from tests.servers.resp import RespCommands

BIG = "x" * 100_000


def commits(message: bytes) -> bool:
    return b"EVAL" in message


async def filled(store: Store, *, at_once: int = 1) -> None:
    """Enqueues until the server takes no more."""
    while True:
        await enqueue(store, *(a_job(payload=f'"{BIG}"') for _ in range(at_once)))


# ------------------------------------------------------------ what the server says


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", StoreFull),
        ("ERR Error running script (call to f_1): @user_script:7: -OOM command not allowed", StoreFull),
        ("MISCONF Errors writing to the AOF file: No space left on device", StoreFull),
        ("MISCONF Redis is configured to save RDB snapshots, but it's unable to persist", StoreUnavailable),
        ("READONLY You can't write against a read only replica.", StoreUnavailable),
        ("ERR Error running script (call to f_1): @user_script:7: -READONLY You can't", StoreUnavailable),
        ("LOADING Redis is loading the dataset in memory", StoreUnavailable),
        (
            "MASTERDOWN Link with MASTER is down",
            StoreUnavailable,
        ),
        ("CLUSTERDOWN The cluster is down", StoreUnavailable),
        ("TRYAGAIN Multiple keys request during rehashing of slot", StoreUnavailable),
        ("MOVED 3999 127.0.0.1:6381", StoreUnavailable),
        ("NOREPLICAS Not enough good replicas to write.", StoreUnavailable),
        ("BUSY Redis is busy running a script.", StoreUnavailable),
        ("UNBLOCKED force unblock from blocking operation", StoreUnavailable),
        ("EXECABORT Transaction discarded because of previous errors.", StoreUnavailable),
        ("ERR max number of clients reached", StoreUnavailable),
        ("NOAUTH Authentication required.", StoreUnusable),
        ("WRONGPASS invalid username-password pair or user is disabled.", StoreUnusable),
        ("NOPERM this user has no permissions to run the 'info' command", StoreUnusable),
        ("DENIED Redis is running in protected mode", StoreUnusable),
        ("ERR unknown command 'EVALSHA'", StoreUnusable),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", StoreUnusable),
    ],
)
@pytest.mark.parametrize("sent", [True, False])
def test_refusals_of_the_server_are_no_lost_replies(line, kind, sent):
    error = translated(BaseParser.parse_error(line), "cache:6379/0", sent=sent)

    if line.startswith("ERR max number") and sent:
        assert (
            type(error) is OutcomeUnknown
        )  # the server closes the connection without a word about the command
    else:
        assert type(error) is kind
    assert "cache:6379/0" in str(error)


@pytest.mark.parametrize(
    "error", [ConnectionResetError(), TimeoutError(), OSError(104, "gone"), EOFError(), BrokenPipeError()]
)
def test_lost_reply_of_a_write_leaves_the_outcome_unknown_and_that_of_a_read_does_not(error):
    assert type(translated(error, "cache", sent=True)) is OutcomeUnknown
    assert type(translated(error, "cache", sent=False)) is StoreUnavailable


async def test_text_that_cannot_be_kept_is_the_callers_mistake(store):
    with pytest.raises(InvalidInput):
        await store.swap(NAMESPACE, [Swap(key="a", revision=0, value="\ud800")])


# ------------------------------------------------------------ full


async def test_c49_full_memory_refuses_and_is_over_when_there_is_room_again(start_valkey):
    server = start_valkey(settings={"maxmemory": "8mb"})
    store = await open_store(server.url())
    await store.migrate()

    with pytest.raises(StoreFull):
        await filled(store)
    kept = len(await everything(store))
    server.run("CONFIG SET", "maxmemory", "0")
    await enqueue(store, a_job())
    jobs = await everything(store)
    running = await claim(store, n=len(jobs) + 1)
    await store.close()

    assert kept > 10
    assert len(jobs) == kept + 1
    assert len(running) == kept + 1


async def test_c6_bulk_that_does_not_fit_is_not_half_kept(start_valkey):
    server = start_valkey()
    used = server.info("memory")["used_memory"]
    server.run("CONFIG SET", "maxmemory", used + 3_000_000)
    store = await open_store(server.url())
    await store.migrate()

    with pytest.raises(StoreFull):
        await filled(store, at_once=5)
    found = len(await everything(store))
    await store.close()

    assert found > 0
    assert found % 5 == 0


# ------------------------------------------------------------ the server goes away


async def test_server_that_takes_no_writes_is_unavailable_until_it_does_again(start_valkey):
    server = start_valkey()
    store = await open_store(server.url())
    await store.migrate()
    server.run("REPLICAOF", "127.0.0.1", "1")

    for call in writes_of(store):
        with pytest.raises(StoreUnavailable):
            await call()
    server.run("REPLICAOF", "NO", "ONE")
    await enqueue(store, a_job())
    found = await claim(store)
    await store.close()

    assert len(found) == 1


def writes_of(store: Store) -> list[Callable[[], Awaitable[object]]]:
    return [
        lambda: enqueue(store, a_job()),
        lambda: claim(store),
        lambda: store.swap(NAMESPACE, [Swap(key="a", revision=0, value="1")]),
        lambda: store.append(NAMESPACE, "file", [Record(key="a", at=1, body="{}")]),
        lambda: store.set_paused(NAMESPACE, "mail", paused=True),
    ]


async def test_c49_killed_server_is_unavailable_and_used_again_when_it_is_back(start_valkey):
    server = start_valkey(settings={"appendonly": "yes", "appendfsync": "always"})
    store = await open_store(server.url())
    await store.migrate()
    await enqueue(store, a_job())
    server.kill()

    for call in (*writes_of(store), store.now, store.check, lambda: store.tallies(NAMESPACE)):
        with pytest.raises(StoreUnavailable):
            await call()
    server.restart()
    await enqueue(store, a_job())
    found = await claim(store)
    await store.close()

    assert len(found) == 2


async def test_restart_between_two_calls_is_not_noticed(start_valkey):
    server = start_valkey(settings={"appendonly": "yes", "appendfsync": "always"})
    store = await open_store(server.url())
    await store.migrate()
    await asyncio.gather(*(enqueue(store, a_job()) for _ in range(5)))  # over several connections

    server.restart()
    jobs = await claim(store)
    server.restart()
    for job in jobs:
        await settle(store, job)
    await store.close()

    assert len(jobs) == 5


async def test_c49_scripts_that_the_server_has_forgotten_are_sent_again(store, client):
    for _ in range(3):
        client.script_flush()
        job = await claimed(store)
        client.script_flush()
        await settle(store, job)
        client.script_flush()
        assert await store.swap(NAMESPACE, []) is True
        assert [one.count for one in await store.tallies(NAMESPACE) if one.count]


@pytest.mark.parametrize("delivered", [True, False])
async def test_c49_lost_reply_of_a_write_leaves_the_outcome_unknown(url, delivered):
    with Proxy(url, framing=RespCommands) as proxy:
        store = await open_store(proxy.url)
        await store.migrate()
        await enqueue(store, a_job())
        proxy.set(CutAfter(messages=1, counts=commits, delivered=delivered))

        with pytest.raises(OutcomeUnknown):
            await enqueue(store, a_job())
        proxy.up()
        jobs = await everything(store)
        await store.close()

    assert len(jobs) == (2 if delivered else 1)


async def test_lost_reply_of_a_read_is_asked_for_again(url):
    with Proxy(url, framing=RespCommands) as proxy:
        store = await open_store(proxy.url)
        await enqueue(store, a_job())
        assert len(await everything(store)) == 1
        proxy.reset()

        jobs = await everything(store)
        before = proxy.accepted
        proxy.set(CutAfter(messages=1), numbered(before))
        again = await store.tallies(NAMESPACE)
        proxy.up()
        await store.close()

    assert len(jobs) == 1
    assert [one.count for one in again] == [1]
    assert proxy.accepted == before + 1


async def test_server_that_says_nothing_is_given_up_in_time(url):
    with Proxy(url, framing=RespCommands) as proxy:
        store = await open_store(f"{proxy.url}?timeout=0.2&connect_timeout=0.2")
        await store.migrate()
        proxy.set(BlackHole())

        with pytest.raises(StoreUnavailable):
            await store.now()
        with pytest.raises((OutcomeUnknown, StoreUnavailable)):
            await enqueue(store, a_job())
        proxy.reset()
        proxy.up()
        now = await store.now()
        await store.close()

    assert now > 0


async def test_server_that_says_nothing_from_the_start_is_given_up_in_time(url):
    with Proxy(url, framing=RespCommands) as proxy:
        proxy.set(BlackHole())
        store = await open_store(f"{proxy.url}?connect_timeout=0.2")

        with pytest.raises(StoreUnavailable):
            await store.now()
        await store.close()


async def test_answer_that_comes_too_late_is_taken_by_nobody_else(url):
    with Proxy(url, framing=RespCommands) as proxy:
        store = await open_store(f"{proxy.url}?timeout=0.2&pool=2")
        await store.migrate()
        calls = [asyncio.create_task(store.tallies(NAMESPACE)) for _ in range(4)]
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

        assert await store.read(NAMESPACE, ["nothing"]) == {}
        assert isinstance(await store.now(), int)
        assert await store.tallies(NAMESPACE) == []
        await store.close()


# ------------------------------------------------------------ who may come in


async def test_wrong_password_is_no_matter_of_waiting(start_valkey):
    server = start_valkey()
    server.run("ACL SETUSER", "app", "on", ">secret", "~*", "&*", "+@all")

    for login in ("app:wrong@", "nobody:secret@"):
        store = await open_store(server.url().replace("://", f"://{login}"))
        with pytest.raises(StoreUnusable) as refused:
            await store.now()
        await store.close()
        assert "secret" not in str(refused.value)


async def test_missing_password_is_no_matter_of_waiting(start_valkey):
    server = start_valkey()
    server.run("CONFIG SET", "requirepass", "secret")
    store = await open_store(server.url())

    with pytest.raises(StoreUnusable):
        await store.now()
    await store.close()
    server_with_password = await open_store(server.url().replace("://", "://:secret@"))
    now = await server_with_password.now()
    await server_with_password.close()

    assert now > 0


async def test_missing_right_names_the_command(start_valkey):
    server = start_valkey()
    server.run("ACL SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-eval", "-evalsha")
    store = await open_store(server.url().replace("://", "://app:secret@"))

    with pytest.raises(StoreUnusable, match="eval"):
        await enqueue(store, a_job())
    await store.close()


async def test_database_that_the_server_has_not_is_no_matter_of_waiting(start_valkey):
    store = await open_store(start_valkey(settings={"databases": "4"}).url(db=7))

    with pytest.raises(StoreUnusable):
        await store.now()
    await store.close()


async def test_s2_48_pool_that_is_used_up_is_told(url):
    with Proxy(url, framing=RespCommands) as proxy:
        store = await open_store(f"{proxy.url}?pool=2&connect_timeout=0.2&notify=off")
        await asyncio.gather(store.now(), store.now())
        before = (await store.check()).details["poolInUse"]
        proxy.set(BlackHole())
        hanging = [asyncio.create_task(store.now()) for _ in range(2)]
        await asyncio.sleep(0)

        with pytest.raises(StoreUnavailable, match=r"all connections are in use \(2 of 2\)"):
            await store.now()
        for call in hanging:
            call.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        with pytest.raises(StoreUnavailable, match=r"the server does not answer \(0 of 2\)"):
            await store.now()
        await store.close()

    assert before == "0 of 2"


async def test_more_calls_than_connections_wait_for_their_turn(url):
    store = await open_store(f"{url}?pool=2&client_name=few")

    found = await asyncio.gather(*(store.now() for _ in range(200)))
    await store.close()

    assert len(found) == 200

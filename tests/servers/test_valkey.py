import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import redis
import redis.asyncio

from tests.servers import valkey_binaries
from tests.servers.postgres import ServerTrouble
from tests.servers.processes import alive, until

ROOT = Path(__file__).resolve().parents[2]
KEEPING = {"appendonly": "yes", "appendfsync": "always"}
PROGRAMS = [None] if (installed := valkey_binaries.installed()) is None else [None, installed]


async def test_server_answers_over_tcp_and_over_its_socket(start_valkey):
    server = start_valkey()

    for url in (server.url(3), server.socket_url(3)):
        client = redis.asyncio.from_url(url)
        assert await client.ping()
        await client.incr("asked")
        await client.aclose()

    assert server.run("GET", "asked", db=3) == b"2"
    assert server.run("GET", "asked") is None


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: "installed" if path else "usual")
def test_settings_are_those_of_tests_unless_told_otherwise(start_valkey, program: Path | None):
    server = start_valkey(program=program, settings={"save": "3600 1", "maxmemory": "20mb"})

    with closing(server.client()) as client:
        found = {name: client.config_get(name)[name] for name in ("save", "appendonly", "maxmemory")}

    assert found == {"save": "3600 1", "appendonly": "no", "maxmemory": "20971520"}


def test_bundled_program_is_valkey_and_knows_scripts(start_valkey):
    server = start_valkey(program=valkey_binaries.bundled())

    assert server.info("server")["server_name"] == "valkey"
    assert server.run("EVAL", "return redis.call('incrby', KEYS[1], ARGV[1])", 1, "n", 7) == 7


def test_stopped_server_refuses_and_keeps_what_it_has_appended(start_valkey):
    server = start_valkey(settings=KEEPING)
    server.run("SET", "kept", "1")
    process = psutil.Process(server.pid)

    server.stop()

    assert not server.running
    assert not alive(process)
    with pytest.raises(redis.ConnectionError):
        server.run("PING")

    server.restart()

    assert server.run("GET", "kept") == b"1"


def test_killed_server_keeps_what_it_has_acknowledged(start_valkey):
    server = start_valkey(settings=KEEPING)
    for n in range(3):
        server.run("RPUSH", "kept", n)
        process = psutil.Process(server.pid)

        server.kill()

        assert not alive(process)
        server.restart()
    assert server.run("LRANGE", "kept", 0, -1) == [b"0", b"1", b"2"]


def test_killed_server_keeps_nothing_by_the_settings_of_tests(start_valkey):
    server = start_valkey()
    server.run("SET", "kept", "1")

    server.kill()
    server.restart()

    assert server.run("GET", "kept") is None


def test_killed_server_takes_what_it_saves_with_along(start_valkey):
    server = start_valkey(settings={"rdb-key-save-delay": "1000000"})
    server.run("MSET", "a", "1", "b", "2", "c", "3")
    server.run("BGSAVE")
    until(lambda: psutil.Process(server.pid).children(), what="the server saves")
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children()]

    server.kill()

    assert len(family) == 2
    assert not any(alive(process) for process in family)


def test_server_that_has_ended_by_itself_is_restarted(start_valkey):
    server = start_valkey()
    psutil.Process(server.pid).terminate()
    until(lambda: not server.running, what="the server ends")

    server.restart()

    assert server.run("PING")


def test_paused_server_answers_nothing_until_it_goes_on(start_valkey):
    server = start_valkey()
    with closing(redis.Redis(port=server.port, socket_timeout=0.05, retry=None)) as client:
        client.set("kept", "1")

        server.pause()
        with pytest.raises(redis.TimeoutError):
            client.get("kept")

        server.resume()
        assert server.run("GET", "kept") == b"1"


def test_paused_server_can_be_stopped(start_valkey):
    server = start_valkey(settings=KEEPING)
    server.run("SET", "kept", "1")
    server.pause()

    server.restart()

    assert server.run("GET", "kept") == b"1"


def test_restart_changes_settings(start_valkey):
    server = start_valkey()

    server.restart({"maxmemory": "1mb", "maxmemory-policy": "allkeys-lru"})

    assert server.info("memory")["maxmemory"] == 1024**2
    assert server.info("memory")["maxmemory_policy"] == "allkeys-lru"


def test_closed_server_leaves_nothing(start_valkey):
    server = start_valkey(settings=KEEPING)
    process = psutil.Process(server.pid)

    server.close()
    server.close()

    assert not alive(process)
    assert not server.folder.exists()


def test_server_that_cannot_start_says_why(start_valkey):
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ServerTrouble, match="Address already in use"),
    ):
        start_valkey(port=taken.getsockname()[1])
    with pytest.raises(ServerTrouble, match="no-such-setting"):
        start_valkey(settings={"no-such-setting": "1"})


def test_given_folder_stays_and_can_be_started_again(start_valkey, tmp_path):
    first = start_valkey(tmp_path / "given", settings=KEEPING)
    first.run("SET", "kept", "1")
    first.close()

    second = start_valkey(tmp_path / "given", settings=KEEPING)

    assert second.port != first.port
    assert second.run("GET", "kept") == b"1"


def test_folder_may_be_too_deep_for_a_socket(start_valkey, tmp_path):
    deep = tmp_path / ("deep" * 30)

    server = start_valkey(deep)

    assert server.run("PING")
    with pytest.raises(ValueError, match="too long"):
        server.socket_url()


ORPHAN = """
import sys
from tests.servers.valkey import ValkeyServer
server = ValkeyServer.start()
sys.stdout.write(f"{server.pid} {server.folder}\\n")
sys.stdout.flush()
sys.stdin.read()
"""


@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
def test_server_ends_with_the_process_that_started_it(paused: bool):
    child = subprocess.Popen(
        [sys.executable, "-c", ORPHAN], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        pid, folder = child.stdout.readline().split()
        server = psutil.Process(int(pid))
        if paused:
            server.suspend()

        child.kill()
        child.wait()

    until(lambda: not alive(server), what="the server ends")
    until(lambda: not Path(folder).exists(), what="its folder goes")


# ------------------------------------------------------------ replication


def test_replica_follows_and_writes_nothing(start_valkey):
    primary = start_valkey()
    primary.run("SET", "kept", "1")

    replica = start_valkey(replica_of=primary)

    assert replica.run("GET", "kept") == b"1"
    with pytest.raises(redis.ReadOnlyError):
        replica.run("SET", "kept", "2")


def test_promoted_replica_has_what_was_acknowledged_by_it_and_accepts_writes_also_after_a_restart(
    start_valkey,
):
    primary = start_valkey(settings=KEEPING)
    replica = start_valkey(settings=KEEPING, replica_of=primary)
    with closing(primary.client()) as client:
        client.set("kept", "1")
        assert client.wait(1, 0) == 1

    primary.kill()
    replica.promote()

    replica.run("INCR", "kept")
    replica.restart()
    assert replica.run("INCR", "kept") == 3


def test_old_primary_follows_the_new_one_and_forgets_what_that_has_not(start_valkey):
    primary, replica = start_valkey(settings=KEEPING), start_valkey(settings=KEEPING)
    replica.follow(primary)
    replica.promote()
    primary.run("SET", "written", "too late")

    primary.follow(replica)

    assert primary.run("GET", "written") is None

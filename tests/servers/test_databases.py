import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.servers.databases import Copies, Databases
from tests.servers.postgres import PostgresServer
from tests.servers.shared import ELSEWHERE, SHARED, SharedPostgres

ROOT = Path(__file__).resolve().parents[2]
ROWS = "select n from kept order by n"


@pytest.fixture
def databases() -> Databases:
    return SHARED.databases


@pytest.fixture
def copies(databases: Databases):
    copies = Copies(databases, a_table)
    yield copies
    copies.close()


async def a_table(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("create table kept (n int); insert into kept values (1)")
    await connection.close()


def name_in(url: str) -> str:
    return urlsplit(url).path[1:]


def exists(databases: Databases, url: str) -> bool:
    sql = "select from pg_database where datname = $1"
    return bool(databases.run_sql("postgres", sql, name_in(url)))


def test_url_of_a_database_keeps_everything_else():
    databases = Databases(admin_url="postgresql://me:word@somewhere:5433/first?sslmode=require")

    assert databases.url("second") == "postgresql://me:word@somewhere:5433/second?sslmode=require"


async def test_copies_have_what_was_prepared_and_do_not_see_each_other(copies, databases, tmp_path):
    one, other = copies.url(tmp_path), copies.url(tmp_path)

    databases.run_script(name_in(one), "insert into kept values (2)")

    assert [row["n"] for row in databases.run_sql(name_in(one), ROWS)] == [1, 2]
    assert [row["n"] for row in databases.run_sql(name_in(other), ROWS)] == [1]


async def test_template_is_prepared_once(databases, tmp_path):
    prepared = []

    async def prepare(url: str) -> None:
        prepared.append(url)

    copies = Copies(databases, prepare)
    first = copies.url(tmp_path)
    copies.drop()
    copies.url(tmp_path)

    assert len(prepared) == 1
    assert not exists(databases, first)
    copies.close()
    assert not exists(databases, prepared[0])


async def test_failed_preparation_is_tried_again(databases, tmp_path):
    async def prepare(url: str) -> None:
        if not tried:
            tried.append(url)
            raise ConnectionError("not yet")
        await a_table(url)

    tried: list[str] = []
    copies = Copies(databases, prepare)
    with pytest.raises(ConnectionError, match="not yet"):
        copies.url(tmp_path)

    assert [row["n"] for row in databases.run_sql(name_in(copies.url(tmp_path)), ROWS)] == [1]
    assert not exists(databases, tried[0])
    copies.close()


def test_copy_goes_with_its_folder(copies, databases, tmp_path):
    (tmp_path / "brief").mkdir()
    brief, lasting = copies.url(tmp_path / "brief"), copies.url(tmp_path)
    (tmp_path / "brief").rmdir()
    assert exists(databases, brief)

    copies.url(tmp_path)

    assert not exists(databases, brief)
    assert exists(databases, lasting)


async def test_copy_is_dropped_though_somebody_is_connected(copies, databases, tmp_path):
    url = copies.url(tmp_path)
    connection = await asyncpg.connect(url)

    copies.drop()

    assert not exists(databases, url)
    connection.terminate()


def test_another_server_may_be_named(start_postgres, monkeypatch, tmp_path):
    server: PostgresServer = start_postgres()
    monkeypatch.setenv(ELSEWHERE, server.url("postgres"))
    elsewhere = SharedPostgres()

    copies = Copies(elsewhere.databases, a_table)
    url = copies.url(tmp_path)

    assert url.startswith(f"postgresql://postgres@127.0.0.1:{server.port}/")
    copies.close()
    elsewhere.close()
    assert server.running
    assert [row["datname"] for row in server.run_sql("postgres", "select datname from pg_database")] == [
        "postgres", "template1", "template0",
    ]  # fmt: skip


def test_tests_that_kill_servers_are_skipped_on_another_server(start_postgres):
    server: PostgresServer = start_postgres()
    chosen = "tests/servers/test_postgres.py::test_restart_changes_settings"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-rs", "-p", "no:cacheprovider", chosen],
        cwd=ROOT, env=os.environ | {ELSEWHERE: server.url("postgres")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{ELSEWHERE} names a server that tests may not stop" in done.stdout
    assert "1 skipped" in done.stdout


def test_shared_server_starts_when_it_is_asked_for_and_ends_with_the_session(monkeypatch):
    monkeypatch.delenv(ELSEWHERE, raising=False)
    shared = SharedPostgres()
    shared.drop_copies()
    shared.close()
    assert vars(shared).keys() == {"_ends"}

    with pytest.raises(OSError, match="onnect"):
        closed(shared).run_sql("postgres", "select 1")


def closed(shared: SharedPostgres) -> Databases:
    databases = shared.databases
    assert databases.run_sql("postgres", "select 1 as one")[0]["one"] == 1
    shared.close()
    return databases

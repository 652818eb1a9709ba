"""The URL: what it may say, what it never tells, and that the driver is asked for what it says."""

import re
import socket
import sys
from pathlib import Path

import pytest

from headrace.errors import InvalidInput, StoreUnavailable, StoreUnusable
from headrace.stores.open import open_store
from headrace.stores.postgres.location import Location, Pooler, parse
from headrace.stores.urls import Host
from tests.servers.ports import free_port
from tests.stores.postgres.conftest import database_of


def hosts(url: str) -> list[tuple[str, int | None]]:
    return [(host.name, host.port) for host in parse(url).server.hosts]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://db.example/jobs", [("db.example", None)]),
        ("postgres://me:secret@db.example:5433/jobs", [("db.example", 5433)]),
        ("postgresql://me@[::1]:5433/jobs", [("::1", 5433)]),
        ("postgresql://me@[2001:db8::7]/jobs", [("2001:db8::7", None)]),
        ("postgresql://me@a:1,b:2,[::3]/jobs", [("a", 1), ("b", 2), ("::3", None)]),
        ("postgresql://me@/jobs?host=/run/postgresql&port=5433", [("/run/postgresql", 5433)]),
        ("postgresql:///jobs?host=a,b&port=1,2", [("a", 1), ("b", 2)]),
        ("postgresql:///jobs?host=a,b&port=7", [("a", 7), ("b", 7)]),
        ("postgresql://%2Frun%2Fpostgresql/jobs", [("/run/postgresql", None)]),
        ("postgresql://:5433/jobs", [("localhost", 5433)]),
        ("postgresql:///jobs?port=5433", [("localhost", 5433)]),
        ("postgresql:///jobs", []),
    ],
)
def test_hosts_of_a_url(url, expected):
    assert hosts(url) == expected


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://me:secret@db.example:5433/jobs?sslmode=require", "db.example:5433/jobs"),
        ("postgresql://me:secret@[::1]:5433/jobs", "[::1]:5433/jobs"),
        ("postgresql://a:1,b:2/my%20jobs", "a:1,b:2/my jobs"),
        ("postgresql:///?host=/run&dbname=jobs", "/run/jobs"),
        ("postgresql:///jobs", "localhost/jobs"),
    ],
)
def test_name_says_server_and_database_only(url, name):
    assert parse(url).name == name


def test_defaults_and_own_options():
    usual = parse("postgresql://db/jobs")
    told = parse(
        "postgresql://db/jobs?schema=apart&pooler=transaction&notify=off&pool=7&timeout=2.5&connect_timeout=3"
        "&listen=postgresql%3A%2F%2Fdirect%3A5432%2Fjobs&application_name=mine"
    )

    assert (usual.schema, usual.pooler, usual.notify, usual.pool, usual.timeout) == (
        "headrace", Pooler.NONE, True, 5, 30.0,
    )  # fmt: skip
    assert usual.listen == usual.server
    assert usual.server.target == "read-write"
    assert (told.schema, told.pooler, told.notify, told.pool, told.timeout) == (
        "apart", Pooler.TRANSACTION, False, 7, 2.5,
    )  # fmt: skip
    assert told.listen is not None
    assert told.listen.hosts == (Host(name="direct", port=5432),)
    assert told.server.connect_within == 3.0
    assert "application_name=mine" in told.server.dsn
    assert all(
        own not in told.server.dsn for own in ("schema", "pool", "notify", "listen", "connect_timeout")
    )


def test_behind_a_pooler_nobody_listens_unless_told_where():
    assert parse("postgresql://db/jobs?pooler=transaction").listen is None
    assert parse("postgresql://db/jobs?listen=off").listen is None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql:jobs", "no URL of a PostgreSQL database"),
        ("postgresql://db/jobs?shcema=x", "did you mean schema?"),
        ("postgresql://db/jobs?sslmod=require", "did you mean sslmode?"),
        ("postgresql://db/jobs?work_mem=1GB", "options=-c name=value"),
        ("postgresql://db/jobs?schema=Big", "lower-case"),
        ("postgresql://db/jobs?schema=pg_mine", "pg_"),
        ("postgresql://db/jobs?schema=" + "x" * 49, "up to 48"),
        ("postgresql://db/jobs?pooler=session", "neither none nor transaction"),
        ("postgresql://db/jobs?notify=maybe", "neither on nor off"),
        ("postgresql://db/jobs?pool=1", "between 2 and 100"),
        ("postgresql://db/jobs?timeout=nan", "between 1 and 3600"),
        ("postgresql://db/jobs?sslmode=on", "none of"),
        ("postgresql://db/jobs?target_session_attrs=standby", "none of"),
        ("postgresql://db/jobs?channel_binding=require", "cannot be kept by the driver"),
        ("postgresql://db:99999/jobs", "between 1 and 65535"),
        ("postgresql://db:x/jobs", "cannot be read"),
        ("postgresql://[::1/jobs", "cannot be read"),
        ("postgresql://db/jobs?host=other", "names its host twice"),
        ("postgresql:///jobs?host=a,b,c&port=1,2", "3 hosts and 2 ports"),
        ("postgresql://db/jobs?listen=mysql://db", "no URL of a PostgreSQL database"),
        ("postgresql://db/jobs?listen=postgresql://db/jobs%3Fschema%3Dx", "unknown option 'schema'"),
    ],
)
def test_url_that_cannot_be_kept_is_refused(url, said):
    with pytest.raises(InvalidInput, match=re.escape(said)) as refused:
        parse(url)

    assert refused.value.field == "url"


@pytest.mark.parametrize("odd", ["hun/ter2", "hun?ter2", "hun#ter2", "hun@ter2", "[hunter2", "hun?t=er2&x=y"])
def test_password_that_is_not_encoded_is_refused_and_never_repeated(odd):
    with pytest.raises(InvalidInput) as refused:
        parse(f"postgresql://me:{odd}@db/jobs")

    shown = f"{refused.value}{refused.value.__cause__}"
    assert all(part not in shown for part in (odd, "hun", "ter2", "er2"))


def test_password_is_in_no_representation():
    location = parse(
        "postgresql://me:hunter2@db/jobs?password=hunter2&sslpassword=hunter2"
        "&listen=postgresql%3A%2F%2Fme%3Ahunter2%40db%2Fjobs"
    )

    assert isinstance(location, Location)
    assert "hunter2" not in f"{location!r} {location} {location.name} {location.server!r}"


async def test_connection_that_is_refused_names_the_server_without_the_password():
    store = await open_store(f"postgresql://me:hunter2@127.0.0.1:{free_port()}/jobs?connect_timeout=2")

    with pytest.raises(StoreUnavailable) as refused:
        await store.now()
    await store.close()

    assert "127.0.0.1" in str(refused.value)
    assert "hunter2" not in str(refused.value)


async def test_database_that_is_not_there_is_no_matter_of_waiting(url):
    store = await open_store(url.replace(database_of(url), "nobody_made_this"))

    with pytest.raises(StoreUnusable, match="nobody_made_this"):
        await store.now()
    await store.close()


async def test_unix_socket_and_options_reach_the_server(start_postgres, tmp_path: Path):
    server = start_postgres()
    server.create_database("jobs")
    store = await open_store(f"{server.socket_url('jobs')}&application_name=by-socket")

    await store.migrate()
    await store.now()
    rows = server.run_sql(
        "jobs", "select client_addr from pg_stat_activity where application_name = 'by-socket'"
    )
    await store.close()

    assert [row["client_addr"] for row in rows] == [None]


async def test_host_that_says_nothing_does_not_hold_up_the_next(url):
    """A machine that is switched off swallows what is sent to it."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        host = parse(url).server.hosts[0]
        both = url.replace(f"@{host}", f"@127.0.0.1:{silent.getsockname()[1]},{host}")
        store = await open_store(f"{both}?connect_timeout=60")
        assert both != url

        now = await store.now()
        await store.close()

    assert now > 0


async def test_driver_that_is_missing_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("headrace.stores.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncpg", None)  # as Python notes a module that is not there

    with pytest.raises(StoreUnusable, match=r"pip install 'headrace\[postgres\]'"):
        await open_store("postgresql://db/jobs")

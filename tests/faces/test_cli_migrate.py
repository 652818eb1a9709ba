"""``headrace migrate``, and the other commands on a PostgreSQL database."""

from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from headrace.stores.postgres import schema
from headrace.stores.sqlite import migrating
from tests.faces.commands import running
from tests.servers.shared import SHARED


@pytest.fixture
def empty_url() -> Iterator[str]:
    name = f"headrace_test_{uuid4().hex}"
    SHARED.databases.create(name)
    yield SHARED.databases.url(name)
    SHARED.databases.drop(name)


def run_script(url: str, sql: str) -> None:
    SHARED.databases.run_script(urlsplit(url).path.removeprefix("/"), sql)


def test_migrate_makes_the_tables_once(headrace, empty_url):
    first, second = headrace("migrate", "--url", empty_url), headrace("migrate", "--url", empty_url)

    assert (first.code, first.out) == (0, f"The schema has number {schema.newest()} now.\n")
    assert (second.code, second.out) == (0, f"The schema is up to date: {schema.newest()}.\n")


def test_plan_is_sql_that_makes_the_tables(headrace, empty_url):
    plan = headrace("migrate", "--plan", "--url", empty_url)
    run_script(empty_url, plan.out)
    after = headrace("migrate", "--plan", "--url", empty_url)

    assert (plan.code, plan.err) == (0, "")
    assert "create table headrace.live" in plan.out
    assert after.out == "-- The schema is up to date.\n"


def test_sqlite_file_is_up_to_date_when_it_is_open(headrace):
    missing = headrace("migrate", "--plan")
    made = headrace("migrate")
    plan = headrace("migrate", "--plan")

    assert (missing.code, "there is no store" in missing.err) == (3, True)
    assert (made.code, made.out) == (0, f"The schema is up to date: {migrating.newest()}.\n")
    assert (plan.code, plan.out) == (0, "-- The schema is up to date.\n")


@pytest.mark.parametrize("arguments", [["jobs"], ["queues"], ["job", "x"], ["files", "list"]])
def test_reading_makes_no_tables(headrace, empty_url, arguments):
    ran = headrace(*arguments, "--url", empty_url)

    assert ran.code == 3
    assert "run `headrace migrate`" in ran.err
    assert "create schema" in headrace("migrate", "--plan", "--url", empty_url).out


def test_doctor_shows_the_server_and_no_password(headrace, empty_url):
    secret = empty_url.replace("://postgres@", "://postgres:hunter2@")
    before = headrace("doctor", "--url", secret)
    headrace("migrate", "--url", secret)
    after = headrace("doctor", "--url", secret)

    facts = dict(row for row in after.rows if len(row) == 2)
    assert (before.code, after.code) == (1, 0)
    (wrong,) = [row[1] for row in before.rows if row[0] == "wrong"]
    assert wrong.endswith(f"has not been made, this Headrace needs {schema.newest()}: run `headrace migrate`")
    assert facts["store"] == "postgresql"
    assert facts["wakeups"] == "listening"
    assert facts["server"] == f"{urlsplit(empty_url).netloc.partition('@')[2]}{urlsplit(empty_url).path}"
    assert "hunter2" not in before.out + before.err + after.out + after.err


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hun/ter2@db/x",
        "postgresql://me:hun?ter2@db/x",
        "postgresql://me:hun#ter2@db/x",
        "postgresql://me:hun@ter2@db/x",
    ],
)
def test_password_that_is_not_encoded_is_not_shown(headrace, url):
    for command in ("doctor", "migrate", "jobs"):
        ran = headrace(command, "--url", url)

        assert ran.code != 0
        assert "hun" not in ran.out + ran.err
        assert "ter2" not in ran.out + ran.err


def test_server_that_does_not_answer_is_4(headrace):
    ran = headrace("migrate", "--url", "postgresql://me:hunter2@127.0.0.1:1/jobs")

    assert ran.code == 4
    assert ran.err.startswith("headrace: 127.0.0.1:1/jobs: ")
    assert "hunter2" not in ran.err


@pytest.mark.parametrize(
    ("option", "said"),
    [("", "listening; polling every 1 s besides"), ("?notify=off", "polling every 1 s (notify=off)")],
)
def test_serve_says_which_wake_ups_it_uses(folder, empty_url, option, said):
    with running("serve", "--port", "0", "--url", f"{empty_url}{option}", cwd=folder) as service:
        line = service.line_with("wake-ups: ")
        service.line_with("listening on")
        service.send(2)

        assert service.ended() == 0
    assert said in line

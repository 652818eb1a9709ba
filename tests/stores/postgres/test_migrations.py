"""The schema: made and brought up to date once, whoever else tries, and refused where it is not ours."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import asyncpg
import pytest

from headrace.errors import SchemaTooNew, StoreUnusable
from headrace.stores.open import open_store
from headrace.stores.postgres import migrating, schema
from headrace.stores.postgres.location import parse
from headrace.stores.postgres.schema import Present, refuse_server
from headrace.stores.postgres.statements import migrations
from tests.builders import a_job, claim, enqueue
from tests.stores.hearing import child

LATEST = migrations()[-1][0]

MIGRATE = """
import asyncio, sys
from headrace.stores.open import open_store

async def main():
    store = await open_store(sys.argv[1])
    print("begins", flush=True)
    print(await store.migrate())
    await store.close()

asyncio.run(main())
"""

# Every table, view, index, function and column of a schema, as text without the schema's own name.
CONTENTS = """
select
  c.relkind::text, c.relname::text, coalesce(a.attname::text, ''),
  coalesce(format_type(a.atttypid, a.atttypmod), ''), coalesce(a.attnotnull, false),
  coalesce(pg_get_indexdef(c.oid), ''), coalesce(c.reloptions::text, '')
from pg_class c
left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and c.relkind in ('r', 'v')
where c.relnamespace = $1::text::regnamespace
union all
select 'f', proname::text, prosrc, '', false, '', '' from pg_proc where pronamespace = $1::text::regnamespace
order by 1, 2, 3
"""

# Stops a migration in its midst, for as long as somebody else has the lock.
STOP_AT_VIEW = """
create function wait_here() returns event_trigger language plpgsql as
  $$ begin perform pg_advisory_xact_lock(4711); end $$;
create event trigger stop_at_view on ddl_command_end when tag in ('CREATE VIEW') execute function wait_here();
"""


async def migrated(url: str) -> int:
    store = await open_store(url)
    try:
        return await store.migrate()
    finally:
        await store.close()


async def refused(url: str, *, kind: type[StoreUnusable] = StoreUnusable) -> str:
    """What every call but ``migrate`` says."""
    store = await open_store(url)
    said = set()
    for call in (store.now, store.check, store.incarnation, lambda: enqueue(store, a_job())):
        with pytest.raises(kind) as caught:
            await call()
        said.add(str(caught.value))
    await store.close()
    (only,) = said
    return only


def contents(url: str, run_sql, name: str) -> list[tuple]:
    return [
        tuple(
            value.replace(f'"{name}"', name).replace(name, "X") if isinstance(value, str) else value
            for value in row
        )
        for row in run_sql(url, CONTENTS, name)
    ]


@pytest.fixture
def with_one_more(monkeypatch) -> Callable[[str], None]:
    """Adds one more migration for the time of a test."""

    def add(script: str) -> None:
        all_of_them = [*migrations(), (LATEST + 1, script)]
        for module in (schema, migrating):
            monkeypatch.setattr(module, "migrations", lambda: all_of_them)
        schema.newest.cache_clear()

    yield add
    monkeypatch.undo()
    schema.newest.cache_clear()


# ------------------------------------------------------------ once


async def test_empty_database_gets_its_tables_and_is_then_left_alone(empty_url, run_sql):
    first = await migrated(empty_url)
    at = run_sql(empty_url, "select oid, relfilenode from pg_class where relname = 'live'")

    assert first == schema.newest()
    assert await migrated(empty_url) == first
    assert run_sql(empty_url, "select oid, relfilenode from pg_class where relname = 'live'") == at
    assert dict(run_sql(empty_url, "select name, value from headrace.meta")) == {
        "program": "headrace",
        "schema": str(first),
    }


async def test_c50_two_migrators_at_once_do_the_work_once(empty_url):
    children = [child(MIGRATE, empty_url) for _ in range(4)]
    answers = [await asyncio.to_thread(each.communicate, timeout=60) for each in children]

    assert [(out.split(), err) for out, err in answers] == [(["begins", str(schema.newest())], "")] * 4


async def test_c50_killed_migrator_leaves_a_whole_number_behind(empty_url, run_sql, run_script):
    run_script(empty_url, STOP_AT_VIEW)
    holder = await asyncpg.connect(empty_url)
    await holder.execute("select pg_advisory_lock(4711)")
    killed = child(MIGRATE, empty_url)
    blocked = "select count(*) from pg_locks where locktype = 'advisory' and objid = 4711 and not granted"
    while not await holder.fetchval(blocked):
        await asyncio.sleep(0.005)

    killed.kill()
    assert await asyncio.to_thread(killed.communicate, timeout=60) == ("begins\n", "")
    before = run_sql(empty_url, "select 1 from pg_namespace where nspname = 'headrace'")
    await holder.execute("select pg_advisory_unlock_all()")
    await holder.close()

    assert before == []
    assert await migrated(empty_url) == schema.newest()


async def test_c50_second_migrator_waits_for_the_first(empty_url, run_script):
    run_script(empty_url, STOP_AT_VIEW)
    holder = await asyncpg.connect(empty_url)
    await holder.execute("select pg_advisory_lock(4711)")
    first = asyncio.create_task(migrated(empty_url))
    waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
    while await holder.fetchval(waiting) != 1:
        await asyncio.sleep(0.005)
    second = asyncio.create_task(migrated(empty_url))
    while await holder.fetchval(waiting) != 2:
        await asyncio.sleep(0.005)

    await holder.close()

    assert await asyncio.gather(first, second) == [schema.newest()] * 2


async def test_failed_number_is_undone_and_tried_again(empty_url, run_sql, with_one_more):
    with_one_more("create table headrace.extra (a integer);\nselect 1 / 0;")
    with pytest.raises(Exception, match="division by zero"):
        await migrated(empty_url)
    half_way = run_sql(
        empty_url, "select value, to_regclass('headrace.extra') from headrace.meta where name = 'schema'"
    )
    with_one_more("create table headrace.extra (a integer);")

    assert [tuple(row) for row in half_way] == [(str(LATEST), None)]
    assert await migrated(empty_url) == LATEST + 1
    assert run_sql(empty_url, "select count(*) from headrace.extra")[0][0] == 0


# ------------------------------------------------------------ who may not


async def test_c50_schema_that_is_not_made_or_older_is_refused_by_all_but_migrate(empty_url, with_one_more):
    missing = await refused(empty_url)
    await migrated(empty_url)
    with_one_more("create table headrace.extra (a integer);")
    older = await refused(empty_url)

    assert "has not been made" in missing
    assert f"has number {LATEST}, this Headrace needs {LATEST + 1}" in older
    assert all("run `headrace migrate`" in said for said in (missing, older))


async def test_c50_unknown_newer_schema_is_refused(url, run_script):
    run_script(url, "update headrace.meta set value = '99' where name = 'schema'")

    said = await refused(url, kind=SchemaTooNew)
    with pytest.raises(SchemaTooNew):
        await migrated(url)

    assert "has number 99" in said
    assert "upgrade this program" in said


async def test_c50_newer_schema_that_keeps_to_this_version_is_worked_with(url, run_script):
    run_script(url, "update headrace.meta set value = '99' where name = 'schema'")
    run_script(url, "insert into headrace.meta values ('oldest', '1')")
    store = await open_store(url)

    number = await store.migrate()
    await enqueue(store, a_job())
    claimed = await claim(store)
    await store.close()

    assert number == 99
    assert len(claimed) == 1


@pytest.mark.parametrize(
    "theirs",
    [
        "create table headrace.customer (id integer)",
        "create view headrace.customer as select 1",
        "create table headrace.meta (version integer)",
        "create table headrace.meta (name text, value text)",
        "create table headrace.meta as select 'program' as name, 'theirs' as value",
    ],
)
async def test_another_programs_schema_is_refused_and_left_as_it_is(empty_url, run_sql, run_script, theirs):
    run_script(empty_url, f"create schema headrace; {theirs}")
    before = contents(empty_url, run_sql, "headrace")

    said = await refused(empty_url)
    with pytest.raises(StoreUnusable):
        await migrated(empty_url)

    assert "of another program" in said
    assert contents(empty_url, run_sql, "headrace") == before


async def test_schema_that_holds_only_what_an_extension_made_is_empty(empty_url, run_sql, run_script):
    there = run_sql(empty_url, "select 1 from pg_available_extensions where name = 'pg_stat_statements'")
    if not there:
        pytest.skip("the server has no extension with a view")
    run_script(empty_url, "create schema headrace; create extension pg_stat_statements schema headrace")

    assert await migrated(empty_url) == schema.newest()


@dataclass(frozen=True)
class Role:
    name: str
    url: str


@pytest.fixture
def role(empty_url, run_script) -> Role:
    """A role that may log in and nothing else."""
    name = f"headrace_test_{uuid4().hex}"
    run_script(empty_url, f"create role {name} login password 'secret'")
    yield Role(name=name, url=re.sub(r"//[^@]*@", f"//{name}:secret@", empty_url))
    run_script(empty_url, f"drop owned by {name}; drop role {name}")


async def test_role_without_rights_works_on_an_up_to_date_schema(empty_url, role, run_script):
    await migrated(empty_url)
    run_script(
        empty_url,
        f"""
        grant usage on schema headrace to {role.name};
        grant select, insert, update, delete on all tables in schema headrace to {role.name};
        grant usage on all sequences in schema headrace to {role.name};
        """,
    )
    store = await open_store(role.url)

    number = await store.migrate()
    plan = await store.migration_plan()
    await enqueue(store, a_job())
    claimed = await claim(store)
    health = await store.check()
    await store.close()

    assert (number, plan) == (schema.newest(), "")
    assert len(claimed) == 1
    assert any("pg_read_all_stats" in warning for warning in health.warnings)


async def test_role_without_rights_is_told_so(role):
    with pytest.raises(StoreUnusable, match=r"permission denied.*run `headrace migrate` as one that may"):
        await migrated(role.url)


def test_server_that_is_too_old_or_cannot_hold_every_text_is_refused():
    @dataclass(frozen=True)
    class Server:
        major: int
        server_encoding: str

        def get_server_version(self):
            return self

        def get_settings(self):
            return self

    location = parse("postgresql://db/jobs")
    refuse_server(Server(14, "UTF8"), location)

    with pytest.raises(StoreUnusable, match="runs PostgreSQL 13; Headrace needs 14"):
        refuse_server(Server(13, "UTF8"), location)
    with pytest.raises(StoreUnusable, match="encoding LATIN1"):
        refuse_server(Server(18, "LATIN1"), location)


# ------------------------------------------------------------ the plan


async def planned(url: str) -> str:
    store = await open_store(url)
    try:
        return await store.migration_plan()
    finally:
        await store.close()


async def test_plan_changes_nothing_and_makes_what_migrate_makes(empty_url, url, run_sql, run_script):
    plan = await planned(f"{empty_url}?schema=apart")
    before = run_sql(empty_url, "select 1 from pg_namespace where nspname = 'apart'")

    run_script(empty_url, plan)

    assert before == []
    assert contents(empty_url, run_sql, "apart") == contents(url, run_sql, "headrace")
    assert await planned(f"{empty_url}?schema=apart") == ""
    assert await migrated(f"{empty_url}?schema=apart") == schema.newest()


async def test_plan_of_several_numbers_is_several_transactions(empty_url, run_sql, run_script, with_one_more):
    with_one_more("create table headrace.extra (a integer);")
    plan = await planned(empty_url)
    run_script(empty_url, plan)

    assert plan.count("\nbegin;\n") == plan.count("\ncommit;\n") == len(migrations()) + 1
    assert await migrated(empty_url) == LATEST + 1
    assert run_sql(empty_url, "select count(*) from headrace.extra")[0][0] == 0


async def test_plan_that_is_out_of_date_stops(empty_url, run_script, with_one_more):
    plan = await planned(empty_url)
    run_script(empty_url, plan)
    with pytest.raises(asyncpg.RaiseError, match="has its tables by now"):
        run_script(empty_url, plan)
    with_one_more("create table headrace.extra (a integer);")
    from_latest = await planned(empty_url)
    run_script(empty_url, from_latest)

    with pytest.raises(asyncpg.RaiseError, match=f"not at number {LATEST} any more"):
        run_script(empty_url, from_latest)


def test_plan_of_a_schema_that_exists_does_not_make_it():
    location = parse("postgresql://db/jobs?schema=apart")

    assert 'create schema "apart"' in migrating.plan(location, Present(exists=False))
    assert "create schema" not in migrating.plan(location, Present(exists=True))
    assert "headrace." not in re.sub(r"--.*", "", migrating.plan(location, Present(exists=True)))


async def test_another_schema_is_all_that_is_used(empty_url, run_sql):
    store = await open_store(f"{empty_url}?schema=apart")
    await store.migrate()
    await enqueue(store, a_job())
    assert len(await claim(store)) == 1
    await store.close()

    names = run_sql(empty_url, "select nspname from pg_namespace where nspname in ('headrace', 'apart')")
    assert [row[0] for row in names] == ["apart"]

"""The log of events where transactions commit in another order than they began; its triggers; its locks."""

import asyncio
import random
import re
from uuid import uuid4

import pytest

from headrace.core.events import OLDEST, EventFilter
from headrace.errors import StoreUnavailable
from headrace.stores.open import open_store
from headrace.stores.postgres import database, eventing
from tests.builders import NAMESPACE, NOW, a_failure, a_job, claim, claimed, enqueue, enqueued, settle
from tests.contract.following import ALL, KEEP, PATIENCE, events, kinds, read_page
from tests.stores.postgres import alongside
from tests.stores.postgres.filled import FILL

TRIGGERS = "select count(*) from pg_trigger where not tgisinternal"


async def insert_beside(other, store, *new) -> None:
    """Inserts jobs in another session's open transaction."""
    statement, text = store.insert_statement(new)
    await other.execute(statement, text)


async def read_until(store, job_ids: set[str], cursor: str = OLDEST) -> list[str]:
    """The ids of what is read, in order, until all of these were."""
    found: list[str] = []
    async with asyncio.timeout(PATIENCE):
        while not job_ids <= set(found):
            page = await read_page(store, cursor)
            found += [one.change.job_id for one in page.changes]
            cursor = page.cursor
            if page.at_end:
                await asyncio.sleep(0.005)
    return found


# ------------------------------------------------------------ order of commits


async def test_change_that_is_committed_late_is_neither_lost_nor_passed(store, url):
    await store.keep_events(NAMESPACE, KEEP)
    early, late = a_job(), a_job()
    async with alongside.session(url) as other:
        await insert_beside(other, store, late)
        await enqueue(store, early)
        meanwhile = await read_page(store)

        await other.execute("commit")
        found = await read_until(store, {early.facts.id, late.facts.id}, meanwhile.cursor)

    assert meanwhile.changes == ()
    assert found == [late.facts.id, early.facts.id]


async def test_change_that_is_rolled_back_is_never_read(store, url):
    await store.keep_events(NAMESPACE, KEEP)
    async with alongside.session(url) as other:
        await insert_beside(other, store, a_job())
        kept = await enqueued(store)

        await other.execute("rollback")
        found = await read_until(store, {kept.id})

    assert found == [kept.id]


async def test_transaction_that_was_open_when_the_log_was_switched_on_is_logged(store, url):
    new = a_job()
    async with alongside.session(url) as other:
        await other.execute("select pg_current_xact_id()")
        await store.keep_events(NAMESPACE, KEEP)
        await insert_beside(other, store, new)
        await other.execute("commit")

    assert await read_until(store, {new.facts.id}) == [new.facts.id]


async def test_reader_beside_many_writers_gets_each_change_once(store, url):
    await store.keep_events(NAMESPACE, KEEP)
    rng = random.Random(5)
    jobs = [[a_job() for _ in range(rng.randint(1, 3))] for _ in range(60)]
    pauses = [rng.uniform(0, 0.01) for _ in jobs]
    everything = {job.facts.id for some in jobs for job in some}

    async def write(some, pause) -> None:
        async with alongside.session(url) as other:
            await insert_beside(other, store, *some)
            await asyncio.sleep(pause)
            await other.execute("commit")

    async def write_some(part: int) -> None:
        for number in range(part, len(jobs), 6):
            await write(jobs[number], pauses[number])

    reading = asyncio.create_task(read_until(store, everything))
    await asyncio.gather(*(write_some(part) for part in range(6)))
    found = await reading

    assert sorted(found) == sorted(everything)
    for some in jobs:
        places = [found.index(job.facts.id) for job in some]
        assert places == list(range(places[0], places[0] + len(some)))


async def test_trimming_leaves_what_is_not_final(store, url):
    await store.keep_events(NAMESPACE, KEEP)
    late = a_job()
    async with alongside.session(url) as other:
        await insert_beside(other, store, late)
        await enqueued(store)
        far = NOW + 10 * KEEP.keep_ms
        trimmed = await store.trim_events(now=far, limit=100)
        await other.execute("commit")

    assert trimmed == 0
    assert late.facts.id in await read_until(store, {late.facts.id})


# ------------------------------------------------------------ triggers


async def test_there_are_triggers_only_while_a_log_is_on(store, url, run_sql):
    assert run_sql(url, TRIGGERS) == [(0,)]

    await store.keep_events(NAMESPACE, KEEP)
    await store.keep_events("other", KEEP)
    await store.keep_events(NAMESPACE, None)
    assert run_sql(url, TRIGGERS) != [(0,)]
    await store.keep_events("other", None)

    assert run_sql(url, TRIGGERS) == [(0,)]


async def test_triggers_that_could_not_be_dropped_are_dropped_by_the_trimming(
    store, url, run_sql, monkeypatch
):
    monkeypatch.setattr(database, "_TRIES", 1)
    await store.keep_events(NAMESPACE, KEEP)
    async with alongside.session(url) as other:
        await other.execute("select from headrace.live")
        await store.keep_events(NAMESPACE, None)
        assert run_sql(url, TRIGGERS) != [(0,)]
        job = await enqueued(store)

    await store.trim_events(now=NOW, limit=10)

    assert run_sql(url, TRIGGERS) == [(0,)]
    assert run_sql(url, "select count(*) from headrace.logged_change") == [(0,)]
    assert [one.id for one in await claim(store)] == [job.id]


async def test_switching_on_gives_way_to_a_session_that_writes(store, url, monkeypatch):
    monkeypatch.setattr(database, "_TRIES", 1)
    async with alongside.session(url) as other:
        await insert_beside(other, store, a_job())
        with pytest.raises(StoreUnavailable):
            await store.keep_events(NAMESPACE, KEEP)
    assert await store.events_kept(NAMESPACE) is None

    await store.keep_events(NAMESPACE, KEEP)

    assert await store.events_kept(NAMESPACE) == KEEP


async def test_two_who_switch_the_same_log_do_not_meet(store, rival):
    await asyncio.gather(
        *(one.keep_events(NAMESPACE, keep) for one in (store, rival) for keep in (KEEP, None, KEEP))
    )
    await store.keep_events(NAMESPACE, KEEP)
    job = await enqueued(rival)

    assert [one.job_id for one in await events(store)] == [job.id]


async def test_many_claims_of_different_sizes_are_logged(store):
    await store.keep_events(NAMESPACE, KEEP)
    await enqueue(store, *(a_job() for _ in range(421)))
    for count in (1, 20, 400):
        assert len(await claim(store, n=count)) == count

    found = await events(store)

    assert len(found) == 842


async def test_log_works_in_another_schema(url):
    store = await open_store(f"{url}?schema=jobs_of_mine")
    await store.migrate()
    await store.keep_events(NAMESPACE, KEEP)
    job = await claimed(store, a_job(max_attempts=1))
    await settle(store, job, a_failure())
    found = await kinds(store, job.id)
    await store.keep_events(NAMESPACE, None)
    await store.close()

    assert [kind.value for kind in found] == ["enqueued", "active", "attempt_failed", "failed"]


async def test_role_that_may_only_write_jobs_keeps_and_writes_a_log(url, run_script):
    role = f"headrace_test_{uuid4().hex}"
    run_script(
        url,
        f"""
        create role {role} login;
        grant usage on schema headrace to {role};
        grant select, insert, update, delete on all tables in schema headrace to {role};
        grant usage on all sequences in schema headrace to {role};
        revoke insert, update on headrace.logged_change from {role};
        """,
    )
    store = await open_store(re.sub(r"//[^@]*@", f"//{role}@", url))
    try:
        await store.keep_events(NAMESPACE, KEEP)
        job = await claimed(store)
        await settle(store, job, a_failure())
        found = await kinds(store, job.id)
        await store.keep_events(NAMESPACE, None)
    finally:
        await store.close()
        run_script(url, f"drop owned by {role}; drop role {role}")

    assert [kind.value for kind in found] == ["enqueued", "active", "attempt_failed", "retrying"]


async def test_reading_takes_many_changes_in_several_pages(store, monkeypatch):
    monkeypatch.setattr(eventing, "LOOK", 7)
    await store.keep_events(NAMESPACE, KEEP)
    new = [a_job(queue="ab"[number % 2]) for number in range(30)]
    await enqueue(store, *new)

    found = await events(store, wanted=EventFilter(queue="b"))

    assert [one.job_id for one in found] == [job.facts.id for job in new if job.facts.queue == "b"]
    assert (await read_page(store, OLDEST, ALL)).at_end is False


WRITES = """
update headrace.live set lease_until = 1, started_at = 1, worker = 'w' where seq between 19001 and 19010;
insert into headrace.live (
  seq, rank, priority, isolation, generation, starts, failures, crashes, releases, snoozes, namespace, queue,
  type, state
)
select n, 1, 0, 0, 1, 0, 0, 0, 0, 0, 'default', 'q', 't', 'pending' from generate_series(1, 10) n;
insert into headrace.ended (
  seq, rank, ended_at, priority, fence, revision, isolation, generation, starts, failures, crashes, releases,
  snoozes, namespace, state
)
select n, 1, 1, 0, 1, 1, 0, 1, 1, 0, 0, 0, 0, 'default', 'failed' from generate_series(16001, 16010) n;
update headrace.trail set attempts = '{"a": [{"g": 1, "w": "w", "s": 1, "e": 2, "o": "errored"}]}'
where seq between 19001 and 19010;
update headrace.note set progress = '2' where seq between 19001 and 19010;
"""
SCANS = """
select relname, seq_scan, coalesce(idx_tup_fetch, 0)
from pg_stat_xact_user_tables
where relname in ('job', 'logged_change') or (relname = 'live' and seq_scan > 0)
"""


async def test_triggers_find_jobs_by_their_keys_in_sessions_of_any_settings(store, url, run_script):
    run_script(url, FILL)
    await store.keep_events(NAMESPACE, KEEP)
    async with alongside.session(url) as other:
        before = {name: (seq, index) for name, seq, index in await other.fetch(SCANS)}
        await other.execute(WRITES)
        after = {name: (seq, index) for name, seq, index in await other.fetch(SCANS)}

    assert after["job"][0] == before.get("job", (0, 0))[0]
    assert after["job"][1] - before.get("job", (0, 0))[1] <= 60
    assert "live" not in after


async def test_large_claims_are_joined_by_a_hash_in_sessions_of_any_settings(store, url, run_sql):
    """The store's own sessions allow nested loops only, which would look at each pair of claimed jobs."""
    ((settings,),) = run_sql(url, "select proconfig from pg_proc where proname = 'log_claimed'")

    assert {"enable_hashjoin=on", "enable_nestloop=off", "enable_mergejoin=off"} <= set(settings)

"""The log of events in an SQLite file: triggers that come and go, statements that look at little."""

import re

import apsw
import pytest

from headrace.core.events import EventFilter
from headrace.core.outcomes import Released
from headrace.stores.open import open_store
from headrace.stores.sqlite import eventing
from headrace.stores.sqlite.statements import queries
from tests.builders import (
    NAMESPACE,
    NOW,
    a_failure,
    a_job,
    a_request,
    claimed,
    enqueue,
    enqueued,
    note,
    settle,
)
from tests.contract.following import KEEP, changes, kinds

TRIGGERS = "select name from sqlite_schema where type = 'trigger'"
WHOLE_TABLE = re.compile(r"SCAN (logged_change|line|job)\b(?! USING)")

PLANS = [
    ("events_after", {"namespace": "n", "after": 1, "limit": 9, "job_id": None, "queue": None, "type": None}),
    ("worn_events", {"namespace": "n", "limit": 9, "keep_count": 9, "since": 1, "oldest_kept": 1}),
    ("trim_events", {"namespace": "n", "until": 1}),
    ("lines_after", {"seq": 1, "after": 1, "limit": 9}),
    ("last_line_of", {"seq": 1}),
]


@pytest.fixture
async def store(tmp_path):
    opened = await open_store(f"sqlite:///{tmp_path / 'jobs.db'}")
    yield opened
    await opened.close()


def triggers(tmp_path) -> list[str]:
    db = apsw.Connection(str(tmp_path / "jobs.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return [name for (name,) in db.execute(TRIGGERS)]
    finally:
        db.close()


async def test_there_are_triggers_only_while_a_log_is_on(store, tmp_path):
    assert triggers(tmp_path) == []

    await store.keep_events(NAMESPACE, KEEP)
    await store.keep_events("other", KEEP)
    await store.keep_events(NAMESPACE, None)
    assert len(triggers(tmp_path)) == 6
    await store.keep_events("other", None)

    assert triggers(tmp_path) == []


async def test_job_inserted_by_the_programs_own_connection_is_logged(store, tmp_path):
    await store.keep_events(NAMESPACE, KEEP)
    mine = apsw.Connection(str(tmp_path / "jobs.db"))
    new, undone = a_job(), a_job()
    mine.execute("begin immediate")
    await store.caller(mine).insert(NAMESPACE, [new], now=NOW)
    mine.execute("commit")
    mine.execute("begin immediate")
    await store.caller(mine).insert(NAMESPACE, [undone], now=NOW)
    mine.execute("rollback")
    mine.close()

    assert [one.job_id for one in await changes(store)] == [new.facts.id]


async def test_many_changes_are_read_in_several_pages(store, monkeypatch):
    monkeypatch.setattr(eventing, "LOOK", 7)
    await store.keep_events(NAMESPACE, KEEP)
    new = [a_job(queue="ab"[number % 2]) for number in range(30)]
    await enqueue(store, *new)

    found = await changes(store, wanted=EventFilter(queue="b"))

    assert [one.job_id for one in found] == [job.facts.id for job in new if job.facts.queue == "b"]


async def test_error_that_is_no_json_does_not_stop_the_job(store, tmp_path):
    await store.keep_events(NAMESPACE, KEEP)
    job = await enqueued(store)
    db = apsw.Connection(str(tmp_path / "jobs.db"))
    db.execute("update job set state = 'failed', due_at = null, ended_at = 1, error = 'no json'")
    db.close()

    (_, failed) = await changes(store)

    assert (failed.job_id, failed.error) == (job.id, None)


@pytest.mark.parametrize("rounds", [3])
async def test_notes_and_attempts_of_one_job_over_and_over_are_logged_once_each(store, rounds):
    await store.keep_events(NAMESPACE, KEEP)
    job = await claimed(store, a_job(max_attempts=rounds + 1))
    for number in range(rounds):
        await note(store, job, progress=str(number))
        await settle(store, job, Released(reason="x") if number % 2 else a_failure(), now=NOW + number)
        (job,) = await store.claim(a_request(now=NOW + 10**6 * (number + 1)))

    found = [kind.value for kind in await kinds(store, job.id)]

    assert found.count("progress") == rounds
    assert found.count("active") == rounds + 1
    assert found.count("attempt_failed") == 2
    assert found.count("released") == 1


@pytest.mark.parametrize(("name", "values"), PLANS, ids=lambda value: value if isinstance(value, str) else "")
async def test_statement_looks_at_what_it_needs(store, tmp_path, name, values):
    db = apsw.Connection(str(tmp_path / "jobs.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        steps = [row[3] for row in db.execute(f"explain query plan {queries('events')[name]}", values)]
    finally:
        db.close()

    assert steps
    assert not [step for step in steps if WHOLE_TABLE.search(step)], steps

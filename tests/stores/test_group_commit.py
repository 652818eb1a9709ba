import asyncio
import threading
from collections import Counter
from dataclasses import replace

import apsw
import pytest

from headrace.core.states import State
from headrace.errors import JobNotFound, OutcomeUnknown, StoreError, StoreFull, StoreUnavailable
from headrace.stores.open import open_store
from headrace.stores.sqlite import migrating
from headrace.stores.sqlite.committing import Committer, Done, Failed
from headrace.stores.sqlite.inserting import Insertion
from headrace.stores.sqlite.pace import Pace
from tests.builders import NAMESPACE, NOW, QUEUE, TYPE, a_job, claimed, enqueue, holder


@pytest.fixture
def db():
    db = apsw.Connection(":memory:")
    migrating.migrate(db, ":memory:")
    yield db
    db.close()


def committer_on(db, before_commit=lambda _: None):
    return Committer(db, "test.db", Pace(), before_commit)


def inserting(*jobs):
    return Insertion(namespace=NAMESPACE, jobs=jobs or (a_job(),), now=NOW)


def inserting_then_failing(error):
    def op(write):
        inserting()(write)
        raise error

    return op


def count(db, table="job"):
    return next(iter(db.execute(f"select count(*) from {table}")))[0]


def tallies(db):
    return Counter(
        {(queue, job_type, state): n for _, queue, job_type, state, n in db.execute("select * from tally")}
    )


def test_all_ops_of_a_group_are_written(db):
    endings = committer_on(db).commit([inserting() for _ in range(5)])

    assert all(isinstance(ending, Done) for ending in endings)
    assert count(db) == count(db, "body") == 5


def test_op_that_fails_leaves_nothing_and_does_not_disturb_its_neighbours(db):
    error = JobNotFound("x")

    endings = committer_on(db).commit([inserting(), inserting_then_failing(error), inserting()])

    assert [type(ending) for ending in endings] == [Done, Failed, Done]
    assert endings[1] == Failed(error)
    assert count(db) == count(db, "body") == 2
    assert tallies(db) == {(QUEUE, TYPE, State.PENDING): 2}


def test_op_that_fails_alone_leaves_nothing(db):
    endings = committer_on(db).commit([inserting_then_failing(JobNotFound("x"))])

    assert isinstance(endings[0], Failed)
    assert (count(db), tallies(db)) == (0, {})
    assert not db.in_transaction


def test_next_group_is_written_after_one_that_failed(db):
    committer = committer_on(db)
    committer.commit([inserting_then_failing(JobNotFound("x"))])

    assert isinstance(committer.commit([inserting()])[0], Done)


@pytest.mark.parametrize("size", [1, 3])
def test_failure_before_the_commit_fails_the_whole_group(db, size):
    def full(_):
        raise apsw.FullError

    endings = committer_on(db, full).commit([inserting() for _ in range(size)])

    assert [type(ending.error) for ending in endings] == [StoreFull] * size
    assert count(db) == 0
    assert not db.in_transaction


class FailingCommit:
    """A connection whose commits fail."""

    def __init__(self, db, error):
        self._db, self._error = db, error

    def execute(self, query, values=()):
        if query == "commit":
            raise self._error
        return self._db.execute(query, values)

    def __getattr__(self, name):
        return getattr(self._db, name)


@pytest.mark.parametrize(
    ("error", "seen"),
    [(apsw.IOError(), OutcomeUnknown), (apsw.FullError(), StoreFull), (apsw.BusyError(), StoreUnavailable)],
    ids=["io", "full", "busy"],
)
def test_failed_commit_fails_all_ops_of_the_group(db, error, seen):
    endings = committer_on(FailingCommit(db, error)).commit([inserting() for _ in range(3)])

    assert [type(ending.error) for ending in endings] == [seen] * 3
    assert count(db) == 0


def test_transaction_that_sqlite_ended_by_itself_fails_the_whole_group(db):
    def ended(write):
        write.db.execute("rollback")
        raise apsw.FullError

    endings = committer_on(db).commit([inserting(), ended, inserting()])

    assert [type(ending.error) for ending in endings] == [StoreFull] * 3
    assert count(db) == 0


def test_group_of_failures_only_writes_nothing(db):
    marks = []
    committer = committer_on(db, marks.append)

    committer.commit([inserting_then_failing(JobNotFound("x")) for _ in range(2)])

    assert count(db) == 0
    assert not db.in_transaction


@pytest.fixture
async def store(tmp_path):
    store = await open_store(f"sqlite:///{tmp_path / 'jobs.db'}")
    yield store
    await store.close()


class Held:
    """An op that stops inside its transaction until it is let go."""

    def __init__(self, then=lambda _: None):
        self.entered, self.release, self._then = threading.Event(), threading.Event(), then

    def __call__(self, write):
        self.entered.set()
        assert self.release.wait(30)
        return self._then(write)


async def held(store, then=lambda _: None):
    op = Held(then)
    task = asyncio.ensure_future(store._database.write(op))
    await asyncio.to_thread(op.entered.wait, 30)
    return op, task


async def test_nothing_is_seen_or_answered_before_the_commit(store):
    job = a_job()
    first = Held()

    def insert_and_wait(write):
        inserting(job)(write)
        first(write)

    task = asyncio.ensure_future(store._database.write(insert_and_wait))
    await asyncio.to_thread(first.entered.wait, 30)

    assert await store.get(NAMESPACE, [job.facts.id]) == {}
    assert not task.done()
    first.release.set()
    await task
    assert set(await store.get(NAMESPACE, [job.facts.id])) == {job.facts.id}


async def test_ops_that_wait_are_committed_together(store):
    commits = []
    store._database._guard.before_commit = lambda: commits.append(1)
    op, task = await held(store)
    waiting = [asyncio.ensure_future(enqueue(store, a_job())) for _ in range(20)]
    await asyncio.sleep(0)
    op.release.set()

    await asyncio.gather(task, *waiting)

    assert len(commits) == 2


async def test_renewals_go_first(store):
    job = await claimed(store)
    order = []
    op, task = await held(store)
    ordinary = asyncio.ensure_future(store._database.write(lambda _: order.append("ordinary")))
    await asyncio.sleep(0)
    async with store.renewer() as renewer:
        renewal = asyncio.ensure_future(renewer.renew([holder(job)], now=NOW, lease_until=NOW))
        renewal.add_done_callback(lambda _: order.append("renewal"))
        urgent = asyncio.ensure_future(store._database.write(lambda _: order.append("urgent"), urgent=True))
        await asyncio.sleep(0)
        op.release.set()
        await asyncio.gather(task, ordinary, urgent, renewal)

    assert order.index("urgent") < order.index("ordinary")


async def test_op_whose_caller_went_away_before_it_began_is_not_done(store):
    op, task = await held(store)
    job = a_job()
    gone = asyncio.ensure_future(enqueue(store, job))
    await asyncio.sleep(0)
    gone.cancel()
    op.release.set()
    await task

    await enqueue(store, a_job())
    assert await store.get(NAMESPACE, [job.facts.id]) == {}


async def test_ops_accepted_before_the_close_are_done(tmp_path):
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    store = await open_store(url)
    op, task = await held(store)
    job = a_job()
    waiting = asyncio.ensure_future(enqueue(store, job))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(store.close())
    op.release.set()
    await asyncio.gather(task, waiting, closing)

    again = await open_store(url)
    assert set(await again.get(NAMESPACE, [job.facts.id])) == {job.facts.id}
    await again.close()


async def test_fault_in_an_op_is_given_to_its_caller_only(store):
    def broken(_):
        raise ZeroDivisionError

    results = await asyncio.gather(
        enqueue(store, a_job()),
        store._database.write(broken),
        enqueue(store, a_job()),
        return_exceptions=True,
    )

    assert [isinstance(one, ZeroDivisionError) for one in results] == [False, True, False]
    assert not any(isinstance(one, StoreError) for one in results)


async def test_look_that_fails_costs_no_more_than_a_hint(store, monkeypatch):
    looked = threading.Event()

    def look() -> bool:
        looked.set()
        raise apsw.IOError("disk I/O error")

    writer = store._database._writer
    monkeypatch.setattr(writer, "_duties", replace(writer._duties, is_awaited=lambda: True, look=look))
    writer.poke()
    await asyncio.to_thread(looked.wait, 30)

    assert len(await enqueue(store, a_job())) == 1


async def test_commit_that_fails_in_an_unknown_way_is_answered(store, monkeypatch):
    def commit(_):
        raise apsw.IOError("cannot even roll back")

    with monkeypatch.context() as broken:
        broken.setattr(store._database._writer._committer, "commit", commit)
        with pytest.raises(apsw.IOError):
            await enqueue(store, a_job())

    assert len(await enqueue(store, a_job())) == 1

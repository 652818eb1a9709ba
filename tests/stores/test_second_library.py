"""A second SQLite library on the same file in this process destroys the file's locks."""

import asyncio
import sqlite3
import threading

import apsw
import pytest

from headrace.core.filters import JobFilter, Page
from headrace.errors import SecondSQLiteLibrary
from headrace.stores.open import open_store
from tests.builders import NAMESPACE, a_job, enqueue
from tests.stores import child


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs.db"


@pytest.fixture
def url(path):
    return f"sqlite:///{path}"


@pytest.fixture
async def store(url):
    store = await open_store(url)
    await enqueue(store, a_job())
    yield store
    await store.close()


async def ids_in(url):
    store = await open_store(url)
    page = await store.find(NAMESPACE, JobFilter(), Page())
    await store.close()
    return {job.id for job in page.jobs}


async def test_check_and_writes_are_refused_while_another_library_has_the_file_open(store, path):
    stranger = sqlite3.connect(path)
    stranger.execute("select count(*) from job").fetchall()

    with pytest.raises(SecondSQLiteLibrary):
        await store.check()
    with pytest.raises(SecondSQLiteLibrary):
        await enqueue(store, a_job())
    stranger.close()


async def test_writes_stay_refused_after_the_other_library_closed_the_file(store, path):
    stranger = sqlite3.connect(path)
    stranger.execute("select count(*) from job").fetchall()
    with pytest.raises(SecondSQLiteLibrary):
        await store.check()
    stranger.close()

    with pytest.raises(SecondSQLiteLibrary):
        await enqueue(store, a_job())


async def test_writes_are_refused_when_it_came_and_went_unseen(store, path):
    stranger = sqlite3.connect(path)
    stranger.execute("select count(*) from job").fetchall()
    stranger.close()

    with pytest.raises(SecondSQLiteLibrary):
        await enqueue(store, a_job())


async def test_acked_commit_of_another_process_is_not_lost_when_our_lock_was_destroyed(store, url, path):
    """We hold the write lock, the other library closes the file, another process takes it and commits."""
    entered, release = threading.Event(), threading.Event()

    def slow(write):
        write.db.execute("insert into meta (name, value) values ('ours', 1)")
        entered.set()
        assert release.wait(60)

    ours = asyncio.ensure_future(store._database.write(slow))
    await asyncio.to_thread(entered.wait, 30)
    stranger = sqlite3.connect(path)
    stranger.execute("select count(*) from job").fetchall()
    stranger.close()
    theirs = await asyncio.to_thread(lambda: child.answer(child.started("insert", url)))
    release.set()

    with pytest.raises(SecondSQLiteLibrary):
        await ours
    await store.close()
    assert theirs in await ids_in(url)


async def test_store_can_be_opened_again_once_the_other_library_is_gone(store, url, path):
    sqlite3.connect(path).close()
    await store.close()

    again = await open_store(url)

    await enqueue(again, a_job())
    await again.close()


async def test_open_is_refused_while_another_library_has_the_file_open(url, path):
    await (await open_store(url)).close()
    stranger = sqlite3.connect(path)
    stranger.execute("select count(*) from job").fetchall()

    with pytest.raises(SecondSQLiteLibrary, match="sqlite3"):
        await open_store(url)
    stranger.close()


async def test_other_library_on_other_files_is_fine(store, tmp_path):
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("create table mine (x)")

    await store.check()
    other.close()
    await enqueue(store, a_job())


async def test_file_may_be_opened_twice_with_our_library(store, url):
    second = await open_store(url)
    await enqueue(second, a_job())
    await second.close()

    await enqueue(store, a_job())
    await store.check()
    assert len(await ids_in(url)) == 3


async def test_applications_own_connections_through_our_library_are_fine(store, path):
    for _ in range(3):
        mine = apsw.Connection(str(path))
        list(mine.execute("select count(*) from job"))
        await store.check()
        mine.close()

    await enqueue(store, a_job())
    await store.check()


async def test_other_processes_are_fine(store, url):
    theirs = [child.started("insert", url) for _ in range(2)]
    await store.check()
    for one in theirs:
        await asyncio.to_thread(child.answer, one)

    await enqueue(store, a_job())
    await store.check()


async def test_store_opened_beside_a_running_process_works(url):
    first = await open_store(url)
    await first.close()
    theirs = child.started("work", url, "other", "50")
    store = await open_store(url)
    await enqueue(store, a_job(type="mine"))
    await store.check()

    await asyncio.to_thread(child.answer, theirs)
    await store.check()
    await store.close()

"""Stored files from a process that has not opened the store."""

import pytest

from headrace.app import App
from headrace.core.filters import Page
from headrace.engine.operations import Runs
from headrace.errors import FileNotFound, MisuseError
from headrace.files.apart import FilesApart
from headrace.files.open import opened_files
from headrace.settings import Settings
from headrace.worker.settings import WorkerSettings
from tests.files import child_app
from tests.files.stored import chunks_of


@pytest.fixture
def settings(tmp_path):
    return Settings(url=f"sqlite:///{tmp_path}/jobs.db")


async def test_another_process_reads_and_writes_the_same_files(settings):
    async with App(settings=settings) as app:
        opened = await app.open()
        async with opened_files(settings, opened.store, opened.clock) as files:
            stored = await files.put(chunks_of(b"abc"), name="a")
            apart = FilesApart(settings)

            assert await apart.info(stored.id) == stored
            assert b"".join([chunk async for chunk in apart.read(stored.id, start=1)]) == b"bc"
            written = await apart.put(chunks_of(b"def"), name="b")
            assert [one.id for one in (await files.list(Page()))[0]] == [written.id, stored.id]
            assert (await apart.list(Page()))[0] == (await files.list(Page()))[0]
            assert await apart.delete(stored.id)
            with pytest.raises(FileNotFound):
                await files.info(stored.id)
            await apart.close()


async def test_files_of_a_store_in_memory_are_out_of_reach():
    with pytest.raises(MisuseError, match="memory"):
        await FilesApart(Settings(url="sqlite://")).info("x")


async def test_handler_in_a_child_process_has_the_stored_files(settings):
    app = App(settings=settings)
    app.include(child_app.registry.all())
    async with app:
        opened = await app.open()
        async with opened_files(settings, opened.store, opened.clock) as files:
            stored = await files.put(chunks_of(b"abc"), name="a")
        told = WorkerSettings(app_path="tests.files.child_app:registry", poll_ms=20)

        async with app.running_worker(told):
            request = child_app.shouting(stored.id)
            (handle,) = await app.enqueue_many([request])
            result = await handle.result(timeout=60)

    assert child_app.registry.get("shout").info.runs is Runs.PROCESS
    assert result == "ABC"

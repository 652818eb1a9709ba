from pathlib import Path

import pytest

from headrace.clock import ManualClock
from headrace.files.open import files_folder, opened_files
from headrace.settings import Settings
from tests.files.stored import chunks_of, content_of, opened_store


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("sqlite:///headrace.db", "headrace.db.files"),
        ("sqlite:////var/lib/headrace.db", "/var/lib/headrace.db.files"),
        ("sqlite:///a%20b.db?synchronous=normal", "a b.db.files"),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
    ],
)
def test_files_lie_beside_the_database(url, folder):
    assert files_folder(Settings(url=url)) == (None if folder is None else Path(folder))


def test_setting_names_another_folder():
    assert files_folder(Settings(files="/srv/files")) == Path("/srv/files")


async def test_files_of_a_store_in_memory_are_gone_at_the_end():
    settings = Settings(url="sqlite://")
    async with opened_store() as store, opened_files(settings, store, ManualClock()) as files:
        stored = await files.put(chunks_of(b"abc"), name="a")
        assert await content_of(files, stored.id) == b"abc"
        folder = files._folder

    assert not folder.exists()


async def test_files_beside_a_database_stay(tmp_path):
    settings = Settings(url=f"sqlite:///{tmp_path}/jobs.db")
    async with opened_store() as store:
        async with opened_files(settings, store, ManualClock()) as files:
            stored = await files.put(chunks_of(b"abc"), name="a")
        async with opened_files(settings, store, ManualClock()) as files:
            assert await content_of(files, stored.id) == b"abc"

    assert (tmp_path / "jobs.db.files").is_dir()

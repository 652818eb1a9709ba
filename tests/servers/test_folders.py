import shutil
from pathlib import Path

import pytest

from tests.servers import folders
from tests.servers.folders import temporary_folder


@pytest.fixture
def memory(monkeypatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(folders, "MEMORY", tmp_path)
    monkeypatch.setattr(folders, "ROOM", 1)
    return tmp_path


def test_throw_away_data_goes_to_memory_and_other_users_may_enter(memory):
    folder = temporary_folder(in_memory=True)

    assert folder.parent == memory
    assert folder.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("why", ["survives", "full", "absent"])
def test_data_goes_to_the_disk_otherwise(memory, monkeypatch, why: str):
    if why == "full":
        monkeypatch.setattr(folders, "ROOM", shutil.disk_usage(memory).total + 1)
    if why == "absent":
        monkeypatch.setattr(folders, "MEMORY", memory / "absent")

    folder = temporary_folder(in_memory=why != "survives")

    assert memory not in folder.parents
    folder.rmdir()

"""Fixtures of the faces' tests."""

import os
import sys

import pytest

from tests.faces.commands import APP, Commands
from tests.faces.service import a_service


@pytest.fixture
async def service():
    async with a_service() as made:
        yield made


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory, with an App in it, and no settings in the environment."""
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "jobs_app", raising=False)
    (tmp_path / "jobs_app.py").write_text(APP)
    return tmp_path


@pytest.fixture
def headrace(folder, capsys):
    return Commands(capsys)

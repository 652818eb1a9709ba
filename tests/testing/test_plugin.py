"""The pytest plugin, in a pytest of its own."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from headrace import App, ManualClock, Settings
from headrace.testing import isolated

ROOT = Path(__file__).parents[2]
JOBS = """
from headrace import App

app = App("sqlite:///never-made.db")


@app.job()
def add(a: int, b: int) -> int:
    return a + b
"""
USES = """
import asyncio

from headrace import ManualClock
from headrace.testing import advance_sync, drain, drain_sync
from jobs import add, app


def test_app_is_the_program_s_own(headrace_app, headrace_clock):
    assert headrace_app is app
    assert (app.settings.url, app.given_clock) == ("sqlite://", headrace_clock)
    handle = add.using(delay=60).enqueue_sync(1, 2)
    assert drain_sync(app) == []
    assert [one.job_id for one in advance_sync(app, 60)] == [handle.id]
    assert handle.result_sync(5) == 3


def test_next_test_begins_with_nothing(headrace_app):
    async def run():
        return await drain(headrace_app)

    assert asyncio.run(run()) == []
"""
FRESH = """
def test_without_the_option_the_app_is_new(headrace_app):
    assert headrace_app.registry.names == ()
"""
NOTHING = """
import sys


def test_nothing_of_headrace_is_imported():
    assert [name for name in sys.modules if name.partition(".")[0] == "headrace"] == []
    assert "headrace_pytest" in sys.modules
"""


def run_pytest(folder: Path, *arguments: str, **files: str) -> subprocess.CompletedProcess[str]:
    for name, content in files.items():
        (folder / f"{name}.py").write_text(content)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("HEADRACE_", "PYTEST_"))
    }
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(folder)}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "headrace_pytest",
        "-p",
        "no:cacheprovider",
        *arguments,
    ]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_fixtures_isolate_the_program_s_app(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "-o", "headrace_app=jobs:app", jobs=JOBS, test_uses=USES)

    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "never-made.db").exists()


def test_fixture_makes_an_app_where_none_is_named(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, test_fresh=FRESH)

    assert done.returncode == 0, done.stdout + done.stderr


def test_plugin_imports_nothing_until_a_fixture_is_asked_for(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, test_nothing=NOTHING)

    assert done.returncode == 0, done.stdout + done.stderr


def test_name_that_is_no_app_is_refused(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "-o", "headrace_app=jobs:add", jobs=JOBS, test_fresh=FRESH)

    assert done.returncode != 0
    assert "headrace_app = jobs:add names a JobType, not an App" in done.stdout + done.stderr


def test_plugin_is_announced_by_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert project["project"]["entry-points"]["pytest11"] == {"headrace": "headrace_pytest"}
    assert "src/headrace_pytest.py" in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


async def test_isolated_app_works_in_memory_and_is_as_before_afterwards(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    app, clock = App(url, settings=Settings()), ManualClock()

    @app.job()
    def work() -> None: ...

    kept = await work.enqueue()
    async with isolated(app, clock=clock):
        assert (await app.operations()).now() == clock.now()
        assert (await (await app.operations()).stats()).count() == 0
        await work.enqueue()

    assert (app.settings.url, app.given_clock) == (url, None)
    assert (await (await app.operations()).stats()).count() == 1
    assert (await kept.job()).facts.type == "work"
    await app.close()


async def test_isolated_app_is_as_before_after_an_error() -> None:
    app = App("sqlite:///some.db", settings=Settings())

    with pytest.raises(ZeroDivisionError):
        async with isolated(app):
            _ = 1 / 0

    assert app.settings.url == "sqlite:///some.db"

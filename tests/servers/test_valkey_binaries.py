import os
from pathlib import Path

import pytest

from headrace.stores.redis.info import OLDEST_SERVER
from tests.contract import conftest as contract
from tests.crash.kit import target as crash
from tests.model.test_lanes import MACHINES as LANE_MACHINES
from tests.model.test_machine import MACHINES
from tests.servers import valkey_binaries
from tests.servers.valkey_binaries import (
    INSTALLED,
    INSTEAD,
    bundled,
    installed,
    instead,
    told,
    usual,
    version_of,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """The only folder in which programs of the machine are looked for."""
    monkeypatch.delenv(INSTALLED, raising=False)
    monkeypatch.delenv(INSTEAD, raising=False)
    monkeypatch.setattr(valkey_binaries, "FOLDERS", str(tmp_path))
    return tmp_path


def a_program(folder: Path, name: str, said: str) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{said}'\n", encoding="utf-8")
    program.chmod(0o755)
    return program


def test_machine_without_a_server_has_none(folder):
    assert installed() is None
    assert INSTALLED in told()


def test_server_of_the_machine_is_found_and_told(folder):
    program = a_program(folder, "redis-server", "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0")

    assert installed() == program
    assert told() == f"Tested on {program} (7.0.15) as well."


def test_server_that_is_too_old_is_passed_over(folder):
    a_program(folder, "redis-server", "Redis server v=6.0.16 sha=00000000:0")
    newer = a_program(folder, "valkey-server", "Valkey server v=8.1.4 sha=00000000:0")

    assert installed() == newer


def test_named_server_is_taken_for_installed(folder, monkeypatch):
    a_program(folder, "redis-server", "Redis server v=7.0.15 sha=00000000:0")
    named = a_program(folder, "mine", "Redis server v=8.2.2 sha=00000000:0")
    monkeypatch.setenv(INSTALLED, str(named))

    assert installed() == named


def test_nobody_is_taken_for_installed_if_the_name_is_empty(folder, monkeypatch):
    a_program(folder, "redis-server", "Redis server v=7.0.15 sha=00000000:0")
    monkeypatch.setenv(INSTALLED, "")

    assert installed() is None


@pytest.mark.parametrize("variable", [INSTALLED, INSTEAD])
def test_named_server_that_will_not_do_is_refused(folder, monkeypatch, variable: str):
    find = {INSTALLED: installed, INSTEAD: usual}[variable]

    monkeypatch.setenv(variable, str(folder / "none"))
    with pytest.raises(FileNotFoundError, match=variable):
        find()

    monkeypatch.setenv(variable, str(a_program(folder, "old", "Redis server v=6.0.16 sha=00000000:0")))
    with pytest.raises(ValueError, match=f"{variable} names a server that is too old"):
        find()

    monkeypatch.setenv(variable, str(a_program(folder, "other", "Hello")))
    with pytest.raises(ValueError, match="does not tell its version"):
        find()


def test_usual_server_is_the_wheels_unless_another_is_named(folder):
    named = a_program(folder, "mine", "Redis server v=7.0.15 sha=00000000:0")
    assert usual() == bundled()

    with instead(named):
        assert usual() == named
        with instead(bundled()):
            assert usual() == bundled()
        assert usual() == named

    assert usual() == bundled()
    assert INSTEAD not in os.environ


def test_bundled_server_is_new_enough():
    assert version_of(bundled()) >= OLDEST_SERVER


def test_suites_run_on_the_installed_server_if_there_is_one():
    here = installed() is not None
    contract_kinds = {kind.name for kind in contract.CONTRACT_ONLY}

    assert contract_kinds >= {"partitioned"}
    assert ({"redis-installed", "partitioned-installed"} <= contract_kinds) is here
    for kinds in (MACHINES, LANE_MACHINES, crash.KINDS):
        assert {"redis"} <= set(kinds)
        assert ("redis-installed" in kinds) is here

"""A move that is broken off, wherever that is, and run again ends as if it had not been."""

import shutil
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headrace.clock import ManualClock
from headrace.errors import StoreError
from headrace.moving.mover import Wishes, move
from headrace.moving.report import Report
from headrace.moving.sides import MovableStore
from tests.builders import NOW
from tests.moving.faulty import Fault, faulty
from tests.moving.scene import a_side, filled, moved, opened, paused, seen, settings, surroundings
from tests.servers.shared import SHARED

FEW = 3
NEVER = 1_000_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is at the target in the end."""

    jobs: dict[str, Any]
    order: list[str]
    settings: dict[str, Any]
    paused: dict[str, bool]


async def outcome(target: MovableStore) -> Outcome:
    jobs = await seen(target)
    return Outcome(jobs, list(jobs), await settings(target), await paused(target))


@pytest.fixture
async def source_file(tmp_path: Path, clock: ManualClock) -> Path:
    """A file with a filled store in it, which no process has open."""
    file = tmp_path / "filled.db"
    store = await opened(f"sqlite:///{file}")
    await filled(store, clock, plain=FEW)
    await store.close()
    return file


class Trial:
    """Moves a copy of the file, with a fault, and then again without one."""

    def __init__(self, file: Path, folder: Path, target: str = "") -> None:
        folder.mkdir()
        shutil.copy(file, folder / "source.db")
        self._source = f"sqlite:///{folder / 'source.db'}"
        self._target = target or f"sqlite:///{folder / 'target.db'}"

    async def run(self, fault: Fault) -> tuple[Report, Outcome]:
        clock = ManualClock(NOW)
        async with AsyncExitStack() as stack:
            source, target = await opened(self._source), await opened(self._target)
            stack.push_async_callback(source.close)
            stack.push_async_callback(target.close)
            here, there = await a_side(source, clock), await a_side(target, clock)
            try:
                await move(faulty(here, fault), faulty(there, fault), Wishes(), surroundings(clock, "first"))
            except StoreError:
                assert fault.called is not None
            report = await move(here, there, Wishes(), surroundings(clock, "second"))
            return report, await outcome(target)


@pytest.mark.parametrize("lost", [False, True], ids=["not-done", "reply-lost"])
async def test_a_move_ends_the_same_whichever_call_fails(source_file, tmp_path, lost):
    whole = Fault(at=NEVER, lost=lost)
    _, expected = await Trial(source_file, tmp_path / "whole").run(whole)

    assert whole.calls > 40
    for at in range(whole.calls):
        fault = Fault(at=at, lost=lost)
        report, found = await Trial(source_file, tmp_path / f"at-{at}").run(fault)
        assert report.verified, (at, fault.called, report.differences)
        assert found == expected, (at, fault.called)


@pytest.mark.parametrize("at", range(3, 60, 8))
async def test_a_move_to_a_server_ends_the_same(source_file, tmp_path, at):
    folders = [tmp_path / name for name in ("whole-server", "broken-server")]
    for folder in folders:
        folder.mkdir()
    _, expected = await Trial(source_file, tmp_path / "whole", SHARED.url(folders[0])).run(
        Fault(NEVER, lost=True)
    )

    report, found = await Trial(source_file, tmp_path / "broken", SHARED.url(folders[1])).run(
        Fault(at, lost=True)
    )

    assert report.verified
    assert found == expected


async def test_an_outage_is_waited_for(files, clock):
    await filled(files.source, clock, plain=FEW)
    here, there = await a_side(files.source, clock), await a_side(files.target, clock)
    fault = Fault(at=30, lost=True)

    report = await move(
        faulty(here, fault), faulty(there, fault), Wishes(patience=1), surroundings(clock, "first")
    )

    assert fault.called is not None
    assert report.verified
    assert report.passes >= 1


async def test_a_second_run_moves_nothing(files, clock):
    await filled(files.source, clock, plain=FEW)
    await moved(files.source, files.target, clock)
    before = await outcome(files.target)

    report = await moved(files.source, files.target, clock)

    assert (report.late, report.moved, report.verified) == (True, 0, True)
    assert await outcome(files.target) == before

"""Runs a part of an experiment in a mount namespace of its own: all its mounts end with it.

``python -m tests.crash.kit.apart <module:function> <folder> <size> <seed>`` prints its findings as JSON.
"""

import asyncio
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Final

from tests.crash.kit.checker import Violation
from tests.crash.kit.children import tie_to_parent
from tests.crash.kit.experiment import Findings, NotHere, Scene, Size
from tests.crash.kit.nemesis import Nemesis
from tests.crash.kit.target import sqlite_at

MODULE: Final = "tests.crash.kit.apart"
MARK: Final = "FINDINGS "
LIMIT: Final = 1_200.0


async def run_apart(scene: Scene, part: str) -> None:
    """Runs ``part`` and takes what it found. Raises NotHere where nothing may be mounted."""
    if os.geteuid() != 0:
        raise NotHere("mounting takes root")
    if which("unshare") is None or which("mkfs.ext4") is None:
        raise NotHere("unshare or mkfs.ext4 is not installed")
    name = part.rpartition(":")[2]
    folder = scene.folder / name
    folder.mkdir()
    with scene.fleet() as fleet:
        before = ["unshare", "--mount", "--propagation", "private"]
        command = [
            *before,
            sys.executable,
            "-m",
            MODULE,
            part,
            str(folder),
            scene.size,
            str(scene.nemesis.seed),
        ]
        child = fleet.start_command(command, name=name)
        code = await child.ended(LIMIT)
        said = child.said()
        told = [line for line in said.splitlines() if line.startswith(MARK)]
        if "unshare failed" in said:
            raise NotHere(f"no mount namespace here: {said.strip()[-200:]}")
        assert code == 0, f"{part} ended with {code}: {said[-3000:]}"
    _take(scene.findings, json.loads(told[-1].removeprefix(MARK)))


@contextmanager
def tmpfs(place: Path, size: str) -> Iterator[None]:
    """A small disk in memory."""
    place.mkdir()
    with _mounted(["-t", "tmpfs", "-o", f"size={size}", "tmpfs"], place):
        yield


@contextmanager
def disk_image(image: Path, place: Path) -> Iterator[None]:
    """An ext4 file system in a file. It commits its own journal only when somebody syncs."""
    place.mkdir(exist_ok=True)
    with _mounted(["-t", "ext4", "-o", "loop,commit=900", str(image)], place):
        yield


def make_image(image: Path, megabytes: int) -> None:
    """An empty ext4 file system."""
    with image.open("wb") as file:
        file.truncate(megabytes * 2**20)
    _command(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0", str(image)])


@contextmanager
def _mounted(what: list[str], place: Path) -> Iterator[None]:
    _command(["mount", *what, str(place)])
    try:
        yield
    finally:
        _command(["umount", "--lazy", str(place)])


def _command(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotHere(f"{' '.join(command[:2])}: {done.stderr.strip()}")


def _take(findings: Findings, told: dict[str, object]) -> None:
    part = Findings(**told)  # type: ignore[arg-type]
    findings.did.update(part.did)
    findings.again.update(part.again)
    findings.figures.update(part.figures)
    findings.left_out.extend(part.left_out)
    findings.found(Violation(*one) for one in part.violations)  # type: ignore[misc]


async def _main(part: str, folder: str, size: str, seed: str) -> None:
    module, _, name = part.partition(":")
    place, findings = Path(folder), Findings()
    scene = Scene(
        target=sqlite_at(place / "disk" / "jobs.db"),
        folder=place,
        size=Size(size),
        nemesis=Nemesis(int(seed)),
        findings=findings,
    )
    try:
        await getattr(importlib.import_module(module), name)(scene)
    except NotHere as why:
        findings.left_out.append(f"{name}: {why}")
    sys.stdout.write(f"\n{MARK}{json.dumps(_told(findings))}\n")


def _told(findings: Findings) -> dict[str, object]:
    return {
        "did": findings.did,
        "again": findings.again,
        "figures": findings.figures,
        "left_out": findings.left_out,
        "violations": [(one.number, one.job, one.found) for one in findings.violations],
    }


if __name__ == "__main__":
    tie_to_parent()
    asyncio.run(_main(*sys.argv[1:]))

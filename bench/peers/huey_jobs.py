"""Huey on SQLite as its documentation sets it up: WAL, synchronous=FULL, results off."""

import os

from huey import SqliteHuey

from bench import probe

huey = SqliteHuey(
    "bench",
    filename=os.environ["HUEY_FILE"],
    results=False,
    fsync=os.environ.get("HUEY_FSYNC", "1") == "1",
)


@huey.task()
def noop(n: int) -> None:  # noqa: ARG001 - a payload like everybody's
    """Does nothing."""
    probe.hit()


@huey.task()
def stamp(t: float) -> None:
    """Tells how long ago ``t`` was."""
    probe.delay(t)

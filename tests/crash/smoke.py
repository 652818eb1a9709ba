"""Runs an experiment in smoke size as a test."""

import pytest

from tests.crash.kit.experiment import NotHere, Size
from tests.crash.kit.run import Report, run
from tests.crash.kit.target import KINDS

ON_FILES = pytest.mark.parametrize("store", [name for name, kind in KINDS.items() if not kind.is_server])
ON_SERVERS = pytest.mark.parametrize("store", [name for name, kind in KINDS.items() if kind.is_server])
ON_ALL = pytest.mark.parametrize("store", list(KINDS))


async def smoke(name: str, store: str) -> Report:
    """The report of a run in which nothing broke. Skips what this machine cannot do, and says why."""
    try:
        report = await run(name, store, Size.SMOKE)
    except NotHere as why:
        pytest.skip(str(why))
    report.demand_nothing_broken()
    return report

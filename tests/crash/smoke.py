"""Runs an experiment in smoke size as a test."""

import pytest

from tests.contract.conftest import PERSISTENT
from tests.crash.kit.experiment import NotHere, Size
from tests.crash.kit.run import Report, run
from tests.crash.kit.target import FILES, KINDS, POSTGRES, REDIS, SERVERS

ON_FILES = pytest.mark.parametrize("store", sorted(FILES))
ON_SERVERS = pytest.mark.parametrize("store", sorted(SERVERS))
ON_POSTGRES = pytest.mark.parametrize("store", [POSTGRES.name])
ON_REDIS = pytest.mark.parametrize("store", [REDIS.name])
ON_ALL = pytest.mark.parametrize("store", list(KINDS))

UNDIVIDED = pytest.mark.parametrize(
    "kind", [kind for kind in PERSISTENT if kind.name != "partitioned"], ids=lambda kind: kind.name
)
"""Not on queues with partitions: chunks and transactions are of one partition each."""


async def smoke(name: str, store: str) -> Report:
    """The report of a run in which nothing broke. Skips what this machine cannot do, and says why."""
    try:
        report = await run(name, store, Size.SMOKE)
    except NotHere as why:
        pytest.skip(str(why))
    report.demand_nothing_broken()
    return report

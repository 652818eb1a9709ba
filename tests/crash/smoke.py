"""Runs an experiment in smoke size as a test."""

from collections.abc import Set as AbstractSet

import pytest

from tests.contract.conftest import INSTALLED, PERSISTENT
from tests.crash.kit.experiment import NotHere, Size
from tests.crash.kit.run import Report, run
from tests.crash.kit.target import EVERYWHERE, FILES, KINDS, POSTGRES, REDIS, SERVERS


def _on(stores: AbstractSet[str]) -> pytest.MarkDecorator:
    """On every kind of these stores that this machine has."""
    return pytest.mark.parametrize("store", [kind.name for kind in KINDS.values() if kind.store in stores])


ON_FILES = _on(FILES)
ON_SERVERS = _on(SERVERS)
ON_POSTGRES = _on({POSTGRES.name})
ON_REDIS = _on({REDIS.name})
ON_ALL = _on(EVERYWHERE)

UNDIVIDED = pytest.mark.parametrize(
    "kind", [kind for kind in (*PERSISTENT, *INSTALLED) if not kind.divided], ids=lambda kind: kind.name
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

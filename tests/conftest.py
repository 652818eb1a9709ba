"""What every test gets: asyncio for `async def` tests, and the Hypothesis profiles."""

import inspect
import os

import pytest
from hypothesis import HealthCheck, settings

# The stores' speed varies with the disk, so examples have no deadline of their own.
settings.register_profile("default", deadline=None, max_examples=50)
settings.register_profile(
    "faults",
    deadline=None,
    max_examples=1_000,
    stateful_step_count=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.add_marker(pytest.mark.anyio)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"

"""What every test gets: asyncio for `async def` tests, the Hypothesis profiles, and servers if it asks."""

import inspect
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import valkey_binaries
from tests.servers.postgres import PostgresServer
from tests.servers.shared import ELSEWHERE, SHARED
from tests.servers.shared_valkey import ALL_SHARED
from tests.servers.shared_valkey import ELSEWHERE as ELSEWHERE_VALKEY
from tests.servers.valkey import ValkeyServer

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


# ------------------------------------------------------------ servers


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, object, object]:
    try:
        return (yield)
    finally:
        SHARED.drop_copies()
        for server in ALL_SHARED:
            server.drop()


def pytest_sessionfinish() -> None:
    SHARED.close()
    for server in ALL_SHARED:
        server.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:  # somebody wanted everything
        terminalreporter.write_line(valkey_binaries.told())


@pytest.fixture
def start_postgres() -> Iterator[Callable[..., PostgresServer]]:
    """``PostgresServer.start`` for tests that stop, kill or replicate a server; all are closed afterwards."""
    if os.environ.get(ELSEWHERE):
        pytest.skip(f"{ELSEWHERE} names a server that tests may not stop, kill or replicate")
    with ExitStack() as servers:
        yield lambda *place, **how: servers.enter_context(PostgresServer.start(*place, **how))


@pytest.fixture
def start_valkey() -> Iterator[Callable[..., ValkeyServer]]:
    """``ValkeyServer.start`` for tests that stop, kill or replicate a server; all are closed afterwards."""
    if os.environ.get(ELSEWHERE_VALKEY):
        pytest.skip(f"{ELSEWHERE_VALKEY} names a server that tests may not stop, kill or replicate")
    with ExitStack() as servers:
        yield lambda *place, **how: servers.enter_context(ValkeyServer.start(*place, **how))

"""The pytest plugin: fixtures ``headrace_clock`` and ``headrace_app``. ``-p no:headrace`` leaves it away.

A module of its own, outside the package, because pytest imports every plugin at its start: this costs nothing
where no test asks for a fixture, while importing anything of ``headrace`` would import all of it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from headrace import App, ManualClock

INI = "headrace_app"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the ini option."""
    parser.addini(INI, "The App that the fixture headrace_app isolates, as module:attribute.", default="")


@pytest.fixture
def headrace_clock() -> "ManualClock":
    """A clock that moves only when told to."""
    from headrace import ManualClock  # noqa: PLC0415 - see above

    return ManualClock()


@pytest.fixture
def headrace_app(request: pytest.FixtureRequest, headrace_clock: "ManualClock") -> "Iterator[App]":
    """The program's App (ini option ``headrace_app``) or a new one, in memory, by ``headrace_clock``."""
    from headrace import App  # noqa: PLC0415 - see above
    from headrace.testing import isolated  # noqa: PLC0415

    with isolated(_named(str(request.config.getini(INI))) or App("sqlite://"), clock=headrace_clock) as app:
        yield app


def _named(path: str) -> "App | None":
    from pkgutil import resolve_name  # noqa: PLC0415 - see above

    from headrace import App  # noqa: PLC0415

    if not path:
        return None
    found: object = resolve_name(path)
    if not isinstance(found, App):
        msg = f"{INI} = {path} names a {type(found).__name__}, not an App"
        raise pytest.UsageError(msg)
    return found

"""What may become a job type."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest

from headrace.engine.registry import JobOptions, registered
from headrace.errors import MisuseError


def yields(n: int) -> Iterator[int]:
    yield n


async def yields_on_the_loop(n: int) -> AsyncIterator[int]:
    yield n


class Yielding:
    def __call__(self, n: int) -> Iterator[int]:
        yield n


@pytest.mark.parametrize("handler", [yields, yields_on_the_loop, Yielding(), partial(yields, n=1)])
def test_handler_that_yields_is_refused_and_told_what_to_do(handler: Callable[..., Any]) -> None:
    with pytest.raises(MisuseError, match=r"nightly: a handler must not yield.*Return one value"):
        registered(handler, JobOptions(name="nightly"))


def test_handler_that_returns_a_list_is_a_job_type() -> None:
    def lists(n: int) -> list[int]:
        return list(yields(n))

    assert registered(lists, JobOptions()).info.name == "lists"

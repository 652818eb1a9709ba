"""Circuit breakers as programs write them down."""

import pytest

from headrace import App, Breaker, InvalidInput, Permanent
from headrace.core.policy import ErrorClass
from headrace.errors import MisuseError


def _handler():
    async def handler(n: int = 0) -> None: ...

    return handler


def test_breaker_is_the_same_for_all_that_name_it() -> None:
    app = App()
    app.job(name="a", breaker=Breaker("x"))(_handler())

    with pytest.raises(MisuseError):
        app.job(name="b", breaker=Breaker("x", failures=9))(_handler())


@pytest.mark.parametrize(
    "wrong",
    [{"failures": 0}, {"cooldown": 0}, {"cooldown": float("nan")}, {"probes": 0}, {"window": -1}, {"on": ()}],
)
def test_breaker_that_cannot_work_is_refused(wrong) -> None:
    with pytest.raises(InvalidInput):
        Breaker("x", **wrong)


def test_errors_that_count_are_classes_of_errors_or_of_exceptions() -> None:
    assert Breaker("x").rule.on == ("transient", "resource", "timeout")
    assert Breaker("x", on=ErrorClass.PERMANENT).rule.on == ("permanent",)
    assert Breaker("x", on=(ErrorClass.TIMEOUT, Permanent, "StripeError")).rule.on == (
        "timeout",
        "Permanent",
        "StripeError",
    )

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.backoff import Backoff
from headrace.core.classify import (
    ErrorRules,
    classify,
    classify_status,
    http_status,
    parse_retry_after,
    retry_after_ms,
)
from headrace.core.policy import ErrorClass
from headrace.errors import Exhausted, FieldError, InvalidPayload, Permanent, TooLarge, Transient


@dataclass
class Response:
    status_code: int
    headers: Mapping[str, str] = field(default_factory=dict)


class HTTPStatusError(Exception):
    def __init__(self, status: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"answered {status}")
        self.response = Response(status, headers or {})


class CardError(ValueError):
    pass


class CardDeclined(CardError):
    pass


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Permanent("no such customer"), ErrorClass.PERMANENT),
        (Transient("busy"), ErrorClass.TRANSIENT),
        (Exhausted(), ErrorClass.RESOURCE),
        (TooLarge("too large"), ErrorClass.PERMANENT),
        (InvalidPayload("t", (FieldError(pointer="/x", message="missing"),)), ErrorClass.PERMANENT),
        (asyncio.CancelledError(), ErrorClass.TRANSIENT),
        (MemoryError(), ErrorClass.RESOURCE),
        (PermissionError(), ErrorClass.PERMANENT),
        (TimeoutError(), ErrorClass.TRANSIENT),
        (ConnectionResetError(), ErrorClass.TRANSIENT),
        (FileNotFoundError(), ErrorClass.TRANSIENT),
        (ValueError("?"), ErrorClass.TRANSIENT),
        (RuntimeError("?"), ErrorClass.TRANSIENT),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_s2_16_to_18_error_gets_its_class(error, expected):
    assert classify(error) is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (301, ErrorClass.TRANSIENT),
        (400, ErrorClass.PERMANENT),
        (401, ErrorClass.PERMANENT),
        (403, ErrorClass.PERMANENT),
        (404, ErrorClass.PERMANENT),
        (408, ErrorClass.TRANSIENT),
        (409, ErrorClass.TRANSIENT),
        (410, ErrorClass.PERMANENT),
        (422, ErrorClass.PERMANENT),
        (425, ErrorClass.TRANSIENT),
        (429, ErrorClass.RESOURCE),
        (500, ErrorClass.TRANSIENT),
        (502, ErrorClass.TRANSIENT),
        (503, ErrorClass.RESOURCE),
        (504, ErrorClass.TRANSIENT),
    ],
)
def test_http_answer_gets_its_class(status, expected):
    assert classify_status(status) is expected
    assert classify(HTTPStatusError(status)) is expected


def test_error_is_permanent_when_the_job_type_never_retries_it():
    rules = ErrorRules(never=(CardError,))

    assert classify(CardDeclined(), rules) is ErrorClass.PERMANENT


def test_error_is_transient_when_the_job_type_gives_it_a_backoff():
    rules = ErrorRules(on={PermissionError: Backoff.fixed(1)})

    assert classify(PermissionError(), rules) is ErrorClass.TRANSIENT


def test_never_wins_over_a_backoff_of_its_own():
    rules = ErrorRules(never=(CardError,), on={CardError: Backoff.fixed(1)})

    assert classify(CardError(), rules) is ErrorClass.PERMANENT


def test_s2_19_backoff_is_that_of_the_most_derived_class():
    rules = ErrorRules(on={ValueError: Backoff.fixed(1), CardDeclined: Backoff.fixed(3)})

    assert rules.backoff_for(CardDeclined()) == Backoff.fixed(3)
    assert rules.backoff_for(CardError()) == Backoff.fixed(1)
    assert rules.backoff_for(KeyError()) is None


def test_error_without_an_answer_has_no_status():
    assert http_status(ValueError()) is None


def test_retry_after_counts_seconds():
    assert retry_after_ms(HTTPStatusError(429, {"retry-after": "120"}), 0) == 120_000


def test_retry_after_names_a_date():
    header = "Wed, 21 Oct 2015 07:28:00 GMT"

    assert parse_retry_after(header, 1_445_412_480_000 - 90_000) == 90_000


def test_retry_after_date_in_the_past_means_now():
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT", 1_445_412_480_001) == 0


def test_retry_after_date_without_a_zone_is_universal_time(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    _use_zone_of_environment()
    try:
        found = parse_retry_after("Wed, 21 Oct 2015 07:28:00 -0000", 1_445_412_480_000 - 60_000)
    finally:
        monkeypatch.undo()
        _use_zone_of_environment()

    assert found == 60_000


@pytest.mark.parametrize(
    "value",
    [
        "", "soon", "-5", "1.5", "12345678901", "٣", "NaN", "Wed, 99 Oct 2015 07:28:00 GMT",
        "Mon, 1 Jan 99999999999999999999 00:00:00 GMT",
    ],
)  # fmt: skip
def test_retry_after_is_ignored_when_it_says_nothing(value):
    assert parse_retry_after(value, 0) is None


@given(st.one_of(st.text(), st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ ?[-+A-Z0-9]*")))
def test_retry_after_never_raises_whatever_the_other_side_sends(value):
    found = parse_retry_after(value, 1_767_225_600_000)

    assert found is None or found >= 0


def test_exhausted_brings_its_own_retry_after():
    assert retry_after_ms(Exhausted(retry_after=2.5), 0) == 2_500
    assert retry_after_ms(Exhausted(retry_after=-1), 0) == 0
    assert retry_after_ms(Exhausted(), 0) is None


@pytest.mark.parametrize("seconds", [math.nan, math.inf])
def test_exhausted_is_ignored_when_it_names_no_number_of_seconds(seconds):
    assert retry_after_ms(Exhausted(retry_after=seconds), 0) is None


@pytest.mark.parametrize(
    "error", [ValueError(), HTTPStatusError(429), HTTPStatusError(429, {"retry-after": "?"})]
)
def test_no_retry_after_when_the_error_brings_none(error):
    assert retry_after_ms(error, 0) is None


def _use_zone_of_environment() -> None:
    import time  # noqa: PLC0415 - only this helper touches the process's zone

    time.tzset()

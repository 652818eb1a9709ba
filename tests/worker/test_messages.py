"""What a child process is told of an enqueue that could not be done is what a handler in the worker sees."""

import json

import pytest

from headrace.errors import (
    DuplicateJob,
    FieldError,
    HeadraceError,
    IdempotencyMismatch,
    InvalidPayload,
    LeaseLost,
    QueueFull,
    StoreFull,
    UnknownJobType,
)
from headrace.worker.messages import error_in, error_out


@pytest.mark.parametrize(
    "error",
    [
        DuplicateJob("k", "id"),
        IdempotencyMismatch("k", "id"),
        InvalidPayload("count", (FieldError(pointer="/n", message="no number"),)),
        LeaseLost("id", 3),
        QueueFull("emails", 10, waiting=9, coming=2),
        StoreFull("no space"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_error_reaches_the_child_whole(error: HeadraceError):
    told = error_in(json.loads(json.dumps(error_out(error))))

    assert type(told) is type(error)
    assert vars(told) | {"index": None} == vars(error) | {"index": None}
    assert str(told) == str(error)


@pytest.mark.parametrize(
    "error", [DuplicateJob("k", "id"), UnknownJobType("count")], ids=lambda one: type(one).__name__
)
def test_error_says_in_the_child_which_request_it_was(error: DuplicateJob | UnknownJobType):
    error.index = 4

    told = error_in(json.loads(json.dumps(error_out(error))))

    assert isinstance(told, type(error))
    assert told.index == 4

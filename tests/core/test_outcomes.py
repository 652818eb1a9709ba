import json

from headrace.core.outcomes import MAX_MESSAGE_CHARS, MAX_TRACEBACK_CHARS, ErrorInfo
from headrace.core.policy import ErrorClass


def test_error_is_kept_as_names_and_text():
    error = ErrorInfo(type="KeyError", message="'x'", error_class=ErrorClass.PERMANENT, traceback="line 1")

    assert json.loads(error.dumps()) == {
        "type": "KeyError", "message": "'x'", "class": "permanent", "traceback": "line 1",
    }  # fmt: skip


def test_error_without_a_traceback_keeps_none():
    assert "traceback" not in json.loads(ErrorInfo(type="E", message="m").dumps())


def test_long_message_keeps_its_beginning():
    kept = json.loads(ErrorInfo(type="E", message="a" * 5_000 + "z").dumps())["message"]

    assert kept == "a" * MAX_MESSAGE_CHARS


def test_long_traceback_keeps_its_end():
    kept = json.loads(ErrorInfo(type="E", message="m", traceback="a" * 20_000 + "z").dumps())["traceback"]

    assert kept == "a" * (MAX_TRACEBACK_CHARS - 1) + "z"


def test_lone_surrogates_of_an_error_are_spelled_out_so_that_every_face_can_show_it():
    error = ErrorInfo(type="E\udfff", message="\ud800 \0 é", traceback="\ud800")

    kept = json.loads(error.dumps())

    assert kept["message"] == "\\ud800 \0 é"
    assert all(value.encode() for value in kept.values())

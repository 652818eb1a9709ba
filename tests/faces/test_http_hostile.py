"""Hostile bodies get a 4xx before anything is written, and what is accepted comes back identical (C8, C9)."""

import json

import pytest

from headrace.api.enqueue import MAX_JOB_BYTES
from headrace.api.guard import MAX_BODY_BYTES
from tests.faces.service import problem_of

ECHO = b'{"type":"echo","payload":{"value":%s}}'

MALFORMED = {
    "empty": b"",
    "cut off": b'{"type":"echo"',
    "two values": b"{}{}",
    "trailing comma": b'{"type":"echo",}',
    "not a number": ECHO % b"NaN",
    "infinity": ECHO % b"-Infinity",
    "too large a number": ECHO % b"1e999",
    "endless digits": ECHO % (b"9" * 10_000),
    "duplicate key": b'{"type":"echo","type":"send-email","payload":{}}',
    "duplicate key inside": ECHO % b'{"a":1,"a":2}',
    "not UTF-8": ECHO % b'"\xff"',
    "surrogate in UTF-8": ECHO % b'"\xed\xa0\x80"',
    "UTF-16": '{"type":"echo"}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "raw control character": ECHO % b'"\x00"',
    "deep": ECHO % (b"[" * 10_000 + b"]" * 10_000),
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
}


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("path", ["/jobs", "/jobs/bulk"])
async def test_body_that_is_not_strict_json_is_400(service, name, path):
    answer = await service.post_raw(MALFORMED[name], path=path)

    assert problem_of(answer, 400)["code"] == "malformed-json"
    assert await service.total() == 0


UNACCEPTABLE = {
    "lone surrogate": (ECHO % rb'"\ud800"', 422),
    "lone surrogate as key": (ECHO % rb'{"\udfff":1}', 422),
    "lone surrogate as field": (rb'{"type":"echo","\ud800":1}', 422),
    "deeper than kept": (ECHO % (b"[" * 65 + b"]" * 65), 422),
    "more than a mebibyte": (ECHO % (b'"' + b"x" * (1024 * 1024) + b'"'), 413),
    "a million keys": (ECHO % (b"{" + b",".join(b'"k%d":0' % n for n in range(500_000)) + b"}"), 413),
    "array": (b"[]", 422),
    "string": (b'"job"', 422),
    "null": (b"null", 422),
    "type with NUL": (rb'{"type":"echo\u0000","payload":{}}', 422),
    "type too long": (b'{"type":"' + b"x" * 100_000 + b'","payload":{}}', 422),
    "many tags": (b'{"type":"echo","tags":[' + b",".join([b'"t"'] * 40) + b"]}", 413),
    "many unknown fields": (b"{" + b",".join(b'"k%d":0' % n for n in range(10_000)) + b"}", 422),
}


@pytest.mark.parametrize("name", UNACCEPTABLE)
async def test_body_that_cannot_be_kept_is_refused(service, name):
    body, status = UNACCEPTABLE[name]

    answer = await service.post_raw(body)

    problem_of(answer, status)
    assert len(answer.content) < 20_000
    assert await service.total() == 0


async def test_body_beyond_the_limit_is_413(service):
    answer = await service.post_raw(b" " * (MAX_BODY_BYTES + 1))

    assert problem_of(answer, 413)["code"] == "too-large"


async def test_unannounced_body_beyond_the_limit_is_413(service):
    read = []

    async def chunks():
        for _ in range(1000):
            read.append(1)
            yield b" " * (MAX_BODY_BYTES // 8)

    answer = await service.client.post(
        "/jobs", content=chunks(), headers={"content-type": "application/json"}
    )

    problem_of(answer, 413)
    assert await service.total() == 0


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -0.0,
        2**53 + 1,
        2**64,
        -(2**80),
        1e-300,
        1.7976931348623157e308,
        "",
        "\x00\x1f\x7f\x9b",
        "é 𝄞 \u202e \u2028",
        "\\ud800",
        [],
        {},
        {"": {"": []}},
        {"__proto__": 1, "constructor": 2},
        [[[[1]]]],
        {"z": 1, "a": 2},
        "x" * 100_000,
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_what_is_accepted_comes_back_identical(service, value):
    job_id = await service.enqueued("echo", {"value": value})

    payload = (await service.job(job_id))["payload"]

    assert json.dumps(payload) == json.dumps({"value": value})


async def test_body_of_one_job_has_a_smaller_limit(service):
    body = ECHO % b'"a"' + b" " * MAX_JOB_BYTES

    problem_of(await service.post_raw(body), 413)
    problem_of(await service.post_raw(b"[" + body + b"]" + b" " * MAX_BODY_BYTES, path="/jobs/bulk"), 413)
    assert (await service.post_raw(b"[" + body + b"]", path="/jobs/bulk")).status_code == 201


async def test_payload_in_a_long_spelling_is_taken(service):
    text = "é" * 300_000

    answer = await service.post_raw(ECHO % b'"%s"' % (b"\\u00e9" * 300_000))

    assert answer.status_code == 201
    assert (await service.job(answer.json()["jobId"]))["payload"] == {"value": text}

"""webhook-delivery against a real receiver."""

import asyncio
import json
import random

import pytest
from standardwebhooks.webhooks import Webhook

from headrace.core.classify import classify, retry_after_ms
from headrace.core.policy import ErrorClass
from headrace.errors import Exhausted, InvalidPayload, Permanent, Transient
from headrace.handlers.outbound import Outbound
from headrace.handlers.signing import Signer
from headrace.handlers.webhook import webhook_delivery_type
from tests.handlers.contexts import JOB_ID, Told, a_context
from tests.handlers.loopback import Receiver, answering, receiver, status
from tests.handlers.test_signing import OTHER, SECRET

OK = answering(status(200, "OK"))
NOW = 1_767_225_600.7


def delivery(server: Receiver | None = None, *secrets: str, now=lambda: NOW):
    allow = [] if server is None else [server.pair]
    return webhook_delivery_type(lambda: Outbound(allow=allow), Signer(secrets), now=now)


async def run(server: Receiver, *, secrets=(), attempt: int = 1, **payload):
    kind = delivery(server, *secrets)
    text = kind.payload.check({"url": server.url(), "body": {"order": 1}, **payload})
    return await kind.handler(ctx=a_context(attempt=attempt), **kind.payload.decode(text))


async def test_body_is_posted_as_json_with_the_attempt():
    async with receiver(OK) as server:
        result = await run(server, attempt=3, body={"grüße": [1, None]})

    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/hook")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-webhook-retry"] == "3"
    assert json.loads(request.body) == {"grüße": [1, None]}
    assert result.model_dump(by_alias=True) == {"success": True, "attempt": 3, "status": 200}


async def test_id_stays_and_timestamp_is_of_the_attempt():
    async with receiver(OK) as server:
        kind = delivery(server, SECRET, now=iter([1000.0, 1000.0, 1005.0, 1005.0]).__next__)
        for attempt in (1, 2):
            await kind.handler(ctx=a_context(attempt=attempt), url=server.url(), body={})

    first, second = (request.headers for request in server.requests)
    assert first["webhook-id"] == second["webhook-id"] == JOB_ID
    assert (first["webhook-timestamp"], second["webhook-timestamp"]) == ("1000", "1005")
    assert first["webhook-signature"] != second["webhook-signature"]


async def test_signature_is_verified_by_an_independent_implementation():
    async with receiver(OK) as server:
        kind = webhook_delivery_type(lambda: Outbound(allow=[server.pair]), Signer([OTHER, SECRET]))
        await kind.handler(ctx=a_context(), url=server.url(), body={"test": 1}, webhook_id="msg_1")

    (request,) = server.requests
    assert request.headers["webhook-id"] == "msg_1"
    assert Webhook(SECRET).verify(request.body, request.headers) == {"test": 1}
    assert Webhook(OTHER).verify(request.body, request.headers) == {"test": 1}


async def test_event_type_and_own_headers_are_sent():
    async with receiver(OK) as server:
        await run(server, eventType="order.paid", headers={"X-Shop": "north", "Authorization": "Bearer t"})

    (request,) = server.requests
    assert request.headers["x-webhook-event"] == "order.paid"
    assert request.headers["x-shop"] == "north"
    assert request.headers["authorization"] == "Bearer t"
    assert request.headers["host"] == server.pair
    assert "webhook-signature" not in request.headers


@pytest.mark.parametrize("code", [200, 201, 204, 299])
async def test_2xx_is_success(code):
    async with receiver(answering(status(code))) as server:
        assert (await run(server)).status == code


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 418, 422, 451])
async def test_client_error_ends_the_job(code):
    async with receiver(answering(status(code, "No Thanks"))) as server:
        with pytest.raises(Permanent, match=f"^Webhook returned {code}: No Thanks$"):
            await run(server)


@pytest.mark.parametrize("code", [300, 301, 302, 304, 307, 408, 409, 425, 429, 500, 502, 503, 504, 599])
async def test_other_failure_is_tried_again(code):
    async with receiver(answering(status(code, "Not Now", "Location: http://127.0.0.1:9/"))) as server:
        with pytest.raises(Transient, match=f"^Webhook returned {code}: Not Now$"):
            await run(server)

    assert server.connections == 1


@pytest.mark.parametrize(
    ("code", "asked", "waits"), [(429, "7", 7_000), (503, "120", 120_000), (502, "3", 3_000)]
)
async def test_retry_after_is_honoured(code, asked, waits):
    async with receiver(answering(status(code, "Busy", f"Retry-After: {asked}"))) as server:
        with pytest.raises(Exhausted, match=f"Webhook returned {code}: Busy") as told:
            await run(server)

    assert retry_after_ms(told.value, 0) == waits
    assert classify(told.value) is ErrorClass.RESOURCE


async def test_retry_after_as_a_date_is_honoured():
    date = "Thu, 01 Jan 2026 00:01:00 GMT"
    async with receiver(answering(status(429, "Busy", f"Retry-After: {date}"))) as server:
        with pytest.raises(Exhausted) as told:
            await run(server)

    assert told.value.retry_after == pytest.approx(59.3)


async def test_missing_reason_is_named_from_the_status():
    async with receiver(answering(status(500, ""))) as server:
        with pytest.raises(Transient, match=r"^Webhook returned 500: Internal Server Error$"):
            await run(server)


async def test_address_inside_the_network_ends_the_job():
    async with receiver(OK) as server:
        with pytest.raises(Permanent, match="HEADRACE_OUTBOUND_ALLOW"):
            await delivery().handler(ctx=a_context(), url=server.url(), body={})

    assert server.connections == 0


async def test_dropped_connection_is_tried_again():
    async with receiver(answering(b"")) as server:
        with pytest.raises(Transient):
            await run(server)


async def test_progress_names_the_attempt():
    told = Told()
    async with receiver(OK) as server:
        await delivery(server).handler(ctx=a_context(told, attempt=2), url=server.url(), body={})

    assert told.progress_notes == [{"stage": "delivering", "percentage": 0, "message": "attempt 2"}]


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://example.com"},
        {"url": "https://" + "x" * 3000},
        {"method": "GET"},
        {"eventType": "order paid"},
        {"webhookId": "with.dot"},
        {"headers": {"Host": "inner"}},
        {"headers": {"Cookie": "a=b"}},
        {"headers": {"webhook-id": "x"}},
        {"headers": {"X-Webhook-Retry": "1"}},
        {"headers": {"X-Forwarded-For": "10.0.0.1"}},
        {"headers": {"X-A": "1\r\nX-B: 2"}},
        {"headers": {"X-A": "ü"}},
        {"headers": {"X A": "1"}},
        {"headers": {"X-A": "1", "x-a": "2"}},
        {"headers": {f"X-{n}": "1" for n in range(21)}},
        {"attempts": 7},
    ],
)
def test_wrong_payload_is_refused_when_enqueued(wrong):
    with pytest.raises(InvalidPayload):
        delivery().payload.check({"url": "https://example.com/hook", "body": {}, **wrong})


def test_defaults_are_those_for_webhooks():
    info = delivery().info

    delays = [info.policy.backoff.delay_ms(attempt, random.Random(0)) for attempt in range(1, 8)]
    assert (info.queue, info.policy.max_attempts) == ("webhook", 5)
    assert delays == [5_000, 25_000, 125_000, 625_000, 3_125_000, 3_600_000, 3_600_000]


async def test_deliveries_run_side_by_side():
    gate = asyncio.Barrier(8)

    async def together(_request, writer):
        await gate.wait()
        writer.write(status(200, "OK"))

    async with receiver(together) as server:
        results = await asyncio.gather(*(run(server) for _ in range(8)))

    assert len(results) == 8

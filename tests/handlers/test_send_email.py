"""send-email against a real mail server."""

import asyncio
import random

import pytest

from headrace.errors import InvalidInput, InvalidPayload, Permanent, Transient
from headrace.handlers.letters import Template
from headrace.handlers.mail import MailServer, Sender
from headrace.handlers.send_email import send_email_type
from tests.handlers.contexts import JOB_ID, Told, a_context
from tests.handlers.post_office import PostOffice, post_office

SENDER = Sender.parse("SequenceHUB <noreply@example.com>")
PLAIN = {"to": "user@example.com", "subject": "Welcome!", "body": "Welcome to our service…"}


def sending(office: PostOffice | None = None):
    return send_email_type(None if office is None else MailServer.parse(office.url), SENDER)


async def run(office: PostOffice, payload: dict, told: Told | None = None):
    kind = sending(office)
    return await kind.handler(ctx=a_context(told), **kind.payload.decode(kind.payload.check(payload)))


async def test_plain_mail_arrives():
    async with post_office() as office:
        result = await run(office, PLAIN)

    (mail,) = office.mails
    assert (mail.sender, mail.recipients) == ("noreply@example.com", ["user@example.com"])
    assert mail.message["Subject"] == "Welcome!"
    assert mail.part("plain").strip() == "Welcome to our service…"
    kept = sending().payload.encode_result(result)
    assert kept == f'{{"success":true,"sent":true,"emailId":"{JOB_ID}@example.com"}}'


async def test_html_is_sent_beside_the_text():
    async with post_office() as office:
        await run(office, {**PLAIN, "html": "<p>Welcome <b>here</b></p>"})

    assert office.mails[0].part("html").strip() == "<p>Welcome <b>here</b></p>"
    assert office.mails[0].part("plain").strip() == PLAIN["body"]


async def test_message_id_is_the_same_at_every_attempt():
    async with post_office() as office:
        for _ in range(2):
            await run(office, PLAIN)

    assert {mail.message["Message-ID"] for mail in office.mails} == {f"<{JOB_ID}@example.com>"}


async def test_order_confirmation_is_made_from_its_template():
    data = {
        "orderId": 42,
        "customerName": "Ada",
        "total": "12.50",
        "items": [{"name": "Lamp", "quantity": 2, "price": 6.25}],
    }
    async with post_office() as office:
        await run(office, {"to": "ada@example.com", "template": "order-confirmation", "data": data})

    (mail,) = office.mails
    assert mail.message["Subject"] == "Your order 42"
    for kind in ("plain", "html"):
        assert "Hello Ada" in mail.part(kind)
        assert "12.50 USD" in mail.part(kind)
    assert "2 x Lamp: 6.25 USD" in mail.part("plain")
    assert "<td>Lamp</td>" in mail.part("html")


@pytest.mark.parametrize(
    ("template", "data", "subject"),
    [
        (
            Template.DOWNLOAD_READY,
            {"productName": "Snowfall", "downloadUrl": "https://example.com/d/1"},
            "Snowfall is ready to download",
        ),
        (
            Template.CREATOR_PAYOUT,
            {"creatorName": "Ada", "amount": 100, "currency": "EUR", "payoutId": "p-1"},
            "Your payout of 100 EUR",
        ),
    ],
)
async def test_other_templates_are_shipped(template, data, subject):
    async with post_office() as office:
        await run(office, {"to": "ada@example.com", "template": template.value, "data": data})

    assert office.mails[0].message["Subject"] == subject
    assert office.mails[0].part("html").startswith("<!doctype html>")


async def test_data_is_escaped_in_html_and_never_evaluated():
    evil = "<script>alert(1)</script>{{ 7 * 7 }}{% for x in range(9) %}"
    data = {"productName": evil, "downloadUrl": 'https://example.com/?a=1&b="x"', "customerName": "</title>"}
    async with post_office() as office:
        await run(office, {"to": "ada@example.com", "template": "download-ready", "data": data})

    html = office.mails[0].part("html")
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{ 7 * 7 }}{% for x in range(9) %}" in html
    assert 'href="https://example.com/?a=1&amp;b=&#34;x&#34;"' in html
    assert evil in office.mails[0].part("plain")


async def test_line_ends_in_data_stay_out_of_the_headers():
    data = {"creatorName": "Ada", "amount": "1\r\nBcc: other@example.com\r\n\r\nbody"}
    async with post_office() as office:
        await run(office, {"to": "ada@example.com", "template": "creator-payout", "data": data})

    (mail,) = office.mails
    assert mail.recipients == ["ada@example.com"]
    assert "Bcc" not in mail.message
    assert mail.message["Subject"] == "Your payout of 1 Bcc: other@example.com body USD"


@pytest.mark.parametrize(
    ("template", "data"),
    [
        ("order-confirmation", {}),
        ("order-confirmation", {"orderId": 1, "total": 1, "items": [{"name": "x"}] * 501}),
        ("download-ready", {"productName": "x", "downloadUrl": "javascript:alert(1)"}),
        ("download-ready", {"productName": "x", "downloadUrl": "https://example.com/\r\nx"}),
        ("creator-payout", {"creatorName": "x" * 201, "amount": 1}),
    ],
)
async def test_data_that_does_not_fit_its_template_ends_the_job(template, data):
    async with post_office() as office:
        with pytest.raises(Permanent, match="/data/"):
            await run(office, {"to": "ada@example.com", "template": template, "data": data})

    assert office.mails == []


@pytest.mark.parametrize(
    "payload",
    [
        {"to": "a@example.com"},
        {"to": "a@example.com", "subject": "x"},
        {"to": "a@example.com", "body": "x"},
        {"to": "a@example.com", "subject": "x", "body": "y", "data": {}},
        {"to": "a@example.com", "subject": "x", "template": "creator-payout", "data": {}},
    ],
)
async def test_half_a_mail_is_refused(payload):
    async with post_office() as office:
        with pytest.raises(InvalidInput, match="subject and body"):
            await run(office, payload)


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": "a@example.com\r\nBcc: b@example.com"},
        {"to": "a@example.com, b@example.com"},
        {"to": ["a@example.com"]},
        {"subject": "x\nBcc: b@example.com"},
        {"subject": ""},
        {"template": "../../etc/passwd"},
        {"template": "welcome"},
        {"from": "b@example.com"},
    ],
)
def test_wrong_payload_is_refused_when_enqueued(wrong):
    with pytest.raises(InvalidPayload):
        sending().payload.check({**PLAIN, **wrong})


@pytest.mark.parametrize("refusal", [{"rcpt": "450 try later"}, {"data": "451 try later"}])
async def test_4xx_of_the_mail_server_is_tried_again(refusal):
    async with post_office(**refusal) as office:
        with pytest.raises(Transient, match=r"^Mail server answered 45\d: try later$"):
            await run(office, PLAIN)


@pytest.mark.parametrize("refusal", [{"rcpt": "550 no such user"}, {"data": "554 no thanks"}])
async def test_5xx_of_the_mail_server_ends_the_job(refusal):
    async with post_office(**refusal) as office:
        with pytest.raises(Permanent, match="Mail server answered 55"):
            await run(office, PLAIN)


async def test_mail_server_that_is_away_is_tried_again():
    async with post_office() as office:
        pass

    with pytest.raises(Transient, match="cannot be reached"):
        await run(office, PLAIN)


async def test_connection_lost_in_the_middle_is_tried_again():
    async def hang_up(reader, writer):
        writer.write(b"220 hello\r\n")
        await reader.readline()
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    office = PostOffice(port=server.sockets[0].getsockname()[1])
    try:
        with pytest.raises(Transient):
            await run(office, PLAIN)
    finally:
        server.close()
        await server.wait_closed()


async def test_without_a_mail_server_the_job_says_so():
    with pytest.raises(Permanent, match="HEADRACE_SMTP_URL"):
        await sending().handler(ctx=a_context(), **PLAIN)


async def test_progress_is_told():
    told = Told()
    async with post_office() as office:
        await run(office, PLAIN, told)

    assert [note["stage"] for note in told.progress_notes] == ["sending"]


def test_defaults_are_those_for_mail():
    info = sending().info

    delays = [info.policy.backoff.delay_ms(attempt, random.Random(0)) for attempt in (1, 2, 3)]
    assert (info.queue, info.policy.max_attempts, delays) == ("email", 3, [10_000] * 3)

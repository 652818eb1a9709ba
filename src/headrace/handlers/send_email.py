"""send-email: one message to one recipient, given as it is or made from a template."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, JsonValue

from headrace.core.backoff import Backoff
from headrace.engine.context import Context
from headrace.engine.registry import JobOptions, Registered, Retry, registered
from headrace.errors import InvalidInput, Permanent
from headrace.handlers.letters import Letter, Template, letter
from headrace.handlers.mail import (
    ADDRESS_PATTERN,
    LIMIT_SECONDS,
    MAX_ADDRESS_CHARS,
    MAX_SUBJECT_CHARS,
    SUBJECT_PATTERN,
    MailServer,
    Sender,
    checked_address,
    compose,
    deliver,
)
from headrace.handlers.results import Result

QUEUE: Final = "email"
RETRY: Final = Retry(attempts=3, backoff=Backoff.fixed(10))
MAX_BODY_CHARS: Final = 500_000

Recipient = Annotated[
    str,
    Field(
        max_length=MAX_ADDRESS_CHARS,
        json_schema_extra={"pattern": ADDRESS_PATTERN},
        examples=["user@example.com"],
    ),
    AfterValidator(checked_address),
]
Subject = Annotated[str, Field(max_length=MAX_SUBJECT_CHARS, pattern=SUBJECT_PATTERN)]
Text = Annotated[str, Field(max_length=MAX_BODY_CHARS)]


class Sent(Result):
    """The mail server took it. ``email_id`` is the Message-ID, the same at every attempt."""

    sent: Literal[True] = True
    email_id: str


def send_email_type(server: MailServer | None, sender: Sender) -> Registered:
    """The job type ``send-email``. Without a mail server its jobs fail and say so."""

    async def send_email(  # noqa: PLR0913 - one parameter per field of the payload
        ctx: Context,
        *,
        to: Recipient,
        subject: Subject | None = None,
        body: Text | None = None,
        html: Text | None = None,
        template: Template | None = None,
        data: dict[str, JsonValue] | None = None,
    ) -> Sent:
        """Sends one e-mail: ``subject`` and ``body`` (and ``html``), or a ``template`` with its ``data``.

        The Message-ID is the same at every attempt, so a receiver can drop a repeat. The mail
        server's 5xx answers end the job, 4xx answers and lost connections are tried again.
        """
        if server is None:
            msg = "no mail server: set HEADRACE_SMTP_URL"
            raise Permanent(msg)
        written = _letter(Letter(subject=subject or "", text=body or "", html=html), template, data)
        message_id = f"{ctx.idempotency_key}@{sender.address.rpartition('@')[2]}"
        content = compose(sender, to, written, message_id)
        ctx.progress("sending", 50)
        await deliver(server, sender, to, content)
        return Sent(email_id=message_id)

    options = JobOptions(name="send-email", queue=QUEUE, retry=RETRY, timeout=LIMIT_SECONDS + 15)
    return registered(send_email, options)


def _letter(plain: Letter, template: Template | None, data: dict[str, JsonValue] | None) -> Letter:
    own = bool(plain.subject or plain.text or plain.html)
    if template is not None and not own:
        return letter(template, data or {})
    if template is not None or data is not None or not plain.subject or not plain.text:
        msg = "give subject and body (and html), or template and data"
        raise InvalidInput(msg, field="payload")
    return plain

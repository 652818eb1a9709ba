"""Mail as bytes that were checked, and the way they take to the mail server."""

import asyncio
import re
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.headerregistry import Address, AddressHeader
from email.message import EmailMessage
from email.utils import format_datetime
from ipaddress import ip_address
from typing import Final
from urllib.parse import unquote, urlsplit

from headrace.errors import InvalidInput, Permanent, Transient
from headrace.handlers.letters import Letter
from headrace.handlers.mail_headers import exact_header, sender_header, text_header

LIMIT_SECONDS: Final = 30.0
MAX_MESSAGE_BYTES: Final = 2 * 1024 * 1024
PERMANENT_FROM: Final = 500
ADDRESS_PATTERN: Final = (
    r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$"
)
SUBJECT_PATTERN: Final = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$"
MAX_ADDRESS_CHARS: Final = 254
MAX_LOCAL_CHARS: Final = 64
MAX_SUBJECT_CHARS: Final = 255
MAX_LINE: Final = 998
_ADDRESS: Final = re.compile(ADDRESS_PATTERN.removeprefix("^").removesuffix("$"))
_SUBJECT: Final = re.compile(SUBJECT_PATTERN.removeprefix("^").removesuffix("$"))
_SENDER: Final = re.compile(r"([^<>]*)<([^<>]+)>|([^<>]+)")
_BARE_LINE_END: Final = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_LONE_RETURN: Final = re.compile(r"\r\n?")


def checked_address(text: str) -> str:
    """A plain ``name@domain``, without comments, quotes or letters beyond ASCII. Raises ValueError."""
    local = text.rpartition("@")[0]
    if _ADDRESS.fullmatch(text) is None or len(text) > MAX_ADDRESS_CHARS or len(local) > MAX_LOCAL_CHARS:
        msg = "not a plain e-mail address such as name@example.com"
        raise ValueError(msg)
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who mails are from: an address and the name shown with it."""

    address: str
    name: str

    @classmethod
    def parse(cls, text: str) -> "Sender":
        """Reads ``Name <name@domain>`` or ``name@domain``. Raises InvalidInput."""
        found = _SENDER.fullmatch(text)
        try:
            if found is None or not text.isprintable():
                msg = "it must be one line with one address"
                raise ValueError(msg)
            return cls(address=checked_address(found[2] or found[3]), name=(found[1] or "").strip('" '))
        except ValueError as error:
            msg = f"HEADRACE_MAIL_FROM {text[:80]!r} is no sender such as Shop <noreply@example.com>: {error}"
            raise InvalidInput(msg, field="HEADRACE_MAIL_FROM") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """Where mail goes. ``tls``: True from the first byte on, None by STARTTLS where it is offered."""

    host: str
    port: int
    tls: bool
    starttls: bool | None
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> "MailServer":
        """Reads ``smtp://user:password@host:587`` or ``smtps://…``. Raises InvalidInput."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = parts = None
        if parts is None or parts.scheme not in ("smtp", "smtps") or not host or parts.path.strip("/"):
            msg = "HEADRACE_SMTP_URL is not smtp://[user:password@]host[:port] or smtps://…"
            raise InvalidInput(msg, field="HEADRACE_SMTP_URL")
        tls = parts.scheme == "smtps"
        user = None if parts.username is None else unquote(parts.username)
        # A password leaves this machine only through TLS; without one TLS is used where it is offered.
        starttls = False if tls else (True if user is not None and not _is_this_machine(host) else None)
        return cls(
            host=host,
            port=port or (465 if tls else 587 if user is not None else 25),
            tls=tls,
            starttls=starttls,
            user=user,
            password=None if parts.password is None else unquote(parts.password),
        )


def compose(sender: Sender, to: str, letter: Letter, message_id: str) -> bytes:
    """The message as bytes, with exactly the headers that were meant. Raises Permanent for anything else."""
    try:
        checked_address(to)
    except ValueError as error:
        msg = f"the recipient is {error}"
        raise Permanent(msg) from error
    if not _is_subject(letter.subject):
        msg = f"a subject is one line of 1 to {MAX_SUBJECT_CHARS} characters"
        raise Permanent(msg)
    author = Address(sender.name, addr_spec=sender.address)
    exact = {
        "To": to,
        "Date": format_datetime(datetime.now(UTC)),
        "Message-ID": f"<{message_id}>",
        "Auto-Submitted": "auto-generated",
    }
    headers = [sender_header("From", author), text_header("Subject", letter.subject)]
    headers += [exact_header(name, value) for name, value in exact.items()]
    message = EmailMessage(policy=policy.SMTP)
    message.set_content(_lines(letter.text), cte="quoted-printable")
    if letter.html is not None:
        message.add_alternative(_lines(letter.html), subtype="html", cte="quoted-printable")
    content = "".join(headers).encode("ascii") + message.as_bytes()
    _check(content, sender, {"Subject": letter.subject, **exact})
    return content


def _is_subject(text: str) -> bool:
    is_whole = not any("\ud800" <= char <= "\udfff" for char in text)  # half a character cannot be sent
    return is_whole and _SUBJECT.fullmatch(text) is not None and len(text) <= MAX_SUBJECT_CHARS


def _check(content: bytes, sender: Sender, headers: dict[str, str]) -> None:
    """Reads the bytes as a mail server will, and refuses any header that was not meant.

    That a value was accepted is not proof enough of what was written.
    """
    read = message_from_bytes(content, policy=policy.SMTP)
    expected = {"From", *headers, "MIME-Version", "Content-Type"} | (
        set[str]() if read.is_multipart() else {"Content-Transfer-Encoding"}
    )
    changed = [name for name, value in headers.items() if str(read[name]) != value]
    if not _is_from(read["From"], sender):
        changed.append("From")
    if len(read.items()) != len(expected) or set(read.keys()) != expected or changed or read.defects:
        msg = f"the message does not keep the headers it was given: {', '.join(changed) or 'others appear'}"
        raise Permanent(msg)
    lines = content.split(b"\r\n")
    if _BARE_LINE_END.search(content) or len(content) > MAX_MESSAGE_BYTES or max(map(len, lines)) > MAX_LINE:
        msg = f"the message has a bare or too long line, or more than {MAX_MESSAGE_BYTES} bytes"
        raise Permanent(msg)


def _is_from(header: object, sender: Sender) -> bool:
    """Whether the header names this sender. Blanks in the name do not count: the reader adds some."""
    if not isinstance(header, AddressHeader):
        return False
    read = [(one.addr_spec, one.display_name.replace(" ", "")) for one in header.addresses]
    return read == [(sender.address, sender.name.replace(" ", ""))]


async def deliver(server: MailServer, sender: Sender, to: str, content: bytes) -> None:
    """Hands the message to the mail server. Raises Permanent or Transient as the server's answer says."""
    import aiosmtplib

    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            await aiosmtplib.send(
                content,
                sender=sender.address,
                recipients=[to],
                hostname=server.host,
                port=server.port,
                username=server.user,
                password=server.password,
                use_tls=server.tls,
                start_tls=server.starttls,
                local_hostname=_own_name(),
                timeout=LIMIT_SECONDS,
            )
    except aiosmtplib.SMTPRecipientsRefused as error:
        raise _answered(error.recipients[0].code, error.recipients[0].message) from error
    except aiosmtplib.SMTPResponseException as error:
        raise _answered(error.code, error.message) from error
    except aiosmtplib.SMTPNotSupported as error:
        msg = f"the mail server does not support what is needed: {error.message}"
        raise Permanent(msg) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        msg = f"the mail server cannot be reached: {error or type(error).__name__}"
        raise Transient(msg) from error


def _answered(code: int, message: str) -> Permanent | Transient:
    told = f"Mail server answered {code}: {' '.join(message.split())[:400]}"
    return Permanent(told) if code >= PERMANENT_FROM else Transient(told)


def _lines(text: str) -> str:
    return _LONE_RETURN.sub("\n", text)


def _own_name() -> str:
    """The name to greet the server with; a look-up in the DNS, the usual default, may block for seconds."""
    name = socket.gethostname()
    return name if re.fullmatch(r"[A-Za-z0-9.-]{1,253}", name) else "localhost"


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

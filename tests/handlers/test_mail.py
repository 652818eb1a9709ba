"""Messages as bytes: the headers that were meant and no others, whatever the values hold."""

import re
from email import message_from_bytes, policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import InvalidInput, Permanent
from headrace.handlers.letters import Letter
from headrace.handlers.mail import MailServer, Sender, checked_address, compose

SENDER = Sender.parse("Headrace <headrace@example.com>")
TO = "user@example.com"
ID = "019b7f2e-0000-7000-8000-000000000001@example.com"


def written(*, subject="Hello", text="Hi", html=None, to=TO, sender=SENDER, message_id=ID) -> bytes:
    return compose(sender, to, Letter(subject=subject, text=text, html=html), message_id)


def read(content: bytes):
    return message_from_bytes(content, policy=policy.default)


def test_message_has_exactly_the_headers_that_were_meant():
    message = read(written(html="<p>Hi</p>"))

    assert sorted(message.keys()) == [
        "Auto-Submitted",
        "Content-Type",
        "Date",
        "From",
        "MIME-Version",
        "Message-ID",
        "Subject",
        "To",
    ]
    assert (message["From"], message["To"]) == ("Headrace <headrace@example.com>", TO)
    assert message["Message-ID"] == f"<{ID}>"


@pytest.mark.parametrize(
    "subject",
    [
        "Grüße aus Köln",
        "日本語の件名" * 20,
        "😀" * 60,
        "x" * 255,
        'a, b; c: d <e@f> "quoted" (comment)',
        "=?utf-8?q?looks=20encoded?=",
        "trailing space ",
        "many      spaces",
        "Bcc: other@example.com",
        " leading space",
        " ",
    ],
)
def test_subject_is_kept(subject):
    message = read(written(subject=subject))

    assert message["Subject"] == subject
    assert "Bcc" not in message


@pytest.mark.parametrize("text", ["x" * 255, "word " * 51, "ä" * 255, "€ x " * 63, "  " * 120, "😀 =?" * 60])
def test_subject_of_any_length_is_kept_on_lines_of_78_characters(text):
    for length in range(1, len(text) + 1):
        content = written(subject=text[:length])

        assert read(content)["Subject"] == text[:length]
        assert max(len(line) for line in content.split(b"\r\n")) <= 78


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=255))
def test_any_one_line_is_a_subject_that_is_kept(subject):
    assert read(written(subject=subject))["Subject"] == subject


def test_subject_in_ascii_is_sent_as_it_is_and_folded_between_words():
    words = "word " * 17 + "end"

    (header,) = re.findall(rb"^Subject: [^\r]*(?:\r\n [^\r]*)*", written(subject=words), re.MULTILINE)

    assert header.replace(b"\r\n", b"") == b"Subject: " + words.encode()


def test_encoded_words_are_of_a_length_that_readers_must_take():
    found = re.findall(rb"=\?utf-8\?b\?[^?]*\?=", written(subject="日本語" * 80))

    assert len(found) > 1
    assert max(map(len, found)) <= 75


@pytest.mark.parametrize(
    "name",
    ["x" * 100, "word " * 20 + "end", "ü" * 20, "für uns " * 20 + "alle", "Käse, GmbH", "=?utf-8?q?x?="],
)
def test_sender_of_any_length_is_kept(name):
    (author,) = read(written(sender=Sender.parse(f"{name} <shop@example.com>")))["From"].addresses

    assert author.addr_spec == "shop@example.com"
    assert author.display_name.replace(" ", "") == name.replace(" ", "")  # the reader adds blanks


@pytest.mark.parametrize("length", range(1, 60))
def test_message_id_stays_as_it_is_however_long_the_domain(length):
    message_id = f"{ID.partition('@')[0]}@{'h' * length}.example"

    assert f"\r\nMessage-ID: <{message_id}>\r\n".encode() in written(message_id=message_id)


@pytest.mark.parametrize(
    "body", ["Grüße\n", "a\r\nb\rc\nd\n", ".\n..\n.hidden\n", "x" * 5000 + "\n", "From me\n", ""]
)
def test_body_is_kept_with_ordinary_line_ends(body):
    content = written(text=body or " ", html=f"<pre>{body}</pre>")

    text = read(content).get_body(("plain",)).get_content().replace("\r\n", "\n")
    assert text.rstrip("\n") == (body or " ").replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    assert re.search(rb"(?<!\r)\n|\r(?!\n)", content) is None
    assert content.isascii()


@pytest.mark.parametrize(
    "subject",
    [
        "Hello\r\nBcc: other@example.com",
        "Hello\nBcc: other@example.com",
        "Hello\rBcc: other@example.com",
        "Hello\r\n\r\nbody",
        "Hello\u2028Bcc: other@example.com",
        "Hello\x85Bcc: other@example.com",
        "Hello\x00",
        "Hello\ud83d",
        "",
        "x" * 256,
    ],
)
def test_subject_that_is_no_single_line_is_refused(subject):
    with pytest.raises(Permanent, match="subject"):
        written(subject=subject)


NOT_ADDRESSES = [
    "",
    "user",
    "@example.com",
    "user@",
    "user@@example.com",
    "user@example.com, other@example.com",
    "user@example.com\r\nBcc: other@example.com",
    "user@example.com\n",
    "user @example.com",
    "User <user@example.com>",
    '"user name"@example.com',
    "user(comment)@example.com",
    "user@[127.0.0.1]",
    "user@-example.com",
    "user@example-.com",
    "user@example..com",
    ".user@example.com",
    "user.@example.com",
    "us..er@example.com",
    "üser@example.com",
    "user@exämple.com",
    "user@example.com>",
    "user@example.com RCPT TO:<other@example.com>",
    "x" * 65 + "@example.com",
    "x@" + "y" * 64 + ".com",
    "x@" + ".".join(["label"] * 60),
]


@pytest.mark.parametrize("address", NOT_ADDRESSES)
def test_what_is_no_plain_address_is_refused(address):
    with pytest.raises(ValueError, match="plain e-mail address"):
        checked_address(address)
    with pytest.raises(Permanent, match="recipient"):
        written(to=address)


@pytest.mark.parametrize(
    "address", ["a@b", "first.last+tag@sub.example.co.uk", "o'hara_#1@xn--bcher-kva.example"]
)
def test_plain_address_is_accepted(address):
    assert read(written(to=checked_address(address)))["To"] == address


@pytest.mark.parametrize("domain", ["localhost", "x" * 60 + ".example.com", ".".join(["l" * 40] * 4)])
def test_message_id_is_kept_for_any_length_of_domain(domain):
    message_id = ID.replace("example.com", domain)

    content = written(
        sender=Sender(address=f"noreply@{domain}", name='Nö, "Quoted" <Shop>'), message_id=message_id
    )

    message = read(content)
    assert message["Message-ID"].strip() == f"<{message_id}>"
    assert message["From"].addresses[0].display_name == 'Nö, "Quoted" <Shop>'
    assert message["From"].addresses[0].addr_spec == f"noreply@{domain}"


def test_message_that_grows_too_large_is_refused():
    with pytest.raises(Permanent, match="bytes"):
        written(text="ü" * 500_000)


@pytest.mark.parametrize(
    "text", ["", "Shop", "Shop <shop>", "Shop <a@b, c@d>", "a@b\r\nBcc: c@d", "\x07 <a@b.c>"]
)
def test_sender_that_is_none_is_refused(text):
    with pytest.raises(InvalidInput, match="HEADRACE_MAIL_FROM"):
        Sender.parse(text)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.com", ("mail.example.com", 25, False, None)),
        ("smtp://u:p%40ss@mail.example.com", ("mail.example.com", 587, False, True)),
        ("smtp://u:p@127.0.0.1:2525", ("127.0.0.1", 2525, False, None)),
        ("smtps://u:p@mail.example.com", ("mail.example.com", 465, True, False)),
        ("smtp://[::1]:25", ("::1", 25, False, None)),
    ],
)
def test_mail_server_is_read_from_its_url(url, expected):
    server = MailServer.parse(url)

    assert (server.host, server.port, server.tls, server.starttls) == expected
    assert server.password in (None, "p", "p@ss")
    assert "p@ss" not in repr(server)


@pytest.mark.parametrize(
    "url",
    ["", "mail.example.com", "http://mail", "smtp://", "smtp://u:secret@h:99999", "smtp://u:secret@h/p"],
)
def test_url_of_no_mail_server_is_refused_without_the_password(url):
    with pytest.raises(InvalidInput, match="HEADRACE_SMTP_URL") as refused:
        MailServer.parse(url)

    assert "secret" not in str(refused.value)

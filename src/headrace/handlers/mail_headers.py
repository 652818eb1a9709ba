"""Mail headers as they are sent (RFC 5322, RFC 2047).

They are written here because the standard library folds and encodes long ones so that they read otherwise:
blanks come and go, and a message id becomes an encoded word.
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from email.headerregistry import Address
from textwrap import wrap
from typing import Final

_LINE_CHARS: Final = 78
_WORD_BYTES: Final = 39
"""So a line with the longest of our names and an encoded word has at most 76 characters."""
_PLAIN: Final = re.compile(r"[!-~]+( [!-~]+)*")
_FOLD: Final = "\r\n "


def exact_header(name: str, value: str) -> str:
    """A header with a value in ASCII that must stay on its line."""
    return f"{name}: {value}\r\n"


def text_header(name: str, text: str) -> str:
    """A header for people to read: any text without line ends and halves of characters."""
    lines = _plain_lines(name, text)
    return f"{name}: {_encoded(text)}\r\n" if lines is None else "\r\n".join(lines) + "\r\n"


def sender_header(name: str, address: Address) -> str:
    """A header with an address and the name shown with it."""
    shown = address.display_name
    if shown.isascii() and "=?" not in shown:
        return exact_header(name, str(address))
    return f"{name}: {_encoded(shown)}{_FOLD}<{address.addr_spec}>\r\n"


def _plain_lines(name: str, text: str) -> list[str] | None:
    """The lines of the header if the text can be written as it is: folding is safe at single blanks only."""
    if "=?" in text or _PLAIN.fullmatch(text) is None:
        return None
    lines = wrap(
        text,
        _LINE_CHARS,
        initial_indent=f"{name}: ",
        subsequent_indent=" ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines if all(len(line) <= _LINE_CHARS for line in lines) else None


def _encoded(text: str) -> str:
    """Encoded words; the folds between them are no part of the text."""
    return _FOLD.join(f"=?utf-8?b?{b64encode(part).decode()}?=" for part in _parts(text))


def _parts(text: str) -> Iterator[bytes]:
    """The text in pieces: each must be whole characters."""
    part = b""
    for char in text:
        more = char.encode()
        if len(part) + len(more) > _WORD_BYTES:
            yield part
            part = b""
        part += more
    yield part

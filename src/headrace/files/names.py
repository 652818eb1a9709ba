"""What a caller says of a file, made safe to keep and to show. None of it ever becomes a path."""

import re
import unicodedata
from typing import Final

from headrace.errors import InvalidInput

MAX_NAME_CHARS: Final = 200
_WORD: Final = r"[A-Za-z0-9!#$&^_.+-]{1,64}"
_PARAMETER: Final = rf"; ?{_WORD}=(?:{_WORD}|\"[ !#-\[\]-~]{{0,64}}\")"
_CONTENT_TYPE: Final = re.compile(rf"{_WORD}/{_WORD}(?:{_PARAMETER}){{0,4}}")
_SEPARATORS: Final = re.compile(r"[/\\:]+")


def safe_name(name: str) -> str:
    """A display name without folders, control or invisible characters; ``file`` if nothing is left."""
    last = _SEPARATORS.split(unicodedata.normalize("NFC", name).rstrip("/\\"))[-1]
    shown = "".join(char for char in last if char.isprintable())
    cut = shown.strip(" .")
    if len(cut) > MAX_NAME_CHARS:
        stem, dot, ending = cut.rpartition(".")
        ending = dot + ending if stem and len(ending) <= 16 else ""  # noqa: PLR2004 - a usual file ending
        cut = cut[: MAX_NAME_CHARS - len(ending)] + ending
    return cut or "file"


def checked_content_type(text: str) -> str:
    """The media type in its usual form. Raises InvalidInput."""
    if _CONTENT_TYPE.fullmatch(text) is None:
        msg = f"content type {text[:80]!r} is not a media type such as text/csv"
        raise InvalidInput(msg, field="contentType")
    return text

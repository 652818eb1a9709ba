"""What ids and names look like."""

import re
from typing import Final

from headrace.errors import InvalidInput

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def is_id(text: str) -> bool:
    """Whether a text has the form of an id."""
    return _UUID.fullmatch(text) is not None


_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def checked_name(text: str, what: str) -> str:
    """The text if it is a legal name of a queue, type, namespace or tag. Raises InvalidInput."""
    if _NAME.fullmatch(text) is None:
        msg = f"{what} {text[:80]!r} must be 1 to 64 characters out of A-Z a-z 0-9 _ . : -"
        raise InvalidInput(msg, field=what)
    return text

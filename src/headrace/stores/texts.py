"""Texts as columns hold and order them: by code points."""

import re
from collections.abc import Sequence
from typing import Final

_LONE_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_LAST_CHAR: Final = "\U0010ffff"
_FIRST_SURROGATE: Final = 0xD800
_AFTER_SURROGATES: Final = 0xE000


def possible(given: Sequence[str]) -> list[str]:
    """Those that a column can hold: no other text was ever stored, so none needs to be looked for."""
    return [text for text in given if "\0" not in text and not _LONE_SURROGATE.search(text)]


def after_prefix(prefix: str) -> str | None:
    """The first text that is greater than all that begin so; None: nothing is greater."""
    kept = prefix.rstrip(_LAST_CHAR)
    if not kept:
        return None
    after = ord(kept[-1]) + 1
    return kept[:-1] + chr(_AFTER_SURROGATES if after == _FIRST_SURROGATE else after)

"""Takes secrets out of what people are shown: log lines, audit entries."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final, cast

from headrace.core.wire import Json

REDACTED: Final = "[redacted]"

_WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_SECRET: Final = frozenset(
    {
        "password",
        "passwd",
        "passphrase",
        "secret",
        "secrets",
        "token",
        "authorization",
        "cookie",
        "credential",
    }
    | {"credentials", "apikey", "pwd"}
)
_SECRET_PAIRS: Final = frozenset({("api", "key"), ("private", "key"), ("access", "key"), ("signing", "key")})
_IN_TEXT: Final = (
    # scheme://user:password@host
    (re.compile(r"(?<=://)([^/\s:@]*):[^/\s@]*@"), rf"\1:{REDACTED}@"),
    # Authorization: Bearer abc, and the like
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/-]{8,}=*", re.IGNORECASE), rf"\1 {REDACTED}"),
    # password=abc, "token": "abc"
    (
        re.compile(
            r"(?<![A-Za-z])(password|passwd|secret|token|api[_-]?key|access[_-]?key)(\"?\s*[=:]\s*\"?)"
            r"(?!\[redacted\])[^\s\"&,;}]+",
            re.IGNORECASE,
        ),
        rf"\1\2{REDACTED}",
    ),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=]+"), REDACTED),
)


def redacted(value: Json) -> Json:
    """The value without secrets: what stands under the name of one is replaced, at every depth."""
    if isinstance(value, str):
        return redacted_text(value)
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Json]", value)
        return {
            name: REDACTED if is_secret(name) and one is not None else redacted(one)
            for name, one in fields.items()
        }
    if isinstance(value, Sequence):
        return [redacted(one) for one in value]
    return value


def redacted_text(text: str) -> str:
    """The text without passwords in URLs, bearer tokens, and values that follow a secret's name."""
    for pattern, instead in _IN_TEXT:
        text = pattern.sub(instead, text)
    return text


def is_secret(name: str) -> bool:
    """Whether a field of this name holds a secret, such as ``smtp_password`` or ``apiKey``."""
    words = [word.lower() for word in _WORDS.findall(name)]
    return not _SECRET.isdisjoint(words) or not _SECRET_PAIRS.isdisjoint(pairwise(words))

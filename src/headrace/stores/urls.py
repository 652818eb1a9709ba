"""What the URLs of all servers have in common: hosts, options, and refusals that repeat no password."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from headrace.errors import InvalidInput

_HOST: Final = re.compile(r"(?P<host>\[[^\]]+\]|[^:\[\]]*)(?::(?P<port>\d*))?")
_OPTION: Final = re.compile(r"[a-z_]+")
_ENCODE: Final = "write @ : / ? # in a user name or password as %40 %3A %2F %3F %23"
_MAX_PORT: Final = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One of the hosts of a URL, or the folder of a Unix socket. ``port`` None: the driver's default."""

    name: str
    port: int | None = None

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port is None else f"{name}:{self.port}"


def split(url: str, advice: str) -> SplitResult:
    """The parts of a URL. Raises InvalidInput, which gives the advice and repeats nothing of the URL."""
    try:
        return urlsplit(url)
    except ValueError:
        raise invalid(f"this URL cannot be read: {advice}") from None  # its own error may repeat the password


def refuse_unencoded(parts: SplitResult, url: str) -> None:
    """Raises InvalidInput where a password seems to reach into the other parts."""
    if parts.fragment or "#" in url or "@" in parts.path or parts.netloc.count("@") > 1:
        raise invalid(_ENCODE)


def options_of(query: str) -> dict[str, str]:
    """The options of a query. A plus is a plus."""
    return dict(parse_qsl(query.replace("+", "%2B"), keep_blank_values=True))


def refuse_unknown(name: str, known: Collection[str], elsewhere: Collection[str], advice: str) -> None:
    """Raises InvalidInput for an option that is not known, with a near name or else the advice.

    ``elsewhere`` are names that are known too, but not here.
    """
    if not _OPTION.fullmatch(name):  # it may be the end of a password
        raise invalid(_ENCODE)
    if name not in known:
        near = get_close_matches(name, (*known, *elsewhere), 1)
        hint = f"did you mean {near[0]}?" if near else advice
        raise invalid(f"unknown option {name!r} of this URL: {hint}")


def host_of(written: str, advice: str) -> Host:
    """The host of ``name:port`` or ``[address]:port``."""
    match = _HOST.fullmatch(written)
    if match is None:
        raise invalid(f"a host of this URL cannot be read: {advice}")
    return Host(name=unquote(match["host"].strip("[]")) or "localhost", port=port_of(match["port"] or ""))


def port_of(text: str) -> int | None:
    """The port, None where nothing is written."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MAX_PORT):
        raise invalid(f"a port must lie between 1 and {_MAX_PORT}")
    return int(text)


def number(text: str, name: str, lowest: float, highest: float) -> float:
    """The number an option gives. Raises InvalidInput."""
    try:
        found = float(text)
    except ValueError:
        found = float("nan")
    if not lowest <= found <= highest:
        raise invalid(f"{name}={text!r}: use a number between {lowest:g} and {highest:g}")
    return found


def flag(word: str, name: str) -> bool:
    """What an option that is on or off says."""
    match word.lower():
        case "on" | "true" | "1" | "yes":
            return True
        case "off" | "false" | "0" | "no":
            return False
        case _:
            raise invalid(f"{name}={word!r} is neither on nor off")


def one_of(word: str, name: str, words: frozenset[str]) -> str:
    """The word, if it is one of these."""
    if word not in words:
        raise invalid(f"{name}={word!r} is none of {', '.join(sorted(words))}")
    return word


def invalid(message: str) -> InvalidInput:
    """The refusal of a URL."""
    return InvalidInput(message, field="url")

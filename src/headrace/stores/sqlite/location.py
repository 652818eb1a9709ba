"""Where the database is and how it is opened, from its URL."""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from headrace.errors import InvalidInput

_HELP: Final = (
    "use sqlite:///relative.db, sqlite:////absolute/path.db or sqlite:// (in memory),"
    " with ?synchronous=full or normal"
)


class Synchronous(StrEnum):
    """When a commit waits for the disk. ``normal`` may lose the last commits with the power."""

    NORMAL = "normal"
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A database file, or (``path`` None) a database in memory.

    ``force`` accepts a network file system.
    """

    path: Path | None
    synchronous: Synchronous = Synchronous.FULL
    force: bool = False

    @property
    def name(self) -> str:
        """The path as messages show it."""
        return ":memory:" if self.path is None else str(self.path)


def parse(url: str) -> Location:
    """Reads a ``sqlite:`` URL. Raises InvalidInput."""
    parts = urlsplit(url)
    if not re.match(r"sqlite:(//|$)", url) or parts.netloc or parts.fragment:
        msg = f"{url!r} names no SQLite database: {_HELP}"
        raise InvalidInput(msg, field="url")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    path = unquote(parts.path).removeprefix("/")
    return Location(
        path=Path(path).absolute() if path not in {"", ":memory:"} else None,
        synchronous=_synchronous(options.pop("synchronous", Synchronous.FULL.value)),
        force=_nothing_left(options),
    )


def _synchronous(word: str) -> Synchronous:
    try:
        return Synchronous(word.lower())
    except ValueError as error:
        msg = f"synchronous={word!r} is neither full nor normal"
        raise InvalidInput(msg, field="url") from error


def _nothing_left(options: dict[str, str]) -> bool:
    force = options.pop("force", "0") == "1"
    if options:
        msg = f"unknown option {min(options)!r} of a SQLite URL: {_HELP}"
        raise InvalidInput(msg, field="url")
    return force

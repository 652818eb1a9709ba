"""What a listing asks for, as values that every store and face understands alike."""

import base64
import binascii
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, cast

from headrace.core.states import State, four_words
from headrace.errors import InvalidInput

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 1000
_MAX_NUMBER: Final = 2**63 - 1


class View(StrEnum):
    """Named views on the pending state."""

    SCHEDULED = "scheduled"
    RETRYING = "retrying"
    PARKED = "parked"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs: every field that is set must fit. Empty ``states`` means all states.

    ``unclaimable_types`` and the like are not filters; see ``JobReader.parked``.
    """

    states: frozenset[State] = frozenset()
    types: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    batch_id: str | None = None
    tag: str | None = None
    unique_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which part of a listing, newest first. ``before`` is the cursor the previous page returned."""

    limit: int = DEFAULT_LIMIT
    before: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MAX_LIMIT:
            msg = f"limit must lie between 1 and {MAX_LIMIT}"
            raise InvalidInput(msg, field="limit")


def states_of(word: str) -> frozenset[State]:
    """The states that a word asks for.

    One of the four words of the plain job API means all states it projects; a word that only the
    six-state view has means that state. Raises InvalidInput for any other word.
    """
    try:
        asked = State(word)
    except ValueError as error:
        msg = f"unknown status {word[:40]!r}; use one of {', '.join(State)}"
        raise InvalidInput(msg, field="status") from error
    return frozenset(state for state in State if four_words(state) is asked) or frozenset({asked})


def dump_cursor(*parts: int | str) -> str:
    """An opaque cursor text."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def load_cursor(text: str, kinds: tuple[type, ...]) -> tuple[int | str, ...]:
    """The parts of a cursor, checked for number and kind. Raises InvalidInput."""
    try:
        parsed: object = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise _not_a_cursor() from error
    parts = cast("list[int | str]", parsed) if isinstance(parsed, list) else []
    if tuple(type(part) for part in parts) != kinds or not all(_comparable(part) for part in parts):
        raise _not_a_cursor()
    return tuple(parts)


def _comparable(part: int | str) -> bool:
    """Whether every store can take this part: a 64-bit number, or a text without lone surrogates."""
    if isinstance(part, int):
        return -_MAX_NUMBER <= part <= _MAX_NUMBER
    return not any("\ud800" <= char <= "\udfff" for char in part)


def _not_a_cursor() -> InvalidInput:
    return InvalidInput("not a cursor of this listing", field="cursor")

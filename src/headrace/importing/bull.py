"""What BullMQ 5 and 6 keep of a queue, and where."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

from headrace.core import wire
from headrace.core.wire import Json
from headrace.errors import InvalidInput


class Part(StrEnum):
    """Where a job waits, in the order in which BullMQ's workers take from them."""

    PAUSED = "paused"
    WAIT = "wait"
    PRIORITIZED = "prioritized"
    DELAYED = "delayed"


LISTS: Final = (Part.PAUSED, Part.WAIT)
"""Lists whose tail is next. ``paused`` is that of BullMQ 5; in 6 a paused queue waits in ``wait``."""

FIELDS: Final = (
    "name", "data", "opts", "timestamp", "priority", "atm", "attemptsMade", "parentKey", "rjk", "deid",
)  # fmt: skip
"""What is read of a job: results and stack traces may be large."""

_DELAY_SCALE: Final = 4096
"""A score in ``delayed`` is the instant times this, and a number that tells jobs of one instant apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BullQueue:
    """A queue, by its name and the prefix of its keys."""

    name: str
    prefix: str = "bull"

    def key(self, part: str) -> str:
        """The key of a part, or of the job with that id."""
        return f"{self.prefix}:{self.name}:{part}"

    @property
    def client_name(self) -> str:
        """What the connections of its waiting workers are called; one with a name adds ``:w:`` and that."""
        return f"{self.prefix}:{base64.b64encode(self.name.encode()).decode()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An id where it waits. ``due_at`` is set for a delayed one."""

    part: Part
    id: str
    due_at: int | None = None


def due_of(score: float) -> int:
    """The instant of a score in ``delayed``."""
    return int(score) // _DELAY_SCALE


@dataclass(frozen=True, slots=True, kw_only=True)
class BullJob:
    """A job. ``data`` is its JSON text; ``options`` are those of the call that added it."""

    entry: Entry
    name: str
    data: str
    options: Mapping[str, Json] = field(default_factory=dict[str, Json])
    timestamp: str = ""
    priority: int = 0
    attempts_made: int = 0
    is_child: bool = False
    scheduler: str | None = None
    deduplication: str | None = None

    @classmethod
    def of(cls, entry: Entry, values: Sequence[str | None]) -> Self | None:
        """The job of these ``FIELDS``; None if there is none. Raises InvalidInput for what is no job's."""
        found = dict(zip(FIELDS, values, strict=True))
        name, data = found["name"], found["data"]
        if name is None or data is None:
            return None
        return cls(
            entry=entry,
            name=name,
            data=data,
            options=options_of(found["opts"]),
            timestamp=found["timestamp"] or "",
            priority=_number(found["priority"], "priority"),
            attempts_made=_number(found["atm"] or found["attemptsMade"], "atm"),
            is_child=found["parentKey"] is not None,
            scheduler=found["rjk"],
            deduplication=found["deid"],
        )

    @property
    def own_id(self) -> str | None:
        """The ``jobId`` that the program gave it; BullMQ's own are numbers."""
        return None if self.entry.id.isdigit() or self.scheduler is not None else self.entry.id

    @property
    def is_next_run(self) -> bool:
        """Whether it is what a scheduler keeps ready for its next instant, and no job yet."""
        return self.scheduler is not None and self.entry.part is Part.DELAYED and not self.attempts_made


def options_of(text: str | None) -> Mapping[str, Json]:
    """The options of a job, or of what a scheduler makes. Raises InvalidInput."""
    found = wire.decode(text or "{}", what="opts")
    if not isinstance(found, dict):
        raise InvalidInput("opts is not a JSON object", field="opts")
    return found


def _number(text: str | None, what: str) -> int:
    try:
        return int(text or 0)
    except ValueError as error:
        raise InvalidInput(f"{what} is no number", field=what) from error

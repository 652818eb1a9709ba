"""How far a move is, as both stores keep it: one register at the source and one at the target.

A namespace is moved out once and moved into once, so each key is fixed, and the swap that makes it decides
who moves.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

PREFIX: Final = "move:"
OUT: Final = PREFIX + "out"
INTO: Final = PREFIX + "in"

LEASE_MS: Final = 30_000
"""So long after its last write another mover may take over."""


class Stage(StrEnum):
    """Where a move is."""

    COPYING = "copying"
    VERIFIED = "verified"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """At the source: where its jobs went."""

    id: str
    to: str
    began_at: int
    done_at: int | None = None

    def dumps(self) -> str:
        """As a register holds it."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def loads(cls, text: str) -> "Outgoing":
        """Reads a register."""
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """At the target: whose jobs come, how far they are, and who brings them.

    ``paused`` are the queues of the source, and whether each was paused before the move. ``up_to`` is the
    highest seq of the source that was moved, once all up to there was. The register is written by every op
    of the move; ``until`` is when another mover may take it over.
    """

    id: str
    source: str
    began_at: int
    stage: Stage = Stage.COPYING
    paused: Mapping[str, bool] = field(default_factory=dict[str, bool])
    mover: str | None = None
    until: int = 0
    up_to: int = 0
    done_at: int | None = None

    def dumps(self) -> str:
        """As a register holds it."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def loads(cls, text: str) -> "Incoming":
        """Reads a register."""
        raw: dict[str, Any] = json.loads(text)
        raw["stage"] = Stage(raw["stage"])
        return cls(**raw)

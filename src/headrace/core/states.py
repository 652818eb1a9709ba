"""The six states of a job and every move between them. The only home of this table.

``decide`` uses it to refuse illegal moves, the stores use the groups, the faces use the
projection, and the diagram in ``docs/states.md`` is generated from it.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class State(StrEnum):
    """Where a job is in its life."""

    BLOCKED = "blocked"
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Move(StrEnum):
    """What happens to a job, seen as an arrow between two states."""

    CLAIM = "claim"
    COMPLETE = "complete"
    FAIL = "fail"
    RETRY = "retry"
    RELEASE = "release"
    RESCUE = "rescue"
    CANCEL = "cancel"
    UNBLOCK = "unblock"
    REOPEN = "reopen"


LIVE: Final = frozenset({State.BLOCKED, State.PENDING, State.PROCESSING})
TERMINAL: Final = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED})

MOVES: Final[Mapping[tuple[State, Move], State]] = MappingProxyType(
    {
        (State.BLOCKED, Move.UNBLOCK): State.PENDING,
        (State.BLOCKED, Move.CANCEL): State.CANCELLED,
        (State.PENDING, Move.CLAIM): State.PROCESSING,
        (State.PENDING, Move.CANCEL): State.CANCELLED,
        (State.PROCESSING, Move.COMPLETE): State.COMPLETED,
        (State.PROCESSING, Move.FAIL): State.FAILED,
        (State.PROCESSING, Move.CANCEL): State.CANCELLED,
        (State.PROCESSING, Move.RETRY): State.PENDING,
        (State.PROCESSING, Move.RELEASE): State.PENDING,
        (State.PROCESSING, Move.RESCUE): State.PENDING,
        (State.FAILED, Move.REOPEN): State.PENDING,
        (State.CANCELLED, Move.REOPEN): State.PENDING,
    }
)


def after(state: State, move: Move) -> State | None:
    """The state a move leads to, or None where the move is not legal from here."""
    return MOVES.get((state, move))


def four_words(state: State) -> State:
    """Projects the six states onto the four that the plain job API shows.

    Blocked jobs show as pending, cancelled ones as failed (with ``error: "cancelled"``).
    """
    match state:
        case State.BLOCKED | State.PENDING:
            return State.PENDING
        case State.PROCESSING:
            return State.PROCESSING
        case State.COMPLETED:
            return State.COMPLETED
        case State.FAILED | State.CANCELLED:
            return State.FAILED


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    entries = "\n".join(f"    [*] --> {state}" for state in (State.PENDING, State.BLOCKED))
    arrows: dict[tuple[State, State], list[str]] = {}
    for (origin, move), target in MOVES.items():
        arrows.setdefault((origin, target), []).append(move.value)
    lines = "\n".join(
        f"    {origin} --> {target}: {', '.join(moves)}" for (origin, target), moves in arrows.items()
    )
    return f"stateDiagram-v2\n{entries}\n{lines}\n    {State.COMPLETED} --> [*]\n"

"""Folds moves into the tallies, so that neither reads nor the table of moves grow without end."""

from contextlib import suppress
from typing import Final

from headrace.errors import StoreError
from headrace.stores.postgres.database import Database
from headrace.stores.postgres.session import Session

FOLD_AT_ONCE: Final = 10_000


async def fold(database: Database, *, rounds: int = 20) -> int:
    """Folds the moves that are there, a bounded number; returns how many. Somebody else may be at it."""
    folded = 0
    for _ in range(rounds):
        count = await database.together(_fold_some)
        folded += count
        if count < FOLD_AT_ONCE:
            break
    return folded


async def fold_for_reader(database: Database) -> None:
    """Folds some for the reads to come. The numbers just read are right without it, so it may fail."""
    with suppress(StoreError):
        await fold(database, rounds=1)


async def _fold_some(session: Session) -> int:
    # Two who fold would meet on the same moves and the same tallies.
    (ours,) = await session.row("lock_moves") or (False,)
    if not ours:
        return 0
    (count,) = await session.row("fold_moves", FOLD_AT_ONCE) or (0,)
    return count

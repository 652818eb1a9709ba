"""Registers: small values with compare-and-set."""

from collections.abc import Mapping, Sequence
from typing import Final

from headrace.errors import StaleRegister
from headrace.stores.postgres.rows import arrays
from headrace.stores.postgres.session import Session
from headrace.stores.texts import after_prefix, possible
from headrace.stores.values import Register, Swap

_ABSENT: Final = 0
_JUST_WRITTEN: Final = -1


async def read_registers(session: Session, namespace: str, keys: Sequence[str]) -> Mapping[str, Register]:
    """The registers that exist, by key."""
    found = await session.rows("registers", namespace, possible(keys))
    return {key: Register(key=key, value=value, revision=r, due_at=due) for key, value, r, due in found}


async def scan_registers(session: Session, namespace: str, prefix: str) -> Sequence[Register]:
    """All registers whose key begins so, in key order."""
    if not possible([prefix]):
        return []
    end = after_prefix(prefix)
    if end is None:
        found = await session.rows("scan_registers_to_the_end", namespace, prefix)
    else:
        found = await session.rows("scan_registers", namespace, prefix, end)
    return [Register(key=key, value=value, revision=r, due_at=due) for key, value, r, due in found]


async def due_registers(session: Session, kind: str, now: int, limit: int) -> Sequence[tuple[str, Register]]:
    """Registers of a kind that are due, each with its namespace, the earliest first."""
    return [
        (namespace, Register(key=key, value=value, revision=r, due_at=due))
        for namespace, key, value, r, due in await session.rows("due_registers", kind, now, limit)
    ]


async def swap(session: Session, namespace: str, swaps: Sequence[Swap]) -> None:
    """Makes all swaps. Raises StaleRegister if any revision did not match; then nothing may be kept."""
    if (stale := await make_swaps(session, namespace, swaps)) is not None:
        raise StaleRegister(stale)


async def make_swaps(session: Session, namespace: str, swaps: Sequence[Swap]) -> str | None:
    """Makes all swaps as if one by one, inside a transaction that is open.

    Returns the key of the first whose revision does not match, or None. After such an answer the
    transaction must be undone: some swaps may have been made.
    """
    if not swaps:
        return None
    there = await _lock(session, namespace, [change.key for change in swaps])
    if (stale := _first_stale(there, swaps)) is not None:
        return stale
    last = {change.key: change for change in swaps}
    removed = [key for key, change in last.items() if change.value is None and key in there]
    if removed:
        await session.run("remove_registers", namespace, removed)
    written = [change for key, change in last.items() if change.value is not None and key in there]
    if written:
        await session.run("write_registers", namespace, *_columns(written))
    made = [change for key, change in last.items() if change.value is not None and key not in there]
    if not made:
        return None
    taken = {key for (key,) in await session.rows("make_registers", namespace, *_columns(made))}
    return next((change.key for change in made if change.key not in taken), None)


async def _lock(session: Session, namespace: str, keys: Sequence[str]) -> Mapping[str, int]:
    """The revisions of the registers that exist, which nobody else changes until this transaction ends."""
    return {row[0]: row[1] for row in await session.rows("lock_registers", namespace, keys)}


def _first_stale(there: Mapping[str, int], swaps: Sequence[Swap]) -> str | None:
    revisions = dict(there)
    for change in swaps:
        if revisions.get(change.key, _ABSENT) != change.revision:
            return change.key
        # The revision that a swap gives can be known to no later one of the same call.
        revisions[change.key] = _ABSENT if change.value is None else _JUST_WRITTEN
    return None


def _columns(swaps: Sequence[Swap]) -> list[list[object]]:
    return arrays([(change.key, change.value, change.due_at) for change in swaps])

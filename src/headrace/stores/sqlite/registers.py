"""Registers: small values with compare-and-set."""

from collections.abc import Mapping, Sequence
from typing import Final

import apsw

from headrace.errors import StaleRegister
from headrace.stores.sqlite.statements import first, queries, rows, texts, write
from headrace.stores.sqlite.transaction import Write
from headrace.stores.texts import after_prefix
from headrace.stores.values import Register, Swap

_SQL = queries("plumbing")
_FLOOR: Final = "register"
_AFTER_ALL_TEXTS: Final = b""  # SQLite sorts any blob after all texts


def read_registers(db: apsw.Connection, namespace: str, keys: Sequence[str]) -> Mapping[str, Register]:
    """The registers that exist, by key."""
    if not keys:
        return {}
    found = rows(db, _SQL["registers"], {"namespace": namespace, "keys": texts(keys)})
    return {key: Register(key=key, value=value, revision=r, due_at=due) for key, value, r, due in found}


def scan_registers(db: apsw.Connection, namespace: str, prefix: str) -> Sequence[Register]:
    """All registers whose key begins so, in key order."""
    given = {"namespace": namespace, "prefix": prefix, "end": after_prefix(prefix) or _AFTER_ALL_TEXTS}
    found = rows(db, _SQL["scan_registers"], given)
    return [Register(key=key, value=value, revision=r, due_at=due) for key, value, r, due in found]


def due_registers(db: apsw.Connection, kind: str, now: int, limit: int) -> Sequence[tuple[str, Register]]:
    """Registers of a kind that are due, each with its namespace, the earliest first."""
    found = rows(db, _SQL["due_registers"], {"kind": kind, "now": now, "limit": limit})
    return [
        (namespace, Register(key=key, value=value, revision=r, due_at=due))
        for namespace, key, value, r, due in found
    ]


def swap(at: Write, namespace: str, swaps: Sequence[Swap]) -> None:
    """Makes all swaps. Raises StaleRegister, which undoes them, if any revision did not match."""
    if (stale := make_swaps(at.db, namespace, swaps)) is not None:
        raise StaleRegister(stale)


def make_swaps(db: apsw.Connection, namespace: str, swaps: Sequence[Swap]) -> str | None:
    """Makes swaps in order up to the first that does not match; returns its key, or None."""
    for change in swaps:
        if _revision(db, namespace, change.key) != change.revision:
            return change.key
        _make(db, namespace, change)
    return None


def _make(db: apsw.Connection, namespace: str, change: Swap) -> None:
    key = {"namespace": namespace, "key": change.key}
    floor = _floor(db)
    if change.value is None:
        write(db, _SQL["remove_register"], key)
        write(db, _SQL["write_meta"], {"name": _FLOOR, "value": max(floor, change.revision)})
        return
    # A register that is made again goes on above every revision that was ever removed, else a
    # swap of somebody who read the old one could hit the new one.
    revision = (change.revision or floor) + 1
    given = key | {"value": change.value, "revision": revision, "due_at": change.due_at}
    write(db, _SQL["write_register"], given)


def _revision(db: apsw.Connection, namespace: str, key: str) -> int:
    (revision,) = first(db, _SQL["revision_of"], {"namespace": namespace, "key": key}) or (0,)
    return revision


def _floor(db: apsw.Connection) -> int:
    (floor,) = first(db, _SQL["meta"], {"name": _FLOOR}) or (0,)
    return floor

"""Registers: small values with compare-and-set."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from headrace.errors import StaleRegister
from headrace.stores.redis.database import Database
from headrace.stores.redis.keys import Keys
from headrace.stores.redis.session import Look, Session, Write
from headrace.stores.texts import after_prefix, possible
from headrace.stores.values import Register, Swap

PAGE: Final = 500


class KeepsRegisters:
    """Keeps ``headrace.stores.protocol.Registers``."""

    _database: Database

    async def read(self, namespace: str, keys: Sequence[str]) -> Mapping[str, Register]:
        return await read_registers(self._database.at(self._database.keys(namespace)), keys)

    async def scan(self, namespace: str, prefix: str) -> Sequence[Register]:
        return await scan_registers(self._database.at(self._database.keys(namespace)), prefix)

    async def due(self, kind: str, *, now: int, limit: int) -> Sequence[tuple[str, Register]]:
        places = [self._database.keys(namespace) for namespace in await self._database.namespaces()]
        counts = await self._database.pipe(
            [("ZCOUNT", keys.registers_due(kind), "-inf", now) for keys in places]
        )
        found = [
            (keys.namespace, register)
            for keys, count in zip(places, counts, strict=True)
            if count
            for register in await self._due_in(keys, kind, now, limit)
        ]
        return sorted(found, key=_due_at)[:limit]

    async def swap(self, namespace: str, swaps: Sequence[Swap]) -> bool:
        if not swaps:
            return True
        try:
            await self._database.write(self._database.keys(namespace), swap_writes(swaps))
        except StaleRegister:
            return False
        return True

    async def _due_in(self, keys: Keys, kind: str, now: int, limit: int) -> Sequence[Register]:
        return _registers(await self._database.look(keys, "due_registers", kind, now, min(limit, PAGE)))


async def read_registers(look: Look, keys: Sequence[str]) -> Mapping[str, Register]:
    """The registers that exist, by key."""
    wanted = possible(keys)
    if not wanted:
        return {}
    pages = [wanted[start : start + PAGE] for start in range(0, len(wanted), PAGE)]
    return {
        register.key: register
        for rows in await look.looks("read_registers", pages)
        for register in _registers(rows)
    }


async def scan_registers(look: Look, prefix: str) -> Sequence[Register]:
    """All registers whose key begins so, in key order; as they are while the scan comes by."""
    if not possible([prefix]):
        return []
    end = after_prefix(prefix)
    last = "+" if end is None else f"({end}"
    found: list[Register] = []
    begin = f"[{prefix}"
    while True:
        page = _registers(await look.look("scan_registers", begin, last, PAGE))
        found += page
        if len(page) < PAGE:
            return found
        begin = f"({page[-1].key}"


def add_swaps(session: Session, swaps: Sequence[Swap]) -> None:
    """Adds swaps to what the session commits: all of them, once."""
    session.add(*swap_writes(swaps))


def swap_writes(swaps: Sequence[Swap]) -> list[Write]:
    """What a commit does to make all swaps or none: at most one write."""
    if not swaps:
        return []
    return [("swap", [(one.key, one.revision, one.value, one.due_at) for one in swaps])]


def _registers(rows: Sequence[Sequence[Any]]) -> list[Register]:
    return [
        Register(key=key, value=value, revision=int(revision), due_at=int(due) if due else None)
        for key, value, revision, due in rows
    ]


def _due_at(found: tuple[str, Register]) -> int:
    return found[1].due_at or 0

"""The audit log in a store: records, which go with time."""

import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final

from headrace.clock import Clock
from headrace.core.audit import (
    AuditEntry,
    AuditFilter,
    AuditPage,
    audit_entry,
    dump_entry,
    load_entry,
)
from headrace.core.filters import Page, dump_cursor
from headrace.core.outcomes import MAX_MESSAGE_CHARS, showable
from headrace.core.wire import Json
from headrace.errors import StoreError
from headrace.mint import IdMint
from headrace.stores.protocol import Record, Records

KIND: Final = "audit"
AT_ONCE: Final = 500
LOOK: Final = 10_000
"""So many entries are looked at for one page of those that fit; its cursor goes on from there."""


class AuditLog:
    """The audit log of one namespace."""

    def __init__(self, store: Records, clock: Clock, *, namespace: str) -> None:
        self._store = store
        self._clock = clock
        self._namespace = namespace
        self._ids = IdMint(random.Random())

    async def write(
        self,
        *,
        actor: str,
        action: str,
        entity_type: str,
        entity_id: str,
        metadata: Mapping[str, Json] | None = None,
    ) -> AuditEntry:
        """Writes an entry. Raises InvalidInput, TooLarge, StoreError."""
        now = self._clock.now()
        entry = audit_entry(
            self._ids.mint(now),
            now,
            actor=actor,
            action=action,
            entity_type=entity_type,
            entity_id=entity_id,
            metadata=metadata,
        )
        await self._store.append(self._namespace, KIND, (_record(entry),))
        return entry

    async def not_done(self, entry: AuditEntry, error: Exception) -> None:
        """Adds to an entry why its action was not done. A store that is away keeps the entry as it is."""
        told = showable(f"{type(error).__name__}: {error}".replace("\0", "\\0"))[:MAX_MESSAGE_CHARS]
        with suppress(StoreError):
            await self._store.append(self._namespace, KIND, (_record(replace(entry, error=told)),))

    async def page(self, wanted: AuditFilter, page: Page) -> AuditPage:
        """Entries that fit, newest first. May hold fewer than are asked for although there are more."""
        found: list[AuditEntry] = []
        before, looked = page.before, 0
        while looked < LOOK:
            records, cursor = await self._store.list_records(
                self._namespace, KIND, Page(limit=AT_ONCE, before=before)
            )
            for record in records:
                entry = load_entry(record.key, record.at, record.body)
                if wanted.since is not None and entry.at < wanted.since:
                    return AuditPage(entries=tuple(found), cursor=None)
                if wanted.fits(entry):
                    found.append(entry)
                if len(found) == page.limit:
                    is_last = cursor is None and record is records[-1]
                    going_on = None if is_last else dump_cursor(record.at, record.key)
                    return AuditPage(entries=tuple(found), cursor=going_on)
            before, looked = cursor, looked + len(records)
            if before is None:
                break
        return AuditPage(entries=tuple(found), cursor=before)


def _record(entry: AuditEntry) -> Record:
    return Record(key=entry.id, at=entry.at, body=dump_entry(entry), until=entry.keep_until)

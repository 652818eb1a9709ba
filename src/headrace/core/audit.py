"""The audit log: who did what to what, and for how long that is remembered."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from headrace.core import wire
from headrace.core.outcomes import showable
from headrace.core.policy import DAY_MS
from headrace.core.redaction import redacted
from headrace.core.wire import Json, to_iso
from headrace.errors import InvalidInput

KEEP_MS: Final = 90 * DAY_MS
"""So old may an entry become."""

KEPT_FOR_EVER: Final = frozenset({"ORDER_CREATED", "PAYMENT_RECEIVED", "REFUND_INITIATED"})
"""Actions whose entries are never deleted: accounts may have to be shown for them years later."""

MAX_NAME_CHARS: Final = 200
MAX_METADATA_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One entry. ``at`` is in epoch milliseconds.

    An operator's action is written before it is done; ``error`` says why it was not. Without it the action
    was done, or the process died in its midst.
    """

    id: str
    at: int
    actor: str
    action: str
    entity_type: str
    entity_id: str
    metadata: Mapping[str, Json] = field(default_factory=dict[str, Json])
    error: str | None = None

    @property
    def keep_until(self) -> int | None:
        """The first instant at which it is older than is kept; None: for ever."""
        return None if self.action in KEPT_FOR_EVER else self.at + KEEP_MS + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries: every field that is set must fit. ``since`` is in epoch milliseconds."""

    actor: str | None = None
    action: str | None = None
    entity_type: str | None = None
    entity_id: str | None = None
    since: int | None = None

    def fits(self, entry: AuditEntry) -> bool:
        """Whether the entry is asked for."""
        return (
            self.actor in {None, entry.actor}
            and self.action in {None, entry.action}
            and self.entity_type in {None, entry.entity_type}
            and self.entity_id in {None, entry.entity_id}
            and (self.since is None or entry.at >= self.since)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """Part of the audit log, newest first; ``cursor`` is None at the end."""

    entries: tuple[AuditEntry, ...]
    cursor: str | None


def audit_entry(  # noqa: PLR0913 - the columns of an entry
    entry_id: str,
    at: int,
    *,
    actor: str,
    action: str,
    entity_type: str,
    entity_id: str,
    metadata: Mapping[str, Json] | None = None,
) -> AuditEntry:
    """An entry without secrets. Raises InvalidInput, TooLarge for metadata that cannot be kept."""
    given = dict(metadata or {})
    wire.encode(given, limit=MAX_METADATA_BYTES, what="metadata")
    clean = redacted(given)
    return AuditEntry(
        id=entry_id,
        at=at,
        actor=_name(actor, "actor"),
        action=_name(action, "action"),
        entity_type=_name(entity_type, "entity_type"),
        entity_id=showable(entity_id.replace("\0", "\\0"))[:MAX_NAME_CHARS],
        metadata=clean if isinstance(clean, Mapping) else {},
    )


def audit_to_json(entry: AuditEntry) -> dict[str, Json]:
    """An entry as every face shows it."""
    return {
        "id": entry.id,
        "at": to_iso(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "entityType": entry.entity_type,
        "entityId": entry.entity_id,
        "metadata": dict(entry.metadata),
        "error": entry.error,
    }


def dump_entry(entry: AuditEntry) -> str:
    """The entry as a JSON text, but for what its record says by itself."""
    told = {
        "actor": entry.actor,
        "action": entry.action,
        "entityType": entry.entity_type,
        "entityId": entry.entity_id,
        "metadata": dict(entry.metadata),
        "error": entry.error,
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def load_entry(entry_id: str, at: int, text: str) -> AuditEntry:
    """The entry of a record."""
    told: dict[str, Any] = json.loads(text)
    return AuditEntry(
        id=entry_id,
        at=at,
        actor=told["actor"],
        action=told["action"],
        entity_type=told["entityType"],
        entity_id=told["entityId"],
        metadata=told["metadata"],
        error=told["error"],
    )


def _name(text: str, what: str) -> str:
    shown = showable(text)
    if not shown or len(shown) > MAX_NAME_CHARS or not shown.isprintable():
        msg = f"{what} must be 1 to {MAX_NAME_CHARS} printable characters"
        raise InvalidInput(msg, field=what)
    return shown

"""The audit log, as a part of the operations."""

from collections.abc import Mapping
from typing import Protocol

from headrace.core.audit import AuditEntry, AuditFilter, AuditPage
from headrace.core.filters import Page
from headrace.core.wire import Json
from headrace.engine.audit import AuditLog


class AuditOperations(Protocol):
    """What operators did, and what programs have put on record."""

    async def audit(self, wanted: AuditFilter, page: Page) -> AuditPage:
        """Entries that fit, newest first. A page may hold fewer than its limit and still have a cursor."""
        ...

    async def record_audit(
        self,
        *,
        actor: str,
        action: str,
        entity_type: str,
        entity_id: str,
        metadata: Mapping[str, Json] | None = None,
    ) -> AuditEntry:
        """Puts something on record, without the secrets among ``metadata``.

        It stays for 90 days; ORDER_CREATED, PAYMENT_RECEIVED and REFUND_INITIATED stay for ever. Raises
        InvalidInput, TooLarge.
        """
        ...


class LocalAudit:
    """Keeps ``AuditOperations`` over a store."""

    audit_log: AuditLog

    async def audit(self, wanted: AuditFilter, page: Page) -> AuditPage:
        return await self.audit_log.page(wanted, page)

    async def record_audit(
        self,
        *,
        actor: str,
        action: str,
        entity_type: str,
        entity_id: str,
        metadata: Mapping[str, Json] | None = None,
    ) -> AuditEntry:
        return await self.audit_log.write(
            actor=actor, action=action, entity_type=entity_type, entity_id=entity_id, metadata=metadata
        )

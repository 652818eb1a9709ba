"""Unique keys and idempotency keys: their scopes, their conflicts, their digests."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from headrace.core.policy import MAX_DURATION_MS
from headrace.errors import InvalidInput

MAX_KEY_CHARS: Final = 512


class Until(StrEnum):
    """How long a job holds its unique key."""

    STARTED = "started"
    FINISHED = "finished"


class OnConflict(StrEnum):
    """What happens to an enqueue whose unique key is held by a live job."""

    EXISTING = "existing"
    REJECT = "reject"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unique:
    """At most one live job holds ``key``. With ``period_ms`` the key also outlives its job until then.

    ``replace`` (latest wins) implies ``until=started``, because a running job cannot be replaced.
    """

    key: str
    until: Until = Until.FINISHED
    on_conflict: OnConflict = OnConflict.EXISTING
    period_ms: int | None = None

    def __post_init__(self) -> None:
        checked_key(self.key, "uniqueKey")
        if self.period_ms is not None and not 0 < self.period_ms <= MAX_DURATION_MS:
            msg = "period must be positive, and at most 1,000 years"
            raise InvalidInput(msg, field="uniqueKey")
        if self.period_ms is not None and self.on_conflict is OnConflict.REPLACE:
            msg = "a key for a period cannot be replaced: the job that took it may have ended"
            raise InvalidInput(msg, field="onConflict")

    @property
    def lock_after_claim(self) -> str | None:
        """What the unique lock becomes when the job starts."""
        started = self.until is Until.STARTED or self.on_conflict is OnConflict.REPLACE
        return None if started else self.key


def checked_key(key: str, what: str) -> str:
    """The key if it is 1 to 512 printable characters. Raises InvalidInput."""
    if not 1 <= len(key) <= MAX_KEY_CHARS or not key.isprintable():
        msg = f"{what} must be 1 to {MAX_KEY_CHARS} printable characters"
        raise InvalidInput(msg, field=what)
    return key


def body_digest(*parts: str) -> str:
    """What tells two bodies under one idempotency key apart."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return digest.hexdigest()

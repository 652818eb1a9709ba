"""Ids minted from store time: UUIDv7 (RFC 9562, method 1: a counter in ``rand_a``).

Minted by the client, so an insert needs no answer; increasing within a process even when many
fall into one millisecond or the clock stands still.
"""

import random
import re
import threading
from typing import Final

from headrace.errors import InvalidInput

_COUNTER_BITS: Final = 12
_COUNTER_MAX: Final = (1 << _COUNTER_BITS) - 1
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class IdMint:
    """Mints increasing UUIDv7 texts. Safe to share between threads."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._last_ms = 0
        self._counter = 0
        self._lock = threading.Lock()

    def mint(self, now: int) -> str:
        """A new id for the instant ``now`` (milliseconds since the epoch)."""
        with self._lock:
            if now > self._last_ms:
                self._last_ms = now
                self._counter = self._rng.getrandbits(_COUNTER_BITS - 1)
            else:
                self._counter += 1
                if self._counter > _COUNTER_MAX:
                    self._last_ms += 1
                    self._counter = 0
            value = (self._last_ms & 0xFFFFFFFFFFFF) << 80
            value |= 0x7 << 76 | self._counter << 64
            value |= 0b10 << 62 | self._rng.getrandbits(62)
        text = f"{value:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_id(text: str) -> bool:
    """Whether a text has the form of an id."""
    return _UUID.fullmatch(text) is not None


_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def checked_name(text: str, what: str) -> str:
    """The text if it is a legal name of a queue, type, namespace or tag. Raises InvalidInput."""
    if _NAME.fullmatch(text) is None:
        msg = f"{what} {text[:80]!r} must be 1 to 64 characters out of A-Z a-z 0-9 _ . : -"
        raise InvalidInput(msg, field=what)
    return text

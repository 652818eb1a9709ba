"""Mints ids from store time: UUIDv7 (RFC 9562, method 1: a counter in ``rand_a``).

Minted by the client, so an insert needs no answer; increasing within a process even when many
fall into one millisecond or the clock stands still.
"""

import random
import threading
from typing import Final

_COUNTER_BITS: Final = 12
_COUNTER_MAX: Final = (1 << _COUNTER_BITS) - 1


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

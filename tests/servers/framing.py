"""Where a client's messages end."""

from typing import Protocol

TLS = b"\x16"
STARTUP = 196608  # protocol 3.0: the last message without a letter for its type


class Framing(Protocol):
    """Splits what a client sends into messages."""

    def feed(self, piece: bytes) -> list[bytes]:
        """The messages that are complete now."""
        ...

    def rest(self) -> bytes:
        """What came after the last complete message."""
        ...


class Pieces:
    """For any protocol: what arrives together is a message."""

    def feed(self, piece: bytes) -> list[bytes]:
        return [piece]

    def rest(self) -> bytes:
        return b""


class PostgresMessages:
    """The messages of PostgreSQL's protocol; of a connection with TLS, what arrives together."""

    def __init__(self) -> None:
        self._buffer = b""
        self._started = False
        self._encrypted = False

    def feed(self, piece: bytes) -> list[bytes]:
        self._buffer += piece
        self._encrypted = self._encrypted or (not self._started and self._buffer.startswith(TLS))
        if self._encrypted:
            encrypted, self._buffer = self._buffer, b""
            return [encrypted]
        messages = []
        while (length := self._length()) is not None and len(self._buffer) >= length:
            message, self._buffer = self._buffer[:length], self._buffer[length:]
            self._started = self._started or int.from_bytes(message[4:8]) == STARTUP
            messages.append(message)
        return messages

    def rest(self) -> bytes:
        return self._buffer

    def _length(self) -> int | None:
        """The length of the next message, once enough of it is there."""
        at = 1 if self._started else 0
        if len(self._buffer) < at + 4:
            return None
        return at + int.from_bytes(self._buffer[at : at + 4])

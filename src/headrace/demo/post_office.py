"""A mail server that takes mail and keeps only a count, by RFC 5321 as far as a client needs it.

Like the receiver of webhooks it has its faults, the same at every run.
"""

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from headrace.demo.orders import order_of

TRY_LATER_EVERY: Final = (25, 4)
LOSE_ANSWER_EVERY: Final = (60, 17)
_RECIPIENT: Final = re.compile(r"RCPT TO:<(buyer[0-9]+@example\.com)>", re.IGNORECASE)
_MESSAGE_ID: Final = re.compile(rb"^Message-ID: <([^>@]+)@", re.IGNORECASE | re.MULTILINE)


class HangUp(Exception):
    """The connection ends here, without an answer."""


@dataclass(slots=True)
class PostOffice:
    """What came in. ``taken`` counts per Message-ID (before its @) what was accepted."""

    url: str = ""
    taken: Counter[str] = field(default_factory=Counter[str])
    orders: defaultdict[int, set[str]] = field(default_factory=lambda: defaultdict[int, set[str]](set))
    answers_lost: set[str] = field(default_factory=set[str])
    put_off: int = 0
    _met: set[int] = field(default_factory=set[int])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talks to one client."""
        recipient = ""
        try:
            writer.write(b"220 localhost ready\r\n")
            while line := (await reader.readline()).decode("latin-1").strip():
                verb = line[:4].upper()
                if verb == "RCPT":
                    recipient, answer = self._recipient(line)
                elif verb == "DATA":
                    writer.write(b"354 go ahead\r\n")
                    answer = self._mail(recipient, await reader.readuntil(b"\r\n.\r\n"))
                else:
                    answer = _ANSWERS.get(verb, "500 what?")
                writer.write(f"{answer}\r\n".encode())
                if verb == "QUIT":
                    break
            await writer.drain()
        except (HangUp, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    def _recipient(self, line: str) -> tuple[str, str]:
        found = _RECIPIENT.match(line)
        if found is None:
            return "", "550 no such buyer"
        order = order_of(found[1])
        if order not in self._met and _is(order, TRY_LATER_EVERY):
            self._met.add(order)
            self.put_off += 1
            return "", "451 try again later"
        return found[1], "250 OK"

    def _mail(self, recipient: str, content: bytes) -> str:
        found = _MESSAGE_ID.search(content)
        if not recipient or found is None:
            return "554 no recipient or no Message-ID"
        order, message_id = order_of(recipient), found[1].decode("ascii")
        self.taken[message_id] += 1
        self.orders[order].add(message_id)
        if order not in self._met and _is(order, LOSE_ANSWER_EVERY):
            self._met.add(order)
            self.answers_lost.add(message_id)
            raise HangUp
        return "250 taken"


_ANSWERS: Final = {
    "EHLO": "250 localhost",
    "HELO": "250 localhost",
    "MAIL": "250 OK",
    "RSET": "250 OK",
    "NOOP": "250 OK",
    "QUIT": "221 bye",
}


def _is(order: int, every: tuple[int, int]) -> bool:
    return order % every[0] == every[1]


@asynccontextmanager
async def post_office() -> AsyncGenerator[PostOffice]:
    """A mail server on a free port of the loopback interface."""
    office = PostOffice()
    server = await asyncio.start_server(office.serve, "127.0.0.1", 0, limit=4 * 1024 * 1024)
    office.url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield office

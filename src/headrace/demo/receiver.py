"""A receiver of webhooks as they are in life: it fails now and then, and loses answers.

What it does to an order depends on the order's number and on how often it came, so every run of the
demonstration meets the same faults.
"""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

MAX_BODY: Final = 1024 * 1024


class Fault(Enum):
    """What happens to the first delivery of some orders."""

    ERROR = "500"
    BUSY = "503 with Retry-After"
    HANG_UP = "connection dropped"
    LOSE_ANSWER = "taken, but the answer is lost"


FAULTS: Final = (
    (12, 1, Fault.ERROR),
    (20, 3, Fault.BUSY),
    (15, 7, Fault.HANG_UP),
    (50, 9, Fault.LOSE_ANSWER),
)


def fault_of(order: int) -> Fault | None:
    """The fault that the first delivery of this order meets."""
    return next((fault for every, rest, fault in FAULTS if order % every == rest), None)


@dataclass(slots=True)
class Receiver:
    """What came in. ``taken`` counts per webhook id what was accepted."""

    secret: str
    url: str = ""
    pair: str = ""
    taken: Counter[str] = field(default_factory=Counter[str])
    orders: defaultdict[int, set[str]] = field(default_factory=lambda: defaultdict[int, set[str]](set))
    answers_lost: set[str] = field(default_factory=set[str])
    faults: Counter[Fault] = field(default_factory=Counter[Fault])
    badly_signed: int = 0
    _met: set[int] = field(default_factory=set[int])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one request."""
        try:
            headers, body = await _request(reader)
            writer.write(self._answer(headers, body))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass
        finally:
            writer.close()

    def _answer(self, headers: Mapping[str, str], body: bytes) -> bytes:
        try:
            Webhook(self.secret).verify(body, dict(headers))
        except WebhookVerificationError:
            self.badly_signed += 1
            return _status("401 Unauthorized")
        order = int(json.loads(body)["data"]["orderId"])
        fault = None if order in self._met else fault_of(order)
        self._met.add(order)
        if fault is not None:
            self.faults[fault] += 1
        match fault:
            case Fault.ERROR:
                return _status("500 Internal Server Error")
            case Fault.BUSY:
                return _status("503 Service Unavailable", "Retry-After: 1")
            case Fault.HANG_UP:
                return b""
            case Fault.LOSE_ANSWER:
                self._take(order, headers["webhook-id"])
                self.answers_lost.add(headers["webhook-id"])
                return b""
            case None:
                self._take(order, headers["webhook-id"])
                return _status("204 No Content")

    def _take(self, order: int, webhook_id: str) -> None:
        self.taken[webhook_id] += 1
        self.orders[order].add(webhook_id)


@asynccontextmanager
async def receiving(secret: str) -> AsyncGenerator[Receiver]:
    """A receiver on a free port of the loopback interface."""
    receiver = Receiver(secret)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.pair = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    receiver.url = f"http://{receiver.pair}/orders"
    async with server:
        yield receiver


async def _request(reader: asyncio.StreamReader) -> tuple[Mapping[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    pairs: Sequence[tuple[str, str, str]] = [line.partition(":") for line in head.split("\r\n")[1:-2]]
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return headers, await reader.readexactly(min(int(headers.get("content-length", "0")), MAX_BODY))


def _status(status: str, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Length: 0", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode()

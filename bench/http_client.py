"""A cheap HTTP/1.1 client for load: raw sockets, keep-alive, one request at a time per connection.

``http_client.py PORT PATH BODY-FILE CONNECTIONS SECONDS RATE [HEADER: VALUE …]``. RATE 0 means as fast as
the answers come. With a rate, requests are due at fixed instants; one that has to wait for its
connection counts from when it was due.
"""

import asyncio
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import uvloop

from bench.processes import tell


@dataclass(slots=True, kw_only=True)
class Load:
    """What is sent, for how long, and what came of it."""

    request: bytes
    rate: float
    until: float
    taken: list[float] = field(default_factory=list)
    refused: int = 0
    example: bytes = b""


class Connection(asyncio.Protocol):
    """One connection. ``number`` of ``total`` share the schedule evenly."""

    def __init__(self, load: Load, number: int, total: int) -> None:
        self._load = load
        self._loop = asyncio.get_running_loop()
        self._every = total / load.rate if load.rate else 0.0
        self._due = time.monotonic() + (number / load.rate if load.rate else 0.0)
        self._sent = 0.0
        self._got = b""
        self.over: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        now = time.monotonic()
        if head.startswith(b"HTTP/1.1 2"):
            self._load.taken.append(now - self._sent)
        else:
            self._load.refused += 1
            self._load.example = self._got[:600]
        self._got = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio calls it so
        if not self.over.done():
            self._load.refused += 1
            self.over.set_result(None)

    def _next(self) -> None:
        now = time.monotonic()
        if now >= self._load.until or self._transport.is_closing():
            self.over.done() or self.over.set_result(None)
            self._transport.close()
        elif not self._every:
            self._send(now)
        elif self._due <= now:
            self._send(self._due)
        else:
            self._loop.call_later(self._due - now, self._send, 0.0)

    def _send(self, counted_from: float) -> None:
        self._sent = counted_from or time.monotonic()
        self._due += self._every
        self._transport.write(self._load.request)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line[:15].lower() == b"content-length:":
            return int(line[15:])
    raise SystemExit(f"an answer without content-length: {head!r}")


def _request(port: str, path: str, body: str, headers: list[str]) -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"host: 127.0.0.1:{port}", "content-type: application/json"]
    return "\r\n".join([*lines, *headers, f"content-length: {len(body)}", "", body]).encode()


async def main(port: str, path: str, body: str, connections: str, *more: str) -> None:
    """Sends the load and tells rate and latencies."""
    seconds, rate, *headers = more
    start = time.monotonic()
    load = Load(request=_request(port, path, body, headers), rate=float(rate), until=start + float(seconds))
    loop = asyncio.get_running_loop()
    total = int(connections)
    made = [
        await loop.create_connection(lambda n=number: Connection(load, n, total), "127.0.0.1", int(port))
        for number in range(total)
    ]
    await asyncio.gather(*(connection.over for _, connection in made))
    if load.refused:
        raise SystemExit(f"{load.refused} requests were refused; {load.example!r}")
    cuts = [cut * 1000 for cut in statistics.quantiles(load.taken, n=100)]
    rate_reached = len(load.taken) / (time.monotonic() - start)
    tell({"req/s": rate_reached, "p50 ms": cuts[49], "p95 ms": cuts[94], "p99 ms": cuts[98]})


if __name__ == "__main__":
    port, path, file, *rest = sys.argv[1:]
    uvloop.run(main(port, path, Path(file).read_text(encoding="utf-8"), *rest))

"""The one guarded way from a handler to the network.

A URL in a payload is a stranger's text, and the worker stands inside the network. So: http and
https only, usual ports only, no user name in the URL; the name is resolved once, every answer must
be a public address, and the connection goes to the address that was checked, with the name kept
for ``Host`` and for the certificate. Proxy variables of the environment are ignored, redirects are
answers and are not followed, and one deadline covers everything from the lookup to the last byte.
"""

import asyncio
import re
import socket
import ssl
import zlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, cast

import httpcore2
import httpx2
from httpcore2 import SOCKET_OPTION

from headrace.errors import Permanent, Transient
from headrace.handlers.addresses import allowed_pair, is_public

USUAL_PORTS: Final = {"http": 80, "https": 443}
CONNECT_SECONDS: Final = 10.0
_HOST: Final = re.compile(r"[A-Za-z0-9_.-]{1,253}|[0-9A-Fa-f:.]{2,45}")


class OutboundRefused(Permanent):
    """The network guard does not let this request out."""


class OutboundFailed(Transient):
    """The other side could not be reached, broke off, or took too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundRequest:
    """A request. ``deadline`` bounds all of it, in seconds; of the answer ``max_body`` bytes are read."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    deadline: float = 30.0
    max_body: int = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. ``body`` is decoded; ``whole`` is False where it was longer than asked for."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    whole: bool


class Outbound:
    """Sends requests to public addresses, and to the ``host:port`` pairs in ``allow`` wherever they are."""

    def __init__(self, *, allow: Iterable[str] = (), tls: ssl.SSLContext | None = None) -> None:
        self._allowed = frozenset(map(allowed_pair, allow))
        self._tls = tls

    async def send(self, request: OutboundRequest) -> Answer:
        """The answer, whatever its status. Raises OutboundRefused, OutboundFailed."""
        url = self._checked_url(request.url)
        # A connection per request: none is ever reused for a name or an address it was not checked for.
        transport = _Transport(_Guard(self._allowed), self._tls or _public_tls())
        client = httpx2.AsyncClient(
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
        )
        try:
            async with asyncio.timeout(request.deadline), client:
                return await _exchange(client, url, request)
        except TimeoutError as error:
            msg = f"no complete answer from {url.host} within {request.deadline:g} s"
            raise OutboundFailed(msg) from error
        except (httpx2.HTTPError, httpx2.StreamError, zlib.error) as error:
            msg = f"request to {url.host} broke off: {type(error).__name__}: {error}"
            raise OutboundFailed(msg) from error

    def _checked_url(self, text: str) -> httpx2.URL:
        try:
            url = httpx2.URL(text)
        except (httpx2.InvalidURL, ValueError) as error:
            msg = f"not a URL: {error}"
            raise OutboundRefused(msg) from error
        if url.scheme not in USUAL_PORTS or _HOST.fullmatch(_host(url)) is None:
            msg = "only http and https URLs with an ordinary host are requested"
            raise OutboundRefused(msg)
        if url.userinfo:
            msg = "a URL with a user name or password is not requested"
            raise OutboundRefused(msg)
        port = url.port or USUAL_PORTS[url.scheme]
        if port not in USUAL_PORTS.values() and (_host(url), port) not in self._allowed:
            msg = f"port {port} is not requested; allowed are 80, 443 and what HEADRACE_OUTBOUND_ALLOW names"
            raise OutboundRefused(msg)
        return url


async def _exchange(client: httpx2.AsyncClient, url: httpx2.URL, request: OutboundRequest) -> Answer:
    headers = {"accept-encoding": "gzip, deflate", "user-agent": "headrace", **request.headers}
    async with client.stream(request.method, url, headers=headers, content=request.body) as response:
        encoding = response.headers.get("content-encoding", "")
        body, whole = await _read(response.aiter_raw(), encoding, request.max_body)
        return Answer(
            status=response.status_code,
            reason=response.reason_phrase,
            headers=dict(response.headers),
            body=body,
            whole=whole,
        )


async def _read(chunks: AsyncIterable[bytes], encoding: str, limit: int) -> tuple[bytes, bool]:
    """Up to ``limit`` decoded bytes, and whether that is all; never decodes further than that."""
    decoder = _decoder(encoding)
    body = bytearray()
    async for chunk in chunks:
        room = limit + 1 - len(body)
        body += chunk if decoder is None else decoder.decompress(chunk, room)
        if len(body) > limit:
            return bytes(body[:limit]), False
        if decoder is not None and decoder.eof:
            break
    return bytes(body), True


def _decoder(encoding: str) -> Any:  # noqa: ANN401 - zlib does not export the type
    match encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip" | "deflate":
            return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        case other:
            msg = f"the answer is encoded as {other[:40]!r}, which was not asked for"
            raise OutboundFailed(msg)


class _Guard(httpcore2.AsyncNetworkBackend):
    """Resolves a name once, checks every address, and connects to one that was checked."""

    def __init__(self, allowed: frozenset[tuple[str, int]]) -> None:
        self._allowed = allowed
        self._network = cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        addresses = await _addresses(host, port)
        if (host, port) not in self._allowed and not all(map(is_public, addresses)):
            msg = f"{host} is not a public address; HEADRACE_OUTBOUND_ALLOW can name it as {host}:{port}"
            raise OutboundRefused(msg)
        failure: httpcore2.ConnectError | httpcore2.ConnectTimeout | None = None
        for address in addresses:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore2.ConnectError(f"{host} has no address")


async def _addresses(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        msg = f"{host} cannot be resolved: {error}"
        raise httpcore2.ConnectError(msg) from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class _Transport(httpx2.AsyncBaseTransport):
    """httpx's own transport takes no network backend, so this one puts the guard under its pool."""

    def __init__(self, guard: _Guard, tls: ssl.SSLContext) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls, network_backend=guard, max_connections=1, max_keepalive_connections=0
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        asked = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        try:
            answer = await self._pool.handle_async_request(asked)
        except _BROKEN as error:
            raise httpx2.TransportError(_told(error)) from error
        return httpx2.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer),
            extensions=cast("dict[str, Any]", answer.extensions),
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, answer: httpcore2.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        try:
            async for chunk in self._answer.aiter_stream():
                yield chunk
        except _BROKEN as error:
            raise httpx2.TransportError(_told(error)) from error

    async def aclose(self) -> None:
        await self._answer.aclose()


_BROKEN: Final = (
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.TimeoutException,
    httpcore2.UnsupportedProtocol,
)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


@cache
def _public_tls() -> ssl.SSLContext:
    return httpx2.create_ssl_context(trust_env=False)


def _host(url: httpx2.URL) -> str:
    return url.raw_host.decode("ascii")

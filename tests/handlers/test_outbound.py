"""The network guard against real listeners on the loopback interface."""

import asyncio
import gzip
import ssl
import subprocess
import zlib

import pytest

from headrace.errors import InvalidInput, Permanent, Transient
from headrace.handlers.outbound import Outbound, OutboundFailed, OutboundRefused, OutboundRequest
from tests.handlers.loopback import Request, Writer, answering, receiver, status

FINE = answering(status(200, "OK", body=b"fine"))
HIDDEN_LOOPBACK = [
    "127.0.0.1",
    "localhost",
    "LOCALHOST",
    "2130706433",
    "127.1",
    "127.0.1",
    "0.0.0.0",
    "0",
    "0x7f000001",
    "0x7f.0x0.0x0.0x1",
    "017700000001",
    "0177.0.0.1",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
]


def get(url: str, **options) -> OutboundRequest:
    return OutboundRequest(method="GET", url=url, **options)


async def drip(_request: Request, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.005)


async def flood(_request: Request, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def endless_headers(_request: Request, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x-more: " + b"y" * 8000 + b"\r\n")
        await writer.drain()


@pytest.mark.parametrize("host", HIDDEN_LOOPBACK)
async def test_loopback_is_refused_however_it_is_spelled(host):
    async with receiver(FINE, host="127.0.0.1") as server:
        outbound = Outbound(allow=[f"public.example:{server.port}"])
        # the port is let through for one name only, so ask on a usual port too
        for url in (f"http://{host}:{server.port}/", f"http://{host}/"):
            with pytest.raises(OutboundRefused):
                await outbound.send(get(url))

        assert server.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "127.1", "0x7f.1"])
async def test_guard_refuses_the_address_itself_on_an_allowed_port(host, monkeypatch):
    async with receiver(FINE) as server:
        monkeypatch.setattr("headrace.handlers.outbound.USUAL_PORTS", {"http": server.port})

        with pytest.raises(OutboundRefused, match="not a public address"):
            await Outbound().send(get(f"http://{host}:{server.port}/"))

        assert server.connections == 0


async def test_one_private_answer_among_public_ones_refuses_the_name(monkeypatch):
    async def resolved(_loop, *_args, **_options):
        return [(0, 0, 0, "", ("8.8.8.8", 80)), (0, 0, 0, "", ("127.0.0.1", 80))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolved)
    monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", resolved)

    with pytest.raises(OutboundRefused, match="mixed"):
        await Outbound().send(get("http://mixed.example/"))


async def test_name_is_resolved_once_and_the_checked_address_is_dialled(monkeypatch):
    async with receiver(FINE) as server:
        answers = ["127.0.0.1", "203.0.113.9"]

        async def rebound(_loop, _host, port, **_options):
            return [(0, 0, 0, "", (answers.pop(0), port))]

        monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", rebound)

        answer = await Outbound(allow=[f"rebound.example:{server.port}"]).send(
            get(f"http://rebound.example:{server.port}/")
        )

        assert (answer.status, answers) == (200, ["203.0.113.9"])
        assert server.requests[0].headers["host"] == f"rebound.example:{server.port}"


async def test_allowed_pair_is_let_through_and_no_other_spelling_of_it():
    async with receiver(FINE) as server:
        outbound = Outbound(allow=[server.pair])

        answer = await outbound.send(get(server.url()))
        with pytest.raises(OutboundRefused):
            await outbound.send(get(f"http://localhost:{server.port}/"))

        assert (answer.status, answer.reason, answer.body, answer.whole) == (200, "OK", b"fine", True)
        assert server.connections == 1


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "http://user:secret@example.com/",
        "http://user@example.com/",
        "http://example.com:22/",
        "https://example.com:6379/",
        "http://example.com:99999/",
        "http:///nowhere",
        "example.com",
        "http://exa mple.com/",
        "http://[::1/",
        "//example.com/",
        "",
    ],
)
async def test_url_that_is_no_plain_web_address_is_refused(url):
    with pytest.raises(OutboundRefused):
        await Outbound().send(get(url))


async def test_refusal_is_permanent_and_tells_no_password():
    with pytest.raises(Permanent) as refused:
        await Outbound().send(get("http://user:secret@example.com/"))

    assert "secret" not in str(refused.value)


async def test_redirect_is_an_answer_and_is_not_followed():
    async with receiver(FINE) as inner:
        redirect = status(302, "Found", f"Location: {inner.url()}")
        async with receiver(answering(redirect)) as server:
            answer = await Outbound(allow=[server.pair, inner.pair]).send(get(server.url()))

        assert (answer.status, inner.connections) == (302, 0)


async def test_proxy_of_the_environment_is_ignored(monkeypatch):
    async with receiver(FINE) as proxy, receiver(FINE) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url("/"))

        await Outbound(allow=[server.pair, proxy.pair]).send(get(server.url()))

        assert (proxy.connections, server.connections) == (0, 1)


async def test_slow_answer_is_cut_off_at_the_deadline():
    async with receiver(drip) as server:
        with pytest.raises(OutboundFailed, match=r"within 0\.05 s"):
            await Outbound(allow=[server.pair]).send(get(server.url(), deadline=0.05))


async def test_silent_server_is_given_up_at_the_deadline():
    released = asyncio.Event()

    async def silent(_request: Request, _writer: Writer) -> None:
        await released.wait()

    async with receiver(silent) as server:
        with pytest.raises(Transient, match="no complete answer"):
            await Outbound(allow=[server.pair]).send(get(server.url(), deadline=0.05))
        released.set()


async def test_endless_body_is_read_up_to_the_limit_only():
    async with receiver(flood) as server:
        answer = await Outbound(allow=[server.pair]).send(get(server.url(), max_body=1000))

    assert (answer.status, answer.body, answer.whole) == (200, b"x" * 1000, False)


async def test_endless_headers_are_given_up():
    async with receiver(endless_headers) as server:
        with pytest.raises(OutboundFailed, match="broke off"):
            await Outbound(allow=[server.pair]).send(get(server.url()))


@pytest.mark.parametrize(("encoding", "packed"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_body_limit_counts_decoded_bytes(encoding, packed):
    bomb = packed(b"0" * 10_000_000)

    async with receiver(answering(status(200, "OK", f"Content-Encoding: {encoding}", body=bomb))) as server:
        answer = await Outbound(allow=[server.pair]).send(get(server.url(), max_body=5000))

    assert (answer.body, answer.whole) == (b"0" * 5000, False)


async def test_encoded_body_within_the_limit_is_decoded():
    body = gzip.compress(b"hello")

    async with receiver(answering(status(200, "OK", "Content-Encoding: gzip", body=body))) as server:
        answer = await Outbound(allow=[server.pair]).send(get(server.url()))

    assert (answer.body, answer.whole) == (b"hello", True)


@pytest.mark.parametrize(
    "reply",
    [
        status(200, "OK", "Content-Encoding: br", body=b"xx"),
        status(200, "OK", "Content-Encoding: gzip", body=b"no gzip at all"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"SSH-2.0-OpenSSH\r\n",
        b"",
    ],
)
async def test_broken_answer_is_transient(reply):
    async with receiver(answering(reply)) as server:
        with pytest.raises(Transient):
            await Outbound(allow=[server.pair]).send(get(server.url()))


async def test_refused_connection_is_transient():
    async with receiver(FINE) as server:
        pair = server.pair

    with pytest.raises(OutboundFailed, match="broke off"):
        await Outbound(allow=[pair]).send(get(f"http://{pair}/"))


async def test_certificate_is_checked_for_the_name_in_the_url(tmp_path):
    serving, trusting = _tls("right.test", tmp_path)
    async with receiver(FINE, tls=serving) as server:
        right, wrong = (f"{name}:{server.port}" for name in ("right.test", "127.0.0.1"))
        outbound = Outbound(allow=[right, wrong], tls=trusting)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(type(asyncio.get_running_loop()), "getaddrinfo", _loopback)
            answer = await outbound.send(get(f"https://{right}/"))
            with pytest.raises(OutboundFailed, match="CERTIFICATE_VERIFY_FAILED"):
                await outbound.send(get(f"https://{wrong}/"))

    assert answer.status == 200


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "host:", ":80", "host:http", "host:0", "host:70000", "u@host:80"]
)
def test_allow_list_refuses_what_is_no_pair(text):
    with pytest.raises(InvalidInput):
        Outbound(allow=[text])


async def _loopback(_loop, _host, port, **_options):
    return [(0, 0, 0, "", ("127.0.0.1", port))]


def _tls(name: str, folder) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    key, certificate = folder / "key.pem", folder / "cert.pem"
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    try:
        subprocess.run(
            [*made, "-keyout", key, "-out", certificate, "-days", "2", *subject],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("needs the openssl command")
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    return serving, ssl.create_default_context(cafile=str(certificate))

"""Over real HTTP: what only a server and a socket can show."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from headrace.api.app import create_app
from headrace.api.guard import MAX_BODY_BYTES
from tests.faces.service import PATIENCE_S, an_app, listening, raw_exchange

MAIL = b'{"type":"send-email","payload":{"to":"a"}}'


class Opening:
    """The service as an ASGI application whose store opens and closes with the server's loop."""

    def __init__(self) -> None:
        self.inner = None

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self.inner(scope, receive, send)

    async def _live(self, receive, send):
        async with an_app() as app:
            self.inner = create_app(await app.operations())
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


@pytest.fixture(scope="module")
def port():
    with listening(Opening()) as port:
        yield port


@pytest.fixture
def client(port):
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:
        yield client


def test_job_goes_in_and_out(client):
    made = client.post("/jobs", json={"type": "echo", "payload": {"value": "é 𝄞"}})

    job = client.get(made.headers["location"]).json()["job"]

    assert made.status_code == 201
    assert job["payload"] == {"value": "é 𝄞"}


def test_equal_keys_at_the_same_time_make_one_job(client, port):
    def enqueue(_: int) -> str:
        body = {"type": "echo", "payload": {}}
        answer = httpx2.post(
            f"http://127.0.0.1:{port}/jobs",
            json=body,
            headers={"Idempotency-Key": "together"},
            timeout=PATIENCE_S,
        )
        return answer.json()["jobId"]

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(enqueue, range(24)))

    assert len(ids) == 1


def test_chunked_body_is_read(port):
    parts = [MAIL[:7], MAIL[7:]]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"

    status, _ = _post(port, b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n", chunks)

    assert status == 201


def test_chunked_body_beyond_the_limit_is_413(client):
    def chunks():
        for _ in range(MAX_BODY_BYTES // (1024 * 1024) + 1):
            yield b" " * 1024 * 1024

    answer = client.post("/jobs", content=chunks(), headers={"content-type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


def test_announced_body_beyond_the_limit_is_413_unread(port):
    length = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % (MAX_BODY_BYTES + 1)

    status, problem = _post(port, length, b"")

    assert (status, problem["code"]) == (413, "too-large")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Host: localhost\r\nHost: evil.example\r\n", 400),
        (b"Host: evil.example\r\n", 421),
        (b"Host:\r\n", 421),
        (b"Host: localhost\r\nContent-Length: -1\r\n", 400),
        (b"Host: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n", 400),
    ],
)
def test_malformed_head_is_refused(port, head, status):
    request = b"POST /jobs HTTP/1.1\r\n" + head + b"Connection: close\r\n\r\n"

    assert _status(raw_exchange(port, request)) == status


def test_request_without_host_is_misdirected(port):
    assert _status(raw_exchange(port, b"GET /health HTTP/1.0\r\n\r\n")) == 421


def test_absolute_target_does_not_replace_the_host(port):
    request = b"GET http://evil.example/health HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"

    assert _status(raw_exchange(port, request)) == 421


def test_body_cut_off_writes_nothing(port, client):
    before = client.get("/stats").json()["stats"]["total"]
    head = b"POST /jobs HTTP/1.1\r\nHost: localhost\r\n"
    announced = b"Content-Type: application/json\r\nContent-Length: 999\r\n\r\n"

    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head + announced + MAIL)

    assert client.get("/stats").json()["stats"]["total"] == before


def test_server_goes_on_after_all_that(client):
    assert client.get("/health").json()["status"] == "ok"


def _post(port: int, headers: bytes, body: bytes):
    head = b"POST /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" + headers + b"\r\n"
    answer = raw_exchange(port, head + body)
    return _status(answer), json.loads(answer.partition(b"\r\n\r\n")[2])


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])

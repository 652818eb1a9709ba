"""A service for tests: an App over SQLite in memory, its HTTP face, and a client of it."""

import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import uvicorn

from headrace import App, Context, ManualClock
from headrace.api.app import create_app
from headrace.core.job import Job
from headrace.core.outcomes import Outcome
from headrace.stores.protocol import Store
from tests.builders import SUCCESS, claim, settle

JSON_TYPE = {"content-type": "application/json"}
BASE = "http://localhost:8787"
PATIENCE_S = 60
"""How long a server may take to answer before a test gives up."""


def an_app(url: str = "sqlite://", clock: ManualClock | None = None) -> App:
    app = App(url, clock=clock)

    @app.job(name="send-email")
    async def send_email(to: str, subject: str = "", body: str = "") -> dict[str, bool]:
        """Sends a mail."""
        return {"sent": bool(to or subject or body)}

    @app.job(name="echo", queue="other", version=2, priority=7, timeout=30)
    async def echo(ctx: Context, value: Any = None) -> Any:
        ctx.log("echoed", value=value)
        return value

    return app


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    app: App
    store: Store
    clock: ManualClock
    client: httpx2.AsyncClient

    async def post(self, body: object, path: str = "/jobs", **headers: str | bytes) -> httpx2.Response:
        return await self.client.post(path, content=json.dumps(body), headers=JSON_TYPE | headers)

    async def post_raw(self, body: bytes, path: str = "/jobs", **headers: str) -> httpx2.Response:
        return await self.client.post(path, content=body, headers=JSON_TYPE | headers)

    async def enqueued(self, job_type: str = "send-email", payload: object = None, **fields: object) -> str:
        payload = {"to": "user@example.com"} if payload is None and job_type == "send-email" else payload
        answer = await self.post({"type": job_type, "payload": payload or {}, **fields})
        assert answer.status_code == 201, answer.text
        return answer.json()["jobId"]

    async def job(self, job_id: str) -> dict[str, Any]:
        answer = await self.client.get(f"/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()["job"]

    async def claimed(self, job_type: str = "send-email") -> Job:
        now = self.clock.now()
        queues = {"default": 1, "other": 1}
        (job,) = await claim(self.store, n=1, now=now, queues=queues, types=frozenset({job_type}))
        return job

    async def settled(self, outcome: Outcome = SUCCESS, job_type: str = "send-email") -> str:
        job = await self.claimed(job_type)
        await settle(self.store, job, outcome, now=self.clock.now())
        return job.id

    async def total(self) -> int:
        return (await self.client.get("/stats")).json()["stats"]["total"]


@asynccontextmanager
async def a_service() -> AsyncIterator[Service]:
    clock = ManualClock()
    app = an_app(clock=clock)
    async with app:
        opened = await app.open()
        transport = httpx2.ASGITransport(create_app(opened.operations))
        async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
            yield Service(app=app, store=opened.store, clock=clock, client=client)


def free_socket() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


@contextmanager
def listening(app: Any) -> Iterator[int]:
    """Serves an ASGI application over real HTTP from a thread; gives the port."""
    with free_socket() as sock:
        started = threading.Event()

        class Server(uvicorn.Server):
            async def startup(self, sockets=None) -> None:
                await super().startup(sockets)
                started.set()

        config = uvicorn.Config(app, lifespan="on", log_config=None, ws="none")
        server = Server(config)
        thread = threading.Thread(target=server.run, args=([sock],))
        thread.start()
        try:
            assert started.wait(PATIENCE_S)
            yield sock.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S)


def raw_exchange(port: int, request: bytes) -> bytes:
    """Sends bytes as they are and reads until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.sendall(request)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def problem_of(answer: httpx2.Response, status: int) -> dict[str, Any]:
    """The problem an answer carries, once it has the right form."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = json.loads(answer.content)
    assert problem["status"] == status
    assert problem["success"] is False
    assert problem["error"] == problem["detail"]
    assert problem["type"] == "about:blank"
    return problem

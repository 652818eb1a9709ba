"""The HTTP service as the demonstration uses it: through its public address only."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from headrace.core.filters import MAX_LIMIT
from headrace.core.states import State

JobJson = Mapping[str, Any]
SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Counts:
    """What ``/stats`` says."""

    total: int
    open: int
    completed: int
    failed: int


@dataclass(frozen=True, slots=True)
class Service:
    """Calls to one service."""

    client: httpx2.AsyncClient

    async def enqueue(self, job_type: str, payload: Mapping[str, Any]) -> str:
        """Posts a job and returns its id once the service has acknowledged it."""
        answer = await self.client.post("/jobs", json={"type": job_type, "payload": payload})
        return str(_body(answer)["jobId"])

    async def job(self, job_id: str) -> JobJson:
        """One job."""
        return _body(await self.client.get(f"/jobs/{job_id}"))["job"]

    async def jobs(self, **wanted: str) -> list[JobJson]:
        """All jobs that fit, page by page."""
        found: list[JobJson] = []
        cursor: str | None = None
        while True:
            query = {**wanted, "limit": str(MAX_LIMIT), **({} if cursor is None else {"cursor": cursor})}
            page = _body(await self.client.get("/jobs", params=query))
            found += page["jobs"]
            cursor = page["nextCursor"]
            if cursor is None:
                return found

    async def attempts(self, job_id: str) -> list[Mapping[str, Any]]:
        """All starts of a job."""
        return _body(await self.client.get(f"/jobs/{job_id}/history"))["attempts"]

    async def retry(self, job_id: str) -> None:
        """Runs a failed job again, as an operator would."""
        _body(await self.client.post(f"/jobs/{job_id}/retry"))

    async def counts(self) -> Counts:
        """How many jobs there are."""
        stats = _body(await self.client.get("/stats"))["stats"]
        return Counts(
            total=stats["total"],
            open=stats[State.PENDING.value] + stats[State.PROCESSING.value],
            completed=stats[State.COMPLETED.value],
            failed=stats[State.FAILED.value],
        )


@asynccontextmanager
async def service_at(url: str) -> AsyncGenerator[Service]:
    """The service at an address."""
    async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=SECONDS) as client:
        yield Service(client)


def _body(answer: httpx2.Response) -> Any:  # noqa: ANN401 - JSON of a shape the caller knows
    answer.raise_for_status()
    return answer.json()

"""What was enqueued, and assertions about it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import pydantic_core
from pydantic.alias_generators import to_camel

from headrace.app import App
from headrace.core.filters import MAX_LIMIT, JobFilter, Page
from headrace.core.job import Job
from headrace.engine.codec import plain_payload
from headrace.engine.job_type import JobType
from headrace.engine.registry import Registered

SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueued:
    """A job as it was enqueued; ``payload`` is JSON, ``job`` the job as it is now."""

    type: str
    payload: Mapping[str, Any]
    queue: str
    job: Job

    def __str__(self) -> str:
        payload = json.dumps(self.payload, ensure_ascii=False)
        return f"{self.type} {payload} in queue {self.queue}, {self.job.state.value}"


async def enqueued(app: App) -> list[Enqueued]:
    """All jobs in the app's namespace, waiting and ended, in the order they were enqueued."""
    operations = await app.operations()
    found: list[Job] = []
    before: str | None = None
    while True:
        page = await operations.jobs(JobFilter(), Page(limit=MAX_LIMIT, before=before))
        found += page.jobs
        before = page.cursor
        if before is None:
            break
    found.sort(key=lambda job: job.seq)
    return [_as_enqueued(app, job) for job in found]


async def assert_enqueued(
    app: App,
    job_type: JobType[..., Any] | Registered | str,
    payload: Mapping[str, Any] | None = None,
    *,
    queue: str | None = None,
    count: int | None = None,
) -> list[Enqueued]:
    """Asserts that jobs of this type were enqueued, and returns them: at least one, or exactly ``count``.

    ``payload`` names fields that must be equal, in objects inside too; fields that it does not name may be
    anything. Values are compared as JSON. The AssertionError shows what was enqueued instead.
    """
    name = _name_of(job_type)
    everything = await enqueued(app)
    wanted: dict[str, Any] = pydantic_core.to_jsonable_python(dict(payload or {}))
    fitting = [
        one
        for one in everything
        if one.type == name and (queue is None or one.queue == queue) and _includes(one.payload, wanted)
    ]
    if len(fitting) == count or (count is None and fitting):
        return fitting
    looked_for = name
    if wanted:
        looked_for += f" with {json.dumps(wanted, ensure_ascii=False)}"
    if queue is not None:
        looked_for += f" in queue {queue}"
    expected = "at least 1" if count is None else str(count)
    raise AssertionError(
        f"expected {expected} {looked_for}, found {len(fitting)}. Enqueued were:\n{_listed(everything)}"
    )


def enqueued_sync(app: App) -> list[Enqueued]:
    """As ``enqueued``, for tests without an event loop."""
    return app.portal.call(lambda: enqueued(app))


def assert_enqueued_sync(
    app: App,
    job_type: JobType[..., Any] | Registered | str,
    payload: Mapping[str, Any] | None = None,
    *,
    queue: str | None = None,
    count: int | None = None,
) -> list[Enqueued]:
    """As ``assert_enqueued``, for tests without an event loop."""
    return app.portal.call(lambda: assert_enqueued(app, job_type, payload, queue=queue, count=count))


def _as_enqueued(app: App, job: Job) -> Enqueued:
    facts = job.facts
    payload = json.loads(plain_payload(app.registry.codec, facts.type, facts.payload))
    return Enqueued(type=facts.type, payload=payload, queue=facts.queue, job=job)


def _name_of(job_type: JobType[..., Any] | Registered | str) -> str:
    match job_type:
        case str():
            return job_type
        case JobType():
            return job_type.name
        case Registered():
            return job_type.info.name


def _includes(held: object, wanted: object) -> bool:
    """Whether every field that is wanted is there and equal; ``order_id`` may be stored as ``orderId``."""
    if not isinstance(wanted, Mapping):
        return held == wanted
    if not isinstance(held, Mapping):
        return False
    have = {to_camel(str(key)): value for key, value in cast("Mapping[object, object]", held).items()}
    asked = {to_camel(str(key)): value for key, value in cast("Mapping[object, object]", wanted).items()}
    return all(key in have and _includes(have[key], value) for key, value in asked.items())


def _listed(everything: list[Enqueued]) -> str:
    lines = [f"  {one}" for one in everything[:SHOWN]]
    if len(everything) > SHOWN:
        lines.append(f"  and {len(everything) - SHOWN} more")
    return "\n".join(lines) or "  nothing"

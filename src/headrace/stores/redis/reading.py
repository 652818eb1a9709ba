"""Reads of jobs."""

import json
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from headrace.core.history import read as read_history
from headrace.core.ids import is_id
from headrace.core.job import History, Job
from headrace.errors import JobNotFound
from headrace.stores.redis.database import Database
from headrace.stores.redis.rows import jobs_of
from headrace.stores.redis.session import Look
from headrace.stores.values import LogLine

PAGE: Final = 200

T = TypeVar("T")


def pages(given: Sequence[T], size: int = PAGE) -> list[Sequence[T]]:
    """What is given, in parts that keep no script busy for long."""
    return [given[first : first + size] for first in range(0, len(given), size)]


async def jobs_by_id(look: Look, namespace: str, ids: Sequence[str]) -> dict[str, Job]:
    """The jobs that exist, by id."""
    found: dict[str, Job] = {}
    for rows in await look.looks("jobs", pages([one for one in ids if is_id(one)])):
        found |= {job.id: job for job in jobs_of(namespace, rows)}
    return found


async def trails(look: Look, ids: Sequence[str]) -> Mapping[str, str | None]:
    """The trails of jobs, by id."""
    found: dict[str, str | None] = {}
    for page, texts in zip(pages(ids), await look.looks("trails", pages(ids)), strict=True):
        found |= zip(page, texts, strict=True)
    return found


async def expired_jobs(database: Database, now: int, limit: int) -> Sequence[Job]:
    """Running jobs whose lease has ended, of all namespaces, longest expired first."""
    found: list[Job] = []
    for namespace in await database.namespaces():
        keys = database.keys(namespace)
        ended = ("ZRANGEBYSCORE", keys.lease, "-inf", f"({now}", "LIMIT", 0, limit)
        found += (await jobs_by_id(database.at(keys), namespace, await database.call(*ended))).values()
    found = [job for job in found if (job.placement.lease_until or now) < now]
    found.sort(key=lambda job: (job.placement.lease_until or 0, job.seq))
    return found[:limit]


async def history(look: Look, namespace: str, job_id: str) -> History:
    """All attempts of a job."""
    job, trail = await look.look("story", job_id) if is_id(job_id) else (None, None)
    if job is None:
        raise JobNotFound(job_id)
    return read_history(jobs_of(namespace, [job])[0], trail)


async def log_lines(look: Look, job_id: str) -> Sequence[LogLine]:
    """What the job's handlers logged, oldest first."""
    is_there, lines = await look.look("log_lines", job_id) if is_id(job_id) else (None, ())
    if not is_there:
        raise JobNotFound(job_id)
    return [line_of(line) for line in lines]


def line_of(text: str) -> LogLine:
    """The line that a list of lines holds as a text."""
    at, level, message, data = json.loads(text)
    return LogLine(at=at, level=level, message=message, data=data)
